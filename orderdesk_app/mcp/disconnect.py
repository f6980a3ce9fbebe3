"""When the caller disconnects, a read stops and a batch starts nothing more. A write that has begun
shields itself.
"""

import asyncio
from collections.abc import Awaitable

from starlette.types import Receive

from orderdesk_app.mcp.body import ClientDisconnected

# Most answers are sent by then: to watch their callers would cost more than it saves.
QUICK_SECONDS = 0.1


async def cancel_on_disconnect(receive: Receive, work: Awaitable[None]) -> None:
    """Await `work`. The body has been read, so that `receive` gives nothing but the disconnect.

    Raises ClientDisconnected when the caller disconnects before the end of the work.
    """
    task = asyncio.current_task()
    loop = asyncio.get_running_loop()
    assert task is not None, "requests are served in tasks"
    is_disconnected = False
    watcher: asyncio.Task[None] | None = None

    async def watch() -> None:
        nonlocal is_disconnected
        while (await receive())["type"] != "http.disconnect":
            pass
        is_disconnected = True
        task.cancel()

    def start_watching() -> None:
        nonlocal watcher
        watcher = asyncio.create_task(watch())

    timer = loop.call_later(QUICK_SECONDS, start_watching)
    try:
        await work
    except asyncio.CancelledError:
        if not is_disconnected:
            raise
        task.uncancel()
        raise ClientDisconnected from None
    finally:
        timer.cancel()
        if watcher is not None:
            watcher.cancel()
