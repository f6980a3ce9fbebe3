"""Where the levels of limits are kept: in this process now. A store that processes share (Redis,
the database) has the same methods, and a clock of its own.
"""

import time
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from orderdesk_app.token_bucket import Level, TokenBucket

MOST_KEYS = 100_000  # of each limit; those used longest ago are forgotten first
_MOST_DOUBLINGS = 30


class Draw(NamedTuple):
    """What is to be taken from the bucket that a limit has for a key."""

    limit: str
    key: str
    rules: TokenBucket
    cost: float


class Reading(NamedTuple):
    """A bucket after a draw: its tokens, and the seconds until there are enough for that draw (0.0
    where there were).
    """

    tokens: float
    wait: float


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


class Try(NamedTuple):
    """One try that a limit counts for a key."""

    limit: str
    key: str
    rules: DelayRules


class LimitBuckets(Protocol):
    """Token buckets; one that was never drawn from is full."""

    async def take(self, draws: Sequence[Draw]) -> Sequence[Reading]:
        """Takes from all of these buckets, or from none where one of them has too few: what one
        refuses costs the others nothing. It is one step, and nobody comes between.
        """

    async def give_back(self, draws: Sequence[Draw]) -> None:
        """Puts the tokens of these draws back, as far as the buckets have room."""

    async def level(self, draws: Sequence[Draw]) -> Sequence[Reading]:
        """Reads the buckets and takes nothing."""


class LimitTries(Protocol):
    """Counts of tries whose delays grow."""

    async def attempt(self, tried: Try) -> float:
        """Counts the try and returns 0.0; the seconds to wait, without counting it, while there is
        a delay. It is one step.
        """

    async def give_back(self, tried: Try) -> None:
        """Takes one try back that should not have counted, with its delay."""

    async def forget(self, tried: Try) -> None:
        """Makes all tries of the key free again."""


class MemoryLimitBuckets:
    """LimitBuckets in the memory of one process."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, *, most_keys: int = MOST_KEYS
    ) -> None:
        self._clock = clock
        self._most_keys = most_keys
        # A limit for strangers must not push out what a limit of tenants remembers.
        self._levels: dict[str, OrderedDict[str, Level]] = defaultdict(OrderedDict)

    async def take(self, draws: Sequence[Draw]) -> list[Reading]:
        now = self._clock()
        taken: list[Level] = []
        for limit, key, rules, cost in draws:
            level = rules.take(self._levels[limit].get(key), now, cost)
            if level is None:
                return self._read(draws, now)
            taken.append(level)
        for (limit, key, _, _), level in zip(draws, taken, strict=True):
            self._put(limit, key, level)
        return [Reading(level.tokens, 0.0) for level in taken]

    async def give_back(self, draws: Sequence[Draw]) -> None:
        for limit, key, rules, cost in draws:
            level = self._levels[limit].get(key)
            if level is not None:
                self._put(limit, key, Level(min(rules.capacity, level.tokens + cost), level.at))

    async def level(self, draws: Sequence[Draw]) -> list[Reading]:
        return self._read(draws, self._clock())

    def _read(self, draws: Sequence[Draw], now: float) -> list[Reading]:
        read = []
        for limit, key, rules, cost in draws:
            level = self._levels[limit].get(key)
            is_enough = rules.take(level, now, cost) is not None
            wait = 0.0 if is_enough else rules.wait(level, now, cost)
            read.append(Reading(rules.tokens(level, now), wait))
        return read

    def _put(self, limit: str, key: str, level: Level) -> None:
        levels = self._levels[limit]
        levels[key] = level
        levels.move_to_end(key)
        if len(levels) > self._most_keys:
            levels.popitem(last=False)


@dataclass(slots=True)
class _Tries:
    count: int
    ready_at: float  # when the next one is allowed


class MemoryLimitTries:
    """LimitTries in the memory of one process."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, *, most_keys: int = MOST_KEYS
    ) -> None:
        self._clock = clock
        self._most_keys = most_keys
        self._tries: dict[str, OrderedDict[str, _Tries]] = defaultdict(OrderedDict)

    async def attempt(self, tried: Try) -> float:
        now = self._clock()
        known = self._tries[tried.limit]
        tries = known.get(tried.key)
        if tries is None or tried.rules.is_forgotten(now - tries.ready_at):
            tries = _Tries(0, now)
        if now < tries.ready_at:
            return tries.ready_at - now
        tries.count += 1
        tries.ready_at = now + tried.rules.delay(tries.count)
        known[tried.key] = tries
        known.move_to_end(tried.key)
        if len(known) > self._most_keys:
            known.popitem(last=False)
        return 0.0

    async def give_back(self, tried: Try) -> None:
        tries = self._tries[tried.limit].get(tried.key)
        if tries is not None and tries.count:
            tries.count -= 1
            tries.ready_at = self._clock()

    async def forget(self, tried: Try) -> None:
        self._tries[tried.limit].pop(tried.key, None)
