"""A token bucket as arithmetic: the level at a moment, the capacity, the rate. The clock and the
storage are the caller's.
"""

from dataclasses import dataclass
from typing import NamedTuple

# the rounding error of float sums; without it a wait could shrink for ever
_TOLERANCE = 1e-6


class Level(NamedTuple):
    """The tokens in a bucket at a moment, in seconds of the caller's clock. Below 0 the bucket
    first has to grow to 0.
    """

    tokens: float
    at: float


@dataclass(frozen=True, slots=True)
class TokenBucket:
    """The rules of a bucket: at most `capacity` tokens, `per_second` more each second."""

    capacity: float
    per_second: float

    def tokens(self, level: Level | None, now: float) -> float:
        """The tokens there now; a bucket without a level is full."""
        if level is None:
            return self.capacity
        return min(self.capacity, level[0] + max(0.0, now - level[1]) * self.per_second)

    def take(self, level: Level | None, now: float, cost: float = 1.0) -> Level | None:
        """The level after taking `cost` tokens, None where there are too few."""
        tokens = self.tokens(level, now)
        return None if tokens < cost - _TOLERANCE else Level(tokens - cost, now)

    def wait(self, level: Level | None, now: float, cost: float = 1.0) -> float:
        """Seconds until `cost` tokens are there."""
        return (cost - self.tokens(level, now)) / self.per_second

    def lower(self, level: Level | None, now: float, tokens: float) -> Level:
        """The level with at most `tokens` in it."""
        return Level(min(self.tokens(level, now), tokens), now)
