"""A stop of the app in this process: what is waited for, what is cut off, and what callers hear."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

import httpx
import pytest
from starlette.types import Message

from orderdesk_app import server, wiring
from orderdesk_app.context import Secret
from orderdesk_app.graceful_stop import (
    ANSWER_SECONDS,
    REQUEST_SECONDS,
    GracefulStop,
    ServerStopping,
)
from orderdesk_app.services.orders import Orders
from orderdesk_app.serving import NOTICE_SECONDS, STOP_NOTICE
from tests.mcp_server import call, living
from tests.worlds import MASTER_KEY, eventually, open_services, settings_for

Given = Callable[..., GracefulStop]


@pytest.fixture
def exits() -> list[int]:
    """The codes with which this process would have ended."""
    return []


@pytest.fixture
def given(exits: list[int]) -> Given:
    """A stop whose times are short."""
    return partial(
        GracefulStop,
        notice_seconds=0.01,
        request_seconds=0.2,
        answer_seconds=0.05,
        exit_process=exits.append,
    )


async def nothing() -> None: ...


async def hears_nothing() -> Message:
    await asyncio.sleep(60)
    raise AssertionError("it was waited for")


def test_a_stop_without_writes_takes_less_than_ten_seconds() -> None:
    assert NOTICE_SECONDS < REQUEST_SECONDS
    assert REQUEST_SECONDS + 2 * ANSWER_SECONDS <= 8  # and two for closing what is open
    assert REQUEST_SECONDS > 5  # Order Desk answers within these


async def test_requests_end_then_writes_and_then_the_process(
    given: Given, exits: list[int]
) -> None:
    stop, happened = given(), []

    async def request() -> None:
        await asyncio.sleep(0.05)
        happened.append("request")

    async def writes() -> None:
        happened.append("writes")

    serving = asyncio.create_task(stop.serve(request()))
    await asyncio.sleep(0)
    assert stop.running == 1
    stop.begin(writes)
    message = await stop.receive(hears_nothing)
    stop.closed()
    await serving

    await eventually(_is(exits, [0]), 5)
    assert happened == ["request", "writes"]
    assert message == {"type": "lifespan.shutdown"}
    assert stop.running == 0


async def test_a_request_that_takes_too_long_is_cut_off(given: Given) -> None:
    stop = given()
    serving = asyncio.create_task(stop.serve(asyncio.sleep(60)))
    await asyncio.sleep(0)

    stop.begin(nothing)
    with pytest.raises(ServerStopping):
        await serving

    assert stop.running == 0


async def test_a_request_that_comes_after_the_notice_is_refused(given: Given) -> None:
    stop = given()
    serving = asyncio.create_task(stop.serve(asyncio.sleep(0.15)))
    await asyncio.sleep(0)
    stop.begin(nothing)
    await stop.serve(nothing())  # within the notice
    await asyncio.sleep(0.05)

    with pytest.raises(ServerStopping):
        await stop.serve(nothing())

    await serving


async def test_an_idle_process_ends_without_waiting(given: Given, exits: list[int]) -> None:
    stop = given(answer_seconds=30)

    stop.begin(nothing)
    await stop.receive(hears_nothing)
    stop.closed()

    await eventually(_is(exits, [0]), 5)


async def test_a_request_lives_as_long_as_a_write_is_waited_for(given: Given) -> None:
    """It may be the one that the write answers."""
    stop = given(request_seconds=0.02)
    serving = asyncio.create_task(stop.serve(asyncio.sleep(0.3)))
    await asyncio.sleep(0)

    stop.begin(lambda: asyncio.sleep(0.3))

    await serving


async def test_a_caller_who_hangs_up_meanwhile_is_no_stop(given: Given) -> None:
    stop = given()
    serving = asyncio.create_task(stop.serve(asyncio.sleep(60)))
    await asyncio.sleep(0)

    serving.cancel()

    with pytest.raises(asyncio.CancelledError):
        await serving


async def test_a_server_that_ends_by_itself_is_left_alone(given: Given, exits: list[int]) -> None:
    stop = given()
    stop.begin(nothing)
    stop.begin(nothing)

    async def says_it() -> Message:
        return {"type": "lifespan.shutdown"}

    message = await stop.receive(says_it)
    stop.closed()
    await asyncio.sleep(0.3)

    assert message == {"type": "lifespan.shutdown"}
    assert exits == []


# ------------------------------------------------------------------ the whole app


@pytest.fixture
async def http(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch, exits: list[int]
) -> AsyncIterator[httpx.AsyncClient]:
    shortly = partial(GracefulStop, request_seconds=0.4, answer_seconds=0.3)
    monkeypatch.setattr(server, "GracefulStop", partial(shortly, exit_process=exits.append))
    monkeypatch.setattr(server, "NOTICE_SECONDS", 0.2)
    settings = settings_for(sqlite_url, ENABLE_WEBUI="false", ADMIN_MASTER_KEY=MASTER_KEY)
    app = server.create_app(settings, open_services=open_services)
    async with (
        living(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://localhost:8080"
        ) as http,
    ):
        await wiring.current().tenants.ensure_admin(master_key=Secret(MASTER_KEY), has_webui=False)
        yield http


@pytest.mark.skipif(STOP_NOTICE is None, reason="this system has no such signal")
async def test_readiness_fails_while_work_runs_and_late_work_is_told(
    http: httpx.AsyncClient, exits: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = asyncio.Event()

    async def hangs(*_: Any, **__: Any) -> Any:
        begun.set()
        await asyncio.sleep(60)

    monkeypatch.setattr(Orders, "get", hangs)
    principal = await wiring.current().access.by_token(MASTER_KEY)
    await wiring.current().stores.add_sandbox(principal.actor)
    headers = {"authorization": f"Bearer {MASTER_KEY}", "mcp-protocol-version": "2025-11-25"}
    late = asyncio.create_task(
        http.post("/mcp", json=call("orders_get", {"order_id": "1"}), headers=headers)
    )
    await asyncio.wait_for(begun.wait(), 10)

    os.kill(os.getpid(), STOP_NOTICE or 0)
    await asyncio.sleep(0.05)
    ready = await http.get("/health/ready")
    meanwhile = await http.post("/mcp", json=call("stores_list"), headers=headers)
    answer = await late

    assert (ready.status_code, ready.json()["checks"]["server"]) == (503, "stopping")
    assert meanwhile.json()["result"]["isError"] is False
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "10"
    assert "stopping, so nothing was done" in answer.json()["error"]["message"]
    await eventually(_is(exits, [0]), 5)


def _is(found: list[int], wanted: list[int]) -> Callable[[], Awaitable[bool]]:
    async def question() -> bool:
        return found == wanted

    return question
