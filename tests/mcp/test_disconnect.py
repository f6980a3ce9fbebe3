"""A caller that goes takes its reads along, and nothing else."""

import asyncio
from typing import Any

import pytest
from sqlmodel import select

from orderdesk_app import wiring
from orderdesk_app.db.audit import AuditEntry
from orderdesk_app.mcp.body import ClientDisconnected
from orderdesk_app.mcp.disconnect import cancel_on_disconnect
from orderdesk_app.services.order_update import OrderUpdate
from orderdesk_app.services.orders import Orders
from tests.mcp_server import MODERN, InProcessApp, call, modern
from tests.worlds import FIRST_ORDER, MASTER_KEY, eventually, on_sqlite

pytestmark = pytest.mark.usefixtures("at_once")


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orderdesk_app.mcp.disconnect.QUICK_SECONDS", 0.001)


async def stays() -> Any:
    await asyncio.sleep(60)


async def goes() -> Any:
    await asyncio.sleep(0.01)
    return {"type": "http.disconnect"}


async def test_what_nobody_waits_for_is_stopped() -> None:
    reached: list[str] = []

    async def work() -> None:
        reached.append("begun")
        await asyncio.sleep(60)
        reached.append("done")

    with pytest.raises(ClientDisconnected):
        await cancel_on_disconnect(goes, work())

    assert reached == ["begun"]
    assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]


async def test_who_stays_gets_an_answer() -> None:
    done: list[bool] = []

    async def work() -> None:
        await asyncio.sleep(0.05)
        done.append(True)

    await cancel_on_disconnect(stays, work())

    assert done == [True]


async def test_a_stop_from_elsewhere_is_no_caller_that_went() -> None:
    task = asyncio.create_task(cancel_on_disconnect(stays, asyncio.sleep(60)))
    await asyncio.sleep(0.01)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


class Line:
    """One request of a caller who can hang up."""

    def __init__(self, body: bytes) -> None:
        self.body, self.gone, self.answers = body, asyncio.Event(), 0

    async def receive(self) -> Any:
        if self.body:
            body, self.body = self.body, b""
            return {"type": "http.request", "body": body, "more_body": False}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.answers += 1


def _scope(headers: dict[str, str]) -> dict[str, Any]:
    sent = {
        "host": "localhost",
        "authorization": f"Bearer {MASTER_KEY}",
        "accept": "application/json",
        "content-type": "application/json",
        **headers,
    }
    pairs = [(name.encode(), value.encode()) for name, value in sent.items()]
    return {
        "type": "http",
        "method": "POST",
        "path": "/mcp",
        "query_string": b"",
        "headers": pairs,
        "client": None,
        "http_version": "1.1",
        "scheme": "http",
    }


async def _outcomes(tool: str | None = None) -> list[tuple[str | None, str]]:
    services = wiring.current()
    await services.audit.flush()
    async with services.database.read() as session:
        rows = (
            await session.exec(
                select(AuditEntry).where(AuditEntry.action == "tool").order_by(AuditEntry.at)
            )
        ).all()  # type: ignore[arg-type]
    return [(row.tool, row.outcome) for row in rows if tool in (None, row.tool)]


@pytest.mark.parametrize("kind", ["2025-11-25", MODERN, "batch"])
@on_sqlite
async def test_a_read_whose_caller_went_stops_and_leaves_its_row(
    inside: InProcessApp, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def slow(self: Orders, *_: Any, **__: Any) -> Any:
        begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    headers, body = modern(
        "tools/call", {"name": "orders_get", "arguments": {"order_id": FIRST_ORDER}}
    )
    sent: Any = body
    if kind != MODERN:
        headers, sent = (
            {"mcp-protocol-version": kind},
            call("orders_get", {"order_id": FIRST_ORDER}),
        )
    if kind == "batch":
        headers, sent = {}, [sent, call("stores_list", message_id=2)]
    async with inside() as http:
        await _add_store()
        monkeypatch.setattr(Orders, "get", slow)
        line = Line(http.build_request("POST", "/mcp", json=sent).content)
        serving = asyncio.create_task(http.app(_scope(headers), line.receive, line.send))
        await asyncio.wait_for(begun.wait(), 10)
        line.gone.set()
        await asyncio.wait_for(ended.wait(), 10)
        await serving
        assert await eventually(_outcomes, 5) == [("orders_get", "CANCELLED")]

    assert line.answers == 0


@pytest.mark.parametrize("kind", ["2025-11-25", MODERN, "batch"])
@on_sqlite
async def test_a_write_whose_caller_went_goes_on_to_its_end(
    inside: InProcessApp, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()
    carry_out = OrderUpdate.carry_out

    async def slow(self: OrderUpdate, *arguments: Any) -> Any:  # its journal row is there
        begun.set()
        await go_on.wait()
        return await carry_out(self, *arguments)

    arguments = {"order_id": FIRST_ORDER, "changes": {"email": "new@example.com"}}
    headers, body = modern("tools/call", {"name": "orders_update", "arguments": arguments})
    sent: Any = body
    if kind != MODERN:
        headers, sent = {"mcp-protocol-version": kind}, call("orders_update", arguments)
    if kind == "batch":
        headers, sent = {}, [sent, call("orders_delete", {"order_id": FIRST_ORDER}, message_id=2)]
    async with inside() as http:
        await _add_store()
        monkeypatch.setattr(OrderUpdate, "carry_out", slow)
        line = Line(http.build_request("POST", "/mcp", json=sent).content)
        serving = asyncio.create_task(http.app(_scope(headers), line.receive, line.send))
        await asyncio.wait_for(begun.wait(), 10)
        line.gone.set()
        await asyncio.wait_for(serving, 10)
        go_on.set()
        assert await eventually(_outcomes, 10) == [("orders_update", "ok")]
        services = wiring.current()
        principal = await services.access.by_token(MASTER_KEY)
        outcome = await services.runner.run(
            principal, "orders_get", {"order_id": FIRST_ORDER, "fields": ["email"]}
        )

    assert (outcome.result or {})["order"]["email"] == "new@example.com"


async def _add_store() -> None:
    services = wiring.current()
    await services.stores.add_sandbox((await services.access.by_token(MASTER_KEY)).actor)
