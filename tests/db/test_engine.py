"""The way to the database: addresses, transactions, and many at once."""

import asyncio
import contextlib
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta, timezone

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError, StatementError
from sqlmodel import col, func, select

from orderdesk_app import wiring
from orderdesk_app.context import TenantId
from orderdesk_app.database_engines import PostgresLimits
from orderdesk_app.db import engine
from orderdesk_app.db.console import ConsoleCall
from orderdesk_app.db.engine import Database, after_commit, postgres_conninfo
from orderdesk_app.db.stores import Store
from orderdesk_app.db.tenants import Tenant
from orderdesk_app.errors import ConfigurationError, DatabaseBusy, NotFound, StorageFailed
from tests.conftest import Postgres
from tests.storage import damage, full_disk, nothing_free
from tests.worlds import eventually, settings_for


async def names(database: Database) -> list[str]:
    async with database.read() as session:
        return list((await session.exec(select(Tenant.name).order_by(col(Tenant.name)))).all())


async def test_a_write_is_kept_and_read(database):
    async with database.write() as session:
        session.add(Tenant(name="Ada"))

    assert await names(database) == ["Ada"]


async def test_a_block_that_raises_writes_nothing(database):
    async def fail() -> None:
        async with database.write() as session:
            session.add(Tenant(name="Ada"))
            await session.flush()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()

    assert await names(database) == []
    async with database.write() as session:  # and the next one is free to go on
        session.add(Tenant(name="Bert"))
    assert await names(database) == ["Bert"]


async def test_a_write_that_is_cancelled_writes_nothing_and_blocks_nobody(database):
    inside = asyncio.Event()

    async def write() -> None:
        async with database.write() as session:
            session.add(Tenant(name="Ada"))
            await session.flush()
            inside.set()
            await asyncio.sleep(60)

    task = asyncio.create_task(write())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    async with database.write() as session:
        session.add(Tenant(name="Bert"))
    assert await names(database) == ["Bert"]


async def test_many_reads_and_writes_at_once_all_succeed(database):
    async def write(number: int) -> None:
        async with database.write() as session:
            count = (await session.exec(select(func.count()).select_from(Tenant))).one()
            session.add(Tenant(name=f"{count:03}-{number}"))

    await asyncio.gather(
        *(write(number) for number in range(64)), *(names(database) for _ in range(64))
    )

    assert len(await names(database)) == 64


async def test_writes_to_sqlite_go_in_order_of_arrival(sqlite_url):
    database = Database(sqlite_url)
    order: list[int] = []

    async def write(number: int) -> None:
        async with database.write() as session:
            session.add(Tenant(name=str(number)))
            order.append(number)

    await asyncio.gather(*(write(number) for number in range(20)))
    await database.close()

    assert order == list(range(20))


async def test_a_write_inside_a_write_is_told_instead_of_waiting_for_ever(sqlite_url):
    database = Database(sqlite_url)

    async with database.write():
        with pytest.raises(RuntimeError, match="inside"):
            async with database.write():
                pass
        with pytest.raises(RuntimeError, match="inside"):
            await database.execute("DELETE FROM leases", {})

    await database.close()


async def test_a_read_does_not_write(sqlite_url):
    database = Database(sqlite_url)

    async def sneak() -> None:
        async with database.read() as session:
            session.add(Tenant(name="Ada"))
            await session.flush()

    with pytest.raises(OperationalError, match="readonly"):
        await sneak()

    await database.close()


async def test_rows_of_nobody_are_refused_in_words(database):
    with pytest.raises(NotFound, match="deleted meanwhile"):
        async with database.write() as session:
            session.add(
                Store(
                    tenant_id=TenantId("nobody"), store_id="1", name="x", api_url="x", api_key=b"x"
                )
            )


async def test_two_connections_of_one_store_to_one_account_are_refused(database, tenant):
    def connection() -> Store:
        return Store(tenant_id=tenant.view.id, store_id="1", name="x", api_url="x", api_key=b"x")

    with pytest.raises(IntegrityError):
        async with database.write() as session:
            session.add_all([connection(), connection()])


async def test_times_come_back_aware_and_in_utc(database):
    moment = datetime(2026, 3, 1, 23, 30, 0, 123456, tzinfo=timezone(timedelta(hours=-5)))
    async with database.write() as session:
        session.add(Tenant(name="Ada", created_at=moment))

    async with database.read() as session:
        found = (await session.exec(select(Tenant).where(col(Tenant.created_at) == moment))).one()

    assert found.created_at == moment
    assert found.created_at.tzinfo is UTC


async def test_a_time_without_a_zone_is_refused(database):
    with pytest.raises(StatementError):
        async with database.write() as session:
            session.add(Tenant(name="Ada", created_at=datetime(2026, 3, 1)))  # noqa: DTZ001


async def test_lists_and_maps_come_back_as_they_were(database, tenant):
    folders, settings = [["1", "Näu 🎁"], ["2", "Closed"]], {"deep": {"list": [1, 2.5, None, True]}}
    async with database.write() as session:
        session.add(
            Store(
                tenant_id=tenant.view.id,
                store_id="1",
                name="x",
                api_url="x",
                api_key=b"\x00\xff",
                folders=folders,
                settings=settings,
            )
        )

    async with database.read() as session:
        found = (await session.exec(select(Store))).one()

    assert (found.folders, found.settings, found.api_key) == (folders, settings, b"\x00\xff")


async def test_what_follows_a_commit_runs_before_the_writer_goes_on_and_never_after_a_rollback(
    database,
):
    ran: list[str] = []

    async def fail() -> None:
        async with database.write() as session:
            after_commit(session, lambda: ran.append("lost"))
            raise ZeroDivisionError

    async with database.write() as session:
        session.add(Tenant(name="Ada"))
        after_commit(session, lambda: ran.append("kept"))
        assert ran == []
    with pytest.raises(ZeroDivisionError):
        await fail()

    assert ran == ["kept"]


async def test_one_statement_at_once(database):
    await database.execute(
        "INSERT INTO buckets (key, tokens, updated_at) VALUES (:key, :tokens, 0)",
        {"key": "100% :sure", "tokens": 2.5},
    )

    rows = await database.execute(
        "UPDATE buckets SET tokens = tokens + 1 WHERE key = :key RETURNING tokens",
        {"key": "100% :sure"},
    )

    assert rows == [(3.5,)]


async def test_ping_reads_and_a_missing_table_is_a_failure(database):
    await database.ping()
    await database.execute("ALTER TABLE tenants RENAME TO lost", {})

    with pytest.raises(Exception, match="tenants"):
        await database.ping()


async def test_while_another_program_holds_the_file_all_in_line_are_told_so_at_once(
    sqlite_url, monkeypatch
):
    monkeypatch.setattr(engine, "BUSY_SECONDS", 2)
    database = Database(sqlite_url)

    async def add(name):
        async with database.write() as session:
            session.add(Tenant(name=name))

    started = time.monotonic()
    with contextlib.closing(sqlite3.connect(database.path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        results = await asyncio.gather(
            *(add(str(number)) for number in range(6)),
            database.execute("DELETE FROM leases", {}),
            return_exceptions=True,
        )
        took = time.monotonic() - started
        other.execute("ROLLBACK")
    await add("later")
    rows = await database.execute("SELECT name FROM tenants", {})
    await database.close()

    assert [(type(result), result.outcome) for result in results] == [
        (DatabaseBusy, "not_done")
    ] * 7
    assert took < 5 * 2, "seven that waited one after the other would have taken 14 s"
    assert rows == [("later",)]


@pytest.mark.slow
async def test_committed_rows_survive_kill_minus_nine(database_url, database):
    code = """
import asyncio, os, signal, sys
from orderdesk_app.db.engine import Database
from orderdesk_app.db.tenants import Tenant
async def main():
    database = Database(sys.argv[1])
    async with database.write() as session:
        session.add(Tenant(name="Ada"))
    os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", code, database_url], capture_output=True, check=False
    )

    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert await names(database) == ["Ada"]


async def test_another_process_that_writes_is_waited_for(sqlite_url, data_dir):
    database = Database(sqlite_url)
    other = sqlite3.connect(data_dir / "app.db", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    other.execute("INSERT INTO buckets VALUES ('held', 1, 1)")
    writing = asyncio.create_task(
        database.execute("INSERT INTO buckets (key, tokens, updated_at) VALUES ('ours', 1, 1)", {})
    )
    await asyncio.sleep(0.2)

    assert not writing.done()
    assert await names(database) == []  # reads go on meanwhile
    other.execute("COMMIT")
    await writing

    assert {key for (key,) in await database.execute("SELECT key FROM buckets", {})} == {
        "held",
        "ours",
    }
    other.close()
    await database.close()


async def test_the_file_is_its_owners_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    Database("sqlite:///data/app.db")

    assert stat.S_IMODE(os.stat(tmp_path / "data" / "app.db").st_mode) == 0o600
    assert stat.S_IMODE(os.stat(tmp_path / "data").st_mode) == 0o700


@pytest.mark.parametrize("folder", ["new", "new/folder", "data/inner"])
async def test_only_the_default_folder_is_made(tmp_path, monkeypatch, folder):
    """A mistyped path, or a volume that is not mounted, would begin with an empty database."""
    monkeypatch.chdir(tmp_path)

    with pytest.raises(ConfigurationError) as refused:
        Database(f"sqlite:///{folder}/app.db")

    assert f"the folder {tmp_path}/{folder} does not exist" in str(refused.value)
    assert not (tmp_path / folder).exists()


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite:///a.db?mode=ro",
        "mysql://x/y",
        "",
        "postgresql://h/db?nonsense=1",
        "postgresql://[::1",
    ],
)
async def test_an_address_that_is_none_is_told_with_an_example(url):
    with pytest.raises(ConfigurationError, match=r"DATABASE_URL: .*Example: DATABASE_URL="):
        Database(url)


async def test_no_password_stands_in_what_is_shown():
    url = "postgresql://someone:hunter2%40home@db.example/app?nonsense=1"

    with pytest.raises(ConfigurationError) as caught:
        Database(url)

    shown = (
        repr(caught.value)
        + repr(caught.value.__cause__)
        + repr(Database("postgresql://someone:hunter2%40home@db.example/app"))
    )
    assert "hunter2" not in shown


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        (
            "postgres://u:p%40ss%2Fw@db.example:6432/app?sslmode=require",
            [
                "user=u",
                "password=p@ss/w",
                "host=db.example",
                "port=6432",
                "dbname=app",
                "sslmode=require",
            ],
        ),
        ("postgresql:///app?host=/run/postgresql", ["host=/run/postgresql", "dbname=app"]),
        ("postgresql://u@%2Fvar%2Frun/app", ["host=/var/run", "user=u"]),
        (
            "postgresql://one,two:5433/app?target_session_attrs=read-write",
            ["host=one,two", "target_session_attrs=read-write"],
        ),
        ("postgresql://[::1]/app?connect_timeout=3", ["host=::1", "connect_timeout=3"]),
    ],
)
async def test_addresses_are_read_as_libpq_reads_them(url, parts):
    told = postgres_conninfo(url)

    assert [part for part in parts if part not in told] == []


def test_a_wrong_sslmode_is_named_before_anybody_is_asked():
    with pytest.raises(
        ConfigurationError, match="sslmode must be one of disable, allow, prefer, require"
    ):
        postgres_conninfo("postgresql://u@no-such-host.invalid/app?sslmode=bogus")


async def test_console_calls_of_one_tenant_are_found_by_time(database, tenant):
    async with database.write() as session:
        session.add(
            ConsoleCall(
                tenant_id=tenant.view.id,
                tool="orders_get",
                arguments=b"s",
                result=b"s",
                outcome="ok",
            )
        )

    async with database.read() as session:
        assert (await session.exec(select(ConsoleCall))).one().tool == "orders_get"


async def test_postgres_that_went_away_for_a_moment_is_found_again(postgres, postgres_url):
    database = Database(postgres_url)
    assert await names(database) == []
    await database.execute("SELECT 1", {})

    await database.execute(
        (
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = "
            "current_database() AND pid <> pg_backend_pid()"
        ),
        {},
    )

    assert await names(database) == []
    await asyncio.gather(*(names(database) for _ in range(5)))
    await database.close()


async def test_a_short_question_sees_what_is_committed_and_waits_for_no_write(database):
    async with database.write() as session:
        session.add(Tenant(name="Ada", role="member"))

    async with database.write() as session:
        session.add(Tenant(name="Bert", role="member"))
        await session.flush()
        told = await asyncio.wait_for(
            database.query(
                "SELECT name FROM tenants WHERE name IN (:first, :second)",
                {"first": "Ada", "second": "Bert"},
            ),
            5,
        )

    assert told == [("Ada",)]
    assert await database.query("SELECT count(*) FROM tenants", {}) == [(2,)]


async def test_an_error_of_the_database_does_not_quote_what_was_written(
    database: Database,
) -> None:
    """Its text ends in a traceback on standard error where a command fails."""

    async def write() -> None:
        async with database.write() as session:
            connection = await session.connection()
            await connection.execute(text("INSERT INTO nothing VALUES (:it)"), {"it": "marker"})

    with pytest.raises(DBAPIError) as caught:
        await write()

    assert "nothing" in str(caught.value)
    assert "marker" not in str(caught.value)


# ------------------------------------------------------------------ a Postgres that is crowded


async def busy(database: Database, work: Callable[[], Awaitable[object]]) -> DatabaseBusy:
    with pytest.raises(DatabaseBusy) as refused:
        await work()
    assert "more work than it takes at once" in str(refused.value)
    assert refused.value.retry_after
    return refused.value


@pytest.mark.parametrize("way", ["read", "write", "execute"])
async def test_no_free_connection_is_busy(postgres_url: str, way: str) -> None:
    limits = PostgresLimits(connections=1, more_connections=0, wait_seconds=0.1)
    database = Database(postgres_url, limits)

    async def again() -> None:
        if way == "execute":
            await database.execute("SELECT 1", {})
            return
        async with database.read() if way == "read" else database.write() as session:
            await session.exec(text("SELECT 1"))

    async with database.read() as session:
        await session.exec(text("SELECT 1"))
        await busy(database, again)
    await again()
    await database.close()


@pytest.mark.parametrize(
    ("statement", "limits"),
    [
        ("SELECT pg_sleep(5)", PostgresLimits(statement_seconds=0.1)),
        ("LOCK TABLE buckets", PostgresLimits(lock_seconds=0.1)),
    ],
)
async def test_what_takes_too_long_is_busy(
    postgres_url: str, statement: str, limits: PostgresLimits
) -> None:
    database, other = Database(postgres_url, limits), Database(postgres_url)

    async def work() -> None:
        async with database.write() as session:
            await session.exec(text(statement))

    async with other.write() as session:
        await session.exec(text("LOCK TABLE buckets"))
        await busy(database, work)
    await database.close()
    await other.close()


async def test_more_connections_than_the_server_has_are_busy(
    postgres: Postgres, postgres_url: str
) -> None:
    held = []
    try:
        with contextlib.suppress(psycopg.OperationalError):
            while True:
                held.append(await psycopg.AsyncConnection.connect(postgres_url))
        database = Database(postgres_url)
        await busy(database, lambda: database.execute("SELECT 1", {}))
        await database.close()
    finally:
        for connection in held:
            await connection.close()


async def test_time_limits_of_the_address_stay(postgres_url: str) -> None:
    database = Database(f"{postgres_url}&options=-cstatement_timeout%3D1234")

    [(statement,)] = await database.execute("SHOW statement_timeout", {})
    [(lock,)] = await database.execute("SHOW lock_timeout", {})

    assert (statement, lock) == ("1234ms", "10s")
    await database.close()


# ------------------------------------------------------------------ a disk that fails


async def test_what_meets_a_full_disk_says_that_nothing_was_written(sqlite_url):
    database = Database(sqlite_url)

    async with full_disk(database):
        with pytest.raises(StorageFailed) as by_session:
            await add_large_tenant(database)
        with pytest.raises(StorageFailed) as by_statement:
            await database.execute(
                "INSERT INTO buckets (key, tokens, updated_at) VALUES (:key, 1, 1)",
                {"key": "x" * 100_000},
            )
        kept = await names(database)
    await database.close()

    for error in (by_session.value, by_statement.value):
        assert (error.outcome, error.http_status) == ("not_done", 503)
        assert "full" in error.message
        assert "nothing was written" in error.message
        assert error.retry_after
    assert kept == []
    assert not database.is_damaged


async def add_large_tenant(database):
    async with database.write() as session:
        session.add(Tenant(name="x" * 100_000))


async def test_a_full_disk_is_not_ready_also_where_small_writes_still_fit(sqlite_url, monkeypatch):
    database = Database(sqlite_url)
    await database.ping()
    full = nothing_free(database.path.parent)
    monkeypatch.setattr(os, "statvfs", lambda _: full)

    with pytest.raises(OSError, match="full"):
        await database.ping()
    await database.close()


async def test_no_way_to_a_file_that_is_gone_makes_an_empty_one(sqlite_url):
    database = Database(sqlite_url)
    database.path.unlink()

    async def write() -> None:
        async with database.write() as session:
            session.add(Tenant(name="Ada"))

    for way in (
        names(database),
        write(),
        database.query("SELECT 1", {}),
        database.execute("DELETE FROM buckets", {}),
        database.ping(),
    ):
        with pytest.raises((StorageFailed, OperationalError, sqlite3.OperationalError)):
            await way

    assert not database.path.exists()
    await database.close()


async def test_a_ping_commits_a_write(database):
    await database.ping()

    rows = await database.execute("SELECT name FROM leases", {})
    assert rows == [("health check",)]


async def test_a_damaged_page_is_found_by_the_check(sqlite_url):
    database = Database(sqlite_url)
    assert await database.check_pages() is True
    await damage_tenants(database)

    assert await database.check_pages() is False
    with pytest.raises(StorageFailed, match="damaged"):
        await database.ping()
    await database.close()


async def test_a_damaged_page_is_noticed_by_the_first_query_that_meets_it(sqlite_url):
    database = Database(sqlite_url)
    await damage_tenants(database)

    with pytest.raises(StorageFailed, match="damaged"):
        await names(database)

    assert database.is_damaged
    with pytest.raises(StorageFailed, match="damaged"):
        await database.ping()
    await database.close()


async def test_a_check_without_time_says_nothing(sqlite_url):
    database = Database(sqlite_url)
    async with database.write() as session:
        session.add_all([Tenant(name="x" * 1000) for _ in range(5_000)])

    assert await database.check_pages(seconds=0) is None
    assert await database.check_pages(seconds=60) is True
    assert not database.is_damaged
    await database.close()


async def damage_tenants(database):
    async with database.write() as session:
        session.add_all([Tenant(name="x" * 1000) for _ in range(50)])
    await database.close()
    await asyncio.to_thread(damage, database.path, "tenants")


async def test_a_worker_does_not_wait_for_the_check_and_readiness_says_what_it_found(sqlite_url):
    """The main process has checked before: with 100,000 tenants that takes a while."""
    database = Database(sqlite_url)
    await damage_tenants(database)
    await database.close()

    async with wiring.open_services(settings_for(sqlite_url), waits_for_check=False) as services:
        await eventually(lambda: is_damaged(services), 20)


async def is_damaged(services):
    return services.database.is_damaged
