"""The way to the database, SQLite or Postgres: short reads, one transaction for a write, one
statement at once.

SQLite has one writer at a time: ours wait in order of arrival (a lock of this process),
then BEGIN IMMEDIATE waits for other processes (`orderdesk stdio` runs beside the server). WAL with
synchronous=NORMAL keeps a committed row when the process is killed.
"""

import asyncio
import contextlib
import os
import re
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import aiosqlite
import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo, timeout_from_conninfo
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as NoFreeConnection
from sqlmodel.ext.asyncio.session import AsyncSession

from orderdesk_app.database_engines import (
    DEFAULT_LIMITS,
    MOST_SQLITE_READS,
    PRAGMAS,
    PoolUse,
    PostgresLimits,
    postgres_engine,
    sqlite_engine,
    use_of,
)
from orderdesk_app.errors import ConfigurationError, DatabaseBusy, NotFound, StorageFailed
from orderdesk_app.setting_rules import DATA, missing_folder
from orderdesk_app.storage_faults import (
    check_free_space,
    connection_to,
    existing_file,
    file_identity,
    is_about_gone_rows,
    is_locked,
    is_sound,
    storage_fault,
)

# A call may wait for another process three times (for its lock, to release it, for its audit row)
# and must end within HTTP_TIMEOUT.
BUSY_SECONDS = 8
_TRY_SECONDS = 2  # of the write that ping() tries
# for the check of all pages; a larger file is checked on while the server serves
_CHECK_SECONDS = 2.0
_STORAGE_RETRY_SECONDS = 60
_TRY_TO_WRITE = (
    "INSERT INTO leases (name, holder, expires_at) VALUES ('health check', '', :now) "
    "ON CONFLICT (name) DO UPDATE SET expires_at = excluded.expires_at"
)
_LOCKED = (
    "Our database is locked by another program, so nothing was done. Try again in "
    f"{BUSY_SECONDS} s; if it stays, tell your administrator."
)
_CROWDED = (
    "Our database has more work than it takes at once, so nothing was done. Try again in "
    "{seconds} s; if it stays, tell your administrator."
)
_CROWDED_SECONDS = 5
# Postgres: too many connections, no lock in time, no answer in time
_CROWDED_STATES = frozenset({"53300", "55P03", "57014"})
_NO_CONNECTION = ("too many clients", "too many connections", "connection slots are reserved")
_AFTER_COMMIT = "after_commit"
_EXAMPLES = (
    "Example: DATABASE_URL=sqlite:///data/app.db, or "
    "DATABASE_URL=postgresql://user:password@db.example.com/orderdesk?sslmode=require"
)

_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")

# what a query raises while the database cannot be reached or cannot answer
NO_ANSWER = (
    DatabaseBusy,
    SQLAlchemyError,
    psycopg.Error,
    sqlite3.Error,
    OSError,
)

Statement = str  # SQL with :names


def sqlite_file(url: str) -> Path:
    """The file that a `sqlite:///` address names; whether it is there is not asked. Raises
    ConfigurationError for what names none.
    """
    name = url.removeprefix("sqlite:///")
    if not name or name.startswith((":memory:", "file:")) or "?" in name:
        raise ConfigurationError(
            "DATABASE_URL: sqlite:/// is followed by the path of a file, and nothing "
            f"else. {_EXAMPLES}"
        )
    return Path(name)


def sqlite_path(url: str) -> Path:
    """The file of a `sqlite:///` address, made where it is missing, readable by its owner alone.

    Of folders only the default `data/` is made. Raises ConfigurationError.
    """
    path = sqlite_file(url)
    try:
        if path.parent == DATA:
            path.parent.mkdir(exist_ok=True, mode=0o700)
        elif missing := missing_folder(url):
            raise ConfigurationError(f"DATABASE_URL: {missing}. {_EXAMPLES}")
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise ConfigurationError(
            f"DATABASE_URL: the file {path} cannot be opened for writing "
            f"({error.strerror}). {_EXAMPLES}"
        ) from error
    return path


def postgres_conninfo(url: str) -> str:
    """The address as libpq reads it (every form it knows), with our name and a time limit for
    connecting. Raises ConfigurationError.
    """
    try:
        known = conninfo_to_dict(url)
        if known.get("sslmode") not in (None, "", *_SSL_MODES):
            raise ConfigurationError(
                f"DATABASE_URL: sslmode must be one of {', '.join(_SSL_MODES)}. {_EXAMPLES}"
            )
        timeout_from_conninfo(known)  # libpq itself reads it when it connects
        defaults: dict[str, str | int | None] = {
            "connect_timeout": 10,
            "application_name": "orderdesk",
        }
        return make_conninfo(
            url, **{name: value for name, value in defaults.items() if name not in known}
        )
    except (psycopg.Error, UnicodeError):
        # The driver's message may quote the address with its password, so neither the message nor
        # its cause is shown.
        raise ConfigurationError(
            f"DATABASE_URL: this is no address that Postgres' libpq understands. {_EXAMPLES}"
        ) from None


def is_sqlite_url(url: str) -> bool:
    if url.startswith("sqlite:///"):
        return True
    if url.startswith(("postgres://", "postgresql://")):
        return False
    raise ConfigurationError(
        f"DATABASE_URL: must begin with sqlite:///, postgres:// or postgresql://. {_EXAMPLES}"
    )


class Database:
    """One per process and address. Nothing connects before the first use; `close()` at the end."""

    def __init__(self, url: str, limits: PostgresLimits = DEFAULT_LIMITS) -> None:
        self.is_sqlite = is_sqlite_url(url)
        self._limits = limits
        self._write_lock = asyncio.Lock()
        self._writers = 0  # that write or wait for their turn
        self._writer: asyncio.Task[Any] | None = None
        self._execute_connection: aiosqlite.Connection | None = None
        self._query_connection: aiosqlite.Connection | None = None
        self._opening = asyncio.Lock()
        self._locked_at = float("-inf")  # when SQLite was last found locked by another process
        # a page could not be read: seen by the check at the start, or by any query since
        self.is_damaged = False
        self._is_closed = False
        if self.is_sqlite:
            self.path = sqlite_path(url)
            self._file = file_identity(self.path)
            self._reading = sqlite_engine(self.path, reads_only=True, busy_seconds=BUSY_SECONDS)
            self._writing = sqlite_engine(self.path, reads_only=False, busy_seconds=BUSY_SECONDS)
        else:
            self.conninfo = postgres_conninfo(url)
            self._writing = postgres_engine(self.conninfo, limits)
            self._reading = self._writing.execution_options(isolation_level="AUTOCOMMIT")

    def __repr__(self) -> str:
        return f"Database({'sqlite' if self.is_sqlite else 'postgres'})"

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncSession]:
        """A session for short queries: each statement sees what is committed when it runs; what
        it changes is not kept.
        """
        with self._naming_storage_faults(of_reads=True), _crowded_in_words():
            async with AsyncSession(
                self._reading, expire_on_commit=False, autoflush=False
            ) as session:
                yield session

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncSession]:
        """One transaction: committed at the end of the block, rolled back when the block raises.

        Raises NotFound, with nothing done, where what a row names was deleted meanwhile.
        """
        with self._naming_storage_faults(), _crowded_in_words(), _gone_in_words():
            if not self.is_sqlite:
                async with self._transaction() as session:
                    yield session
                return
            async with self._write_turn(), self._transaction() as session:
                yield session

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[AsyncSession]:
        async with AsyncSession(self._writing, expire_on_commit=False) as session:
            yield session
            try:
                await session.commit()
            finally:
                # Also after a commit that was cancelled or lost its connection: it may have
                # happened.
                for call in session.info.pop(_AFTER_COMMIT, ()):
                    call()

    @contextmanager
    def _naming_storage_faults(self, *, of_reads: bool = False) -> Iterator[None]:
        """Raises StorageFailed, with nothing done, for a damaged file, and where something is
        written for a full disk.
        """
        try:
            yield
        except (DBAPIError, sqlite3.Error, psycopg.Error) as error:
            fault = storage_fault(error)
            if fault is None or (of_reads and not fault.is_damage):
                raise
            if fault.is_damage:
                self.is_damaged = True
            raise StorageFailed(
                f"{fault.words}, so nothing was written. Tell your administrator.",
                retry_after=_STORAGE_RETRY_SECONDS,
                outcome="not_done",
            ) from error

    @asynccontextmanager
    async def _write_turn(self) -> AsyncIterator[None]:
        """One write at a time.

        Raises DatabaseBusy, with nothing done, when another process keeps the file locked.
        """
        if self._writer is asyncio.current_task() and self._write_lock.locked():
            raise RuntimeError("a write inside a write would wait for itself: pass the session on")
        arrived = time.monotonic()
        self._writers += 1
        try:
            async with self._write_lock:
                if self._locked_at > arrived:
                    # The writer before us waited as long as we would, and found it locked.
                    raise DatabaseBusy(_LOCKED, retry_after=BUSY_SECONDS, outcome="not_done")
                self._writer = asyncio.current_task()
                try:
                    yield
                except (DBAPIError, sqlite3.Error) as error:
                    if not is_locked(error):
                        raise
                    self._locked_at = time.monotonic()
                    raise DatabaseBusy(
                        _LOCKED, retry_after=BUSY_SECONDS, outcome="not_done"
                    ) from error
                finally:
                    self._writer = None
        finally:
            self._writers -= 1

    async def advisory_lock(self, session: AsyncSession, name: str) -> None:
        """Inside a write: every other write that asks for this name waits until ours has ended.

        (On SQLite no other write goes on anyway.)
        """
        if not self.is_sqlite:
            await (await session.connection()).execute(
                text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": name}
            )

    async def execute(
        self, statement: Statement, parameters: Mapping[str, Any]
    ) -> Sequence[tuple[Any, ...]]:
        """One statement with :names, committed by itself; its rows.

        The short way for leases and buckets, a fraction of a session's time.
        """
        with self._naming_storage_faults():
            return await self._execute(statement, parameters)

    async def _execute(
        self, statement: Statement, parameters: Mapping[str, Any]
    ) -> Sequence[tuple[Any, ...]]:
        if not self.is_sqlite:
            with _crowded_in_words():
                async with self._reading.connect() as connection:
                    result = await connection.exec_driver_sql(
                        _percent_names(statement), dict(parameters)
                    )
                    return [tuple(row) for row in result] if result.returns_rows else []
        async with self._write_turn():
            if self._execute_connection is None:
                self._execute_connection = await open_sqlite(self.path)
            return [
                tuple(row)
                for row in await self._execute_connection.execute_fetchall(
                    statement, dict(parameters)
                )
            ]

    async def query(
        self, statement: Statement, parameters: Mapping[str, Any]
    ) -> Sequence[tuple[Any, ...]]:
        """The rows of one short query with :names, without waiting for writes: the short way for
        what every uncached read asks.
        """
        if not self.is_sqlite:
            return await self.execute(statement, parameters)
        with self._naming_storage_faults():
            if self._query_connection is None:
                async with self._opening:
                    if self._query_connection is None:
                        connection = await open_sqlite(self.path)
                        await connection.execute_fetchall("PRAGMA query_only=ON")
                        self._query_connection = connection
            rows = await self._query_connection.execute_fetchall(statement, dict(parameters))
            return [tuple(row) for row in rows]

    async def ping(self) -> None:
        """Reads a table and commits a write; raises whatever that fails with, after 5 seconds at
        the latest. A database in which a damaged page was found is not well, whatever works.
        """
        if self.is_damaged:
            raise StorageFailed("A page of the database is damaged. Restore a backup.")
        async with asyncio.timeout(5):
            with self._naming_storage_faults():
                async with self._reading.connect() as connection:
                    await connection.execute(text("SELECT 1 FROM tenants LIMIT 1"))
                if self.is_sqlite:
                    await asyncio.to_thread(self._try_to_write)
            if not self.is_sqlite:
                await self.execute(_TRY_TO_WRITE, {"now": time.time()})

    def _try_to_write(self) -> None:
        """A write on a connection of its own; in one thread, so that no transaction stays open."""
        if file_identity(self.path) != self._file:
            raise FileNotFoundError("the file that is open is not the one at this path any more")
        check_free_space(self.path.parent)
        with connection_to(self.path, seconds=_TRY_SECONDS) as connection:
            connection.execute(_TRY_TO_WRITE, {"now": time.time()})

    async def check_pages(self, *, seconds: float = _CHECK_SECONDS) -> bool | None:
        """Whether every page of an SQLite file can be read and fits the others; None where the time
        was too short for that. A damaged one makes `is_damaged` true.

        (Postgres has checksums of its own and reports them at the read.)
        """
        if not self.is_sqlite:
            return True
        until = time.monotonic() + seconds
        found = await asyncio.to_thread(
            is_sound, self.path, lambda: self._is_closed or time.monotonic() > until
        )
        if found is False:
            self.is_damaged = True
        return found

    def pools(self) -> list[PoolUse]:
        """How full this process' pools are. SQLite's writers wait for their turn, not in a pool."""
        if not self.is_sqlite:
            most = self._limits.connections + self._limits.more_connections
            return [use_of("shared", self._writing, size=most)]
        is_writing = int(self._write_lock.locked())
        return [
            use_of("reading", self._reading, size=MOST_SQLITE_READS),
            PoolUse("writing", is_writing, 1, max(0, self._writers - is_writing)),
        ]

    async def close(self) -> None:
        self._is_closed = True
        for connection in (self._execute_connection, self._query_connection):
            if connection is not None:
                await connection.close()
        self._execute_connection = self._query_connection = None
        if self._reading.sync_engine.pool is not self._writing.sync_engine.pool:
            await self._reading.dispose()
        await self._writing.dispose()


@contextlib.contextmanager
def _crowded_in_words() -> Iterator[None]:
    """Raises DatabaseBusy where the database, or our pool, has no connection to spare or takes too
    long: it is no fault of the caller, and passes.
    """
    try:
        yield
    except (DBAPIError, NoFreeConnection, psycopg.Error) as error:
        if not _is_crowded(error):
            raise
        raise DatabaseBusy(
            _CROWDED.format(seconds=_CROWDED_SECONDS),
            retry_after=_CROWDED_SECONDS,
            outcome="not_done",
        ) from error


@contextlib.contextmanager
def _gone_in_words() -> Iterator[None]:
    """Raises NotFound for a row of somebody, or something, that was deleted while it was made."""
    try:
        yield
    except IntegrityError as error:
        if not is_about_gone_rows(error):
            raise
        raise NotFound(
            "What this belongs to was deleted meanwhile, so nothing was done. Reload the page.",
            outcome="not_done",
        ) from error


def _is_crowded(error: Exception) -> bool:
    if isinstance(error, NoFreeConnection):
        return True
    cause = error.orig if isinstance(error, DBAPIError) else error
    if not isinstance(cause, psycopg.Error):
        return False
    # a refused connection has no state, but the server's words
    return cause.sqlstate in _CROWDED_STATES or any(words in str(cause) for words in _NO_CONNECTION)


def after_commit(session: AsyncSession, call: Callable[[], None]) -> None:
    """Run `call` right after the commit of this write, before anything else in this process goes
    on; never when it is rolled back.
    """
    session.info.setdefault(_AFTER_COMMIT, []).append(call)


async def open_sqlite(path: Path) -> aiosqlite.Connection:
    """A connection outside of the pools: every statement is its own transaction."""
    connection = aiosqlite.connect(
        existing_file(path), uri=True, isolation_level=None, timeout=BUSY_SECONDS
    )
    connection._thread.daemon = True  # a forgotten connection must not keep the process alive
    await connection
    for pragma in PRAGMAS:
        await connection.execute_fetchall(pragma)
    return connection


@lru_cache(maxsize=64)
def _percent_names(statement: Statement) -> str:
    """:name as the Postgres driver writes it; casts (::) stay."""
    return re.sub(r"(?<!:):([a-z_]+)", r"%(\1)s", statement.replace("%", "%%"))
