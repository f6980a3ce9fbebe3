"""kill -9 in the middle of the work: what was begun is settled by the next read, and hardly a row
of the audit is lost.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
from sqlmodel import col, select

from orderdesk_app.db.audit import AuditEntry
from orderdesk_app.db.changes import Change
from orderdesk_app.db.engine import Database
from tests.worlds import (
    API_KEY,
    FIRST_ORDER,
    PROMISED,
    AgentClient,
    SandboxServer,
    Server,
    copy_of,
    eventually,
    serving,
)


@pytest.fixture
def crash_url(tmp_path: Path, sqlite_template: Path) -> str:
    return copy_of(sqlite_template, tmp_path / "data")


@pytest.fixture
def doomed(tmp_path: Path, crash_url: str, sandbox_server: SandboxServer) -> Iterator[Server]:
    """The server that a test kills."""
    sandbox_server.reset()
    with serving(tmp_path, crash_url, ORDERDESK_API_URL=sandbox_server.url) as (server,):
        yield server


@pytest.fixture
def survivor(
    doomed: Server, tmp_path: Path, crash_url: str, sandbox_server: SandboxServer
) -> Iterator[Server]:
    """Another one on the same database."""
    with serving(tmp_path, crash_url, ORDERDESK_API_URL=sandbox_server.url) as (server,):
        yield server


@pytest.fixture
async def database(crash_url: str) -> AsyncIterator[Database]:
    database = Database(crash_url)
    yield database
    await database.close()


async def changes(database: Database) -> list[Change]:
    async with database.read() as session:
        return list((await session.exec(select(Change).order_by(col(Change.at)))).all())


async def die_while_writing(
    doomed: Server, survivor: Server, sandbox: SandboxServer, effect: str
) -> AgentClient:
    """The first server is killed while Order Desk is at work on its PUT; a client of the second."""
    agent, other = doomed.client(), survivor.client()
    await agent.get("stores_register", store_id="10001", api_key=API_KEY)
    sandbox.forget()
    sandbox.fault("slow", method="PUT", seconds=30, effect=effect)
    writing = asyncio.create_task(
        agent.call("orders_update", order_id=FIRST_ORDER, changes={"email": "half@example.com"})
    )

    async def arrived() -> bool:
        return bool(sandbox.requests("PUT")) and (
            effect != "done" or sandbox.order("10001")["email"] == "half@example.com"
        )

    await eventually(arrived, 20)
    doomed.kill()
    with pytest.raises(httpx.TransportError):
        await writing
    await agent.http.aclose()
    return other


async def test_a_write_cut_off_after_its_effect_is_settled_by_the_next_read(
    doomed: Server, survivor: Server, sandbox_server: SandboxServer, database: Database
) -> None:
    other = await die_while_writing(doomed, survivor, sandbox_server, "done")
    [cut_off] = await changes(database)
    assert (cut_off.state, cut_off.closed_at) == ("open", None), (
        "the row was committed before the PUT"
    )

    async def settled() -> bool:
        order = (await other.get("orders_get", order_id=FIRST_ORDER, fields=["email"]))["order"]
        assert order["email"] == "half@example.com", (
            "what a read says is true from the first one on"
        )
        return (await changes(database))[0].state == "done"

    # The dead process' lock is over after 15 s; until then nobody can know that it is dead. Order
    # reads come from the cache for as long.
    await eventually(settled, 60, every=0.5)
    [row] = await changes(database)
    assert row.closed_at is not None
    assert row.after is not None
    async with database.read() as session:
        [told] = (
            await session.exec(select(AuditEntry).where(col(AuditEntry.change_id) == row.id))
        ).all()
    assert (told.action, told.outcome, told.via, told.request_id) == (
        "order.settle",
        "ok",
        "mcp",
        row.request_id,
    ), "whoever called has a row after all"
    await other.http.aclose()


async def test_a_killed_server_loses_no_row_of_a_write_and_at_most_a_second_of_reads(
    doomed: Server, database: Database
) -> None:
    agent = doomed.client()
    await agent.get("stores_register", store_id="10002", api_key=API_KEY)
    answered: list[tuple[float, str]] = []
    until = time.monotonic() + 4
    number = 0
    while time.monotonic() < until:
        number += 1
        await agent.get("stores_list")
        answered.append((time.monotonic(), "stores_list"))
        if number % 10 == 0:
            await agent.get("stores_use_store", identifier="10002")
            answered.append((time.monotonic(), "stores_use_store"))

    killed = time.monotonic()
    doomed.kill()

    async with database.read() as session:
        rows = list(
            (
                await session.exec(select(AuditEntry.tool).where(col(AuditEntry.action) == "tool"))
            ).all()
        )
    kept_reads, kept_writes = rows.count("stores_list"), rows.count("stores_use_store")
    assert kept_writes == sum(tool == "stores_use_store" for _, tool in answered)
    assert kept_reads >= sum(
        tool == "stores_list" and at < killed - PROMISED for at, tool in answered
    )
    await agent.http.aclose()
