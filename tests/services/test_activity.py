"""Home's figures: each is real, and moves when its thing happens."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from sqlalchemy import Engine, event

from orderdesk_app.context import Actor, Scope, Via, now
from orderdesk_app.db.activity_slots import ActivitySlot, slot_of, slot_start
from orderdesk_app.db.migrate import upgrade
from orderdesk_app.services import activity as activity_service
from orderdesk_app.services.activity import Day
from orderdesk_app.services.audit import Entry
from tests.worlds import FIRST_ORDER, World, open_world, settings_for


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    async with open_world(settings_for(database_url), None) as world:
        await world.services.audit.flush()
        yield world


async def day(world: World) -> Day:
    return await world.services.activity.day((await world.owner.principal()).actor)


async def happen(world: World, **values: Any) -> None:
    actor = (await world.owner.principal()).actor
    await world.services.audit.write(
        Entry(**{"actor": actor, "action": "tool", "tool": "orders_get", **values})
    )


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
    (
        "median",
        lambda day: day.median_ms,
        lambda world: happen(world, duration_ms=42.0),
        None,
        42.0,
    ),
    (
        "median of this hour",
        lambda day: day.median_by_hour[-1],
        lambda world: happen(world, duration_ms=42.0),
        0.0,
        42.0,
    ),
]


@pytest.mark.parametrize(
    ("name", "figure", "act", "before", "after"), FIGURES, ids=[name for name, *_ in FIGURES]
)
async def test_a_figure_moves_when_its_thing_happens(
    world: World, name: str, figure: Any, act: Any, before: Any, after: Any
) -> None:
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


async def test_a_connection_that_is_tried_is_the_newest_word_about_a_store_and_no_call(
    world: World,
) -> None:
    actor = Actor((await world.owner.principal()).actor.tenant_id, via=Via.WEB)
    [record] = await world.owner.stores()
    await happen(world, store_row_id=record.id, outcome="ORDERDESK_API_ERROR")
    broken = (await day(world)).stores[record.id]

    await world.services.stores.edit(actor, record.id, name="New name", label="", api_key=None)
    renamed = (await day(world)).stores[record.id]
    await world.services.stores.test(actor, record.id)
    tried = (await day(world)).stores[record.id]

    assert (broken.last_outcome, renamed.last_outcome, tried.last_outcome) == (
        "ORDERDESK_API_ERROR",
        "ORDERDESK_API_ERROR",
        "ok",
    )
    assert (tried.calls, tried.errors, tried.last_at) == (
        broken.calls,
        broken.errors,
        broken.last_at,
    )


@pytest.mark.parametrize(
    ("action", "outcome", "last"),
    [
        ("store.edit", "ok", "ok"),
        ("store.edit", "AUTH_ERROR", None),
        ("store.test", "AUTH_ERROR", "AUTH_ERROR"),
    ],
)
async def test_a_new_key_counts_when_it_was_kept(
    world: World, action: str, outcome: str, last: str | None
) -> None:
    await happen(
        world,
        action=action,
        tool=None,
        store_row_id="01STORE",
        outcome=outcome,
        upstream_requests=1,
    )

    told = (await day(world)).stores.get("01STORE")

    assert (told.last_outcome if told else None) == last


async def test_what_is_older_than_a_day_is_not_counted(world: World) -> None:
    await happen(world, at=now() - timedelta(hours=24, minutes=1))
    await happen(world, at=now() - timedelta(hours=23, minutes=30))

    told = await day(world)

    assert (told.calls, told.calls_by_hour[0], sum(told.calls_by_hour)) == (1, 1, 1)


async def test_sign_ins_are_no_calls(world: World) -> None:
    await world.services.sign_in.with_key(
        world.owner.key, address="203.0.113.1", user_agent="tests"
    )

    assert (await day(world)).calls == 0
    assert [
        h.action
        for h in await world.services.activity.latest((await world.owner.principal()).actor)
        if not h.action.startswith("store.")  # the world's own set-up
    ] == ["sign_in.key"]


async def test_the_latest_come_first_and_say_what_was_done(world: World) -> None:
    await world.owner.get(
        "orders_update", order_id=FIRST_ORDER, changes={"email": "new@example.com"}
    )
    await a_failure(world)
    actor = (await world.owner.principal()).actor

    failed, written = await world.services.activity.latest(actor, count=2)

    assert (failed.tool, failed.outcome, failed.arguments) == (
        "orders_get",
        "NOT_FOUND",
        {"order_id": "99"},
    )
    assert (written.tool, written.outcome, written.via) == ("orders_update", "ok", "mcp")
    assert written.arguments == {"order_id": FIRST_ORDER, "changes": {"email": "new@example.com"}}
    assert written.change_id
    assert written.duration_ms > 0
    assert written.at <= failed.at


async def test_all_figures_of_a_busy_account_are_of_the_same_calls(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More calls than durations are read: the newest are not taken for all."""
    monkeypatch.setattr(activity_service, "MOST_ROWS", 24)
    hours_ago = [5] * 30 + [0] * 10
    for number, hours in enumerate(hours_ago):
        facts = (
            {"outcome": "NOT_FOUND", "duration_ms": 300.0}
            if hours
            else {"cached": True, "duration_ms": 2.0}
        )
        await happen(
            world,
            at=now() - timedelta(hours=hours, minutes=1),
            upstream_requests=number % 2,
            store_row_id="01STORE",
            **facts,
        )

    told = await day(world)

    assert (told.calls, told.errors, told.saved, told.upstream_requests) == (40, 30, 10, 20)
    assert (told.calls_by_hour[18], told.calls_by_hour[23], sum(told.calls_by_hour)) == (30, 10, 40)
    assert (told.errors_by_hour[18], told.saved_by_hour[23]) == (30, 10)
    assert (told.median_ms, told.median_by_hour[18], told.median_by_hour[23]) == (300.0, 300.0, 2.0)
    assert (
        told.stores["01STORE"].calls,
        told.stores["01STORE"].errors,
        told.stores["01STORE"].last_outcome,
    ) == (40, 30, "ok")


@pytest.mark.parametrize(
    "durations",
    [
        [5.0],
        [1.0, 4.0],
        [9.0, 1.0, 5.0],
        [4.0, 4.0, 8.0, 1.0],
        [1.0, 2.0, 3.0, 100.0, 200.0, 300.0],
    ],
)
async def test_the_median_is_the_median(world: World, durations: list[float]) -> None:
    for duration in durations:
        await happen(world, duration_ms=duration)

    assert (await day(world)).median_ms == median(durations)


async def test_many_open_tabs_ask_the_database_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await happen(world)
    reads = 0
    read = world.services.database.read

    def counted() -> Any:
        nonlocal reads
        reads += 1
        return read()

    monkeypatch.setattr(world.services.database, "read", counted)
    actor = (await world.owner.principal()).actor
    reads = 0
    together = await asyncio.gather(*(world.services.activity.day(actor) for _ in range(20)))
    again = await world.services.activity.day(actor)

    assert reads == 1
    assert {told.calls for told in (*together, again)} == {1}


async def test_a_row_that_cannot_be_opened_is_shown_without_its_arguments(world: World) -> None:
    await world.owner.refused("orders_get", order_id="99")
    await world.services.audit.flush()
    await world.services.database.execute(
        "UPDATE audit_log SET arguments = :damaged WHERE tool = :tool",
        {"damaged": b"\x01broken", "tool": "orders_get"},
    )
    await world.owner.get("stores_list")

    listed, damaged = await world.services.activity.latest(
        (await world.owner.principal()).actor, count=2
    )

    assert listed.tool == "stores_list"
    assert (damaged.tool, damaged.outcome, damaged.arguments) == ("orders_get", "NOT_FOUND", {})


async def test_a_neighbour_moves_nothing_of_ours(world: World) -> None:
    ours = (await world.owner.principal()).actor
    before = await world.services.activity.latest(ours)

    await world.neighbour.get("stores_list")

    assert (await day(world)).calls == 0
    assert await world.services.activity.latest(ours) == before


async def test_first_steps_are_done_when_they_are_done(world: World) -> None:
    actor = (await world.owner.principal()).actor
    person = Actor(actor.tenant_id, via=Via.WEB, session_id="01SESSION")
    steps = world.services.activity.first_steps

    assert await steps(actor) == activity_service.FirstSteps(
        has_key=False, has_agent_call=False, has_console_call=False
    )
    await world.services.keys.create(person, "an agent")
    assert (await steps(actor)).has_key
    await world.owner.get("stores_list")
    assert (await steps(actor)).has_agent_call
    await world.services.console.run(person, "stores_list", {})
    assert replace(await steps(actor)) == activity_service.FirstSteps(
        has_key=True, has_agent_call=True, has_console_call=True
    )


async def test_what_people_do_with_keys_is_written_down_and_no_key_with_it(world: World) -> None:
    actor = replace((await world.owner.principal()).actor, via=Via.WEB)
    view, key = await world.services.keys.create(actor, "Claude on the laptop", {Scope.ORDERS_READ})
    await world.services.keys.revoke(actor, view.id)
    master = await world.services.keys.rotate_master(actor)
    cookie = await world.services.sign_in.with_key(master, address="192.0.2.7", user_agent="")
    user = await world.services.sessions.resume(cookie)
    assert user is not None
    await world.services.sign_in.sign_out(user, cookie)

    happenings = (await world.services.activity.latest(actor))[:5]

    assert [(happening.action, happening.outcome) for happening in reversed(happenings)] == [
        ("key.create", "ok"),
        ("key.revoke", "ok"),
        ("key.rotate_master", "ok"),
        ("sign_in.key", "ok"),
        ("sign_out", "ok"),
    ]
    assert happenings[-1].arguments == {"name": "Claude on the laptop", "scopes": ["orders:read"]}
    assert not any(secret.reveal() in str(happenings) for secret in (key, master))
    assert await world.services.sessions.resume(cookie) is None


async def add_calls(world: World, count: int, *, via: str = "mcp") -> None:
    """Calls of one store, evenly over the last 22 hours."""
    actor = (await world.owner.principal()).actor
    await world.services.database.execute(
        "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :n) "
        "INSERT INTO audit_log (id, at, tenant_id, role, via, client_name, client_version, address,"
        " action, tool, store_row_id, outcome, duration_ms, cached, upstream_requests, request_id) "
        "SELECT hex(randomblob(13)), strftime('%Y-%m-%d %H:%M:%f000', 'now', "
        "'-' || (n * 80000.0 / :n) || ' seconds'), :tenant, '', :via, '', '', '', 'tool', "
        "'orders_get', '01STORE', 'ok', n, 0, 1, '' FROM numbers",
        {"n": count, "tenant": actor.tenant_id, "via": via},
    )
    async with world.services.database.write() as session:
        for number in range(264):
            begins_at = slot_start(now() - timedelta(minutes=5 * number))
            values = {"calls": count // 264, "errors": 0, "saved": 0, "upstream_requests": 0}
            slot = ActivitySlot(
                tenant_id=actor.tenant_id,
                slot=slot_of(begins_at),
                store_row_id="01STORE",
                begins_at=begins_at,
                answered_at=begins_at,
                answered="ok",
                last_call_at=begins_at,
                **values,
            )
            await session.merge(slot)


def steps_of(path: str, statements: list[tuple[str, Any]]) -> int:
    """How many steps SQLite's machine takes for them, which no load of the computer changes."""
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    with sqlite3.connect(path) as connection:
        connection.set_progress_handler(count, 10)
        for statement, parameters in statements:
            connection.execute(statement, parameters).fetchall()
    return steps


QUESTIONS: dict[str, dict[str, Any]] = {
    "day": {},
    "latest": {},
    "first_steps": {},
    "notable": {"reads": ("orders_get",), "count": 15},
    "quiet": {"reads": ("orders_get",)},
}


@pytest.mark.parametrize("question", QUESTIONS)
async def test_no_question_of_home_grows_with_the_table(
    question: str, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(activity_service, "MOST_ROWS", 240)
    monkeypatch.setattr(activity_service, "RECENT", 500)
    monkeypatch.setattr(activity_service, "FRESH_SECONDS", 0.0)
    path = str(data_dir / "app.db")
    upgrade(f"sqlite:///{path}")
    async with open_world(settings_for(f"sqlite:///{path}"), None) as world:
        actor = (await world.owner.principal()).actor
        asked: list[tuple[str, Any]] = []

        def note(_: Any, __: Any, statement: str, parameters: Any, *rest: Any) -> None:
            if statement.startswith("SELECT") or "UNION" in statement:
                asked.append((statement, parameters))

        event.listen(Engine, "before_cursor_execute", note)
        try:
            steps = []
            for more in (4_000, 12_000):
                # calls of an agent alone: one of the console is looked for in vain
                await add_calls(world, more)
                asked.clear()
                await getattr(world.services.activity, question)(actor, **QUESTIONS[question])
                assert asked
                steps.append(steps_of(path, asked))
        finally:
            event.remove(Engine, "before_cursor_execute", note)

    few, many = steps
    assert many < 1.5 * few + 100


async def test_the_counts_are_those_of_the_rows(world: World) -> None:
    """Whatever order they come in, and with what is older than a day."""
    for number in range(40):
        await happen(
            world,
            at=now() - timedelta(minutes=(number * 37) % 1_430),
            outcome="ok" if number % 3 else "NOT_FOUND",
            cached=number % 2 == 0,
            upstream_requests=number % 4,
            store_row_id=f"01STORE{number % 2}",
        )
    await happen(world, at=now() - timedelta(hours=30), store_row_id="01STORE0")

    figures = await day(world)

    assert (figures.calls, figures.errors, figures.saved, figures.upstream_requests) == (
        40,
        14,
        20,
        60,
    )
    assert {name: state.calls for name, state in figures.stores.items()} == {
        "01STORE0": 20,
        "01STORE1": 20,
    }


async def test_five_minutes_of_today_take_the_place_of_yesterdays(world: World) -> None:
    await happen(world, at=now() - timedelta(days=1), store_row_id="01STORE")
    await happen(world, store_row_id="01STORE", outcome="NOT_FOUND")
    await happen(world, at=now() - timedelta(days=2), store_row_id="01STORE")

    figures = await day(world)

    assert (figures.calls, figures.errors) == (1, 1)
    assert figures.stores["01STORE"].last_outcome == "NOT_FOUND"


async def test_a_row_of_several_refused_calls_counts_as_so_many(world: World) -> None:
    await happen(world, outcome="VALIDATION_ERROR", times=7, store_row_id="01STORE")
    await happen(world, outcome="ok", store_row_id="01STORE")

    figures = await day(world)

    assert (figures.calls, figures.errors) == (8, 7)
    assert (figures.stores["01STORE"].calls, figures.stores["01STORE"].errors) == (8, 7)
