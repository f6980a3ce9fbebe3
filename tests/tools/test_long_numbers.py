"""A number that a client would round leaves as text, comes back as text, and never replaces the
true one with its rounded form.
"""

import json
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orderdesk_app.context import JsonObject
from orderdesk_app.errors import ValidationFailed
from orderdesk_app.mcp.prebuilt_result import render_json
from orderdesk_app.mcp.server import call_tool_result
from orderdesk_app.orderdesk import json_text
from orderdesk_app.orderdesk.merge import plan_update
from orderdesk_app.tools.catalogue import every_tool
from orderdesk_app.tools.views import plain_object
from tests.orderdesk.test_merge import NOON
from tests.worlds import FIRST_ORDER, SandboxServer, World, open_world, settings_for

LONG = 123456789012345678
ROUNDED = 123456789012345680  # what JavaScript makes of it
LIMIT = 2**53


@pytest.fixture
async def world(sandbox_server: SandboxServer, sqlite_url: str) -> AsyncIterator[World]:
    sandbox_server.reset()
    options = {"ORDERDESK_API_URL": sandbox_server.url}
    async with open_world(settings_for(sqlite_url, **options), sandbox_server) as world:
        sandbox_server.edit(
            world.store_id,
            {
                "order_metadata": {"shop_id": LONG, "parts": [LONG, {"deep": -LONG}], "n": 5},
                "source_id": LONG,
                "processor_balance": LONG,
            },
        )
        yield world


def as_javascript_reads(text: str) -> Any:
    return json.loads(text, parse_int=lambda digits: int(float(digits)))


def numbers_in(value: object) -> list[int | float]:
    if isinstance(value, dict):
        return [number for entry in value.values() for number in numbers_in(entry)]
    if isinstance(value, list):
        return [number for entry in value for number in numbers_in(entry)]
    return [value] if isinstance(value, int | float) and not isinstance(value, bool) else []


def metadata_of(world: World, server: SandboxServer) -> Any:
    return server.order(world.store_id)["order_metadata"]


@pytest.mark.parametrize(
    "number", [LIMIT + 1, -LIMIT - 1, LONG, 10**30, Decimal("12345678901234567890.5")]
)
def test_a_number_that_a_client_would_round_leaves_as_text(number: int | Decimal) -> None:
    shown = plain_object({"order_metadata": {"id": number, "list": [number]}, "price": number})

    assert shown == {
        "order_metadata": {"id": str(number), "list": [str(number)]},
        "price": str(number),
    }


@pytest.mark.parametrize(
    "number", [0, LIMIT, -LIMIT, 12.5, Decimal("21.10"), Decimal("1E-7"), Decimal("0.000")]
)
def test_any_other_number_stays_a_number(number: int | float | Decimal) -> None:
    shown = plain_object({"price": number})["price"]

    assert isinstance(shown, int | float)
    assert shown == float(number)


NUMBERS = st.one_of(
    st.integers(-(10**25), 10**25),
    st.integers(LIMIT - 3, LIMIT + 3),
    st.decimals(allow_nan=False, allow_infinity=False),
)


@given(number=NUMBERS)
@settings(deadline=None)
def test_a_client_in_javascript_gives_back_what_is_there(number: int | Decimal) -> None:
    """Whatever the number: read by a client that rounds, and sent back whole, it is no change."""
    read = json_text.loads(json_text.dumps({"order_metadata": {"n": number, "m": 1}}))
    shown = as_javascript_reads(render_json(plain_object(read)))

    plan = plan_update(read, {"order_metadata": {**shown["order_metadata"], "m": 2}}, at=NOON)

    assert plan.changed == ("order_metadata.m",)
    assert json_text.dumps(plan.body["order_metadata"]) == json_text.dumps(
        {**read["order_metadata"], "m": 2}
    )


async def test_no_tool_answers_with_a_number_that_would_be_rounded(world: World) -> None:
    for tool in every_tool():
        if not tool.reads:
            continue
        arguments = world.example_of(tool)
        if tool.name == "orders_list":
            arguments = {"view": "full", "limit": 100, "order_by": "id", "order": "ASC"}
        outcome = await world.owner.call(tool.name, arguments)
        assert outcome.error is None, tool.name
        result = call_tool_result(outcome).structured_content
        assert [n for n in numbers_in(result) if abs(n) > LIMIT] == [], tool.name
        if tool.name in ("orders_get", "orders_list"):
            assert str(LONG) in json.dumps(result), "the digits are there, as text"
    changed = await world.owner.get(
        "orders_update", order_id=FIRST_ORDER, changes={"email": "new@example.com"}
    )
    assert changed["order"]["order_metadata"]["shop_id"] == str(LONG)
    assert changed["order"]["source_id"] == str(LONG)


@pytest.mark.parametrize("form", [str(LONG), f" {LONG} ", LONG])
async def test_the_same_digits_are_no_change(
    world: World, sandbox_server: SandboxServer, form: str | int
) -> None:
    changes: JsonObject = {"order_metadata": {"shop_id": form, "n": 6}, "source_id": form}

    result = await world.owner.get("orders_update", order_id=FIRST_ORDER, changes=changes)

    assert result["changed"] == ["order_metadata.n"]
    assert metadata_of(world, sandbox_server)["shop_id"] == LONG, "still a number"


@pytest.mark.parametrize(
    ("place", "given"),
    [
        *(("order_metadata.shop_id", n) for n in (ROUNDED, float(ROUNDED), str(ROUNDED), LONG + 1)),
        *(("source_id", n) for n in (ROUNDED, str(ROUNDED), LONG + 1)),
    ],
)
async def test_the_rounded_form_of_what_is_there_is_refused(
    world: World, sandbox_server: SandboxServer, given: Any, place: str
) -> None:
    changes: JsonObject = {"order_metadata": {"shop_id": given}}
    if place == "source_id":
        changes = {"source_id": given}

    error = await world.owner.refused("orders_update", order_id=FIRST_ORDER, changes=changes)

    assert isinstance(error, ValidationFailed)
    assert error.field == place
    assert str(LONG) in error.message
    assert metadata_of(world, sandbox_server)["shop_id"] == LONG
    assert sandbox_server.order(world.store_id)["source_id"] == LONG


async def test_what_is_there_can_be_replaced_by_way_of_null(
    world: World, sandbox_server: SandboxServer
) -> None:
    for value in (None, str(ROUNDED)):
        await world.owner.get(
            "orders_update", order_id=FIRST_ORDER, changes={"order_metadata": {"shop_id": value}}
        )

    assert metadata_of(world, sandbox_server)["shop_id"] == str(ROUNDED)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"source_id": LONG + 77}, "source_id"),
        ({"customer_id": LONG}, "customer_id"),
        ({"order_metadata": {"fresh": LONG}}, "order_metadata.fresh"),
        ({"checkout_data": {"fresh": -LONG}}, "checkout_data.fresh"),
        ({"shipping": {"postal_code": LONG}}, "shipping.postal_code"),
        ({"order_items": [{"id": LONG, "quantity": 2}]}, "order_items[0].id"),
        ({"order_items": [{"name": "Mug", "code": LONG}]}, "order_items[0].code"),
        ({"order_items": [{"name": "Mug", "metadata": {"k": LONG}}]}, "order_items[0].metadata.k"),
    ],
)
async def test_a_whole_number_that_may_have_been_rounded_is_refused(
    world: World, changes: JsonObject, field: str
) -> None:
    error = await world.owner.refused("orders_update", order_id=FIRST_ORDER, changes=changes)

    assert isinstance(error, ValidationFailed)
    assert error.field == field
    assert "as text" in error.message


ID_ARGUMENTS = [
    (tool.name, name)
    for tool in every_tool()
    for name, schema in tool.input_schema.get("properties", {}).items()
    if schema.get("type") == "string" and (name.endswith("_id") or name == "identifier")
]


@pytest.mark.parametrize(("tool", "name"), ID_ARGUMENTS)
async def test_an_id_that_may_have_been_rounded_is_refused(
    world: World, tool: str, name: str
) -> None:
    arguments = world.example_of(next(known for known in every_tool() if known.name == tool))

    error = await world.owner.refused(tool, **{**arguments, name: LONG})

    assert isinstance(error, ValidationFailed)
    assert error.field == name
    assert "as text" in error.message
