"""The log can hold nothing personal and no secret, whoever writes to it; and every figure of
`/metrics` moves when its thing happens.
"""

import ast
import asyncio
import io
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import httpx
import pytest

from orderdesk_app.config import Settings
from orderdesk_app.context import Actor, RequestContext, Secret, Via, serving
from orderdesk_app.errors import NotFound, OrderDeskAgentsError
from orderdesk_app.observability import LOG_FIELDS, configure_logging, log, metric_families
from orderdesk_app.server import create_app
from orderdesk_app.services import audit as audit_service
from orderdesk_app.services.orders import Orders
from orderdesk_app.token_bucket import TokenBucket
from tests.mcp_server import living
from tests.worlds import (
    FIRST_ORDER,
    ROOT,
    SandboxServer,
    World,
    counted,
    open_world,
    sandbox_server,
    settings_for,
)

__all__ = ["sandbox_server"]

LEVELS = ("debug", "info", "warning", "error", "exception", "critical")
NASTY = {
    "an e-mail address": "ada.okafor@example.com",
    "an access key": "odk_4f9aX2b7Q1Zc8Vt6Rr3Ww5Yy0Uu",
    "a master key": "Zk3_9-xQ7vLm2Np5Rs8Tt1Uu4Vv6Ww0Xx3Yy6Zz9Aa2Bb5Cc8Dd1Ee4Ff7Gg0Hh3",
    "an IP address": "203.0.113.77",
    "an IPv6 address": "2001:db8:85a3::8a2e:370:7334",
    "a phone number": "+44 20 7946 0958",
    "a cookie": "eyJhbGciOiJIUzI1NiJ9.eyJzaWQiOiIwMUhYIn0.c2lnbmF0dXJlLXNpZ25hdHVyZQ",
}
FairQueue = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """What stands in the log; afterwards the log is as it was."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    stream = io.StringIO()
    configure_logging("DEBUG", stream)
    yield stream
    root.handlers[:], root.level = before[0], before[1]


@dataclass
class Clock:
    seconds: float = 1_200_000.0  # a minute begins


@pytest.fixture
def clock() -> Iterator[Clock]:
    """The time that log records are made at."""
    clock = Clock()
    before = logging.getLogRecordFactory()

    def made_now(*given: Any, **values: Any) -> logging.LogRecord:
        record = before(*given, **values)
        record.created = clock.seconds
        return record

    logging.setLogRecordFactory(made_now)
    yield clock
    logging.setLogRecordFactory(before)


@pytest.fixture
def lines(written: io.StringIO) -> FairQueue:
    return lambda: [json.loads(line) for line in written.getvalue().splitlines()]


# ------------------------------------------------------------------ the log


def test_a_line_is_one_json_object_with_time_level_and_request_id(lines: FairQueue) -> None:
    with serving(RequestContext("request-4711")):
        log("orderdesk_app.somewhere").info("something happened", tool="orders_get", seconds=0.5)

    [line] = lines()
    assert (line["event"], line["level"], line["logger"], line["request_id"]) == (
        "something happened",
        "info",
        "orderdesk_app.somewhere",
        "request-4711",
    )
    assert (line["tool"], line["seconds"]) == ("orders_get", 0.5)
    assert line["timestamp"].endswith("Z")


@pytest.mark.parametrize("kind", NASTY)
def test_a_careless_line_of_ours_leaks_nothing(written: io.StringIO, kind: str) -> None:
    nasty = NASTY[kind]

    log("orderdesk_app.careless").warning(
        f"failed for {nasty}",
        email=nasty,
        customer=nasty,
        key=nasty,
        address=nasty,
        note=nasty,
        reason=f"because of {nasty}",
    )

    assert nasty not in written.getvalue()
    assert "failed for" in written.getvalue()


@pytest.mark.parametrize("name", ["reflex.app", "engineio.server", "socketio.server"])
def test_of_a_line_of_the_web_framework_only_the_place_stays(
    written: io.StringIO, lines: FairQueue, name: str
) -> None:
    try:
        raise ValueError("Jane Doe, 5 High Street")
    except ValueError:
        logging.getLogger(name).exception("Event data: %s Jane Doe, 5 High Street", "Jane Doe")
    logging.getLogger(name).error("Received Jane Doe, 5 High Street")

    with_error, without = lines()
    assert "Jane" not in written.getvalue()
    assert with_error["error"] == "ValueError"
    assert "test_observability.py" in without["place"]


def test_every_field_that_a_line_of_ours_carries_is_written() -> None:
    """A field that is not named in LOG_FIELDS is dropped in silence."""
    dropped = []
    calls = 0
    for path in sorted((ROOT / "orderdesk_app").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            if ast.unparse(node.func.value) != "_LOG" or node.func.attr not in LEVELS:
                continue
            calls += 1
            dropped += [
                f"{path.name}:{node.lineno} {keyword.arg}"
                for keyword in node.keywords
                if keyword.arg not in LOG_FIELDS | {"exc_info"}
            ]

    assert calls > 20
    assert dropped == []


@pytest.mark.parametrize("name", ["orderdesk_app.tools.runner", "some.library", "_granian"])
def test_no_kind_of_line_fills_the_log(lines: FairQueue, name: str, clock: Clock) -> None:
    def fails(kind: type[Exception]) -> None:
        try:
            raise kind("in an outage")
        except Exception as error:
            writer = log(name) if name.startswith("orderdesk") else logging.getLogger(name)
            writer.error("it broke", exc_info=error)

    for _ in range(500):
        fails(ValueError)
        fails(OSError)
    in_the_first_second = len(lines())
    for _ in range(55):
        clock.seconds += 1
        fails(ValueError)
    in_the_first_minute = len(lines())
    clock.seconds += 60
    fails(ValueError)

    assert in_the_first_second == 2
    assert in_the_first_minute == 20 + 1
    assert lines()[-1]["left_out"] == 36
    assert sum(1 + line.get("left_out", 0) for line in lines()) == 500 + 55 + 1 + 1


def test_lines_that_an_operator_asked_for_are_not_limited(lines: FairQueue) -> None:
    for _ in range(100):
        log("orderdesk_app.somewhere").info("a tool was called")

    assert len(lines()) == 100


def test_the_servers_own_lines_are_limited_alike() -> None:
    settings = json.loads((ROOT / "orderdesk_app" / "server_log.json").read_text(encoding="utf-8"))

    assert settings["filters"]["limited"]["()"] == "orderdesk_app.observability.LimitLines"
    assert settings["handlers"]["stderr"]["filters"] == ["limited"]


def test_browsers_cannot_fill_the_log_with_lines_of_the_framework(lines: FairQueue) -> None:
    for _ in range(500):
        logging.getLogger("reflex.app").error("nonsense")
    log("orderdesk_app.somewhere").error("a fault of ours")

    assert 20 <= len(lines()) <= 41  # a minute may end in between
    assert lines()[-1]["event"] == "a fault of ours"


@pytest.mark.parametrize(
    "name",
    [
        "customer",
        "email",
        "address",
        "first_name",
        "note",
        "api_key",
        "arguments",
        "body",
        "headers",
        "cookie",
        "phone",
    ],
)
def test_a_field_that_nobody_named_as_harmless_is_dropped(lines: FairQueue, name: str) -> None:
    log("orderdesk_app.careless").info("x", **{name: "Ada Okafor"})

    assert name not in LOG_FIELDS
    assert name not in lines()[0]


@pytest.mark.parametrize("kind", NASTY)
def test_a_librarys_line_keeps_its_words_without_its_arguments(
    written: io.StringIO, kind: str
) -> None:
    nasty = NASTY[kind]

    logging.getLogger("some.library").warning("could not reach %s", nasty)
    logging.getLogger("some.library").warning("could not reach " + nasty)
    # as libraries do
    logging.getLogger("some.library").error("refused: '%s'" % "Ada Okafor", extra={"who": nasty})  # noqa: UP031
    logging.getLogger("httpx").info("HTTP Request: GET %s", f"https://example.com/?token={nasty}")

    assert nasty not in written.getvalue()
    assert "Ada" not in written.getvalue()
    assert "could not reach" in written.getvalue()


@pytest.mark.parametrize("kind", NASTY)
def test_an_exception_keeps_type_and_place_without_its_text(
    written: io.StringIO, lines: FairQueue, kind: str
) -> None:
    def breaks() -> None:
        raise ValueError(f"cannot parse {NASTY[kind]} of Ada Okafor")

    for name in ("orderdesk_app.ours", "some.library"):
        try:
            breaks()
        except ValueError as error:
            (log(name) if name.startswith("orderdesk") else logging.getLogger(name)).error(
                "it broke", exc_info=error
            )

    assert NASTY[kind] not in written.getvalue()
    assert "Ada" not in written.getvalue()
    for line in lines():
        assert (line["event"], line["error"]) == ("it broke", "ValueError")
        assert "test_observability.py" in line["place"]


def test_a_secret_prints_stars(written: io.StringIO) -> None:
    log("orderdesk_app.careless").info("x", reason=Secret(NASTY["a master key"]))

    assert NASTY["a master key"] not in written.getvalue()


def test_libraries_are_heard_from_warnings_on_and_ours_at_our_level(lines: FairQueue) -> None:
    logging.getLogger("some.library").info("chatter")
    logging.getLogger("some.library").warning("trouble")
    log("orderdesk_app.ours").debug("detail")

    assert [line["event"] for line in lines()] == ["trouble", "detail"]


@pytest.mark.parametrize(
    ("level", "written_at"),
    [
        ("DEBUG", ["warning", "error", "critical"]),
        ("WARNING", ["warning", "error", "critical"]),
        ("ERROR", ["error", "critical"]),
        ("CRITICAL", ["critical"]),
    ],
)
def test_a_level_above_warnings_holds_for_libraries_too(
    written: io.StringIO, lines: FairQueue, level: str, written_at: list[str]
) -> None:
    configure_logging(level, written)

    for name in ("info", "warning", "error", "critical"):
        getattr(logging.getLogger(f"some.library.{name}"), name)("chatter")

    assert [line["level"] for line in lines()] == written_at


async def test_what_a_task_left_behind_says_nothing_personal(written: io.StringIO) -> None:
    asyncio.get_running_loop().call_exception_handler(
        {
            "message": "Task exception was never retrieved",
            "exception": ValueError(NASTY["an e-mail address"]),
            "future": "<Task ada.okafor@example.com>",
        }
    )

    assert "Task exception was never retrieved" in written.getvalue()
    assert NASTY["an e-mail address"] not in written.getvalue()


async def test_a_walk_through_orders_leaves_no_customer_in_the_log(
    sqlite_url: str, written: io.StringIO
) -> None:
    async with open_world(settings_for(sqlite_url, LOG_LEVEL="DEBUG"), None) as world:
        order = (await world.owner.get("orders_get", order_id=FIRST_ORDER))["order"]
        await world.owner.get("orders_list", search=order["email"])
        await world.owner.get(
            "orders_update",
            order_id=FIRST_ORDER,
            changes={"email": "new.customer@example.com", "order_notes": ["a private word"]},
        )
        await world.owner.refused(
            "orders_update", order_id=FIRST_ORDER, changes={"emial": "x@example.com"}
        )

    shipping = order["shipping"]
    personal = [
        order["email"],
        "new.customer@example.com",
        "a private word",
        shipping["last_name"],
        shipping["address1"],
        shipping["phone"],
        order["ip_address"],
    ]
    assert [text for text in personal if text and text in written.getvalue()] == []


# ------------------------------------------------------------------ the metrics


@pytest.fixture
async def world(sqlite_url: str, sandbox_server: SandboxServer) -> AsyncIterator[World]:
    sandbox_server.reset()
    async with open_world(
        settings_for(sqlite_url, ORDERDESK_API_URL=sandbox_server.url), sandbox_server
    ) as world:
        world.extra = {
            "sandbox": sandbox_server,
            "settings": settings_for(sqlite_url, ENABLE_WEBUI="false"),
        }
        yield world


async def call(world: World, tool: str = "stores_list", **arguments: Any) -> None:
    await world.owner.call(tool, arguments)


async def knock(world: World) -> None:
    """At the entry points that count: an agent's with and without a key."""
    settings: Settings = world.extra["settings"]
    app = create_app(settings)
    headers = {
        "authorization": f"Bearer {world.owner.key.reveal()}",
        "accept": "application/json, text/event-stream",
        "mcp-protocol-version": "2025-11-25",
    }
    async with (
        living(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://localhost:8080"
        ) as http,
    ):
        await http.get("/health/live")
        await http.get("/mcp")
        await http.get("/mcp", headers=headers)
        answer = await http.post(
            "/mcp",
            headers=headers,
            json={"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}},
        )
        assert answer.status_code == 200


async def write(world: World) -> None:
    await call(world, "orders_update", order_id=FIRST_ORDER, changes={"email": "new@example.com"})


async def lose_an_answer(world: World) -> None:
    world.extra["sandbox"].fault("broken_json", method="PUT")
    await write(world)


async def sign_in(world: World) -> None:
    await world.services.sign_in.with_key(
        world.owner.key, address="203.0.113.1", user_agent="tests"
    )


async def fail_to_sign_in(world: World) -> None:
    with pytest.raises(OrderDeskAgentsError):
        await world.services.sign_in.with_key(
            Secret("x" * 64), address="203.0.113.1", user_agent="tests"
        )


async def use_a_link(world: World) -> None:
    link = await world.services.sign_in.make_link((await world.owner.principal()).actor.tenant_id)
    await world.services.sign_in.use_link(link.reveal(), address="203.0.113.1", user_agent="tests")


async def spend_all(world: World) -> None:
    # nothing comes back between the two
    world.services.limits.tools.rules = TokenBucket(1, 1 / 60)
    await call(world)
    await call(world)


async def make_and_revoke_a_key(world: World) -> None:
    person = Actor((await world.owner.principal()).actor.tenant_id, via=Via.WEB)
    view, _ = await world.services.keys.create(person, "for a while")
    await world.services.keys.revoke(person, view.id)
    await world.services.keys.rotate_master(person)


async def read_twice(world: World) -> None:
    await call(world, "orders_get", order_id=FIRST_ORDER)
    await call(world, "orders_get", order_id=FIRST_ORDER)


async def break_a_tool(world: World) -> None:
    principal = await world.owner.principal()
    await world.services.runner.run(replace(principal, account=None), "stores_list", {})  # type: ignore[arg-type]


async def note_and_flush(world: World) -> None:
    await call(world)
    await world.services.audit.flush()


MOVES: list[tuple[str, dict[str, str], Callable[[World], Awaitable[None]]]] = [
    ("http_requests", {"route": "/health/live", "status": "2xx"}, knock),
    ("http_requests", {"route": "/mcp", "status": "4xx"}, knock),
    ("http_request_seconds", {"route": "/mcp"}, knock),
    ("mcp_requests", {"method": "tools/list", "revision": "2025-11-25"}, knock),
    ("mcp_refused", {"reason": "method"}, knock),
    ("credentials_refused", {"door": "mcp"}, knock),
    ("tool_calls", {"tool": "stores_list", "outcome": "ok", "via": "mcp"}, call),
    ("tool_call_seconds", {"tool": "stores_list"}, call),
    ("upstream_requests", {"method": "PUT"}, write),
    ("upstream_request_seconds", {"method": "PUT"}, write),
    ("cache_reads", {"kind": "order", "outcome": "miss"}, read_twice),
    ("cache_reads", {"kind": "order", "outcome": "hit"}, read_twice),
    ("writes", {"action": "update", "outcome": "done"}, write),
    ("reconciliations", {"verdict": "done"}, lose_an_answer),
    ("sign_ins", {"way": "key", "outcome": "ok"}, sign_in),
    ("sign_ins", {"way": "key", "outcome": "AUTH_ERROR"}, fail_to_sign_in),
    ("sign_ins", {"way": "link", "outcome": "ok"}, use_a_link),
    ("rate_limited", {"limit": "tools"}, spend_all),
    ("audit_rows", {"kind": "read"}, note_and_flush),
    ("audit_rows", {"kind": "write"}, write),
    (
        "store_changes",
        {"action": "deleted"},
        lambda world: call(world, "stores_delete", store_id=world.store_id),
    ),
    ("key_changes", {"action": "made"}, make_and_revoke_a_key),
    ("key_changes", {"action": "revoked"}, make_and_revoke_a_key),
    ("key_changes", {"action": "rotated"}, make_and_revoke_a_key),
    ("change_signals", {"topic": "tenant"}, make_and_revoke_a_key),
    ("change_signals", {"topic": "store"}, write),
    ("unexpected_errors", {"where": "tool"}, break_a_tool),
]
ELSEWHERE = {
    "jobs": "tests/services/test_jobs.py",
    "sign_ups": "tests/services/test_sign_up.py",
    "build_info": "test_the_version_stands_in_the_metrics",
    "tool_calls_running": "test_calls_in_progress_are_counted_while_they_run",
    "audit_waiting": "test_rows_that_wait_are_counted",
    "web_events": "tests/web/test_guard.py",
    "database_pool_in_use": "tests/services/test_saturation.py",
    "database_pool_size": "tests/services/test_saturation.py",
    "database_pool_waiting": "tests/services/test_saturation.py",
    "event_loop_lag_seconds": "tests/services/test_saturation.py",
    "event_loop_lag_max_seconds": "tests/services/test_saturation.py",
    "oauth_refused": "tests/web/test_oauth.py",
    "open_sockets": "tests/services/test_saturation.py",
    "web_sockets_refused": "tests/routes/test_sockets.py",
}


@pytest.mark.parametrize(
    ("family", "labels", "act"),
    MOVES,
    ids=[f"{family}-{'-'.join(labels.values())}" for family, labels, _ in MOVES],
)
async def test_what_happens_moves_its_figure(
    world: World, family: str, labels: dict[str, str], act: Callable[[World], Awaitable[None]]
) -> None:
    before = counted(family, **labels)

    await act(world)

    assert counted(family, **labels) > before


def test_every_family_has_a_test_that_moves_it() -> None:
    families = {family.name.removeprefix("orderdesk_") for family in metric_families()}

    assert families == {family for family, _, _ in MOVES} | set(ELSEWHERE), (
        "say in MOVES what moves it, or name its test in ELSEWHERE"
    )
    assert len(families) >= 15


def test_the_version_stands_in_the_metrics() -> None:
    assert counted("build_info") == 1


async def test_calls_in_progress_are_counted_while_they_run(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def waits(*_: Any, **__: Any) -> Any:
        begun.set()
        await go_on.wait()
        raise NotFound("There is no such order.")

    monkeypatch.setattr(Orders, "get", waits)
    running = asyncio.create_task(call(world, "orders_get", order_id=FIRST_ORDER))
    await asyncio.wait_for(begun.wait(), 30)
    meanwhile = counted("tool_calls_running")
    go_on.set()
    await running

    assert (meanwhile, counted("tool_calls_running")) == (1, 0)


async def test_rows_that_wait_are_counted(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[float] = []
    audit, write = world.services.audit, world.services.database.write

    def look() -> Any:
        seen.append(counted("audit_waiting"))
        return write()

    await audit.stop()
    # both calls come before the flush, however slow the machine is
    monkeypatch.setattr(audit_service, "FLUSH_SECONDS", 3600)
    await audit.start()
    await call(world)
    await call(world)
    monkeypatch.setattr(world.services.database, "write", look)
    await audit.stop()

    assert seen == [2]
    assert counted("audit_waiting") == 0


def test_labels_name_nobody() -> None:
    # a new label goes here, if it has few values and none of them names a person
    allowed = {
        "route",
        "status",
        "method",
        "revision",
        "reason",
        "tool",
        "outcome",
        "via",
        "kind",
        "action",
        "verdict",
        "way",
        "door",
        "limit",
        "topic",
        "where",
        "version",
        "pool",
        "le",
    }

    for family in metric_families():
        for sample in family.samples:
            assert set(sample.labels) <= allowed, family.name
