"""Identical questions asked at the same time share one answer."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

T = TypeVar("T")


class SingleFlight:
    """Whoever asks while an answer is under way waits for that one.

    It is given up only when nobody waits any more.
    """

    def __init__(self) -> None:
        self._flights: dict[str, _Flight] = {}

    async def do(self, key: str, make: Callable[[], Awaitable[T]]) -> T:
        """What `make` returns or raises; `make` runs once for all who ask for `key` meanwhile."""
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = _Flight()
            flight.task = asyncio.create_task(self._run(key, flight, make), name="flight")
        flight.waiting += 1
        try:
            # Shielded: a caller who leaves does not take the answer away from the others.
            return cast(T, await asyncio.shield(flight.task))
        finally:
            flight.waiting -= 1
            if flight.waiting == 0 and not flight.task.done():
                self._forget(key, flight)
                flight.task.cancel()

    async def _run(self, key: str, flight: "_Flight", make: Callable[[], Awaitable[Any]]) -> Any:
        try:
            return await make()
        finally:
            self._forget(key, flight)  # at once: the next caller asks again

    def _forget(self, key: str, flight: "_Flight") -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]


class _Flight:
    __slots__ = ("task", "waiting")

    def __init__(self) -> None:
        self.task: asyncio.Task[Any]
        self.waiting = 0
