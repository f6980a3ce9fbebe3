"""Identical calls at the same time share one result."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

T = TypeVar("T")


class SingleFlight:
    """A caller that asks for a key while a call for it runs waits for that call.

    The call is cancelled only when its last waiter is cancelled.
    """

    def __init__(self) -> None:
        self._flights: dict[str, _Flight] = {}

    async def do(self, key: str, make: Callable[[], Awaitable[T]]) -> T:
        """What `make` returns or raises; `make` runs once for all callers of `key` at that time."""
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = _Flight()
            flight.task = asyncio.create_task(self._run(key, flight, make), name="flight")
        flight.waiting += 1
        try:
            # Shielded: a caller that is cancelled does not cancel the call for the others.
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
