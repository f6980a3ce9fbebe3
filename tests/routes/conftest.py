"""The plain routes over a real server process, and over the app in this process where a part has to be broken."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import httpx
import pytest
from starlette.types import ASGIApp

from orderdesk_app import wiring
from orderdesk_app.context import Secret
from orderdesk_app.server import create_app
from tests.door import door
from tests.worlds import MASTER_KEY, quick_passwords, sandbox_server, settings_for

__all__ = ["door", "sandbox_server"]

Inside = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]


@contextlib.asynccontextmanager
async def living(app: ASGIApp) -> AsyncIterator[None]:
    """The app between its lifespan's start and stop, as a server would have it."""
    heard: asyncio.Queue[Any] = asyncio.Queue()
    told: asyncio.Queue[Any] = asyncio.Queue()
    task = asyncio.create_task(app({"type": "lifespan", "asgi": {"version": "3.0"}}, heard.get, told.put))  # type: ignore[arg-type]
    await heard.put({"type": "lifespan.startup"})
    assert (await told.get())["type"] == "lifespan.startup.complete"
    try:
        yield
    finally:
        await heard.put({"type": "lifespan.shutdown"})
        await told.get()
        await task


@pytest.fixture
def inside(database_url: str) -> Inside:
    """`async with inside(SETTING=…) as http`: the whole app in this process, on both databases."""

    @contextlib.asynccontextmanager
    async def open_app(**values: str) -> AsyncIterator[httpx.AsyncClient]:
        settings = settings_for(database_url, **{"ENABLE_WEBUI": "false", "ADMIN_MASTER_KEY": MASTER_KEY, **values})
        app = create_app(settings)
        with quick_passwords():
            async with living(app), httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=settings.public_url) as http:
                await wiring.current().tenants.ensure_admin(master_key=Secret(MASTER_KEY), has_webui=False)
                yield http

    return open_app
