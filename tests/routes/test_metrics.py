"""Who may read `/metrics`, and that its figures move."""

import asyncio
import time
from collections.abc import Iterable
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.types import Receive, Scope, Send

from orderdesk_app import wiring
from orderdesk_app.observability import metric_families, metrics_text
from orderdesk_app.server import App
from tests.mcp_server import InProcessApp, McpServer, call, modern
from tests.worlds import counted, on_sqlite, open_services, settings_for

TOKEN = "b8f1c0d29e7a46538b1f0c2d7e9a4653"
KMS_KEY = "q2Wn0vQm8pYt3Zk6sR1xLw5uHc7jB4dFgEaTiOyPnVM="
PRODUCTION = {
    "APP_ENV": "production",
    "PUBLIC_URL": "http://localhost:8080",
    "MCP_KMS_KEY": KMS_KEY,
}


@on_sqlite
async def test_in_development_metrics_are_open(inside: InProcessApp) -> None:
    async with inside() as http:
        answer = await http.get("/metrics")

    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")


@on_sqlite
@pytest.mark.parametrize(
    ("values", "given", "status"),
    [
        (PRODUCTION, None, 404),
        (PRODUCTION, "Bearer ", 404),
        ({**PRODUCTION, "METRICS_TOKEN": TOKEN}, None, 404),
        ({**PRODUCTION, "METRICS_TOKEN": TOKEN}, "Bearer wrong", 404),
        ({**PRODUCTION, "METRICS_TOKEN": TOKEN}, TOKEN, 404),
        ({**PRODUCTION, "METRICS_TOKEN": TOKEN}, f"Bearer {TOKEN}", 200),
        ({**PRODUCTION, "METRICS_TOKEN": TOKEN}, f"bearer  {TOKEN}", 200),
        ({"METRICS_TOKEN": TOKEN}, None, 404),
        ({"METRICS_TOKEN": TOKEN}, f"Bearer {TOKEN}", 200),
        ({"ENABLE_METRICS": "false"}, None, 404),
    ],
)
async def test_in_production_only_the_token_opens_them(
    inside: InProcessApp, values: dict[str, str], given: str | None, status: int
) -> None:
    async with inside(**values) as http:
        answer = await http.get(
            "/metrics", headers={"authorization": given} if given is not None else {}
        )

    assert answer.status_code == status
    if status == 404:
        assert answer.json()["error"] == "not_found"


@on_sqlite
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_a_stranger_is_not_told_that_there_are_metrics(
    inside: InProcessApp, method: str
) -> None:
    async with inside(**PRODUCTION, METRICS_TOKEN=TOKEN) as http:
        hidden = await http.request(method, "/metrics")
        known = await http.request(method, "/metrics", headers={"authorization": f"Bearer {TOKEN}"})

    assert hidden.status_code == 404
    assert known.status_code == (200 if method in ("GET", "HEAD") else 405)


def test_there_are_at_least_fifteen_families_of_our_own_each_in_words() -> None:
    families = metric_families()

    assert len({family.name for family in families}) >= 15
    for family in families:
        assert family.name.startswith("orderdesk_")
        assert family.documentation.endswith(".")


def _figures(mcp_server: McpServer) -> dict[str, float]:
    with mcp_server.http("") as http:
        text = http.get("/metrics").text
    return {
        f"{sample.name}{sorted(sample.labels.items())}": sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_what_happens_at_the_door_moves_its_figures(mcp_server: McpServer) -> None:
    before = _figures(mcp_server)
    with mcp_server.http() as http:
        http.post("/mcp", json=call("stores_list"), headers={"mcp-protocol-version": "2025-11-25"})
        headers, body = modern("tools/list")
        http.post("/mcp", json=body, headers=headers)
        http.get("/mcp")
        http.post("/mcp", content=b"{")
    with mcp_server.http("") as http:
        http.post("/mcp", json=call("stores_list"))

    expected = {
        "orderdesk_mcp_requests_total[('method', 'tools/call'), ('revision', '2025-11-25')]": 1,
        "orderdesk_mcp_requests_total[('method', 'tools/list'), ('revision', '2026-07-28')]": 1,
        "orderdesk_mcp_refused_total[('reason', 'method')]": 1,
        "orderdesk_mcp_refused_total[('reason', 'json')]": 1,
        "orderdesk_credentials_refused_total[('door', 'mcp')]": 1,
        "orderdesk_http_requests_total[('route', '/mcp'), ('status', '2xx')]": 2,
        "orderdesk_http_requests_total[('route', '/mcp'), ('status', '4xx')]": 3,
        "orderdesk_http_request_seconds_count[('route', '/mcp')]": 5,
        "orderdesk_tool_calls_total[('outcome', 'ok'), ('tool', 'stores_list'), ('via', 'mcp')]": 1,
        "orderdesk_tool_call_seconds_count[('tool', 'stores_list')]": 1,
    }
    until = time.monotonic() + 5  # a request is counted when its answer is out
    while (
        moved := _moved(before, _figures(mcp_server), expected)
    ) != expected and time.monotonic() < until:
        time.sleep(0.02)
    assert moved == expected


def _moved(
    before: dict[str, float], after: dict[str, float], names: Iterable[str]
) -> dict[str, float]:
    return {name: after.get(name, 0) - before.get(name, 0) for name in names}


def test_no_stranger_makes_new_figures(mcp_server: McpServer) -> None:
    with mcp_server.http() as http:
        http.post(
            "/mcp",
            json={"jsonrpc": "2.0", "id": 1, "method": "x" * 300},
            headers={"mcp-protocol-version": "2025-11-25"},
        )
        http.post("/mcp", json=call("no_such_tool_" + "y" * 300))
        http.get("/some/path/" + "z" * 300)
        text = http.get("/metrics").text

    assert "xxx" not in text
    assert "yyy" not in text
    assert "zzz" not in text


def test_the_process_and_its_python_are_measured_and_no_series_tells_when_it_began() -> None:
    text = metrics_text().decode()
    names = {
        sample.name for family in text_string_to_metric_families(text) for sample in family.samples
    }

    assert {
        "process_resident_memory_bytes",
        "process_cpu_seconds_total",
        "process_open_fds",
        "python_info",
        "python_gc_collections_total",
    } <= names
    assert [name for name in names if name.endswith("_created")] == []


@on_sqlite
async def test_requests_that_are_answered_are_counted_while_they_last(
    inside: InProcessApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def slow(self: object) -> None:
        begun.set()
        await may_end.wait()

    async with inside() as http:
        monkeypatch.setattr(type(wiring.current().database), "ping", slow)
        asked = asyncio.create_task(http.get("/health/ready"))
        await begun.wait()
        during = counted("open_sockets", kind="request")
        may_end.set()
        await asked

    assert (during, counted("open_sockets", kind="request")) == (1, 0)


@on_sqlite
async def test_they_are_measured_when_metrics_are_asked(inside: InProcessApp) -> None:
    async with inside() as http:
        text = (await http.get("/metrics")).text

    assert 'orderdesk_open_sockets{kind="all"}' in text
    assert 'orderdesk_open_sockets{kind="request"} 1.0' in text
    assert 'orderdesk_database_pool_size{pool="reading"} 16.0' in text
    assert "orderdesk_event_loop_lag_seconds " in text
    assert "orderdesk_event_loop_lag_max_seconds " in text


async def test_open_websockets_are_counted_while_they_last(sqlite_url: str) -> None:
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def page(scope: Scope, receive: Receive, send: Send) -> None:
        begun.set()
        await may_end.wait()

    async def nothing(*_: object) -> Any: ...

    app = App(settings_for(sqlite_url), [], page, open_services)
    opened = asyncio.create_task(
        app({"type": "websocket", "path": "/_event", "headers": []}, nothing, nothing)
    )
    await begun.wait()
    during = counted("open_sockets", kind="websocket")
    may_end.set()
    await opened

    assert (during, counted("open_sockets", kind="websocket")) == (1, 0)
