"""Progress of a call, for clients that ask for it: started, still running, done.

Clients reset their timeout at each notification.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

EVERY_SECONDS = 5.0
SendProgress = Callable[[float, float | None, str | None], Awaitable[None]]


@asynccontextmanager
async def report_progress(send: SendProgress) -> AsyncIterator[None]:
    """Send progress at once, every few seconds while the body runs (it may wait for Order Desk),
    and at its end. The number counts notifications, so it always rises.
    """
    started = time.monotonic()
    steps = 0

    async def send_regularly() -> None:
        nonlocal steps
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            steps += 1
            await send(steps, None, f"still running, {time.monotonic() - started:.0f} s")

    await send(0, None, "started")
    ticking = asyncio.create_task(send_regularly())
    try:
        yield
    finally:
        ticking.cancel()
        await asyncio.wait((ticking,))
    await send(steps + 1, steps + 1, "done")
