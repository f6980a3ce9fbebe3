"""Work is done while somebody waits for its answer: when the caller goes, a read stops and a batch
begins nothing more. (A write that has begun shields itself.)
"""

import asyncio
from collections.abc import Awaitable

from starlette.types import Receive

from orderdesk_app.mcp.body import ClientDisconnected

# most answers are out by then: to watch their callers would cost more than it could save
_QUICK_SECONDS = 0.1


async def cancel_on_disconnect(receive: Receive, work: Awaitable[None]) -> None:
    """Do the work.

    Raises ClientDisconnected when the caller goes before its end; `receive` has nothing else to
    tell any more.
    """
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    assert task is not None, "requests are served in tasks"
    has_gone = False
    watcher: asyncio.Task[None] | None = None

    async def watch() -> None:
        nonlocal has_gone
        while (await receive())["type"] != "http.disconnect":
            pass
        has_gone = True
        task.cancel()

    def begin() -> None:
        nonlocal watcher
        watcher = asyncio.create_task(watch())

    timer = loop.call_later(_QUICK_SECONDS, begin)
    try:
        await work
    except asyncio.CancelledError:
        if not has_gone:
            raise
        task.uncancel()
        raise ClientDisconnected from None
    finally:
        timer.cancel()
        if watcher is not None:
            watcher.cancel()
