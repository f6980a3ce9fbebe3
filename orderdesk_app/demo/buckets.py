"""Order Desk's own rate limit: a bucket of tokens for each store (docs/orderdesk-api.md
section 10).
"""

from dataclasses import dataclass
from math import ceil

from orderdesk_app.demo.switches import Switches
from orderdesk_app.token_bucket import Level, TokenBucket


@dataclass(slots=True)
class Bucket:
    """One store's level; its rules are switches, which may change while the sandbox runs."""

    level: Level

    def take(self, now: float, switches: Switches) -> int | None:
        """Whole tokens left after taking one; None when there was none."""
        bucket = _rules(switches)
        taken = bucket.take(self.level, now)
        if taken is not None:
            self.level = taken
            return max(0, int(taken.tokens))
        tokens = bucket.tokens(self.level, now)
        if switches.refused_request_costs:
            tokens = max(0.0, tokens - 1)
        self.level = Level(tokens, now)
        return None

    def wait(self, switches: Switches) -> int:
        """Whole seconds from the last request until a token is there."""
        if switches.bucket_refill <= 0:
            return 60
        return max(1, ceil(_rules(switches).wait(self.level, self.level.at)))


def _rules(switches: Switches) -> TokenBucket:
    return TokenBucket(float(switches.bucket_size), switches.bucket_refill)
