"""The console runs the same tools for people, with a limit of its own, and remembers the last ten
calls without their secrets.
"""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from orderdesk_app.context import Actor, Via
from orderdesk_app.errors import NotFound, RateLimited
from orderdesk_app.services.console import KEPT, MOST_RESULT_BYTES
from orderdesk_app.token_bucket import TokenBucket
from tests.worlds import FIRST_ORDER, World, open_world, settings_for


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    async with open_world(
        settings_for(database_url, WEBUI_RATE_LIMIT_API_CONSOLE="30"), None
    ) as world:
        yield world


async def person(world: World) -> Actor:
    return Actor(
        (await world.owner.principal()).actor.tenant_id, via=Via.WEB, session_id="01SESSION"
    )


async def test_a_call_is_run_and_kept_to_be_run_again(world: World) -> None:
    actor = await person(world)

    call = await world.services.console.run(actor, "orders_get", {"order_id": FIRST_ORDER})

    assert (call.tool, call.outcome, call.cached, call.arguments) == (
        "orders_get",
        "ok",
        False,
        {"order_id": FIRST_ORDER},
    )
    assert call.result["order"]["id"] == FIRST_ORDER
    assert call.duration_ms > 0
    assert await world.services.console.history.list(actor) == [call]
    again = await world.services.console.run(actor, call.tool, call.arguments)
    assert again.cached is True


async def test_an_error_is_kept_as_one(world: World) -> None:
    call = await world.services.console.run(await person(world), "orders_get", {"order_id": "99"})

    assert call.outcome == "NOT_FOUND"
    assert (call.result["error"]["code"], call.result["error"]["field"]) == (
        "NOT_FOUND",
        "order_id",
    )
    assert "99" in call.result["error"]["message"]


async def test_the_last_ten_are_kept_the_newest_first(world: World) -> None:
    actor = await person(world)
    for number in range(KEPT + 3):
        await world.services.console.run(actor, "orders_list", {"limit": number + 1})

    kept = await world.services.console.history.list(actor)

    assert [call.arguments["limit"] for call in kept] == list(range(KEPT + 3, 3, -1))


async def test_secrets_are_not_kept(world: World, everything_in: Any) -> None:
    actor = await person(world)
    await world.services.console.run(
        actor, "tenant_use_master_key", {"master_key": world.owner.key.reveal()}
    )
    await world.services.console.run(
        actor, "stores_register", {"store_id": "10005", "api_key": "typed-by-somebody-0123456789"}
    )

    kept = await world.services.console.history.list(actor)

    assert [call.arguments for call in kept] == [
        {"store_id": "10005", "api_key": "***"},
        {"master_key": "***"},
    ]
    stored = await everything_in(world.services.database)
    assert b"typed-by-somebody-0123456789" not in stored
    assert world.owner.key.reveal().encode() not in stored


async def test_what_is_kept_is_sealed(world: World, everything_in: Any) -> None:
    await world.services.console.run(
        await person(world), "orders_list", {"search": "a-word-that-is-nowhere-else"}
    )

    assert b"a-word-that-is-nowhere-else" not in await everything_in(world.services.database)


async def test_a_result_too_large_to_keep_is_shown_and_said_to_be_cut_later(world: World) -> None:
    actor = await person(world)
    call = await world.services.console.run(actor, "orders_list", {"limit": 100, "view": "full"})

    [kept] = await world.services.console.history.list(actor)

    assert call.is_cut == kept.is_cut
    assert len(call.result["orders"]) == call.result["pagination"]["count"] > 0
    assert call.result["cut"], "what a client cannot take is cut at a row before"
    if call.is_cut:
        assert "Run the call again" in kept.result["cut"]
    assert MOST_RESULT_BYTES <= 256 * 1024


@pytest.mark.parametrize("nasty", ["half a pair \ud800", "a zero \x00 inside", "x" * 10_000])
async def test_no_text_breaks_the_console(world: World, nasty: str) -> None:
    actor = await person(world)

    by_name = await world.services.console.run(actor, nasty, {nasty: nasty})
    by_value = await world.services.console.run(actor, "orders_list", {"search": nasty})

    assert by_name.outcome == "VALIDATION_ERROR"
    assert by_value.outcome in ("ok", "VALIDATION_ERROR")
    assert len(await world.services.console.history.list(actor)) == 2


async def test_a_call_that_is_no_longer_there_is_told(world: World) -> None:
    with pytest.raises(NotFound, match="last ten"):
        await world.services.console.history.get(await person(world), "01NOSUCHCALL")


async def test_the_console_has_a_limit_of_its_own_and_what_it_refuses_is_not_kept(
    world: World,
) -> None:
    actor = await person(world)
    world.services.limits.console.rules = TokenBucket(2, 1 / 60)
    for _ in range(2):
        await world.services.console.run(actor, "stores_list", {})

    with pytest.raises(RateLimited) as error:
        await world.services.console.run(actor, "stores_list", {})

    assert error.value.retry_after is not None
    assert len(await world.services.console.history.list(actor)) == 2
    assert (await world.owner.get("stores_list"))["count"] == 1, "agents are not held up"


async def test_a_console_call_is_written_down_as_one(world: World) -> None:
    actor = await person(world)

    await world.services.console.run(actor, "stores_list", {})

    [happening] = [
        h for h in await world.services.activity.latest(actor) if h.tool == "stores_list"
    ]
    assert happening.via == "console"
