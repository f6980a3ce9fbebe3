"""Rows go in small batches, and what belongs to whom is read from the schema."""

import time
from typing import Any

import pytest
from sqlalchemy import func, insert, select

from orderdesk_app.context import new_id, now
from orderdesk_app.db.audit import NAMELESS
from orderdesk_app.db.deletions import Doomed, RowDeletion, next_count
from orderdesk_app.db.engine import Database
from orderdesk_app.db.schema import METADATA
from tests.db.ownership import add_missing_rows, belonging_to

AUDIT = METADATA.tables["audit_log"]


def test_every_foreign_key_that_deletes_or_empties_is_found_by_an_index() -> None:
    indexed = {
        (table.name, first.name)
        for table in METADATA.tables.values()
        for columns in (
            list(table.primary_key.columns),
            *(list(index.columns) for index in table.indexes),
            *(list(rule.columns) for rule in table.constraints if hasattr(rule, "columns")),
        )
        for first in columns[:1]
    }

    without = sorted(
        (table.name, key.parent.name)
        for table in METADATA.tables.values()
        for key in table.foreign_keys
        if (table.name, key.parent.name) not in indexed
    )
    assert not without, f"a deletion would read all rows of these tables: {without}"


async def test_all_tables_of_an_account_and_a_user_are_emptied(
    database: Database, two_tenants: Any
) -> None:
    ada, bert = two_tenants
    deletion = RowDeletion(database, METADATA, nameless=NAMELESS, erasure=bytes)
    async with database.write() as session:
        ids = {"tenants": str(ada.view.id), "users": str(ada.view.owner_id)}
        connection = await session.connection()
        await connection.run_sync(lambda sync: add_missing_rows(sync, ids))
    doomed = Doomed(ada.view.owner_id, (ada.view.id,))
    spared = Doomed(bert.view.owner_id, (bert.view.id,))
    async with database.read() as session:
        before, of_bert = (
            await deletion.count_rows(session, doomed),
            await deletion.count_rows(session, spared),
        )

    assert await deletion.delete_rows(doomed, until=time.monotonic() + 60)
    async with database.write() as session:
        await deletion.delete_rest(session, doomed)

    assert set(before) == belonging_to("tenants") | belonging_to("users") | {"tenants", "users"}
    assert all(before.values()), before
    async with database.read() as session:
        assert not any((await deletion.count_rows(session, doomed)).values())
        assert await deletion.count_rows(session, spared) == of_bert


async def test_many_rows_go_in_batches_and_a_later_call_goes_on(
    database: Database, two_tenants: Any
) -> None:
    ada, _ = two_tenants
    deletion = RowDeletion(database, METADATA, nameless=NAMELESS, erasure=bytes)
    rows = [
        {
            "id": new_id(),
            "at": now(),
            "tenant_id": ada.view.id,
            "via": "mcp",
            "action": "tool",
            "outcome": "ok",
        }
        for _ in range(300)
    ]
    async with database.write() as session:
        values = {column.name: "" for column in AUDIT.c if str(column.type) == "VARCHAR"}
        connection = await session.connection()
        blank = {"duration_ms": 0.0, "cached": False, "upstream_requests": 0, "times": 1}
        await connection.execute(
            insert(AUDIT), [{**values, "user_id": None, **blank, **row} for row in rows]
        )
    doomed = Doomed(None, (ada.view.id,))

    assert not await deletion.delete_rows(doomed, until=time.monotonic())
    assert await deletion.delete_rows(doomed, until=time.monotonic() + 60)

    async with database.read() as session:
        question = select(func.count()).select_from(AUDIT)
        assert (await (await session.connection()).execute(question)).scalar_one() == 0


@pytest.mark.parametrize(
    ("count", "took", "following"),
    [(50, 0.0, 100), (1_000, 0.02, 2_000), (2_000, 0.01, 2_000), (1_000, 0.4, 500), (60, 9, 50)],
)
def test_a_batch_has_as_many_rows_as_take_a_moment(count: int, took: float, following: int) -> None:
    assert next_count(count, took) == following


def test_nobody_and_nothing_is_no_deletion() -> None:
    with pytest.raises(AssertionError):
        Doomed(None, ())
