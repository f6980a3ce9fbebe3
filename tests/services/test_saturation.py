"""The gauges that say how full a process is: each is moved by what it measures."""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator

import pytest

from orderdesk_app.database_engines import PostgresLimits
from orderdesk_app.db.engine import Database
from orderdesk_app.services.saturation import WATCH_SECONDS, Saturation, count_sockets
from tests.worlds import counted, eventually, on_sqlite


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url, PostgresLimits(connections=1, more_connections=1))
    yield database
    await database.close()


async def measured(database: Database) -> None:
    await Saturation(database).measure()


# ------------------------------------------------------------------ the pool


async def test_connections_in_use_are_counted_and_given_back(database: Database) -> None:
    pool = "reading" if database.is_sqlite else "shared"
    async with database.read() as session:
        await session.connection()
        await measured(database)
        during = counted("database_pool_in_use", pool=pool)
    await measured(database)

    assert (during, counted("database_pool_in_use", pool=pool)) == (1, 0)
    assert counted("database_pool_size", pool=pool) == (16 if database.is_sqlite else 2)
    assert counted("database_pool_waiting", pool=pool) == 0


async def test_calls_that_wait_are_counted(database: Database) -> None:
    """Postgres: for a connection. SQLite: for their turn to write."""
    pool = "writing" if database.is_sqlite else "shared"
    may_end = asyncio.Event()

    async def write() -> None:
        async with database.write() as session:
            await session.connection()
            await may_end.wait()

    writes = [asyncio.create_task(write()) for _ in range(5)]
    size = 1 if database.is_sqlite else 2

    async def all_wait() -> bool:
        await measured(database)
        return counted("database_pool_waiting", pool=pool) == 5 - size

    await eventually(all_wait, 10)
    assert counted("database_pool_in_use", pool=pool) == size
    assert counted("database_pool_size", pool=pool) == size
    may_end.set()
    await asyncio.gather(*writes)
    await measured(database)
    assert counted("database_pool_waiting", pool=pool) == 0
    assert counted("database_pool_in_use", pool=pool) == 0


async def test_pools_write_nothing_into_the_log(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", "orderdesk_app")

    async with database.read() as session:
        await session.connection()
    await database.close()

    assert [record.name for record in caplog.records if "pool" in record.name.lower()] == []


# ------------------------------------------------------------------ the event loop


@on_sqlite
async def test_a_loop_that_was_held_up_is_seen_until_the_next_scrape(database: Database) -> None:
    saturation = Saturation(database)
    await saturation.start()
    await asyncio.sleep(0)

    time.sleep(WATCH_SECONDS + 0.3)  # noqa: ASYNC251  as a bug would
    await saturation.measure()
    at_once = counted("event_loop_lag_seconds"), counted("event_loop_lag_max_seconds")
    await asyncio.sleep(3 * WATCH_SECONDS)
    await saturation.measure()
    await saturation.measure()
    later = counted("event_loop_lag_seconds"), counted("event_loop_lag_max_seconds")
    await saturation.stop()

    assert min(at_once) >= 0.25
    assert max(later) < 0.25


@on_sqlite
async def test_a_short_hold_up_between_two_scrapes_is_not_lost(database: Database) -> None:
    saturation = Saturation(database)
    await saturation.start()
    await asyncio.sleep(0)
    time.sleep(WATCH_SECONDS + 0.3)  # noqa: ASYNC251  as a bug would
    await asyncio.sleep(3 * WATCH_SECONDS)  # the loop is well again
    await saturation.measure()
    await saturation.stop()

    assert counted("event_loop_lag_max_seconds") >= 0.25
    assert counted("event_loop_lag_seconds") < 0.25


# ------------------------------------------------------------------ sockets


@on_sqlite
async def test_open_sockets_of_the_process_are_counted(database: Database) -> None:
    before = count_sockets()
    assert before is not None, "this system has /proc"
    with contextlib.ExitStack() as opened:
        for _ in range(20):
            opened.enter_context(socket.socket())
        await measured(database)
        during = counted("open_sockets", kind="all")
    await measured(database)

    assert during >= before + 20
    assert counted("open_sockets", kind="all") < during
