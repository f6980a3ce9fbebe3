"""The line of a tool call in the log: what it says, what it never says, and how many there are."""

import asyncio
import io
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from orderdesk_app.context import Actor, RequestContext, TenantId, Via, serving
from orderdesk_app.errors import UpstreamUnreachable
from orderdesk_app.observability import LINE_SECONDS, LOG_FIELDS, configure_logging, log
from orderdesk_app.services.orders import Orders
from orderdesk_app.services.tool_call_log import FAILED_LINES, REFUSED_LINES, ToolCallLog
from orderdesk_app.token_bucket import TokenBucket
from tests.test_observability import NASTY
from tests.worlds import FIRST_ORDER, World, open_world, settings_for

TENANT = TenantId("01KB4Q00000000000000000000")
Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """The log; afterwards it is as it was."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    stream = io.StringIO()
    configure_logging("INFO", stream)
    yield stream
    root.handlers[:], root.level = before[0], before[1]


@pytest.fixture
def lines(stream: io.StringIO) -> Lines:
    """The lines of tool calls."""

    def read() -> list[dict[str, Any]]:
        for handler in logging.root.handlers:
            handler.flush()
        found = [json.loads(line) for line in stream.getvalue().splitlines()]
        return [line for line in found if line["event"] == "tool call"]

    return read


@pytest.fixture
async def world(sqlite_url: str) -> AsyncIterator[World]:
    async with open_world(settings_for(sqlite_url), None) as world:
        yield world


def actor(client_name: str = "claude-code/2.1", client_version: str = "") -> Actor:
    return Actor(TENANT, via=Via.MCP, client_name=client_name, client_version=client_version)


def tool_calls_in(stream: io.StringIO) -> list[str]:
    return [json.loads(line)["event"] for line in stream.getvalue().splitlines()]


# ------------------------------------------------------------------ when it is written


async def test_the_lines_of_a_moment_are_written_together_and_soon(stream: io.StringIO) -> None:
    for _ in range(3):
        ToolCallLog(sample_rate=1).record(actor(), "orders_get", "ok", 0.1, via="mcp")
    assert tool_calls_in(stream) == []

    await asyncio.sleep(2 * LINE_SECONDS)

    assert tool_calls_in(stream) == ["tool call"] * 3


async def test_a_line_is_written_before_what_is_logged_after_it(stream: io.StringIO) -> None:
    ToolCallLog(sample_rate=1).record(actor(), "orders_get", "ok", 0.1, via="mcp")
    log("orderdesk_app.test").warning("later")

    assert tool_calls_in(stream) == ["tool call", "later"]


def test_without_an_event_loop_a_line_is_written_at_once(stream: io.StringIO) -> None:
    ToolCallLog(sample_rate=1).record(actor(), "orders_get", "ok", 0.1, via="mcp")

    assert tool_calls_in(stream) == ["tool call"]


# ------------------------------------------------------------------ what a line says


async def test_a_call_has_one_line_with_tenant_tool_client_outcome_and_duration(
    world: World, stream: io.StringIO, lines: Lines
) -> None:
    configure_logging("INFO", stream)
    principal = (await world.owner.principal()).with_client("claude-code", "2.1.3", "203.0.113.7")

    with serving(RequestContext("request-4711")):
        await world.services.runner.run(principal, "orders_get", {"order_id": FIRST_ORDER})

    [line] = lines()
    assert line.pop("seconds") > 0
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "tool call",
        "tool": "orders_get",
        "outcome": "ok",
        "tenant_id": principal.actor.tenant_id,
        "client": "claude-code 2.1.3",
        "via": "mcp",
        "request_id": "request-4711",
        "level": "info",
        "logger": "orderdesk_app.tool_calls",
    }


async def test_a_call_that_failed_names_its_code(
    world: World, stream: io.StringIO, lines: Lines
) -> None:
    await world.owner.refused("orders_get", order_id="999999999")
    await world.owner.refused("orders_get", order_id="")
    await world.owner.refused("no_such_tool")

    assert [(line["tool"], line["outcome"]) for line in lines()] == [
        ("orders_get", "NOT_FOUND"),
        ("orders_get", "VALIDATION_ERROR"),
        ("unknown", "VALIDATION_ERROR"),
    ]


async def test_a_call_before_sign_in_has_a_line_without_an_account(
    world: World, lines: Lines
) -> None:
    await world.services.runner.run(None, "orders_list", {})

    [line] = lines()
    assert (line["via"], line["outcome"]) == ("stdio", "AUTH_ERROR")
    assert "tenant_id" not in line


async def test_no_argument_no_result_and_no_error_text_is_in_a_line(
    world: World, stream: io.StringIO, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = (await world.owner.get("orders_get", order_id=FIRST_ORDER))["order"]
    await world.owner.get("orders_list", search=order["email"])
    await world.owner.get("orders_update", order_id=FIRST_ORDER, changes={"email": "x@example.com"})
    await world.owner.refused("orders_update", order_id=FIRST_ORDER, changes={"Ada Okafor": 1})

    async def fails(*_: Any, **__: Any) -> Any:
        raise UpstreamUnreachable("No answer about Ada Okafor.", said="Ada Okafor")

    monkeypatch.setattr(Orders, "get", fails)
    await world.owner.refused("orders_get", order_id=FIRST_ORDER)

    assert len(lines()) == 5
    for line in lines():
        assert set(line) <= LOG_FIELDS
    personal = (order["email"], "x@example.com", "Ada", FIRST_ORDER, order["shipping"]["last_name"])
    assert [text for text in personal if text in stream.getvalue()] == []


# ------------------------------------------------------------------ a client's name is a stranger's


@pytest.mark.parametrize("kind", NASTY)
def test_a_client_cannot_write_what_is_personal_or_secret(lines: Lines, kind: str) -> None:
    ToolCallLog(sample_rate=1).record(actor(f"me {NASTY[kind]} you"), "t", "ok", 0.1, via="mcp")

    [line] = lines()
    assert line["client"] == "me … you"


@pytest.mark.parametrize(
    "name", ['x", "outcome": "ok', "x\n{}", "x\x00\u2028\u202e", "\ud800", "\\", "é ü 名前"]
)
def test_a_client_cannot_make_a_field_or_a_line(
    stream: io.StringIO, lines: Lines, name: str
) -> None:
    ToolCallLog(sample_rate=1).record(actor(name), "t", "AUTH_ERROR", 0.1, via="mcp")

    assert stream.getvalue().count("\n") == 1
    assert stream.getvalue().isascii()
    [line] = lines()
    assert line["client"] == name
    assert line["outcome"] == "AUTH_ERROR"


def test_a_clients_name_is_cut(lines: Lines) -> None:
    ToolCallLog(sample_rate=1).record(actor("ab " * 500, "1 " * 500), "t", "ok", 0.1, via="mcp")

    assert len(lines()[0]["client"]) == 80


@pytest.mark.parametrize(
    "name",
    [
        "claude-code/2.1.3 (external, cli)",
        "modelcontextprotocol-inspector/0.17.1",
        "langchain-mcp-adapters/0.1.14",
        "com.openai.agents.python.client",
        "python-httpx/0.28.1",
    ],
)
def test_the_names_of_real_clients_stay(lines: Lines, name: str) -> None:
    ToolCallLog(sample_rate=1).record(actor(name), "t", "ok", 0.1, via="mcp")

    assert lines()[0]["client"] == name


# ------------------------------------------------------------------ how many lines


def test_a_share_of_the_calls_that_went_well_and_all_that_failed_have_lines(lines: Lines) -> None:
    numbers = iter(index / 100 for index in range(100))
    log = ToolCallLog(sample_rate=0.25, random=lambda: next(numbers))

    for number in range(100):
        log.record(actor(), "orders_get", "ok", 0.1, via="mcp")
        log.record(actor(), "orders_get", f"CODE_{number % 10}", 0.1, via="mcp")

    outcomes = [line["outcome"] for line in lines()]
    assert (outcomes.count("ok"), len(outcomes)) == (25, 125)


@pytest.mark.parametrize(("rate", "written"), [(1.0, 1_000), (0.0, FAILED_LINES)])
def test_calls_that_fail_in_an_outage_are_sampled_beyond_one_a_second(
    lines: Lines, rate: float, written: int
) -> None:
    log = ToolCallLog(sample_rate=rate, clock=lambda: 1_200_000.0)

    for _ in range(1_000):
        log.record(actor(), "orders_get", "ORDERDESK_API_ERROR", 0.1, via="mcp")

    assert len(lines()) == written


@pytest.mark.parametrize("level", ["WARNING", "ERROR"])
async def test_a_higher_level_turns_them_off(
    world: World, stream: io.StringIO, lines: Lines, level: str
) -> None:
    configure_logging(level, stream)

    await world.owner.get("orders_get", order_id=FIRST_ORDER)
    await world.owner.refused("no_such_tool")

    assert lines() == []


async def test_refused_calls_cannot_fill_the_log(world: World, lines: Lines) -> None:
    world.services.limits.tools.rules = TokenBucket(1, 1 / 3600)
    await world.owner.get("orders_get", order_id=FIRST_ORDER)

    for _ in range(500):
        await world.owner.refused("orders_get", order_id=FIRST_ORDER)
        await world.owner.refused("no_such_tool")

    assert len(lines()) <= 1 + 2 * 2 * REFUSED_LINES  # a minute may end in between


def test_refusals_beyond_ten_of_a_kind_in_a_minute_are_counted(lines: Lines) -> None:
    seconds = 1_200_000.0
    log = ToolCallLog(sample_rate=1, clock=lambda: seconds)

    for _ in range(40):
        log.record_refusal(actor(), "orders_get", "VALIDATION_ERROR", 0.1, via="mcp")
    seconds += 60
    log.record_refusal(actor(), "orders_get", "VALIDATION_ERROR", 0.1, via="mcp")

    assert len(lines()) == REFUSED_LINES + 1
    assert lines()[-1]["left_out"] == 30


def test_many_kinds_of_refusals_have_no_more_lines_than_a_thousand(lines: Lines) -> None:
    log = ToolCallLog(sample_rate=1, clock=lambda: 1_200_000.0)

    for number in range(3_000):
        who = Actor(TenantId(f"tenant-{number}"), via=Via.MCP)
        log.record_refusal(who, "orders_get", "VALIDATION_ERROR", 0.1, via="mcp")

    assert len(lines()) == 1_000 + REFUSED_LINES


# ------------------------------------------------------------------ what can go wrong


def test_a_log_that_cannot_be_written_stops_no_call(stream: io.StringIO) -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(28, "No space left on device")

    configure_logging("INFO", Full())
    ToolCallLog(sample_rate=1).record(actor(), "t", "ok", 0.1, via="mcp")


async def test_the_setting_reaches_the_log(sqlite_url: str, lines: Lines) -> None:
    async with open_world(settings_for(sqlite_url, TOOL_CALL_LOG_SAMPLE_RATE="0"), None) as world:
        await world.owner.get("orders_get", order_id=FIRST_ORDER)
        await world.owner.refused("orders_get", order_id="999999999")

    assert [line["outcome"] for line in lines()] == ["NOT_FOUND"]
