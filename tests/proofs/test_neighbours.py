"""There is always a neighbour, and nothing of theirs is seen, changed, or even known to exist:
whatever is theirs is told of in the words for what is not there.
"""

import hashlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import text

from orderdesk_app.context import Actor, Via
from orderdesk_app.db.schema import METADATA
from orderdesk_app.errors import NotFound
from orderdesk_app.mcp.server import call_tool_result
from orderdesk_app.tools.catalogue import Tool, every_tool
from tests.worlds import MINIMAL_ORDER, World, open_world, settings_for

TOOLS = every_tool()
each_tool = pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
NAMES_A_STORE = [
    (tool, name)
    for tool in TOOLS
    for name in ("store_identifier", "identifier", "store_id")
    if name in tool.input_schema["properties"]
]
NAMES_A_STORE = [(tool, name) for tool, name in NAMES_A_STORE if tool.name != "stores_register"]
NAMES_AN_ORDER = [tool for tool in TOOLS if "order_id" in tool.input_schema["properties"]]
THEIRS = "Berta-the-neighbours-customer"


@pytest.fixture
async def world(sqlite_url: str) -> AsyncIterator[World]:
    async with open_world(settings_for(sqlite_url), None) as world:
        neighbour = world.neighbour
        actor = (await neighbour.principal()).actor
        [record] = await neighbour.stores()
        await world.services.stores.edit(
            actor, record.id, name="Bert's shop", label="berts", api_key=None
        )
        order = {**MINIMAL_ORDER, "email": f"{THEIRS}@example.com", "order_notes": [THEIRS]}
        made = await neighbour.get("orders_create", order_data=order)
        await neighbour.get(
            "orders_update", order_id="100000001", changes={"email": f"{THEIRS}@example.com"}
        )
        world.extra = {
            "order_id": made["order"]["id"],
            "change_id": made["change_id"],
            "row_id": record.id,
            "label": "berts",
            "name": "Bert's shop",
        }
        world.extra["store_id"] = world.neighbours_store_id
        await world.services.audit.flush()
        yield world


async def everything_of_the_neighbour(world: World) -> str:
    """A fingerprint of every row that is theirs."""
    tenant_id = (await world.neighbour.principal()).actor.tenant_id
    await world.services.audit.flush()
    rows = []
    async with world.services.database.read() as session:
        for name, table in METADATA.tables.items():
            if "tenant_id" in table.c:
                connection = await session.connection()
                found = await connection.execute(
                    text(f"SELECT * FROM {name} WHERE tenant_id = :tenant"), {"tenant": tenant_id}
                )
                rows += [
                    name
                    + str(
                        sorted(
                            str(value)
                            for value in row._mapping.items()
                            if value[0] != "last_used_at"
                        )
                    )
                    for row in found
                ]
        found = await (await session.connection()).execute(
            text("SELECT * FROM sandbox_rows WHERE store_row_id = :row"),
            {"row": world.extra["row_id"]},
        )
        rows += [str(tuple(row)) for row in found]
    assert len(rows) > 5
    return hashlib.sha256("\n".join(sorted(rows)).encode()).hexdigest()


@each_tool
async def test_what_a_tool_shows_holds_nothing_of_the_neighbour(world: World, tool: Tool) -> None:
    before = await everything_of_the_neighbour(world)

    outcome = await world.owner.call(tool.name, world.example_of(tool))

    shown = call_tool_result(outcome).model_dump_json(by_alias=True)
    for theirs in (
        THEIRS,
        "Bert",
        "berts",
        world.extra["store_id"],
        world.extra["row_id"],
        world.extra["change_id"],
    ):
        assert theirs not in shown
    assert await everything_of_the_neighbour(world) == before


@pytest.mark.parametrize("by", ["store_id", "row_id", "name", "label"])
@pytest.mark.parametrize(
    ("tool", "name"),
    NAMES_A_STORE,
    ids=lambda value: value if isinstance(value, str) else value.name,
)
async def test_a_neighbours_store_is_told_of_as_one_that_is_not_there(
    world: World, tool: Tool, name: str, by: str
) -> None:
    theirs, nobodys = (
        world.extra[by],
        {
            "store_id": "9123456789",
            "row_id": "01ARZ3NDEKTSV4RRFFQ69G5FAV",
            "name": "Carl's shop",
            "label": "carls",
        }[by],
    )
    before = await everything_of_the_neighbour(world)

    about_theirs = await world.owner.refused(tool.name, **{**world.example_of(tool), name: theirs})
    about_nobodys = await world.owner.refused(
        tool.name, **{**world.example_of(tool), name: nobodys}
    )

    assert told(about_theirs, theirs) == told(about_nobodys, nobodys)
    assert about_theirs.code == (
        "NOT_FOUND" if by == "store_id" or name != "store_id" else "VALIDATION_ERROR"
    )
    assert await everything_of_the_neighbour(world) == before


@pytest.mark.parametrize("tool", NAMES_AN_ORDER, ids=lambda tool: tool.name)
async def test_a_neighbours_order_is_told_of_as_one_that_is_not_there(
    world: World, tool: Tool
) -> None:
    theirs, nobodys = world.extra["order_id"], "299999999"
    before = await everything_of_the_neighbour(world)

    about_theirs = await world.owner.refused(
        tool.name, **{**world.example_of(tool), "order_id": theirs}
    )
    about_nobodys = await world.owner.refused(
        tool.name, **{**world.example_of(tool), "order_id": nobodys}
    )

    assert told(about_theirs, theirs) == told(about_nobodys, nobodys)
    assert about_theirs.code == "NOT_FOUND"
    assert await everything_of_the_neighbour(world) == before


@pytest.mark.parametrize(
    "filters",
    [
        {},
        {"email": f"{THEIRS}@example.com"},
        {"search": f"{THEIRS}@example.com"},
        {"view": "full", "limit": 100},
    ],
)
async def test_no_list_shows_a_neighbours_order(world: World, filters: dict[str, Any]) -> None:
    result = await world.owner.get("orders_list", **filters)

    assert THEIRS not in json.dumps(result)
    assert world.extra["order_id"] not in [row["id"] for row in result["orders"]]


async def test_a_neighbours_change_of_the_same_order_is_not_ours(world: World) -> None:
    ours = await world.owner.get("orders_get", order_id="100000001")
    theirs = await world.neighbour.get("orders_get", order_id="100000001")

    assert THEIRS in theirs["order"]["email"]
    assert THEIRS not in ours["order"]["email"]


async def test_a_neighbours_keys_sessions_and_calls_are_not_there(world: World) -> None:
    services = world.services
    ours = Actor((await world.owner.principal()).actor.tenant_id, via=Via.WEB)
    theirs = Actor((await world.neighbour.principal()).actor.tenant_id, via=Via.WEB)
    key, _ = await services.keys.create(theirs, "theirs")
    call = await services.console.run(theirs, "stores_list", {})

    for reading in (
        services.keys.revoke(ours, key.id),
        services.console.history.get(ours, call.id),
        services.stores.find(ours, world.extra["row_id"]),
    ):
        with pytest.raises(NotFound):
            await reading

    assert [k.id for k in await services.keys.list(ours) if k.id == key.id] == []
    assert await services.console.history.list(ours) == []
    assert [
        h
        for h in await services.activity.latest(ours, count=100)
        if h.store_row_id == world.extra["row_id"]
    ] == []
    assert (await services.activity.day(ours)).stores == {}
    assert [k.id for k in await services.keys.list(theirs) if k.id == key.id] == [key.id]


async def test_a_neighbours_active_store_cannot_be_chosen(world: World) -> None:
    await world.owner.refused("stores_use_store", identifier=world.extra["row_id"])

    result = await world.owner.get("orders_get", order_id="100000001")
    assert THEIRS not in result["order"]["email"]


def told(error: Any, value: str) -> tuple[Any, ...]:
    """Everything that a client hears, with the value that it sent put aside."""
    about = {name: str(detail).replace(value, "…") for name, detail in error.details.items()}
    return (
        error.code,
        error.field,
        error.retry_after,
        error.outcome,
        error.message.replace(value, "…"),
        about,
    )
