"""Work that goes on although its caller has gone: one shield for a call that writes, one set of
what is unfinished, one wait for it at shutdown.
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
    """From here on this call goes on to its end, whether or not its caller waits for it."""
    shielded = _current.get()
    if shielded is not None:
        shielded.has_begun = True


class UnfinishedWork:
    """What runs in this process and must not be cut off."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[object]] = set()

    async def run(self, work: Coroutine[object, None, T]) -> T:
        """Run a call that may write. A caller who leaves stops it before it `has_begun`, and not
        any more after. Inside another such call it is a part of that one.
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
        """Start work that nobody may stop."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    async def drain(self) -> None:
        """Wait for all of it, as long as a write may take: each ends by its own time limits."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _finished(self, task: asyncio.Task[object]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # it may have no caller any more to hear it; the journal has it
