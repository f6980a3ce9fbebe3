"""The tools about stores: a key is tried before it is kept, a store is found by every name it has,
and what is chosen stays chosen.
"""

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest
from sqlmodel import col, func, select

from orderdesk_app.context import Actor, Via
from orderdesk_app.db.buckets import Bucket
from orderdesk_app.db.changes import Change
from orderdesk_app.db.sandbox import SandboxRow
from orderdesk_app.db.stores import Store
from tests.worlds import FIRST_ORDER, TenantClient, World, counted


async def another_store(world: World, **values: Any) -> dict[str, Any]:
    """A second store of the owner's."""
    return (
        await world.owner.get(
            "stores_register",
            **{
                "store_id": "10005",
                "api_key": world.api_key_of("10005"),
                "store_name": "Second",
                "label": "two",
                **values,
            },
        )
    )["store"]


async def test_a_connected_store_is_listed_with_its_folders_and_without_its_key(
    world: World,
) -> None:
    store = await another_store(world)
    listed = await world.owner.get("stores_list")

    assert listed["count"] == 2
    assert store in listed["stores"]
    assert (store["store_id"], store["name"], store["label"], store["active"]) == (
        "10005",
        "Second",
        "two",
        False,
    )
    assert {"id": "21655", "name": "Prepared"} in store["folders"]
    assert world.api_key_of("10005") not in json.dumps(listed)


async def test_a_store_without_a_name_takes_the_one_it_has_at_order_desk(world: World) -> None:
    store = await another_store(world, store_name=None)

    assert len(store["name"]) > 3


@pytest.mark.parametrize("store_id", ["10005", "99999"])
async def test_a_key_that_order_desk_refuses_stores_nothing(world: World, store_id: str) -> None:
    error = await world.owner.refused("stores_register", store_id=store_id, api_key="no-such-key")

    assert (error.code, error.field) == ("AUTH_ERROR", "api_key")
    assert "Store Settings" in error.message
    assert (await world.owner.get("stores_list"))["count"] == 1


async def test_a_store_that_is_connected_already_is_a_conflict(world: World) -> None:
    await another_store(world)

    error = await world.owner.refused(
        "stores_register", store_id="10005", api_key=world.api_key_of("10005")
    )

    assert (error.code, error.field, error.outcome) == ("CONFLICT_ERROR", "store_id", "not_done")


@pytest.mark.parametrize(
    ("values", "field"), [({"store_name": "second"}, "store_name"), ({"label": "TWO"}, "label")]
)
async def test_a_name_or_label_that_is_taken_is_a_conflict(
    world: World, values: dict[str, str], field: str
) -> None:
    await another_store(world)

    error = await world.owner.refused(
        "stores_register",
        **{
            "store_id": "10006",
            "api_key": world.api_key_of("10006"),
            "store_name": "Third",
            **values,
        },
    )

    assert (error.code, error.field) == ("CONFLICT_ERROR", field)


async def test_a_neighbour_may_have_the_same_store(world: World) -> None:
    await another_store(world)

    await world.neighbour.get(
        "stores_register", store_id="10005", api_key=world.api_key_of("10005")
    )

    assert (await world.neighbour.get("stores_list"))["count"] == 2


@pytest.mark.parametrize("is_rate_limited", [True])
async def test_who_guesses_at_a_neighbours_store_uses_up_nothing_of_it(world: World) -> None:
    [record] = await world.owner.stores()

    async def tokens_taken() -> list[tuple[float, float]]:
        async with world.services.database.read() as session:
            return [
                (row.tokens, row.updated_at)
                for row in (
                    await session.exec(select(Bucket).where(col(Bucket.key) == record.upstream_id))
                ).all()
            ]

    await world.owner.get("orders_get", order_id=FIRST_ORDER)
    before = await tokens_taken()
    for _ in range(5):
        await world.neighbour.refused(
            "stores_register", store_id=record.store_id, api_key="a-guess-at-the-key"
        )

    assert len(before) == 1
    assert await tokens_taken() == before


@pytest.mark.parametrize("nasty", ["a\x00b", "half \ud800", "Te\u200bas", "\u202eTeas"])
async def test_a_name_that_nobody_could_read_is_refused_by_name(world: World, nasty: str) -> None:
    for field in ("store_name", "label"):
        error = await world.owner.refused(
            "stores_register",
            **{"store_id": "10005", "api_key": world.api_key_of("10005"), field: nasty},
        )

        assert (error.code, error.field) == ("VALIDATION_ERROR", field)


@pytest.mark.parametrize(
    ("identifier", "by"),
    [
        ("10005", "id"),
        (10005, "id"),
        ("Second", "name"),
        (" sEcOnD ", "name"),
        ("two", "label"),
        ("TWO", "label"),
    ],
)
async def test_a_store_is_found_by_id_name_and_label(
    world: World, identifier: Any, by: str
) -> None:
    await another_store(world)

    found = await world.owner.get("stores_resolve", identifier=identifier)

    assert (found["store"]["store_id"], found["matched_by"]) == ("10005", by)


async def test_of_two_stores_one_must_be_named_or_chosen(world: World) -> None:
    await another_store(world)

    error = await world.owner.refused("orders_get", order_id=FIRST_ORDER)
    await world.owner.get("stores_use_store", identifier="two")
    chosen = await world.owner.get("orders_get", order_id=FIRST_ORDER)

    assert (error.code, error.field) == ("VALIDATION_ERROR", "store_identifier")
    assert "stores_use_store" in error.message
    assert "Second (10005)" in error.message
    assert chosen["order"]["id"] == FIRST_ORDER
    assert [
        store["store_id"]
        for store in (await world.owner.get("stores_list"))["stores"]
        if store["active"]
    ] == ["10005"]


async def test_of_many_choices_at_once_the_last_stays_and_all_are_on_record(world: World) -> None:
    await another_store(world)
    heard: list[str] = []
    world.services.signals.subscribe(heard.append)
    tenant_id = (await world.owner.principal()).actor.tenant_id

    async with asyncio.TaskGroup() as at_once:
        for number in range(21):
            wanted = world.store_id if number % 2 else "10005"
            at_once.create_task(world.owner.get("stores_use_store", identifier=wanted))

    assert [
        store["store_id"]
        for store in (await world.owner.get("stores_list"))["stores"]
        if store["active"]
    ] == ["10005"]
    assert heard.count(f"tenant:{tenant_id}") <= 3  # one for each transaction
    rows = [row.outcome for row in await world.audit_rows() if row.tool == "stores_use_store"]
    assert rows == ["ok"] * 21


async def test_the_choice_is_the_keys_own(world: World) -> None:
    await another_store(world)
    person = Actor((await world.owner.principal()).actor.tenant_id, via=Via.WEB)
    _, key = await world.services.keys.create(person, "another agent")
    other = TenantClient(world.services, "another agent", key)

    await world.owner.get("stores_use_store", identifier="two")

    assert [store for store in (await other.get("stores_list"))["stores"] if store["active"]] == []
    assert (await other.refused("orders_get", order_id=FIRST_ORDER)).field == "store_identifier"


async def test_without_a_store_one_is_told_how_to_connect_one(world: World) -> None:
    await world.owner.get("stores_delete", store_id=world.store_id)

    error = await world.owner.refused("orders_list")

    assert error.code == "NOT_FOUND"
    assert "stores_register" in error.message


async def test_a_disconnected_store_takes_its_key_its_journal_and_its_sandbox_rows_along(
    world: World,
) -> None:
    await world.owner.get(
        "orders_update", order_id=FIRST_ORDER, changes={"email": "new@example.com"}
    )
    await world.neighbour.get(
        "orders_update", order_id=FIRST_ORDER, changes={"email": "theirs@example.com"}
    )
    [record] = await world.owner.stores()

    await world.owner.get("stores_delete", store_id=world.store_id)

    async with world.services.database.read() as session:
        left = [
            (await session.exec(select(func.count()).select_from(table).where(where))).one()
            for table, where in (
                (Store, col(Store.id) == record.id),
                (Change, col(Change.store_row_id) == record.id),
                (SandboxRow, col(SandboxRow.store_row_id) == record.id),
            )
        ]
        theirs = (await session.exec(select(func.count()).select_from(Change))).one()
    assert left == [0, 0, 0]
    assert theirs == 1
    assert (await world.owner.refused("stores_delete", store_id=world.store_id)).code == "NOT_FOUND"


async def test_an_active_store_that_is_disconnected_is_active_no_more(world: World) -> None:
    await another_store(world)
    await world.owner.get("stores_use_store", identifier="two")

    await world.owner.get("stores_delete", store_id="10005")

    assert (await world.owner.get("orders_get", order_id=FIRST_ORDER))["order"]["id"] == FIRST_ORDER


async def test_store_changes_are_counted(world: World) -> None:
    before = [
        counted("store_changes", action=action) for action in ("connected", "deleted", "edited")
    ]

    await another_store(world)
    actor = (await world.owner.principal()).actor
    [record] = [store for store in await world.owner.stores() if store.store_id == "10005"]
    await world.services.stores.edit(actor, record.id, name="Renamed", label="", api_key=None)
    await world.owner.get("stores_delete", store_id="10005")

    assert [
        counted("store_changes", action=action) for action in ("connected", "deleted", "edited")
    ] == [count + 1 for count in before]


async def test_a_key_without_the_right_connects_nothing(world: World) -> None:
    principal = await world.owner.principal()
    poor = replace(principal, actor=replace(principal.actor, scopes=frozenset()))

    outcome = await world.services.runner.run(
        poor, "stores_register", {"store_id": "10005", "api_key": world.api_key_of("10005")}
    )

    assert outcome.error is not None
    assert outcome.error.code == "PERMISSION_DENIED"
