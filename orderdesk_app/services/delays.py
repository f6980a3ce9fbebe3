"""Growing delays for tries that fail: the first wait for nothing, each further one waits twice as
long as the one before.

A delay never keeps the right key or a good link out: these are looked at first, and only what
fails is counted. So nobody locks others out, not even on their own network.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

from cachetools import LRUCache

from orderdesk_app.errors import RateLimited
from orderdesk_app.observability import RATE_LIMITED

MOST_KEYS = 100_000
_MOST_DOUBLINGS = 30


@dataclass(frozen=True, slots=True)
class DelayRules:
    """`free` tries wait for nothing, the next one `first` seconds, each after it twice as long, at
    most `longest`. After `longest` seconds without a try, all are free again.
    """

    free: int
    first: float
    longest: float

    def delay(self, tries: int) -> float:
        """How long the next try waits after so many."""
        if tries < self.free:
            return 0.0
        doublings = min(tries - self.free, _MOST_DOUBLINGS)
        return min(self.longest, self.first * float(2**doublings))

    def is_forgotten(self, quiet: float) -> bool:
        """Whether tries count no more after so many seconds since the next one was allowed."""
        return quiet >= self.longest


@dataclass(slots=True)
class _Tries:
    count: int
    ready_at: float  # when the next one is allowed


class GrowingDelays:
    """The tries of each key: an address, a mailbox. Those that were used longest ago are forgotten
    first. `shared_by` maps keys that share their tries to one name.
    """

    def __init__(
        self,
        name: str,
        rules: DelayRules,
        *,
        words: str,
        clock: Callable[[], float] = time.monotonic,
        shared_by: Callable[[str], str] = str,
    ) -> None:
        self._name = name
        self.rules = rules
        self._words = words
        self._clock = clock
        self._shared_by = shared_by
        self._tries: LRUCache[str, _Tries] = LRUCache(MOST_KEYS)

    def check(self, key: str) -> None:
        """Counts one try. Raises RateLimited with `retry_after` seconds while it has to wait; such
        a try is not counted.
        """
        now = self._clock()
        key = self._shared_by(key)
        tries = self._tries.get(key)
        if tries is None or self.rules.is_forgotten(now - tries.ready_at):
            tries = _Tries(0, now)
        if now < tries.ready_at:
            RATE_LIMITED.labels(self._name).inc()
            # rounded up: who waits this long is not refused again
            wait = ceil((tries.ready_at - now) * 10) / 10
            raise RateLimited(
                f"{self._words} Try again in {_span(wait)}.", retry_after=wait, outcome="not_done"
            )
        tries.count += 1
        tries.ready_at = now + self.rules.delay(tries.count)
        self._tries[key] = tries

    def give_back(self, key: str) -> None:
        """Takes one try back that should not have counted, with its delay."""
        tries = self._tries.get(self._shared_by(key))
        if tries is not None and tries.count:
            tries.count -= 1
            tries.ready_at = self._clock()

    def forget(self, key: str) -> None:
        """Makes all tries of the key free again."""
        self._tries.pop(self._shared_by(key), None)


def _span(seconds: float) -> str:
    return f"{ceil(seconds)} s" if seconds <= 90 else f"{ceil(seconds / 60)} minutes"
