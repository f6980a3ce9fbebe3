"""Disks that are full and files that are damaged."""

import contextlib
import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from sqlalchemy import text

from orderdesk_app.db.engine import Database
from orderdesk_app.errors import StorageFailed


@asynccontextmanager
async def full_disk(database: Database) -> AsyncIterator[None]:
    """No connection that writes to this SQLite file may take another page, and none is free."""
    await _set_most_pages(database, (await database.execute("PRAGMA page_count", {}))[0][0])
    with contextlib.suppress(StorageFailed):
        for number in range(10_000):
            await database.execute(
                "INSERT INTO buckets (key, tokens, updated_at) VALUES (:key, 1, 1)",
                {"key": f"{number} {'x' * 200}"},
            )
        raise AssertionError("the disk is not full")
    yield
    await _set_most_pages(database, 1_000_000)


async def _set_most_pages(database: Database, count: int) -> None:
    await database.execute(f"PRAGMA max_page_count={count}", {})
    async with database.write() as session:
        await (await session.connection()).execute(text(f"PRAGMA max_page_count={count}"))


def nothing_free(path: Path) -> os.statvfs_result:
    """What a full disk says of itself."""
    disk = os.statvfs(path)
    return os.statvfs_result((*disk[:3], 0, 0, *disk[5:]))


def damage(path: Path, table: str) -> None:
    """The first page of the table is overwritten in the file, which nobody has open."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        [(size,)] = connection.execute("PRAGMA page_size").fetchall()
        [(root,)] = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)
        ).fetchall()
    with path.open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(b"\x99" * size)
