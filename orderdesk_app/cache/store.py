"""The cache's interface, and two forms of it in memory: one that keeps and one that never does."""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

MEMORY_BYTES = 32 * 1024 * 1024
_ENTRY_BYTES = 400  # what an entry costs beside its value, about


class Cache(Protocol):
    """Bytes by key, for some seconds; `drop` forgets all that were put with that tag."""

    async def get(self, key: str) -> bytes | None: ...

    async def put(self, key: str, value: bytes, seconds: float, tags: tuple[str, ...]) -> None: ...

    async def drop(self, tag: str) -> None: ...

    async def ping(self) -> None:
        """Raises when the cache does not work."""

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class _Entry:
    value: bytes
    until: float
    tags: tuple[str, ...]

    @property
    def size(self) -> int:
        return len(self.value) + _ENTRY_BYTES


class MemoryCache:
    """Bounded in bytes; what was not asked for the longest goes first.

    A value larger than an eighth of it is not kept. It is no TLRUCache, as that knows no tags: what
    leaves, for whatever reason, leaves its tags.
    """

    def __init__(
        self, limit: int = MEMORY_BYTES, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limit = limit
        self._clock = clock
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._by_tag: dict[str, set[str]] = {}
        self._bytes = 0

    async def get(self, key: str) -> bytes | None:
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry.until <= self._clock():
            self._forget(key)
            return None
        self._entries.move_to_end(key)
        return entry.value

    async def put(self, key: str, value: bytes, seconds: float, tags: tuple[str, ...]) -> None:
        self._forget(key)
        entry = _Entry(value, self._clock() + seconds, tags)
        if seconds <= 0 or entry.size > self._limit // 8:
            return
        self._entries[key] = entry
        self._bytes += entry.size
        for tag in tags:
            self._by_tag.setdefault(tag, set()).add(key)
        while self._bytes > self._limit:
            self._forget(next(iter(self._entries)))

    async def drop(self, tag: str) -> None:
        for key in tuple(self._by_tag.get(tag, ())):
            self._forget(key)

    async def ping(self) -> None:
        pass

    async def close(self) -> None:
        self._entries.clear()
        self._by_tag.clear()
        self._bytes = 0

    def _forget(self, key: str) -> None:
        entry = self._entries.pop(key, None)
        if entry is None:
            return
        self._bytes -= entry.size
        for tag in entry.tags:
            keys = self._by_tag.get(tag, set())
            keys.discard(key)
            if not keys:
                self._by_tag.pop(tag, None)
