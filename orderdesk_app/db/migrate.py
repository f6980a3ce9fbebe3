"""Brings a database to the schema of this release; several processes may start at once, one
migrates and the others wait.
"""

import re
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import URL, Connection, NullPool, create_engine, event, inspect, text
from sqlalchemy.exc import DatabaseError

import orderdesk_app
from orderdesk_app.database_refusals import unusable_database
from orderdesk_app.db.engine import (
    Database,
    is_sqlite_url,
    postgres_conninfo,
    sqlite_file,
    sqlite_path,
)
from orderdesk_app.errors import ConfigurationError

SCRIPTS = Path(orderdesk_app.__file__).resolve().parent.parent / "alembic"
_LOCK = 6_021_947  # any number, the same in every process of ours
WAIT_SECONDS = 60.0
# `down_revision = None`, that of the first, is read as ""
_REVISION = re.compile(r'^(revision|down_revision) = (?:"(\w+)"|None)$', re.MULTILINE)


@lru_cache(1)
def known_revisions() -> tuple[str, ...]:
    """The schemas that this release knows, its own first. Raises ConfigurationError where the
    migrations are missing.

    Asked at the start: the files of a running process may be replaced by those of a newer release.
    """
    # Read, and not asked of Alembic: see db/migrations.py.
    before: dict[str, str] = {}
    for script in SCRIPTS.glob("versions/*.py"):
        names = dict(_REVISION.findall(script.read_text(encoding="utf-8")))
        before[names["revision"]] = names["down_revision"]
    if not before:
        raise ConfigurationError(
            f"The migrations are missing: the folder {SCRIPTS} belongs beside the "
            "package. Install from the project folder."
        )
    [revision] = before.keys() - before.values()
    known = [revision]
    while revision := before[revision]:
        known.append(revision)
    return tuple(known)


async def schema_fault(database: Database, known: Sequence[str]) -> str | None:
    """What is wrong with the schema for a release with these revisions: "newer" or "older" than its
    own; None for nothing. Raises what a query raises.
    """
    rows = await database.query("SELECT version_num FROM alembic_version", {})
    [(revision,)] = rows or [("",)]
    if revision == known[0]:
        return None
    return "older" if revision in known or not revision else "newer"


def upgrade(url: str, *, to: str = "head") -> None:
    """Migrates to the newest schema (or that revision), in one transaction: all of it or nothing.

    Blocks; at the start or in a thread.

    Raises ConfigurationError where the database cannot be reached or used, or was made by a newer
    release.
    """
    newest = known_revisions()[0]
    try:
        with exclusive(url) as connection:
            if to != "head" or _revision(connection) != newest:
                run: Callable[[Connection, Path, str], None] = import_module(
                    "orderdesk_app.db.migrations"
                ).run_migrations
                run(connection, SCRIPTS, to)
    except DatabaseError as error:
        if (refusal := unusable_database(error, file=_file(url))) is None:
            raise  # a fault of a migration, not of the address
        if isinstance(error.orig, sqlite3.Error):
            raise refusal from error
        raise refusal from None  # the driver's words may quote parts of the address


def _revision(connection: Connection) -> str | None:
    """None for a database that is empty, or of others."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found = connection.execute(text("SELECT version_num FROM alembic_version")).scalars().all()
    return str(found[0]) if len(found) == 1 else None


@contextmanager
def exclusive(url: str) -> Iterator[Connection]:
    """A connection with a transaction that no other migration can enter; commits at the end."""
    if is_sqlite_url(url):
        engine = _sqlite(sqlite_path(url))
        lock = None
    else:
        conninfo = postgres_conninfo(url)
        engine = create_engine(
            "postgresql+psycopg://",
            creator=lambda: psycopg.connect(conninfo),
            hide_parameters=True,
            poolclass=NullPool,
        )
        lock = text(f"SELECT pg_advisory_xact_lock({_LOCK})")
    try:
        with engine.begin() as connection:
            if lock is not None:
                connection.execute(lock)
                # wait long for another migration, but not for another program's lock
                milliseconds = round(WAIT_SECONDS * 1000)
                connection.execute(text(f"SET LOCAL lock_timeout = {milliseconds}"))
            yield connection
    finally:
        engine.dispose()


def _file(url: str) -> Path | None:
    return sqlite_file(url) if is_sqlite_url(url) else None


def _sqlite(path: Path) -> Any:
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        connect_args={"timeout": WAIT_SECONDS, "isolation_level": None},
        hide_parameters=True,
        poolclass=NullPool,
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        # Foreign keys stay off here: a changed table is copied and the old one dropped, which must
        # not delete its child rows.
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            try:
                connection.execute("PRAGMA journal_mode=WAL")
                return
            except connection_error:  # turning WAL on does not wait for others by itself
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    connection_error = engine.dialect.loaded_dbapi.OperationalError
    return engine
