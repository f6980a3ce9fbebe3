"""Order Desk's own rate limit: a bucket of tokens for each store (section 10)."""

from dataclasses import dataclass
from math import ceil

from orderdesk_app.demo.switches import Switches


@dataclass(slots=True)
class Bucket:
    tokens: float
    at: float

    def take(self, now: float, switches: Switches) -> int | None:
        """Whole tokens left after taking one; None when there was none."""
        self.tokens = min(
            float(switches.bucket_size),
            self.tokens + max(0.0, now - self.at) * switches.bucket_refill,
        )
        self.at = now
        if self.tokens < 1:
            if switches.refused_request_costs:
                self.tokens = max(0.0, self.tokens - 1)
            return None
        self.tokens -= 1
        return int(self.tokens)

    def wait(self, switches: Switches) -> int:
        """Whole seconds until a token is there."""
        return (
            max(1, ceil((1 - self.tokens) / switches.bucket_refill))
            if switches.bucket_refill > 0
            else 60
        )
