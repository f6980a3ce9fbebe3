"""SQLAlchemy's engines for SQLite and Postgres, each with a pool that knows how full it is."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import URL, AsyncAdaptedQueuePool, event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine


@dataclass(frozen=True, slots=True)
class PostgresLimits:
    """Of one process: connections that stay open, more for a moment, and how many seconds a call
    waits for a connection, a statement runs, and a statement waits for a lock.
    """

    connections: int = 10
    more_connections: int = 10
    wait_seconds: float = 10
    statement_seconds: float = 30
    lock_seconds: float = 10


DEFAULT_LIMITS = PostgresLimits()


@dataclass(frozen=True, slots=True)
class PoolUse:
    """How full a pool is: connections in use and at most, and how many calls wait for one."""

    name: str
    in_use: int
    size: int
    waiting: int


class _CountingPool(AsyncAdaptedQueuePool):
    """Counts the calls that wait for a connection. SQLAlchemy's pools are made to be extended by
    this method.
    """

    # SQLAlchemy names a pool's logger after its class. By our name it would tell of each step, as
    # our loggers do where libraries give warnings alone.
    __module__ = AsyncAdaptedQueuePool.__module__
    waiting = 0

    def _do_get(self) -> Any:
        self.waiting += 1
        try:
            return super()._do_get()
        finally:
            self.waiting -= 1


def use_of(name: str, engine: AsyncEngine, *, size: int) -> PoolUse:
    """How full the pool of an engine of this module is."""
    pool = engine.sync_engine.pool
    assert isinstance(pool, _CountingPool), "all engines of this module have one"
    return PoolUse(name, pool.checkedout(), size, pool.waiting)


_SQLITE_READS = 8
MOST_SQLITE_READS = 2 * _SQLITE_READS  # connections that read at the same time
PRAGMAS = ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=NORMAL", "PRAGMA foreign_keys=ON")


def sqlite_engine(path: Path, *, reads_only: bool, busy_seconds: float) -> AsyncEngine:
    """`busy_seconds`: how long a statement waits for another process."""
    # "rw": it makes no file, see `existing_file`
    url = URL.create(
        "sqlite+aiosqlite",
        database=path.resolve().as_uri(),
        query={"mode": "rw", "uri": "true"},
    )
    # The driver begins no transaction by itself: a read needs no BEGIN and no ROLLBACK (which saves
    # two trips to the thread), a write says BEGIN IMMEDIATE.
    by_hand = {"timeout": busy_seconds, "isolation_level": None}
    if reads_only:
        engine = create_async_engine(
            url,
            connect_args=by_hand,
            hide_parameters=True,
            isolation_level="AUTOCOMMIT",
            skip_autocommit_rollback=True,
            poolclass=_CountingPool,
            pool_size=_SQLITE_READS,
            max_overflow=_SQLITE_READS,
        )
    else:
        engine = create_async_engine(
            url,
            connect_args=by_hand,
            hide_parameters=True,
            poolclass=_CountingPool,
            pool_size=1,
            max_overflow=0,
        )

    @event.listens_for(engine.sync_engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        for pragma in (*PRAGMAS, "PRAGMA query_only=ON") if reads_only else PRAGMAS:
            cursor.execute(pragma)
        cursor.close()

    if not reads_only:

        @event.listens_for(engine.sync_engine, "begin")
        def begin(connection: Any) -> None:
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def postgres_engine(conninfo: str, limits: PostgresLimits) -> AsyncEngine:
    options = str(conninfo_to_dict(conninfo).get("options") or "")
    seconds = {
        "statement_timeout": limits.statement_seconds,
        "lock_timeout": limits.lock_seconds,
    }
    # What DATABASE_URL sets in its options stays.
    ours = {name: f"{int(value * 1000)}" for name, value in seconds.items() if name not in options}

    async def connect() -> psycopg.AsyncConnection[Any]:
        connection = await psycopg.AsyncConnection.connect(conninfo)
        for name, value in ours.items():
            await connection.execute("SELECT set_config(%s, %s, false)", (name, value))
        await connection.commit()
        return connection

    return create_async_engine(
        "postgresql+psycopg://",
        async_creator=connect,
        hide_parameters=True,
        poolclass=_CountingPool,
        pool_size=limits.connections,
        max_overflow=limits.more_connections,
        pool_timeout=limits.wait_seconds,
        pool_pre_ping=True,
        skip_autocommit_rollback=True,
    )
