"""A bounded cache of what is read from the database, emptied by signals."""

import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Generic, TypeVar

from cachetools import LRUCache

from orderdesk_app.cache.flight import SingleFlight
from orderdesk_app.db.signals import EVERYTHING

MOST_KEPT = 20_000
T = TypeVar("T")


class LoadingCache(Generic[T]):
    """A bounded cache that never keeps a value that was read before a change was signalled.

    `topics` names the signals that make a value stale. Callers that miss the same key at the same
    time share one reading.
    """

    def __init__(
        self,
        *,
        seconds: float,
        topics: Callable[[str, T], Iterable[str]] = lambda _, __: (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        # LRUCache with our own expiry: a hit in TTLCache takes six times as long, and every cached
        # read makes two lookups.
        self._values: _Values[T] = _Values(MOST_KEPT, self._forget)
        self._topics = topics
        # by topic, so that a signal of one account does not walk over those of all others
        self._keys: dict[str, set[str]] = {}
        self._generation = 0
        self._flight = SingleFlight()
        self._seconds = seconds
        self._clock = clock

    def get(self, key: str) -> T | None:
        try:
            until, value = self._values[key]
        except KeyError:
            return None
        return value if until > self._clock() else None

    async def load(self, key: str, read: Callable[[], Awaitable[T | None]]) -> T | None:
        seen = self._generation

        async def read_and_keep() -> T | None:
            value = await read()
            if value is not None and seen == self._generation:
                self._keep(key, value)
            return value

        # The generation is part of the key: a reading that begins after a change never shares one
        # that began before it.
        return await self._flight.do(f"{seen}|{key}", read_and_keep)

    def evict(self, topic: str) -> None:
        """Forget the values of that topic; all of them where signals may have been lost."""
        self._generation += 1
        if topic == EVERYTHING:
            self._values.clear()
            self._keys.clear()
        for key in list(self._keys.get(topic, ())):
            self._values.drop(key)

    def _keep(self, key: str, value: T) -> None:
        self._values.drop(key)
        self._values[key] = (self._clock() + self._seconds, value)
        for topic in self._topics(key, value):
            self._keys.setdefault(topic, set()).add(key)

    def _forget(self, key: str, value: T) -> None:
        for topic in self._topics(key, value):
            keys = self._keys.get(topic, set())
            keys.discard(key)
            if not keys:
                self._keys.pop(topic, None)


class _Values(LRUCache[str, tuple[float, T]]):
    """Calls `dropped` for each value that leaves, to make room as well."""

    def __init__(self, most: int, dropped: Callable[[str, T], None]) -> None:
        super().__init__(most)
        self._dropped = dropped

    def drop(self, key: str) -> None:
        found = self.pop(key, None)
        if found is not None:
            self._dropped(key, found[1])

    def popitem(self) -> tuple[str, tuple[float, T]]:
        key, found = super().popitem()
        self._dropped(key, found[1])
        return key, found
