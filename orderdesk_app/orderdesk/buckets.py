"""Our own count of Order Desk's token bucket (20 tokens for each store, 3 more a second), and the
queue of requests that wait for a token.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

from orderdesk_app.errors import RateLimited, Unexpected
from orderdesk_app.observability import log
from orderdesk_app.orderdesk.fair_queue import FairQueue
from orderdesk_app.orderdesk.wait_budget import WaitBudget
from orderdesk_app.token_bucket import Level, TokenBucket

_LOG = log(__name__)

CAPACITY = 20.0  # docs/orderdesk-api.md section 10
PER_SECOND = 3.0
# seconds: Order Desk counts by another clock, and a request that comes too early is refused
A_LITTLE_LATER = 0.01

_MANY = 10_000


class TokenBuckets(Protocol):
    """One bucket for each StoreAccess.upstream_id, shared by all requests to that store
    (docs/orderdesk-api.md section 10). No method waits.
    """

    async def take(self, key: str) -> float:
        """Takes one token and returns 0.0; without a token returns the seconds until there may be
        one.
        """

    async def correct(self, key: str, remaining: int) -> None:
        """Lowers our count to `remaining`, which Order Desk sent as X-Tokens-Remaining.

        It never raises our count: other requests are under way.
        """

    async def drain(self, key: str, seconds: float) -> None:
        """Empties the bucket for `seconds`, as Order Desk refused a request with 429."""


class MemoryBuckets:
    """TokenBuckets in the memory of one process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._rules = TokenBucket(CAPACITY, PER_SECOND)
        self._levels: dict[str, Level] = {}

    def __len__(self) -> int:
        """How many buckets are remembered."""
        return len(self._levels)

    async def take(self, key: str) -> float:
        level = self._levels.get(key)
        now = self._clock()
        taken = self._rules.take(level, now)
        if taken is None:
            return self._rules.wait(level, now)
        self._put(key, taken)
        return 0.0

    async def correct(self, key: str, remaining: int) -> None:
        self._lower(key, float(max(0, remaining)))

    async def drain(self, key: str, seconds: float) -> None:
        # below zero, so that the first token is there after `seconds`
        self._lower(key, 1 - PER_SECOND * seconds)

    def _lower(self, key: str, tokens: float) -> None:
        self._put(key, self._rules.lower(self._levels.get(key), self._clock(), tokens))

    def _put(self, key: str, level: Level) -> None:
        if len(self._levels) >= _MANY and key not in self._levels:
            now = self._clock()
            # a full bucket needs no entry: a missing one counts as full
            self._levels = {
                name: kept
                for name, kept in self._levels.items()
                if self._rules.tokens(kept, now) < CAPACITY
            }
        self._levels[key] = level


class BucketQueue:
    """The queue for tokens: first come, first served for each store. A waiting request holds
    neither a connection nor a token.
    """

    def __init__(
        self, buckets: TokenBuckets, sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
    ) -> None:
        self._buckets = buckets
        self._sleep = sleep
        self._queue = FairQueue()

    def ticket(self) -> int:
        """A place in the order of arrival, kept by a request through all its retries."""
        return self._queue.ticket()

    async def token(self, key: str, budget: WaitBudget, ticket: int) -> None:
        """Waits for one token and takes it.

        Raises RateLimited with `retry_after` when the wait would exceed the budget, Unexpected when
        the bucket cannot be read; nothing was sent in either case.
        """
        with budget.waiting():
            ahead = self._queue.behind(key) + 1
            if not await self._queue.enter(key, budget.remaining(), ticket):
                raise _used_up(ahead / PER_SECOND)
            try:
                while wait := await self._take(key):
                    if wait > budget.remaining():
                        raise _used_up(wait)
                    await self._sleep(wait + A_LITTLE_LATER)
            finally:
                self._queue.leave(key)

    async def _take(self, key: str) -> float:
        try:
            return await self._buckets.take(key)
        except Exception as error:
            _LOG.error("a store's bucket could not be asked", exc_info=error)
            raise Unexpected(
                (
                    "Our own records could not be reached, so nothing was sent to Order "
                    "Desk. Try again in a minute."
                ),
                outcome="not_done",
            ) from error


def _used_up(seconds: float) -> RateLimited:
    whole = max(1, math.ceil(seconds))
    return RateLimited(
        (
            "Order Desk's request limit for this store is used up (20 requests, then 3 a "
            f"second). Nothing was sent. Try again in {whole} s."
        ),
        retry_after=whole,
        outcome="not_done",
    )
