"""Brings a database to the schema of this release; several processes may start at once, one
migrates and the others wait.
"""

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import psycopg
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import URL, Connection, NullPool, create_engine, event, text
from sqlalchemy.exc import DatabaseError

import orderdesk_app
from alembic import command
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


@lru_cache(1)
def known_revisions() -> tuple[str, ...]:
    """The schemas that this release knows, its own first.

    Asked at the start: the files of a running process may be replaced by those of a newer release.
    """
    scripts = ScriptDirectory(str(SCRIPTS))
    return tuple(script.revision for script in scripts.walk_revisions())


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
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    try:
        with exclusive(url) as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, to)
    except CommandError as error:
        if not SCRIPTS.is_dir():
            raise ConfigurationError(
                f"The migrations are missing: the folder {SCRIPTS} belongs beside the "
                "package. Install from the project folder."
            ) from None
        raise ConfigurationError(
            "DATABASE_URL: this database was migrated by a newer release. Start that "
            "release, or restore an older backup."
        ) from error
    except DatabaseError as error:
        if (refusal := unusable_database(error, file=_file(url))) is None:
            raise  # a fault of a migration, not of the address
        if isinstance(error.orig, sqlite3.Error):
            raise refusal from error
        raise refusal from None  # the driver's words may quote parts of the address


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
