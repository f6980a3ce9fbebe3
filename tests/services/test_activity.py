"""Home's figures: each is real, and moves when its thing happens."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from orderdesk_app.context import Actor, Via, now
from orderdesk_app.services import activity as activity_service
from orderdesk_app.services.activity import Day
from orderdesk_app.services.audit import Entry
from tests.worlds import FIRST_ORDER, World, open_world, settings_for


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    async with open_world(settings_for(database_url), None) as world:
        await world.house.audit.flush()
        yield world


async def day(world: World) -> Day:
    return await world.house.activity.day((await world.owner.principal()).actor)


async def happen(world: World, **values: Any) -> None:
    actor = (await world.owner.principal()).actor
    await world.house.audit.record(Entry(**{"actor": actor, "action": "tool", "tool": "orders_get", **values}))


async def a_call(world: World) -> None:
    await world.owner.get("stores_list")


async def a_failure(world: World) -> None:
    await world.owner.refused("orders_get", order_id="99")


async def a_cached_read(world: World) -> None:
    await world.owner.get("orders_get", order_id=FIRST_ORDER)
    await world.owner.get("orders_get", order_id=FIRST_ORDER)


FIGURES: list[tuple[str, Callable[[Day], Any], Callable[[World], Awaitable[None]], Any, Any]] = [
    ("calls", lambda day: day.calls, a_call, 0, 1),
    ("calls of this hour", lambda day: day.calls_by_hour[-1], a_call, 0, 1),
    ("errors", lambda day: day.errors, a_failure, 0, 1),
    ("errors of this hour", lambda day: day.errors_by_hour[-1], a_failure, 0, 1),
    ("saved", lambda day: day.saved, a_cached_read, 0, 1),
    ("saved in this hour", lambda day: day.saved_by_hour[-1], a_cached_read, 0, 1),
    ("upstream requests", lambda day: day.upstream_requests, a_cached_read, 0, 1),
    ("median", lambda day: day.median_ms, lambda world: happen(world, duration_ms=42.0), None, 42.0),
    ("median of this hour", lambda day: day.median_by_hour[-1], lambda world: happen(world, duration_ms=42.0), 0.0, 42.0),
]


@pytest.mark.parametrize(("name", "figure", "act", "before", "after"), FIGURES, ids=[name for name, *_ in FIGURES])
async def test_a_figure_moves_when_its_thing_happens(world: World, name: str, figure: Any, act: Any, before: Any, after: Any) -> None:
    assert figure(await day(world)) == before

    await act(world)

    assert figure(await day(world)) == after


async def test_the_state_of_a_store_is_how_it_answered_last(world: World) -> None:
    [record] = await world.owner.stores()
    assert (await day(world)).stores == {}

    await a_failure(world)
    failed = (await day(world)).stores[record.id]
    await world.owner.get("orders_get", order_id=FIRST_ORDER)
    fine = (await day(world)).stores[record.id]

    assert (failed.calls, failed.errors, failed.last_outcome) == (1, 1, "NOT_FOUND")
    assert (fine.calls, fine.errors, fine.last_outcome) == (2, 1, "ok")
    assert fine.last_at is not None
    assert failed.last_at is not None
    assert fine.last_at > failed.last_at


async def test_what_is_older_than_a_day_is_not_counted(world: World) -> None:
    await happen(world, at=now() - timedelta(hours=24, minutes=1))
    await happen(world, at=now() - timedelta(hours=23, minutes=30))

    told = await day(world)

    assert (told.calls, told.calls_by_hour[0], sum(told.calls_by_hour)) == (1, 1, 1)


async def test_sign_ins_are_no_calls(world: World) -> None:
    await world.house.sign_in.with_key(world.owner.key, address="203.0.113.1", user_agent="tests")

    assert (await day(world)).calls == 0
    assert [h.action for h in await world.house.activity.latest((await world.owner.principal()).actor)] == ["sign_in.key"]


async def test_the_latest_come_first_and_say_what_was_done(world: World) -> None:
    await world.owner.get("orders_update", order_id=FIRST_ORDER, changes={"email": "new@example.com"})
    await a_failure(world)
    actor = (await world.owner.principal()).actor

    failed, written = await world.house.activity.latest(actor, count=2)

    assert (failed.tool, failed.outcome, failed.arguments) == ("orders_get", "NOT_FOUND", {"order_id": "99"})
    assert (written.tool, written.outcome, written.via) == ("orders_update", "ok", "mcp")
    assert written.arguments == {"order_id": FIRST_ORDER, "changes": {"email": "new@example.com"}}
    assert written.change_id
    assert written.duration_ms > 0
    assert written.at <= failed.at


async def test_the_figures_of_a_busy_account_stay_exact(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(activity_service, "_MOST_ROWS", 5)

    for _ in range(8):
        await happen(world)

    assert (await day(world)).calls == 8


async def test_a_neighbour_moves_nothing_of_ours(world: World) -> None:
    await world.neighbour.get("stores_list")

    assert (await day(world)).calls == 0
    assert await world.house.activity.latest((await world.owner.principal()).actor) == []


async def test_first_steps_are_done_when_they_are_done(world: World) -> None:
    actor = (await world.owner.principal()).actor
    person = Actor(actor.tenant_id, via=Via.WEB, session_id="01SESSION")
    steps = world.house.activity.first_steps

    assert await steps(actor) == activity_service.FirstSteps(has_key=False, has_agent_call=False, has_console_call=False)
    await world.house.keys.create(person, "an agent")
    assert (await steps(actor)).has_key
    await world.owner.get("stores_list")
    assert (await steps(actor)).has_agent_call
    await world.house.console.run(person, "stores_list", {})
    assert replace(await steps(actor)) == activity_service.FirstSteps(has_key=True, has_agent_call=True, has_console_call=True)
