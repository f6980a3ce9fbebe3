"""Signals between processes: what changed, so that caches are emptied at once in this process and
within a second in the others.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable
from datetime import datetime, timedelta

import aiosqlite
import psycopg
from sqlalchemy import insert, text
from sqlmodel import Field, col, delete
from sqlmodel.ext.asyncio.session import AsyncSession

from orderdesk_app.context import RequestContext, new_id, now, serving
from orderdesk_app.db.engine import Database, after_commit, open_sqlite
from orderdesk_app.db.rows import Row
from orderdesk_app.observability import log

_LOG = log(__name__)
EVERYTHING = "*"
CHANNEL = "orderdesk_signals"
POLL_SECONDS = 0.15
KEPT_SECONDS = 60.0
_DELETION_SECONDS = 10.0
# after one failure, two, and more: signals come again within about two seconds of the database
RECONNECT_SECONDS = (
    0.5,
    1.0,
    2.0,
)
_HEARTBEAT_SECONDS = 5.0

Callback = Callable[[str], None]


class Signal(Row, table=True):
    """How signals travel on SQLite: other processes see by PRAGMA data_version that something was
    written, and read the new rows.
    """

    __tablename__ = "signals"
    # Ids are never used twice. (RUF012: SQLAlchemy reads this once.)
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012

    id: int | None = Field(default=None, primary_key=True)
    topic: str
    origin: str = ""
    at: datetime = Field(default_factory=now, index=True)


class Signals:
    """Topics are small texts: "tenant:<id>", "store:<StoreAccess.key>", "activity:<tenant id>,…";
    EVERYTHING when signals may have been lost.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._origin = new_id()
        self._callbacks: list[Callback] = []
        self._listener: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()
        self._failures = 0  # of the listener, in a row
        self._next_deletion = now()

    def subscribe(self, callback: Callback) -> None:
        """`callback(topic)` runs in the event loop, so it must not wait for anything."""
        self._callbacks.append(callback)

    async def publish(self, session: AsyncSession, topic: str, *, here: bool = True) -> None:
        """Inside the writer's transaction: delivered when that commits, in this process before
        `write()` ends. A rollback delivers nothing. `here` False leaves this process out, which has
        had the signal.
        """
        if self._database.is_sqlite:
            moment = now()
            row = {"topic": topic, "origin": self._origin, "at": moment}
            await session.exec(insert(Signal).values(row))
            if moment >= self._next_deletion:
                self._next_deletion = moment + timedelta(seconds=_DELETION_SECONDS)
                old = col(Signal.at) < moment - timedelta(seconds=KEPT_SECONDS)
                await session.exec(delete(Signal).where(old))
        else:
            await (await session.connection()).execute(
                text("SELECT pg_notify(:channel, :payload)"),
                {"channel": CHANNEL, "payload": f"{self._origin} {topic}"},
            )
        if here:
            after_commit(session, lambda: self.deliver(topic))

    async def start(self) -> None:
        """Listen from now on; returns once it does (or, where the database cannot be reached, after
        a second: the listener keeps trying).
        """
        if self._listener is None:
            self._ready.clear()
            self._listener = asyncio.create_task(self._listen(), name="signals")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await self.wait_until_listening()

    async def wait_until_listening(self) -> None:
        """Returns once the listener has reached the database; what is published then is heard."""
        await self._ready.wait()

    async def stop(self) -> None:
        if self._listener is not None:
            self._listener.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._listener
            self._listener = None

    def deliver(self, topic: str) -> None:
        """Call every subscriber of this process."""
        for callback in self._callbacks:
            try:
                callback(topic)
            except Exception as error:
                # A fault of one subscriber must not keep the signal from the others, nor fail the
                # write that was committed.
                _LOG.error("news was not understood", exc_info=error)

    async def _listen(self) -> None:
        watch = self._watch_sqlite if self._database.is_sqlite else self._watch_postgres
        with serving(RequestContext()):  # one request id for all that the listener logs
            while True:
                try:
                    await watch()
                except Exception as error:
                    # Whatever failed: without signals the caches would keep old values for ever.
                    if not self._failures:  # an outage is logged once, and so is its end
                        _LOG.warning(
                            "the line for news is down, trying again", error=type(error).__name__
                        )
                    self._failures += 1
                    self.deliver(EVERYTHING)
                await asyncio.sleep(
                    RECONNECT_SECONDS[min(self._failures, len(RECONNECT_SECONDS)) - 1]
                )

    async def _watch_sqlite(self) -> None:
        connection = await open_sqlite(self._database.path)
        try:
            last = await _number(connection, "SELECT coalesce(max(id), 0) FROM signals")
            version = await _number(connection, "PRAGMA data_version")
            self._begin()
            looked = time.monotonic()
            while True:
                await asyncio.sleep(POLL_SECONDS)
                current = await _number(connection, "PRAGMA data_version")
                # The machine was suspended: rows may be deleted already.
                has_slept = time.monotonic() - looked > KEPT_SECONDS / 2
                looked = time.monotonic()
                if has_slept:
                    self.deliver(EVERYTHING)
                if current == version and not has_slept:
                    continue
                version = current
                for number, topic, origin in await connection.execute_fetchall(
                    "SELECT id, topic, origin FROM signals WHERE id > ? ORDER BY id", (last,)
                ):
                    last = number
                    if origin != self._origin:
                        self.deliver(topic)
        finally:
            await connection.close()

    async def _watch_postgres(self) -> None:
        connection = await psycopg.AsyncConnection.connect(self._database.conninfo, autocommit=True)
        async with connection:
            await connection.execute(f"LISTEN {CHANNEL}")
            self._begin()
            while True:
                async for notice in connection.notifies(timeout=_HEARTBEAT_SECONDS):
                    origin, _, topic = notice.payload.partition(" ")
                    if origin != self._origin:
                        self.deliver(topic)
                # A connection that died silently is found by a query.
                async with asyncio.timeout(_HEARTBEAT_SECONDS):
                    await connection.execute("SELECT 1")

    def _begin(self) -> None:
        """Listening (again): earlier signals are lost."""
        if self._failures:
            _LOG.info("the line for news is up again", count=self._failures)
            self._failures = 0
        if self._ready.is_set():
            self.deliver(EVERYTHING)
        self._ready.set()


async def _number(connection: aiosqlite.Connection, statement: str) -> int:
    [(number,)] = await connection.execute_fetchall(statement)
    return int(number)
