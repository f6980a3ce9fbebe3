"""Work that continues after its caller has disconnected: shields calls that write, and waits for
them at shutdown.
"""

import asyncio
from collections.abc import Coroutine
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(slots=True)
class _Shielded:
    has_begun: bool = False


_current: ContextVar[_Shielded | None] = ContextVar("orderdesk_shielded", default=None)


def has_begun() -> None:
    """From here on this call runs to its end, even if its caller disconnects."""
    shielded = _current.get()
    if shielded is not None:
        shielded.has_begun = True


class UnfinishedWork:
    """The tasks of this process that must not be cancelled."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[object]] = set()

    async def run(self, work: Coroutine[object, None, T]) -> T:
        """Runs a call that may write. A caller who disconnects cancels it only before `has_begun`.
        Inside another such call it is a part of that one.
        """
        if _current.get() is not None:
            return await work
        shielded = _Shielded()
        token = _current.set(shielded)
        try:
            task = self.keep(work)
        finally:
            _current.reset(token)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if not shielded.has_begun:
                task.cancel()
            raise

    def keep(self, work: Coroutine[object, None, T]) -> asyncio.Task[T]:
        """Starts a task that no caller can cancel."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    async def drain(self) -> None:
        """Waits for all tasks; each ends by its own time limits."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _finished(self, task: asyncio.Task[object]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # its caller may have disconnected; the journal has the outcome
