"""Sandbox stores of this server: each has its own orders, kept as sealed rows, so that restarts and
other processes agree.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from orderdesk_app.config import Settings
from tests.worlds import FIRST_ORDER, MINIMAL_ORDER, TenantClient, World, open_world, settings_for


@pytest.fixture
def settings(database_url: str, data_dir: Any) -> Settings:
    return settings_for(
        database_url, MCP_KMS_KEY="dGhlLWttcy1rZXktb2YtdGhlLXRlc3RzLWlzLW5vLWtleS1hdC1hbGwhIQ=="
    )


@pytest.fixture
async def world(settings: Settings) -> AsyncIterator[World]:
    async with open_world(settings, None) as world:
        yield world


async def test_a_change_stays_over_a_restart(settings: Settings) -> None:
    async with open_world(settings, None) as world:
        key = world.owner.key
        await world.owner.get(
            "orders_update", order_id=FIRST_ORDER, changes={"email": "kept@example.com"}
        )
        made = await world.owner.get("orders_create", order_data=MINIMAL_ORDER)
        await world.owner.get("orders_delete", order_id="100000002")

    async with open_world(settings, None) as again:
        owner = TenantClient(again.services, "the same", key)

        assert (await owner.get("orders_get", order_id=FIRST_ORDER))["order"][
            "email"
        ] == "kept@example.com"
        assert (await owner.get("orders_get", order_id=made["order"]["id"]))["order"]["id"] == made[
            "order"
        ]["id"]
        assert (await owner.refused("orders_get", order_id="100000002")).code == "NOT_FOUND"


async def test_another_process_sees_the_same_orders(settings: Settings, world: World) -> None:
    await world.owner.get(
        "orders_update", order_id=FIRST_ORDER, changes={"email": "first@example.com"}
    )

    async with open_world(settings, None) as other:
        there = TenantClient(other.services, "there", world.owner.key)
        assert (await there.get("orders_get", order_id=FIRST_ORDER))["order"][
            "email"
        ] == "first@example.com"
        await there.get(
            "orders_update", order_id=FIRST_ORDER, changes={"order_notes": ["from there"]}
        )

    order = (
        await world.owner.get(
            "orders_update", order_id=FIRST_ORDER, changes={"order_notes": ["from here"]}
        )
    )["order"]
    assert [note["content"] for note in order["order_notes"]][-2:] == ["from there", "from here"]


async def test_two_stores_of_one_account_have_their_own_orders(world: World) -> None:
    actor = (await world.owner.principal()).actor
    second = await world.services.stores.add_sandbox(actor)

    await world.owner.get(
        "orders_update",
        order_id=FIRST_ORDER,
        changes={"email": "only-here@example.com"},
        store_identifier=world.store_id,
    )

    other = await world.owner.get(
        "orders_get", order_id=FIRST_ORDER, store_identifier=second.store_id
    )
    assert other["order"]["email"] != "only-here@example.com"


async def test_what_is_kept_is_sealed(world: World, everything_in: Any) -> None:
    await world.owner.get(
        "orders_update",
        order_id=FIRST_ORDER,
        changes={"email": "very-private@example.com", "order_notes": ["a private word"]},
    )

    stored = await everything_in(world.services.database)

    assert b"very-private@example.com" not in stored
    assert b"a private word" not in stored


async def test_the_key_of_a_sandbox_store_opens_no_other(world: World) -> None:
    [ours] = await world.owner.stores()
    [theirs] = await world.neighbour.stores()
    keys = [
        (await world.services.stores.unseal(record)).access.api_key for record in (ours, theirs)
    ]

    assert keys[0] != keys[1]
    error = await world.owner.refused(
        "stores_register", store_id=theirs.store_id, api_key=keys[0].reveal()
    )
    assert error.code == "AUTH_ERROR"


async def test_eight_changes_at_once_are_all_there(world: World) -> None:
    outcomes = await asyncio.gather(
        *(
            world.owner.call(
                "orders_update",
                {"order_id": FIRST_ORDER, "changes": {"order_notes": [f"note {n:02}"]}},
            )
            for n in range(8)
        )
    )

    order = (await world.owner.get("orders_get", order_id=FIRST_ORDER))["order"]
    assert [outcome.error for outcome in outcomes if outcome.error] == []
    assert {f"note {n:02}" for n in range(8)} <= {note["content"] for note in order["order_notes"]}
