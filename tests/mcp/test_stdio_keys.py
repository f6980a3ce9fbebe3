"""The key of a stdio session is asked for with each call: one that ends while it runs stops there,
at its second, and the client is told what to do.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from mcp.client import Client

from orderdesk_app.context import Actor, Via, now
from orderdesk_app.mcp.server import McpHandlers
from orderdesk_app.mcp.stdio import StdioCaller
from orderdesk_app.services.access import Access
from orderdesk_app.services.key_choices import KeyChoice
from orderdesk_app.services.key_views import KeyView
from tests.worlds import World, open_world, settings_for

HOUR = timedelta(hours=1)
Act = Callable[[World, Actor, KeyView], Awaitable[object]]


async def revoke(world: World, owner: Actor, key: KeyView) -> None:
    await world.services.keys.revoke(owner, key.id)


async def rotate(world: World, owner: Actor, key: KeyView) -> None:
    await world.services.key_changes.rotate(owner, key.id, overlap=timedelta(0))


async def narrow(world: World, owner: Actor, key: KeyView) -> None:
    choice = KeyChoice("till", key.scopes[:1], is_read_only=True, expires_at=key.expires_at)
    await world.services.key_changes.edit(owner, key.id, choice)


ACTS: dict[str, tuple[Act | None, timedelta, str]] = {
    "expires": (None, HOUR, "AUTH_ERROR: Not signed in, or the key has expired"),
    "is revoked": (revoke, timedelta(0), "AUTH_ERROR: Not signed in, or the key has expired"),
    "is rotated": (rotate, timedelta(0), "AUTH_ERROR: Not signed in, or the key has expired"),
    "is narrowed": (narrow, timedelta(0), "PERMISSION_DENIED: "),
}


@pytest.fixture
async def small(sqlite_url: str) -> AsyncIterator[World]:
    async with open_world(settings_for(sqlite_url), None) as world:
        yield world


@pytest.mark.parametrize("what", ACTS)
async def test_a_key_that_ends_while_a_session_runs_stops_there(small: World, what: str) -> None:
    act, later, words = ACTS[what]
    services, moment = small.services, now()
    owner = replace((await small.owner.principal()).actor, via=Via.WEB, credential_id=None)
    view, key = await services.keys.create(owner, "till", owner.scopes, expires_at=moment + HOUR)
    clock = [moment]
    access = Access(services.database, services.keys, services.signals, clock=lambda: clock[-1])
    caller = StdioCaller(access)
    caller.sign_in(key)
    update = {"order_id": "100000001", "changes": {"email": "new@example.com"}}

    async with Client(McpHandlers(services.runner, lambda _: caller).server()) as client:
        clock.append(moment + later - timedelta(microseconds=1))
        before: Any = await client.call_tool("orders_update", update)
        clock.append(moment + later)
        if act is not None:
            await act(small, owner, view)
        after: Any = await client.call_tool("orders_update", update)

    assert not before.is_error
    assert after.content[0].text.startswith(words)
