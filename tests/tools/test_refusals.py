"""What every tool refuses: each wrong argument by its name, in words, before anything is asked of
Order Desk. One services serves all of these tests.
"""

from typing import Any

import pytest

from orderdesk_app.context import Scope
from orderdesk_app.errors import ValidationFailed
from orderdesk_app.tools.catalogue import Tool, every_tool
from tests.work import MOST_CALLS, counted_work
from tests.worlds import World, counted

pytestmark = pytest.mark.asyncio(loop_scope="module")

TOOLS = every_tool()
each_tool = pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
DIGITS = [
    (tool, name)
    for tool in TOOLS
    for name, schema in tool.input_schema.get("properties", {}).items()
    if schema.get("pattern") == "^[0-9]{1,20}$"
]


def wrong_values(schema: dict[str, Any]) -> list[Any]:
    """Values that an argument of this schema must refuse."""
    if "enum" in schema:
        return ["no-such-choice", 5, {}]
    kind = schema.get("type")
    if kind == "integer":
        too_much = [schema["maximum"] + 1] if "maximum" in schema else []
        too_little = [schema["minimum"] - 1] if "minimum" in schema else []
        return ["many", 1.5, {}, [], *too_much, *too_little]
    if kind == "object":
        return ["text", 5, []]
    if kind == "array":
        return [5, {}, [{}]]
    too_long = ["x" * (schema["maxLength"] + 1)] if "maxLength" in schema else []
    return [{}, [], True, *too_long]


WRONG = [
    pytest.param(tool, name, value, id=f"{tool.name}-{name}-{number}")
    for tool in TOOLS
    for name, schema in tool.input_schema.get("properties", {}).items()
    for number, value in enumerate(wrong_values(schema))
]


@pytest.mark.parametrize(("tool", "name", "value"), WRONG)
async def test_a_wrong_argument_is_refused_by_name(
    shared: World, tool: Tool, name: str, value: Any
) -> None:
    before = counted("upstream_requests")

    error = await shared.owner.refused(tool.name, **{**shared.example_of(tool), name: value})

    assert (error.code, (error.field or "").split(".")[0]) == ("VALIDATION_ERROR", name)
    assert error.message.startswith(f"{name}")
    assert "pydantic" not in error.message.casefold()
    assert counted("upstream_requests") == before


@each_tool
async def test_a_missing_argument_is_asked_for_by_name(shared: World, tool: Tool) -> None:
    for name in tool.input_schema.get("required", []):
        error = await shared.owner.refused(
            tool.name,
            **{key: value for key, value in shared.example_of(tool).items() if key != name},
        )

        assert (error.code, error.field) == ("VALIDATION_ERROR", name)
        assert name in error.message


@each_tool
async def test_a_misspelt_argument_is_refused_by_name_with_the_near_one(
    shared: World, tool: Tool
) -> None:
    error = await shared.owner.refused(
        tool.name, **{**shared.example_of(tool), "storeidentifier": "x"}
    )

    assert (error.code, error.field) == ("VALIDATION_ERROR", "storeidentifier")
    assert ("store_identifier" in error.message) == (
        "store_identifier" in tool.input_schema.get("properties", {})
    )


@pytest.mark.parametrize("arguments", ["text", 5, ["a"], True])
@each_tool
async def test_arguments_that_are_no_object_are_refused(
    shared: World, tool: Tool, arguments: Any
) -> None:
    outcome = await shared.owner.call(tool.name, arguments)

    assert outcome.error is not None
    assert outcome.error.code == "VALIDATION_ERROR"


@pytest.mark.parametrize(
    "value",
    [
        "abc",
        "12x",
        "-5",
        "1.5",
        "",
        "  ",
        "١٢٣",
        "1" * 21,
        -5,
        1.5,
        1e30,
        True,
        [],
        {},
        None,
        "5; DROP TABLE orders",
        "../stores",
    ],
)
@pytest.mark.parametrize(
    ("tool", "name"), DIGITS, ids=lambda value: value if isinstance(value, str) else value.name
)
async def test_an_id_that_is_not_digits_is_refused_before_any_request(
    shared: World, tool: Tool, name: str, value: Any
) -> None:
    before = counted("upstream_requests")

    error = await shared.owner.refused(tool.name, **{**shared.example_of(tool), name: value})

    assert (error.code, error.field) == ("VALIDATION_ERROR", name)
    assert counted("upstream_requests") == before


@each_tool
async def test_a_key_without_the_scope_may_not(shared: World, tool: Tool) -> None:
    principal = await shared.owner.principal()
    others = frozenset(Scope) - {tool.scope}
    actor = type(principal.actor)(
        tenant_id=principal.actor.tenant_id, scopes=others, via=principal.actor.via
    )

    outcome = await shared.services.runner.run(
        type(principal)(actor=actor, account=principal.account), tool.name, shared.example_of(tool)
    )

    assert outcome.error is not None
    assert outcome.error.code == "PERMISSION_DENIED"
    assert str(tool.scope) in outcome.error.message


@each_tool
async def test_who_has_not_signed_in_is_told_how(shared: World, tool: Tool) -> None:
    outcome = await shared.services.runner.run(None, tool.name, shared.example_of(tool))

    if tool.works_signed_out:
        assert outcome.error is None
    else:
        assert outcome.error is not None
        assert outcome.error.code == "AUTH_ERROR"
        assert "tenant_use_master_key" in outcome.error.message


@each_tool
async def test_every_call_moves_the_metrics(shared: World, tool: Tool) -> None:
    before = counted("tool_calls", tool=tool.name), counted("tool_call_seconds", tool=tool.name)

    await shared.owner.refused(tool.name, no_such_argument=1)

    assert (
        counted("tool_calls", tool=tool.name),
        counted("tool_call_seconds", tool=tool.name),
    ) == (before[0] + 1, before[1] + 1)
    assert counted("tool_calls", tool=tool.name, outcome="VALIDATION_ERROR", via="mcp") > 0
    assert counted("tool_calls_running") == 0


@each_tool
async def test_all_faults_of_a_call_are_told_in_one_answer(shared: World, tool: Tool) -> None:
    properties = tool.input_schema.get("properties", {})
    wrong = {name: wrong_values(schema)[0] for name, schema in properties.items()}
    misspelt = {f"no_such_{number}": 1 for number in range(3)}

    error = await shared.owner.refused(tool.name, **wrong, **misspelt)

    assert isinstance(error, ValidationFailed)
    places = [str(fault.field).split(".")[0] for fault in error.faults]
    assert {place for place in places if place} == {*wrong, *misspelt} or len(places) > 20
    assert error.message.startswith(f"{len(places)} things are wrong. (1) ")


@each_tool
async def test_very_many_faults_are_judged_quickly(shared: World, tool: Tool) -> None:
    with counted_work() as work:
        error = await shared.owner.refused(tool.name, **{f"nosuch{n}": n for n in range(15_000)})

    assert work.calls < MOST_CALLS
    assert error.message.endswith("more.")
    assert len(error.message) < 8_000


@each_tool
async def test_what_programs_add_for_themselves_is_no_fault(shared: World, tool: Tool) -> None:
    """n8n's agent sends these with every call."""
    added = {
        "tool": tool.name,
        "toolCallId": "call_1",
        "sessionId": "a",
        "action": "sendMessage",
        "chatInput": "x",
    }
    misspelt = await shared.owner.call(tool.name, {**added, "toolcallid": "x"})
    assert misspelt.error is not None
    assert (misspelt.error.field or "").startswith("toolcallid")

    if tool.reads:
        outcome = await shared.owner.call(tool.name, {**shared.example_of(tool), **added})
        assert outcome.error is None or outcome.error.code != "VALIDATION_ERROR"


async def test_faults_within_an_object_are_told_beside_those_of_the_arguments(
    shared: World,
) -> None:
    error = await shared.owner.refused(
        "orders_update", order_id="#W-1042", changs={}, changes={"shiping": {}, "emial": "x"}
    )
    assert isinstance(error, ValidationFailed)
    assert {fault.field for fault in error.faults} == {"order_id", "changs", "shiping", "emial"}

    error = await shared.owner.refused(
        "orders_create", store_id="10001", order_data={"order_itms": [], "folder_name": "New"}
    )
    assert isinstance(error, ValidationFailed)
    assert [fault.field for fault in error.faults] == ["store_id", "order_itms", "shipping"]
    assert "store_identifier" in error.message


async def test_all_faults_of_a_new_store_are_told_at_once(shared: World) -> None:
    error = await shared.owner.refused(
        "stores_register",
        store_id="10077",
        api_key="two words",
        store_name="a\u200b",
        label="\u3164",
    )

    assert isinstance(error, ValidationFailed)
    assert [fault.field for fault in error.faults] == ["api_key", "store_name", "label"]
