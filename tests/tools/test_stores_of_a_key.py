"""A key of chosen stores, with every tool: what is in other stores does not exist for it."""

import json
from dataclasses import dataclass, replace
from typing import Any

import pytest

from orderdesk_app.context import StoreRowId, Via
from orderdesk_app.db.keys import Credential
from orderdesk_app.db.signals import EVERYTHING
from orderdesk_app.errors import NotFound, PermissionDenied
from orderdesk_app.services.open_store import StoreRecord
from orderdesk_app.tools.catalogue import Tool, every_tool
from tests.worlds import TenantClient, World

ALL = every_tool()
OTHER_NAME = "Quintessential Quills"


@dataclass
class Limited:
    """An agent whose key reaches one store of two."""

    agent: TenantClient
    mine: StoreRecord
    other: StoreRecord
    credential_id: str


@pytest.fixture
async def limited(small: World) -> Limited:
    owner = replace((await small.owner.principal()).actor, via=Via.WEB)
    [mine] = await small.owner.stores()
    made = await small.services.stores.add_sandbox(owner)
    other = await small.services.stores.edit(
        owner, made.id, name=OTHER_NAME, label="quills", api_key=None
    )
    view, key = await small.services.keys.create(owner, "one store", owner.scopes)
    await narrow(small, view.id, [mine.id])
    return Limited(TenantClient(small.services, "one store", key), mine, other, view.id)


async def narrow(world: World, key_id: str, store_ids: list[StoreRowId]) -> None:
    async with world.services.database.write() as session:
        row = await session.get(Credential, key_id)
        row.store_ids = store_ids
        session.add(row)


@pytest.mark.parametrize("tool", ALL, ids=lambda tool: tool.name)
async def test_no_tool_reaches_or_tells_of_another_store(
    small: World, limited: Limited, tool: Tool
) -> None:
    for means in (limited.other.store_id, limited.other.id, OTHER_NAME, "quills"):
        arguments = with_store(small.example_of(tool), means, takes_store=tool.takes_store)
        outcome = await limited.agent.call(tool.name, arguments)

        told: Any = outcome.result or {
            "message": outcome.error.message if outcome.error else "",
            "details": outcome.error.details if outcome.error else {},
        }
        text = json.dumps(told, default=str)
        assert OTHER_NAME not in text
        assert limited.other.id not in text.replace(means, "")
        if tool.takes_store:
            assert isinstance(outcome.error, NotFound)


def with_store(arguments: dict[str, Any], means: str, *, takes_store: bool) -> dict[str, Any]:
    names = {"identifier", "store_id"} & set(arguments)
    return {
        **arguments,
        **dict.fromkeys(names, means),
        **({"store_identifier": means} if takes_store else {}),
    }


async def test_the_only_store_that_it_reaches_is_the_one_of_calls_that_name_none(
    small: World, limited: Limited
) -> None:
    await small.owner.get("stores_use_store", identifier=OTHER_NAME)

    listed = await limited.agent.get("stores_list")
    orders = await limited.agent.get("orders_list")

    assert [store["name"] for store in listed["stores"]] == [limited.mine.name]
    assert orders["store"] == limited.mine.title


async def test_it_connects_no_store_which_it_could_not_reach(
    small: World, limited: Limited
) -> None:
    error = await limited.agent.refused(
        "stores_register", store_id="10077", api_key=small.api_key_of("10077")
    )

    assert isinstance(error, PermissionDenied)
    assert "chosen stores" in error.message


async def test_a_key_of_no_store_at_all_sees_none(small: World, limited: Limited) -> None:
    await narrow(small, limited.credential_id, [])
    small.services.signals.deliver(EVERYTHING)  # as where signals may have been lost

    assert await limited.agent.get("stores_list") == {
        "notice": (await small.owner.get("stores_list"))["notice"],
        "stores": [],
        "count": 0,
    }
