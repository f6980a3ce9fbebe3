"""Writes of one row that arrive while it is being written: the last of them is written for all."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar
from weakref import WeakValueDictionary

T = TypeVar("T")


@dataclass(slots=True)
class _Batch(Generic[T]):
    value: T
    is_written: bool = False


class CoalescedWrites(Generic[T]):
    """For rows of which each write replaces all that the writes before it said. One write at a time
    runs for each row of this process, and what the others would have written nobody could read.
    """

    def __init__(self, write: Callable[[str, T], Awaitable[None]]) -> None:
        """`write(name, value)` commits the value of the row that has this name."""
        self._write = write
        self._next: dict[str, _Batch[T]] = {}
        # a lock lives as long as somebody waits for it
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def write(self, name: str, value: T) -> None:
        """Returns when this value is committed, or one that came after it. Raises what `write`
        raises for this value.
        """
        lock = self._locks.setdefault(name, asyncio.Lock())
        batch = self._next.setdefault(name, _Batch(value))
        batch.value = value
        async with lock:
            if batch.is_written:
                return
            if self._next.get(name) is batch:
                del self._next[name]  # who comes from now on is written after us
            try:
                await self._write(name, batch.value)
                batch.is_written = True
            except Exception:
                if batch.value is value:
                    raise
                await self._write(name, value)  # it may be the other value that cannot be written
