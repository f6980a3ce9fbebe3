"""What holds for every tool of the catalogue, over the sandbox in process and over the sandbox as a
server, with nothing changed between them.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import jsonschema
import pytest
from sqlmodel import select

from orderdesk_app.db.audit import AuditEntry
from orderdesk_app.db.changes import Change
from orderdesk_app.errors import RateLimited
from orderdesk_app.mcp.server import call_tool_result
from orderdesk_app.token_bucket import TokenBucket
from orderdesk_app.tools.catalogue import Tool, every_tool
from tests.storage import full_disk
from tests.worlds import FIRST_ORDER, World, counted, eventually

TOOLS = every_tool()
each_tool = pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
DIGITS = [
    (tool, name)
    for tool in TOOLS
    for name, schema in tool.input_schema.get("properties", {}).items()
    if schema.get("pattern") == "^[0-9]{1,20}$"
]
NAMES_A_NEW_ONE = {("stores_register", "store_id")}
UNKNOWN = [
    (tool, name, "99999999" if (tool, name) in DIGITS else "nowhere")
    for tool in TOOLS
    for name in tool.input_schema.get("properties", {})
    if ((tool, name) in DIGITS or name in ("identifier", "store_identifier"))
    and (tool.name, name) not in NAMES_A_NEW_ONE
]


@each_tool
async def test_the_example_runs_and_its_result_is_as_promised(world: World, tool: Tool) -> None:
    before = counted("upstream_requests") - counted("upstream_requests", method="GET")

    outcome = await world.owner.call(tool.name, world.example_of(tool))

    assert outcome.error is None, outcome.error and outcome.error.message
    assert outcome.result is not None
    told = call_tool_result(outcome)
    jsonschema.validate(told.structured_content, tool.output_schema)
    assert told.is_error is not True
    assert told.content[0].type == "text"
    text = told.content[0].text
    promised = nullable_in(tool.output_schema)
    assert [
        path for path in nulls_in(outcome.result, "") if path.rsplit(".", 1)[-1] not in promised
    ] == []
    for value in [
        *ids_in(outcome.result),
        outcome.result.get("pagination", {}).get("next_offset"),
    ]:
        assert value is None or str(value) in text, "the text lets a model go on"
    assert "{" not in text, "the text is lines, not the JSON again"
    if tool.reads:
        assert (
            counted("upstream_requests") - counted("upstream_requests", method="GET") == before
        ), "a read changes nothing"


@each_tool
async def test_a_call_leaves_an_audit_row(world: World, tool: Tool) -> None:
    await world.services.audit.flush()
    known = {row.id for row in await world.audit_rows()}

    outcome = await world.owner.call(tool.name, world.example_of(tool))

    async def committed() -> list[AuditEntry]:
        return [
            row for row in await world.audit_rows() if row.id not in known and row.tool == tool.name
        ]

    # A write's row is there before its answer, a read's within a second (the commit itself may take
    # a moment on a busy machine).
    [row] = await committed() if not tool.reads else await eventually(committed, 2)
    principal = await world.owner.principal()
    assert (row.tenant_id, row.via, row.credential_id) == (
        principal.actor.tenant_id,
        "mcp",
        principal.actor.credential_id,
    )
    assert (row.action, row.outcome, row.request_id != "") == ("tool", "ok", True)
    assert row.duration_ms > 0
    assert outcome.is_ok


@each_tool
async def test_refused_calls_leave_ten_short_rows_and_a_count(small: World, tool: Tool) -> None:
    """Every call that ran leaves a row of its own; refused calls alone do not."""
    for _ in range(25):
        await small.owner.refused(tool.name, no_such_argument="x")
    await small.services.audit.stop()

    rows = [row for row in await small.audit_rows() if row.tool == tool.name]
    assert sorted(row.times for row in rows) == [1] * 10 + [15]
    assert {(row.outcome, row.arguments) for row in rows} == {("VALIDATION_ERROR", None)}


async def refuse_wrong_arguments(world: World) -> None:
    await world.owner.refused("orders_get", order_id="no digits")


async def refuse_unknown_tool(world: World) -> None:
    await world.owner.refused("orders_eat")


async def refuse_missing_scope(world: World) -> None:
    principal = await world.owner.principal()
    reader = replace(principal, actor=replace(principal.actor, scopes=frozenset()))
    outcome = await world.services.runner.run(reader, "orders_get", {"order_id": FIRST_ORDER})
    assert outcome.error is not None


async def refuse_wrong_changes(world: World) -> None:
    await world.owner.refused(
        "orders_update", order_id=FIRST_ORDER, changes={"order_items": "no list"}
    )


@pytest.mark.parametrize(
    ("refuse", "cost"),
    [
        (refuse_wrong_arguments, 1),
        (refuse_unknown_tool, 1),
        (refuse_missing_scope, 1),
        (refuse_wrong_changes, 2),
    ],
)
async def test_a_refused_call_costs_its_tokens_and_many_cost_little_disk(
    small: World, refuse: Callable[[World], Awaitable[None]], cost: int
) -> None:
    tenant_id = (await small.owner.principal()).actor.tenant_id
    limit = small.services.limits.tools
    limit.rules = TokenBucket(1_000 * cost, 1e-9)  # none comes back

    for _ in range(1_000):
        await refuse(small)
    await small.services.audit.stop()

    with pytest.raises(RateLimited):
        await limit.spend(tenant_id, 1)
    assert len([row for row in await small.audit_rows() if row.outcome != "ok"]) == 11


async def test_a_call_beyond_the_limit_is_refused_before_its_arguments_are_looked_at(
    small: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def looks(*_: object) -> None:
        raise AssertionError("the arguments were looked at")

    small.services.limits.tools.rules = TokenBucket(0, 1e-9)
    monkeypatch.setattr("orderdesk_app.tools.runner.parse", looks)
    monkeypatch.setattr("orderdesk_app.tools.runner.without_secrets", looks)

    for tool in ("orders_get", "orders_update", "orders_eat"):
        error = await small.owner.refused(tool, changes="x")
        assert error.code == "RATE_LIMIT_EXCEEDED"


async def test_secrets_in_arguments_are_not_kept(small: World) -> None:
    await small.owner.get("tenant_use_master_key", master_key=small.owner.key.reveal())
    await small.owner.refused(
        "orders_get", order_id=FIRST_ORDER, api_key="a-key-in-the-wrong-place"
    )

    happenings = [
        h
        for h in await small.services.activity.latest((await small.owner.principal()).actor)
        if h.action == "tool"
    ]

    # a refused call keeps no arguments at all
    assert [h.arguments for h in happenings] == [{}, {"master_key": "***"}]


@pytest.mark.parametrize(
    ("tool", "name"), DIGITS, ids=lambda value: value if isinstance(value, str) else value.name
)
async def test_an_id_may_be_a_number(world: World, tool: Tool, name: str) -> None:
    arguments = world.example_of(tool)

    outcome = await world.owner.call(tool.name, {**arguments, name: int(arguments[name])})

    assert outcome.error is None, outcome.error and outcome.error.message
    assert all(isinstance(value, str) for value in ids_in(outcome.result))


@pytest.mark.parametrize(
    ("tool", "name", "value"),
    [pytest.param(*unknown, id=f"{unknown[0].name}-{unknown[1]}") for unknown in UNKNOWN],
)
async def test_what_is_unknown_is_not_found(
    world: World, tool: Tool, name: str, value: str
) -> None:
    error = await world.owner.refused(tool.name, **{**world.example_of(tool), name: value})

    assert (error.code, error.field) == ("NOT_FOUND", name)
    assert len(error.message.split(". ")) > 1, "it says what to do next"


@each_tool
async def test_a_fault_of_ours_is_told_without_its_text(
    small: World, tool: Tool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def breaks(*_: Any) -> Any:
        raise RuntimeError("secret-in-the-text")

    broken = {name: getattr(tool, name) for name in tool.__slots__} | {"run": breaks}
    monkeypatch.setattr("orderdesk_app.tools.runner.find_tool", lambda _: type(tool)(**broken))
    before = counted("unexpected_errors", where="tool")

    error = await small.owner.refused(tool.name, **small.example_of(tool))

    assert error.code == "INTERNAL_ERROR"
    assert "secret-in-the-text" not in error.message
    assert "reference" in error.message
    assert error.outcome == ("not_done" if tool.reads else "unknown")
    assert counted("unexpected_errors", where="tool") == before + 1


@each_tool
async def test_on_a_full_disk_no_call_says_that_something_may_have_been_written(
    small: World, tool: Tool
) -> None:
    """Reads may go on; what would have to be written was not."""
    arguments = small.example_of(tool)
    await small.services.audit.flush()

    async with full_disk(small.services.database):
        outcome = await small.owner.call(tool.name, arguments)

    if outcome.error is not None:
        assert (outcome.error.code, outcome.error.outcome) == ("INTERNAL_ERROR", "not_done")
        assert "othing" in outcome.error.message


@each_tool
async def test_calls_count_against_the_limit_by_their_weight(small: World, tool: Tool) -> None:
    tenant_id = (await small.owner.principal()).actor.tenant_id
    arguments = small.example_of(tool)
    limit = small.services.limits.tools
    await limit.spend(tenant_id, 200_000 - tool.weight)

    first = await small.owner.call(tool.name, arguments)
    second = await small.owner.call(tool.name, arguments)

    assert first.error is None
    # 100,000 a minute fill up again while the first call runs: what is refused is refused by the
    # limit alone.
    if second.error is not None and second.error.code == "RATE_LIMIT_EXCEEDED":
        assert second.error.retry_after is not None
        assert second.error.outcome == "not_done"
    with pytest.raises(RateLimited):
        await limit.spend(tenant_id, 200_000 - tool.weight)


async def test_a_write_goes_on_to_its_end_when_the_caller_hangs_up(world: World) -> None:
    call = asyncio.ensure_future(
        world.owner.call(
            "orders_update", {"order_id": FIRST_ORDER, "changes": {"email": "left@example.com"}}
        )
    )
    while not await changes_begun(world):
        assert not call.done()
        # not 0: a loop that never rests takes the interpreter from the database's threads
        await asyncio.sleep(0.001)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call

    await world.services.unfinished.drain()

    rows = [row for row in await world.audit_rows() if row.tool == "orders_update"]
    order = (await world.owner.get("orders_get", order_id=FIRST_ORDER))["order"]
    assert [row.outcome for row in rows] == ["ok"]
    assert order["email"] == "left@example.com"


async def test_a_write_that_has_not_begun_stops_when_the_caller_hangs_up(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_reading, let_go = asyncio.Event(), asyncio.Event()

    async def waits(*_: Any) -> Any:
        is_reading.set()
        await let_go.wait()

    monkeypatch.setattr("orderdesk_app.services.order_kind.OrderKind.read", waits)
    call = asyncio.ensure_future(
        world.owner.call("orders_update", {"order_id": FIRST_ORDER, "changes": {"email": "x@y.z"}})
    )
    await is_reading.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    let_go.set()

    await world.services.unfinished.drain()
    await world.services.audit.flush()

    rows = [row for row in await world.audit_rows() if row.tool == "orders_update"]
    assert [row.outcome for row in rows] == ["CANCELLED"]
    assert not await changes_begun(world)


async def changes_begun(world: World) -> bool:
    """Whether the journal has a row."""
    async with world.services.database.read() as session:
        return (await session.exec(select(Change).limit(1))).first() is not None


def ids_in(result: dict[str, Any]) -> list[Any]:
    """The ids that a next call would name: of the object or the rows, and those beside them."""
    entries = [
        entry
        for value in result.values()
        for entry in (value if isinstance(value, list) else [value])
        if isinstance(entry, dict)
    ]
    names = ("id", "store_id")
    found = [next((entry[name] for name in names if name in entry), None) for entry in entries]
    beside = [value for name, value in result.items() if name.endswith("_id")]
    return [value for value in (*found, *beside) if value is not None]


def nullable_in(schema: Any) -> set[str]:
    """The names of facts whose null says something."""
    if not isinstance(schema, dict):
        return set()
    here = {
        name
        for name, part in schema.get("properties", {}).items()
        if "null" in part.get("type", ())
    }
    parts = [*schema.get("properties", {}).values(), schema.get("items")]
    return here.union(*(nullable_in(part) for part in parts))


def nulls_in(value: Any, path: str) -> list[str]:
    if value is None:
        return [path]
    if isinstance(value, dict):
        return [
            found for name, entry in value.items() for found in nulls_in(entry, f"{path}.{name}")
        ]
    if isinstance(value, list):
        return [found for entry in value for found in nulls_in(entry, path)]
    return []
