"""How a worker stops: it refuses new requests, its requests end, its writes end, and what still
hangs then is cut off.

The server program would wait for every connection, also for one that stopped in the middle of a
request. So the worker ends by itself once nothing is left that is worth waiting for.
"""

import asyncio
import logging
import math
import os
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from starlette.types import Message, Receive

# From the notice of a stop on: so long for requests that run. With what follows, a stop takes less
# than ten seconds unless a write waits for Order Desk.
REQUEST_SECONDS = 6.0
# For answers that are ready to leave, and for the server to end by itself.
ANSWER_SECONDS = 0.5


class ServerStopping(Exception):
    """A request that came too late, or took too long, for a stop. Nothing of it was written."""


class GracefulStop:
    """The stop of one process. `notice_seconds` is how long it still takes new requests."""

    def __init__(
        self,
        *,
        notice_seconds: float,
        request_seconds: float = REQUEST_SECONDS,
        answer_seconds: float = ANSWER_SECONDS,
        exit_process: Callable[[int], object] = os._exit,
    ) -> None:
        self._notice_seconds = notice_seconds
        self._request_seconds = request_seconds
        self._answer_seconds = answer_seconds
        self._exit_process = exit_process
        self._count = 0
        self._running: set[asyncio.Task[Any]] = set()  # which a stop waits for
        self._stopping: asyncio.Task[None] | None = None
        self._is_refusing = False
        self._is_cutting = False
        self._ended_at = -math.inf  # when the newest answer was ready to leave
        self._is_due = asyncio.Event()
        self._is_closed = asyncio.Event()

    @property
    def running(self) -> int:
        """How many requests run now."""
        return self._count

    async def serve(self, answer: Awaitable[None], *, is_waited_for: bool = True) -> None:
        """Await the answer of a request, for which a stop waits. Raises ServerStopping when the
        request or its answer does not come in time.

        One that is not waited for, such as health, is answered until services close.
        """
        if self._is_refusing if is_waited_for else self._is_due.is_set():
            if isinstance(answer, Coroutine):
                answer.close()
            raise ServerStopping
        self._count += 1
        try:
            await (self._serve(answer) if is_waited_for else answer)
        finally:
            self._count -= 1

    async def _serve(self, answer: Awaitable[None]) -> None:
        task = asyncio.current_task()
        assert task is not None, "a request is answered in a task"
        self._running.add(task)
        try:
            await answer
        except asyncio.CancelledError:
            if not self._is_cutting:
                raise
            task.uncancel()
            raise ServerStopping from None
        finally:
            self._running.discard(task)
            self._ended_at = time.monotonic()

    def begin(self, finish_writes: Callable[[], Awaitable[None]]) -> None:
        """A stop begins: the server will end this process soon."""
        if self._stopping is None:
            self._stopping = asyncio.create_task(self._stop(finish_writes))

    async def receive(self, receive: Receive) -> Message:
        """The server's next message of the lifespan. It is the shutdown also where the server still
        waits for connections, and a stop has waited long enough.
        """
        due = asyncio.create_task(self._is_due.wait())
        heard = asyncio.create_task(_received(receive))
        await asyncio.wait({due, heard}, return_when=asyncio.FIRST_COMPLETED)
        if not heard.done():
            return {"type": "lifespan.shutdown"}
        due.cancel()
        message = heard.result()
        if message["type"] == "lifespan.shutdown" and self._stopping is not None:
            self._stopping.cancel()  # the server ends by itself
        return message

    def closed(self) -> None:
        """The lifespan has ended: all services are closed."""
        self._is_closed.set()

    async def _stop(self, finish_writes: Callable[[], Awaitable[None]]) -> None:
        until = time.monotonic() + self._request_seconds
        await asyncio.sleep(self._notice_seconds)
        self._is_refusing = True
        await self._requests_ended(until)
        await finish_writes()  # each has its own time limits
        await self._requests_ended(time.monotonic() + self._answer_seconds)
        self._is_cutting = True
        for task in self._running:
            task.cancel()  # as if its caller had hung up: nothing of it was written
        await self._requests_ended(time.monotonic() + self._answer_seconds)
        if (rest := self._ended_at + self._answer_seconds - time.monotonic()) > 0:
            await asyncio.sleep(rest)
        self._is_due.set()
        await self._is_closed.wait()
        for handler in logging.root.handlers:
            handler.flush()  # which a normal exit does
        self._exit_process(0)

    async def _requests_ended(self, until: float) -> None:
        while self._running and (rest := until - time.monotonic()) > 0:
            await asyncio.wait(set(self._running), timeout=rest)


async def _received(receive: Receive) -> Message:
    return await receive()
