"""Old rows go in small batches, by one process; what is young or not settled stays."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlmodel import select

from orderdesk_app.context import Sealed, StoreId, StoreRowId, now
from orderdesk_app.db import retention as rows_module
from orderdesk_app.db.audit import AuditEntry
from orderdesk_app.db.changes import Change
from orderdesk_app.db.engine import Database
from orderdesk_app.db.leases import Leases
from orderdesk_app.db.stores import Store
from orderdesk_app.security.audit_links import PURPOSE, AuditKey
from orderdesk_app.security.keyring import Keyring
from orderdesk_app.services.audit_chains import AuditChains
from orderdesk_app.services.retention import LEASE, Retention

NOW = now()
OLD = NOW - timedelta(days=91)
YOUNG = NOW - timedelta(days=89)

MakeRetention = Callable[..., Retention]


@pytest.fixture
def make(database: Database, keyring: Keyring) -> MakeRetention:
    chains = AuditChains(AuditKey(keyring.purpose(PURPOSE)))

    def make(**values: Any) -> Retention:
        given = {"audit_days": 90, "journal_days": 90, "clock": lambda: NOW, "pause": 0} | values
        return Retention(database, Leases(database), chains, **given)

    return make


async def add_entries(database: Database, tenant: Any, at: datetime, count: int) -> None:
    async with database.write() as session:
        for number in range(count):
            session.add(
                AuditEntry(
                    at=at + timedelta(seconds=number),
                    tenant_id=tenant.view.id,
                    via="mcp",
                    action="tool",
                    outcome="ok",
                )
            )


@pytest.fixture
async def store(database: Database, tenant: Any) -> StoreRowId:
    row = Store(
        tenant_id=tenant.view.id,
        store_id=StoreId("77"),
        name="Teas",
        api_url="https://app.example",
        api_key=Sealed(b"x"),
    )
    async with database.write() as session:
        session.add(row)
    return StoreRowId(row.id)


async def add_change(database: Database, tenant: Any, store: StoreRowId, **values: Any) -> None:
    async with database.write() as session:
        session.add(
            Change(
                **{
                    "at": OLD,
                    "tenant_id": tenant.view.id,
                    "store_row_id": store,
                    "kind": "order",
                    "object_id": "5",
                    "action": "update",
                    **values,
                }
            )
        )


async def left(database: Database, table: Any) -> list[Any]:
    async with database.read() as session:
        return list((await session.exec(select(table))).all())


async def test_old_audit_rows_go_and_young_ones_stay(
    make: MakeRetention, database: Database, tenant: Any
) -> None:
    await add_entries(database, tenant, OLD, 5)
    await add_entries(database, tenant, YOUNG, 3)

    assert await make().delete_old_rows() == 5

    assert len(await left(database, AuditEntry)) == 3


@pytest.mark.parametrize("state", ["open", "unknown"])
async def test_a_write_that_is_open_is_never_deleted(
    make: MakeRetention, database: Database, tenant: Any, store: StoreRowId, state: str
) -> None:
    await add_change(database, tenant, store, state=state, closed_at=None)
    await add_change(database, tenant, store, state="done", closed_at=OLD)
    await add_change(database, tenant, store, state="done", closed_at=YOUNG)

    assert await make().delete_old_rows() == 1

    assert {(row.state, row.closed_at is None) for row in await left(database, Change)} == {
        (state, True),
        ("done", False),
    }


async def test_it_goes_in_small_batches_between_which_others_write(
    make: MakeRetention, database: Database, tenant: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows_module, "AUDIT_BATCH", 10)
    await add_entries(database, tenant, OLD, 100)
    execute, sizes = database.execute, []

    async def counted(statement: str, parameters: Any) -> Any:
        found = await execute(statement, parameters)
        if "audit_log" in statement:
            sizes.append(len(found))
        return found

    monkeypatch.setattr(database, "execute", counted)
    deleting = asyncio.create_task(make(pause=0.01).delete_old_rows())
    await add_entries(database, tenant, YOUNG, 1)
    was_running = not deleting.done()

    assert await deleting == 100
    assert max(sizes) == 10
    assert was_running


async def test_of_two_processes_one_does_it(
    make: MakeRetention, database: Database, tenant: Any
) -> None:
    await add_entries(database, tenant, OLD, 5)
    first, second = make(), make()

    counts = await asyncio.gather(first.delete_old_rows(), second.delete_old_rows())

    assert sorted(counts) == [0, 5]


async def test_one_that_lost_its_lease_stops(
    make: MakeRetention, database: Database, tenant: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows_module, "AUDIT_BATCH", 10)
    await add_entries(database, tenant, OLD, 30)

    async def takes_over(*_: object) -> bool:
        await database.execute("UPDATE leases SET holder = 'other' WHERE name = :n", {"n": LEASE})
        return False

    monkeypatch.setattr(Leases, "renew", takes_over)

    assert await make().delete_old_rows() == 10
    assert len(await left(database, AuditEntry)) == 20


async def test_zero_days_keep_rows_for_ever(
    make: MakeRetention, database: Database, tenant: Any, store: StoreRowId
) -> None:
    await add_entries(database, tenant, OLD, 2)
    await add_change(database, tenant, store, state="done", closed_at=OLD)

    assert await make(audit_days=0).delete_old_rows() == 1
    assert await make(audit_days=0, journal_days=0).delete_old_rows() == 0

    assert len(await left(database, AuditEntry)) == 2


async def test_a_stop_gives_the_lease_back(make: MakeRetention, database: Database) -> None:
    leases, first = Leases(database), make()
    await first.start()
    await first.delete_old_rows()
    while_it_ran = await leases.acquire(LEASE, "another", 10)

    await first.stop()

    assert not while_it_ran
    assert await leases.acquire(LEASE, "another", 10)


@pytest.mark.parametrize(
    "statement",
    [
        rows_module.DELETE_AUDIT_ROWS,
        rows_module.DELETE_CHANGES,
        rows_module.DELETE_CLIENTS,
        rows_module.DELETE_CODES,
        rows_module.DELETE_TOKENS,
    ],
)
async def test_old_rows_are_found_by_an_index(database: Database, statement: str) -> None:
    if not database.is_sqlite:
        return  # Postgres scans so small a table
    inner = statement.partition("(")[2].rpartition(")")[0].strip()
    inner = inner.format(waiting="SELECT value FROM json_each(:waiting)")
    given = {"before": "2026", "count": 5, "waiting": "[]"}
    plan = await database.query(f"EXPLAIN QUERY PLAN {inner}", given)

    assert "USING INDEX" in str(plan) or "USING COVERING INDEX" in str(plan)
    assert "TEMP B-TREE" not in str(plan)
