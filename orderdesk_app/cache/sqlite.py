"""A cache that survives a restart, in a SQLite file of its own.

Values come sealed; keys and tags are stored as digests.
"""

import asyncio
import os
import sqlite3
import time
from collections.abc import Callable
from functools import partial
from hashlib import blake2b
from pathlib import Path

import aiosqlite

SQLITE_BYTES = 256 * 1024 * 1024
_ENTRY_BYTES = 400
_PUTS_BETWEEN_SWEEPS = 200
_SCHEMA = (
    (
        "CREATE TABLE IF NOT EXISTS entries (number INTEGER PRIMARY KEY, key BLOB NOT NULL "
        "UNIQUE, value BLOB NOT NULL, size INTEGER NOT NULL, until REAL)"
    ),
    "CREATE INDEX IF NOT EXISTS entries_until ON entries (until)",
    (
        "CREATE TABLE IF NOT EXISTS tags (tag BLOB NOT NULL, key BLOB NOT NULL REFERENCES "
        "entries (key) ON DELETE CASCADE, PRIMARY KEY (tag, key)) WITHOUT ROWID"
    ),
    "CREATE INDEX IF NOT EXISTS tags_key ON tags (key)",
)


class SqliteCache:
    """Bounded in bytes, the oldest entries go first. Several processes may share the file.

    Keys contain search texts, e-mail addresses among them: without `secret`, the digests in the
    file reveal nothing.
    """

    def __init__(
        self,
        path: Path,
        *,
        secret: bytes = b"",
        limit: int = SQLITE_BYTES,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._path = path
        self._secret = secret[:64]
        self._limit = limit
        self._clock = clock
        self._connection: aiosqlite.Connection | None = None
        self._lock = asyncio.Lock()  # one statement or transaction of this connection at a time
        self._puts = 0

    async def get(self, key: str) -> bytes | None:
        """The value, or None; also None when the file cannot be read: the caller then fetches the
        value again.
        """
        try:
            async with self._lock:
                rows = await (await self._open()).execute_fetchall(
                    "SELECT value FROM entries WHERE key = ? AND until > ?",
                    (self._digest(key), self._clock()),
                )
        except (sqlite3.Error, OSError):
            return None
        return next((bytes(value) for (value,) in rows), None)

    async def put(self, key: str, value: bytes, seconds: float, tags: tuple[str, ...]) -> None:
        """Keeps the value, if it can: a full disk makes reads slower, but no call fails."""
        size = len(value) + _ENTRY_BYTES
        if seconds <= 0 or size > self._limit // 8:
            return
        name, until = self._digest(key), self._clock() + seconds
        try:
            async with self._lock:
                connection = await self._open()
                work = partial(
                    self._write,
                    connection._conn,
                    name,
                    value,
                    size,
                    until,
                    tuple(self._digest(tag) for tag in tags),
                )
                # the transaction in one trip to the thread
                await connection._execute(work)  # type: ignore[no-untyped-call]
        except (sqlite3.Error, OSError):
            return

    async def drop(self, tag: str) -> None:
        """Drops the entries of a tag. Raises when it fails: stale values would be served."""
        async with self._lock:
            await (await self._open()).execute_fetchall(
                "DELETE FROM entries WHERE key IN (SELECT key FROM tags WHERE tag = ?)",
                (self._digest(tag),),
            )

    async def ping(self) -> None:
        async with self._lock:
            await (await self._open()).execute_fetchall(
                "DELETE FROM entries WHERE until <= ?", (self._clock(),)
            )

    async def close(self) -> None:
        async with self._lock:
            if self._connection is not None:
                await self._connection.close()
                self._connection = None

    def _write(
        self,
        connection: sqlite3.Connection,
        name: bytes,
        value: bytes,
        size: int,
        until: float,
        tags: tuple[bytes, ...],
    ) -> None:
        """In the connection's thread: one transaction."""
        connection.execute("BEGIN IMMEDIATE")
        try:
            connection.execute("DELETE FROM entries WHERE key = ?", (name,))
            connection.execute(
                "INSERT INTO entries (key, value, size, until) VALUES (?, ?, ?, ?)",
                (name, value, size, until),
            )
            connection.executemany(
                "INSERT OR IGNORE INTO tags VALUES (?, ?)", [(tag, name) for tag in tags]
            )
            if self._puts % _PUTS_BETWEEN_SWEEPS == 0 or size > self._limit // 200:
                self._sweep(connection)
            self._puts += 1
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise

    def _sweep(self, connection: sqlite3.Connection) -> None:
        connection.execute("DELETE FROM entries WHERE until <= ?", (self._clock(),))
        (excess,) = connection.execute(
            "SELECT coalesce(sum(size), 0) - ? FROM entries", (self._limit,)
        ).fetchone()
        if excess > 0:
            over = (
                "SELECT key FROM (SELECT key, sum(size) OVER (ORDER BY number) - size AS "
                "before FROM entries) WHERE before < ?"
            )
            connection.execute(f"DELETE FROM entries WHERE key IN ({over})", (excess,))  # noqa: S608

    async def _open(self) -> aiosqlite.Connection:
        if self._connection is None:
            try:
                self._connection = await self._connect()
            except sqlite3.DatabaseError as error:
                if isinstance(error, sqlite3.OperationalError):
                    raise
                await asyncio.to_thread(self._begin_again)
                self._connection = await self._connect()
        return self._connection

    async def _connect(self) -> aiosqlite.Connection:
        await asyncio.to_thread(self._make_file)
        connection = aiosqlite.connect(self._path, isolation_level=None, timeout=5)
        connection._thread.daemon = True  # a forgotten connection must not keep the process alive
        await connection
        try:
            # Nothing here must survive a power cut, so nothing waits for the disk.
            for statement in (
                "PRAGMA journal_mode=WAL",
                "PRAGMA synchronous=OFF",
                "PRAGMA foreign_keys=ON",
                *_SCHEMA,
            ):
                await connection.execute_fetchall(statement)
        except BaseException:
            await connection.close()
            raise
        return connection

    def _make_file(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600))

    def _begin_again(self) -> None:
        """Deletes a file that is no database; its content was only a cache."""
        for suffix in ("", "-wal", "-shm"):
            Path(f"{self._path}{suffix}").unlink(missing_ok=True)

    def _digest(self, text: str) -> bytes:
        return blake2b(text.encode(), digest_size=20, key=self._secret).digest()
