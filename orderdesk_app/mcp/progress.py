"""Progress of a call, for clients that ask for it: begun, still at it, done.

Clients reset their timeout when they hear of it.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

EVERY_SECONDS = 5.0
Tell = Callable[[float, float | None, str | None], Awaitable[None]]


@asynccontextmanager
async def telling_progress(tell: Tell) -> AsyncIterator[None]:
    """Tells at once, every few seconds while the body runs (it may stand in line for Order Desk),
    and at its end. The number is of steps, so it always rises.
    """
    started = time.monotonic()
    steps = 0

    async def tell_on() -> None:
        nonlocal steps
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            steps += 1
            await tell(steps, None, f"still running, {time.monotonic() - started:.0f} s")

    await tell(0, None, "started")
    ticking = asyncio.create_task(tell_on())
    try:
        yield
    finally:
        ticking.cancel()
        await asyncio.wait((ticking,))
    await tell(steps + 1, steps + 1, "done")
