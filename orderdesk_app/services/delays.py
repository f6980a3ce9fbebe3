"""Growing delays for tries that fail: the first wait for nothing, each further one waits twice as
long as the one before.

A delay never keeps the right key or a good link out: these are looked at first, and only what
fails is counted. So nobody locks others out, not even on their own network.
"""

import time
from collections.abc import Callable
from math import ceil

from orderdesk_app.errors import RateLimit, RateLimited
from orderdesk_app.observability import RATE_LIMITED
from orderdesk_app.services.limit_store import DelayRules, LimitTries, MemoryLimitTries, Try


class GrowingDelays:
    """The tries of each key: an address, a mailbox. `shared_by` maps keys that share their tries to
    one name.
    """

    def __init__(
        self,
        name: str,
        rules: DelayRules,
        *,
        words: str,
        clock: Callable[[], float] = time.monotonic,
        shared_by: Callable[[str], str] = str,
        store: LimitTries | None = None,
    ) -> None:
        self._name = name
        self.rules = rules
        self._words = words
        self._shared_by = shared_by
        self._store = store or MemoryLimitTries(clock)

    async def check(self, key: str) -> None:
        """Counts one try. Raises RateLimited with `retry_after` seconds while it has to wait; such
        a try is not counted.
        """
        seconds = await self._store.attempt(self._try(key))
        if seconds > 0:
            RATE_LIMITED.labels(self._name).inc()
            # rounded up: who waits this long is not refused again
            wait = ceil(seconds * 10) / 10
            raise RateLimited(
                f"{self._words} Try again in {_span(wait)}.",
                retry_after=wait,
                outcome="not_done",
            ).by(RateLimit(self.rules.free, 0, ceil(wait)))

    async def give_back(self, key: str) -> None:
        """Takes one try back that should not have counted, with its delay."""
        await self._store.give_back(self._try(key))

    async def forget(self, key: str) -> None:
        """Makes all tries of the key free again."""
        await self._store.forget(self._try(key))

    def _try(self, key: str) -> Try:
        return Try(self._name, self._shared_by(key), self.rules)


def _span(seconds: float) -> str:
    return f"{ceil(seconds)} s" if seconds <= 90 else f"{ceil(seconds / 60)} minutes"
