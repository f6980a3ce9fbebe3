"""Connected stores beyond what tools show: editing, trying again, two at once, and the audit rows
of what a person does with them.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from orderdesk_app.context import Actor, Secret, Via
from orderdesk_app.errors import (
    Conflict,
    NotFound,
    StoreKeyRefused,
    UpstreamUnreachable,
    ValidationFailed,
)
from orderdesk_app.orderdesk.endpoints.store import StoreEndpoints
from orderdesk_app.orderdesk.wait_budget import WaitBudget
from orderdesk_app.services import store_registration
from orderdesk_app.services.audit import Entry
from tests.worlds import (
    API_KEY,
    FIRST_ORDER,
    SandboxServer,
    World,
    open_world,
    sandbox_server,
    settings_for,
)

__all__ = ["sandbox_server"]


@pytest.fixture
async def world(database_url: str, sandbox_server: SandboxServer) -> AsyncIterator[World]:
    sandbox_server.reset()
    async with open_world(
        settings_for(database_url, ORDERDESK_API_URL=sandbox_server.url, HTTP_MAX_RETRIES="0"),
        sandbox_server,
    ) as world:
        world.extra = {"sandbox": sandbox_server}
        yield world


async def actor_of(world: World) -> Actor:
    return Actor(
        (await world.owner.principal()).actor.tenant_id, via=Via.WEB, session_id="01SESSION"
    )


async def test_of_two_who_connect_the_same_store_at_once_one_is_told_that_it_is_there(
    world: World,
) -> None:
    calls = [
        world.owner.call(
            "stores_register", {"store_id": "10005", "api_key": API_KEY, "store_name": name}
        )
        for name in ("One", "Two")
    ]

    outcomes = await asyncio.gather(*calls)

    assert sorted(outcome.error.code if outcome.error else "ok" for outcome in outcomes) == [
        "CONFLICT_ERROR",
        "ok",
    ]
    assert (await world.owner.get("stores_list"))["count"] == 2


async def test_a_new_key_is_tried_before_the_old_one_is_given_up(world: World) -> None:
    actor = await actor_of(world)
    [record] = await world.owner.stores()

    with pytest.raises(StoreKeyRefused):
        await world.services.stores.edit(
            actor,
            record.id,
            name="New name",
            label="",
            api_key=Secret("wrong"),
        )

    assert [(store.name, store.api_key) for store in await world.owner.stores()] == [
        (record.name, record.api_key)
    ]
    assert (await world.owner.get("orders_get", order_id=FIRST_ORDER))["order"]["id"] == FIRST_ORDER


async def test_a_store_is_renamed_and_found_by_its_new_name_at_once(world: World) -> None:
    actor = await actor_of(world)
    [record] = await world.owner.stores()

    await world.services.stores.edit(actor, record.id, name="New name", label="nn", api_key=None)

    assert (await world.owner.get("stores_resolve", identifier="new NAME"))["matched_by"] == "name"
    assert (await world.owner.refused("stores_resolve", identifier=record.name)).code == "NOT_FOUND"


async def test_a_test_of_the_connection_asks_order_desk_now_and_keeps_what_it_says(
    world: World,
) -> None:
    actor = await actor_of(world)
    [record] = await world.owner.stores()
    world.extra["sandbox"].forget()

    tried = await world.services.stores.test(actor, record.id)

    assert tried.milliseconds > 0
    assert tried.record.folders == record.folders
    assert {row["path"] for row in world.extra["sandbox"].requests()} == {"/test", "/store"}


async def test_a_connection_that_fails_says_so_and_keeps_what_was_known(world: World) -> None:
    actor = await actor_of(world)
    [record] = await world.owner.stores()
    world.extra["sandbox"].fault("dropped", times=9)

    with pytest.raises(UpstreamUnreachable):
        await world.services.stores.test(actor, record.id)

    assert await world.owner.stores() == (record,)
    [happening] = [
        h for h in await world.services.activity.latest(actor) if h.action == "store.test"
    ]
    assert (happening.outcome, happening.store_row_id) == ("ORDERDESK_API_ERROR", record.id)


async def test_a_store_is_disconnected_only_by_its_name(world: World) -> None:
    actor = await actor_of(world)
    [record] = await world.owner.stores()

    with pytest.raises(ValidationFailed, match=r"Type the store's name"):
        await world.services.stores.disconnect(actor, record.id, typed_name="yes")
    await world.services.stores.disconnect(actor, record.id, typed_name=f" {record.name} ")

    assert await world.owner.stores() == ()


async def test_what_people_do_with_stores_is_written_down(world: World) -> None:
    actor = await actor_of(world)
    stores = world.services.stores
    record = await stores.connect(actor, "10005", Secret(API_KEY), name="Second", label="")
    await stores.edit(actor, record.id, name="Renamed", label="two", api_key=None)
    await stores.test(actor, record.id)
    await stores.disconnect(actor, record.id, typed_name="Renamed")
    with pytest.raises(StoreKeyRefused):
        await stores.connect(actor, "10006", Secret("wrong"), name="", label="")

    happenings = [
        h for h in await world.services.activity.latest(actor) if h.action.startswith("store.")
    ]

    assert [(h.action, h.outcome) for h in reversed(happenings)] == [
        ("store.connect", "ok"),
        ("store.edit", "ok"),
        ("store.test", "ok"),
        ("store.disconnect", "ok"),
        ("store.connect", "AUTH_ERROR"),
    ]
    assert {h.store_row_id for h in happenings if h.outcome == "ok"} == {record.id}
    assert [h.arguments for h in reversed(happenings)] == [
        {"store_id": "10005", "name": "Second", "label": "", "store": "Second"},
        {"name": "Renamed", "label": "two", "store": "Renamed"},
        {"store": "Renamed"},
        {"store": "Renamed"},
        {"store_id": "10006", "name": "", "label": ""},
    ]


async def test_the_sandbox_is_there_in_one_click_as_often_as_one_likes(world: World) -> None:
    actor = await actor_of(world)

    first, second = [await world.services.stores.add_sandbox(actor) for _ in range(2)]

    assert (first.name, second.name) == ("Sandbox store", "Sandbox store 2")
    assert first.store_id != second.store_id
    assert first.is_sandbox
    assert len(first.folders) == 5


@pytest.mark.parametrize("key", ["", "two words", "ü" * 20, "x" * 513, "line\nbreak"])
async def test_a_key_that_can_be_none_is_refused_before_it_is_sent(world: World, key: str) -> None:
    actor = await actor_of(world)
    world.extra["sandbox"].forget()

    with pytest.raises(ValidationFailed) as error:
        await world.services.registration.add_store(
            actor, "10005", Secret(key), name=None, label=None, budget=WaitBudget(30)
        )

    assert error.value.field == "api_key"
    assert world.extra["sandbox"].requests() == []


async def test_an_account_has_a_most_of_stores(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_registration, "MOST_STORES", 1)

    error = await world.owner.refused("stores_register", store_id="10005", api_key=API_KEY)

    assert error.code == "VALIDATION_ERROR"
    assert "Disconnect one first" in error.message


async def test_a_store_that_answers_for_another_is_not_kept(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def of_another(*_: Any) -> dict[str, Any]:
        return {"id": "99", "name": "Another"}

    monkeypatch.setattr(StoreEndpoints, "get_store", of_another)

    error = await world.owner.refused("stores_register", store_id="10005", api_key=API_KEY)

    assert (error.code, error.field) == ("ORDERDESK_API_ERROR", "store_id")
    assert (await world.owner.get("stores_list"))["count"] == 1


async def test_an_edited_store_may_not_hide_signs_in_its_name_or_label(world: World) -> None:
    actor = await actor_of(world)
    [record] = await world.owner.stores()

    for field, name, label in (("store_name", "Te\u200bas", ""), ("label", "Teas", "\u202eeu")):
        with pytest.raises(ValidationFailed) as error:
            await world.services.stores.edit(actor, record.id, name=name, label=label, api_key=None)
        assert error.value.field == field


async def test_an_edited_store_may_not_take_anothers_name(world: World) -> None:
    actor = await actor_of(world)
    [record] = await world.owner.stores()
    await world.owner.get(
        "stores_register", store_id="10005", api_key=API_KEY, store_name="Second", label="two"
    )

    for name, label in (("second", ""), ("Fine", "TWO")):
        with pytest.raises(Conflict):
            await world.services.stores.edit(actor, record.id, name=name, label=label, api_key=None)


async def test_a_store_of_nobody_is_not_found(world: World) -> None:
    with pytest.raises(NotFound):
        await world.services.stores.find(await actor_of(world), "01NOSUCHSTORE")


async def test_what_was_done_is_not_called_failed_when_only_its_row_cannot_be_written(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    actor = await actor_of(world)
    stores, audit = world.services.stores, world.services.audit

    async def fails(entry: Entry) -> None:
        raise OSError("disk full")

    with monkeypatch.context() as broken:
        broken.setattr(audit, "write", fails)
        record = await stores.connect(actor, "10005", Secret(API_KEY), name="Second", label="")
        with pytest.raises(StoreKeyRefused):
            await stores.connect(actor, "10006", Secret("wrong"), name="", label="")
        await stores.disconnect(actor, record.id, typed_name="Second")

    assert len(await world.owner.stores()) == 1
    happenings = [
        h for h in await world.services.activity.latest(actor) if h.action.startswith("store.")
    ]
    assert [(h.action, h.outcome) for h in reversed(happenings)] == [
        ("store.connect", "ok"),
        ("store.connect", "AUTH_ERROR"),
        ("store.disconnect", "ok"),
    ]


async def test_a_fault_of_ours_is_not_written_down_as_done(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    actor = await actor_of(world)
    [record] = await world.owner.stores()

    async def fails(*_: Any) -> None:
        raise OSError("no such file")

    monkeypatch.setattr(StoreEndpoints, "get_store", fails)
    with pytest.raises(OSError, match="no such file"):
        await world.services.stores.test(actor, record.id)

    [happening] = [
        h for h in await world.services.activity.latest(actor) if h.action == "store.test"
    ]
    assert happening.outcome == "INTERNAL_ERROR"


# ------------------------------------------------------------------ names that Order Desk tells


def telling(world: World, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Every store that is asked calls itself so, at the same moment."""
    ask = StoreEndpoints.get_store

    async def told(endpoints: StoreEndpoints, access: Any, budget: Any) -> dict[str, Any]:
        return {**await ask(endpoints, access, budget), "name": name}

    monkeypatch.setattr(StoreEndpoints, "get_store", told)


async def test_stores_that_order_desk_calls_the_same_are_told_apart_by_their_ids(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    telling(world, monkeypatch, "Teas")

    calls = [
        world.owner.call("stores_register", {"store_id": store_id, "api_key": API_KEY})
        for store_id in ("10005", "10006", "10007")
    ]
    outcomes = await asyncio.gather(*calls)

    assert [outcome.error for outcome in outcomes] == [None] * 3
    names = sorted(
        store.name
        for store in await world.owner.stores()
        if store.store_id in ("10005", "10006", "10007")
    )
    assert len(set(names)) == 3
    assert names[0] == "Teas"
    for store in await world.owner.stores():
        assert (
            store.name in ("Teas", f"Teas ({store.store_id})") or store.store_id == world.store_id
        )
        assert (await world.owner.get("stores_resolve", identifier=store.name))["store"][
            "store_id"
        ] == store.store_id


@pytest.mark.parametrize(
    "name", ["T" * 500, "Teas\u0007\n and more", "\u0000", "\u202eTeas\u200b", "\u3164"]
)
async def test_a_name_that_we_could_not_keep_is_made_one_that_we_can(
    world: World, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    telling(world, monkeypatch, name)

    for store_id in ("10005", "10006"):
        await world.owner.get("stores_register", store_id=store_id, api_key=API_KEY)

    names = [
        store.name for store in await world.owner.stores() if store.store_id in ("10005", "10006")
    ]
    assert len({name.casefold() for name in names}) == 2
    assert all(0 < len(name) <= 120 and name.isprintable() for name in names)


async def test_of_two_who_take_a_name_at_once_one_is_refused(world: World) -> None:
    calls = [
        world.owner.call(
            "stores_register", {"store_id": store_id, "api_key": API_KEY, "store_name": "Teas"}
        )
        for store_id in ("10005", "10006")
    ]

    outcomes = await asyncio.gather(*calls)

    assert sorted(outcome.error.code if outcome.error else "ok" for outcome in outcomes) == [
        "CONFLICT_ERROR",
        "ok",
    ]
    assert [store.name for store in await world.owner.stores()].count("Teas") == 1


async def test_of_two_stores_that_are_renamed_alike_at_once_one_keeps_its_name(
    world: World,
) -> None:
    actor = await actor_of(world)
    records = [
        await world.services.registration.add_store(
            actor, i, Secret(API_KEY), name=f"S {i}", label=None, budget=WaitBudget(30)
        )
        for i in ("10005", "10006")
    ]

    edits = [
        world.services.stores.edit(actor, record.id, name="Teas", label="", api_key=None)
        for record in records
    ]
    ends = await asyncio.gather(*edits, return_exceptions=True)

    assert sorted(type(end).__name__ for end in ends) == ["Conflict", "StoreRecord"]
    assert [store.name for store in await world.owner.stores()].count("Teas") == 1


async def test_two_sandboxes_at_once_have_two_names(world: World) -> None:
    actor = await actor_of(world)

    made = await asyncio.gather(*(world.services.stores.add_sandbox(actor) for _ in range(3)))

    assert {record.name for record in made} == {
        "Sandbox store",
        "Sandbox store 2",
        "Sandbox store 3",
    }
