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
from sqlalchemy.exc import DatabaseError, OperationalError

import orderdesk_app
from alembic import command
from orderdesk_app.db.engine import Database, is_sqlite_url, postgres_conninfo, sqlite_path
from orderdesk_app.errors import ConfigurationError

SCRIPTS = Path(orderdesk_app.__file__).resolve().parent.parent / "alembic"
_LOCK = 6_021_947  # any number, the same in every process of ours
WAIT_SECONDS = 60.0
_REFUSALS = {  # by SQLSTATE: how the server is set up or used, no fault of a migration
    "42501": (
        "its user may not make tables there. Let the database's owner run: GRANT CREATE ON "
        "SCHEMA public TO the user of DATABASE_URL"
    ),
    "25006": (
        "this server takes no changes (a standby, or default_transaction_read_only). Use the "
        "address of the server that does"
    ),
    "55P03": (
        "its tables are held by another program. Stop that program, or wait for it, and start again"
    ),
    "3F000": (
        "no schema to make tables in: the search_path of its user or of the address names "
        "none. Example: options=-csearch_path%3Dpublic"
    ),
}


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
        if words := _REFUSALS.get(getattr(error.orig, "sqlstate", None) or ""):
            raise ConfigurationError(f"DATABASE_URL: {words}") from None
        if type(error) not in (OperationalError, DatabaseError):
            raise  # a fault of a migration, not of the address
        if isinstance(error.orig, sqlite3.Error):
            said = _file_error_text(error.orig)
            if said is None:
                raise
            raise ConfigurationError(f"DATABASE_URL: the file {sqlite_path(url)} {said}") from error
        # Without its cause: the driver's words may quote parts of the address.
        raise ConfigurationError(
            "DATABASE_URL: the database cannot be reached, is none, or refused us. Check "
            "host, port, name, user and password. "
            "Example: "
            "DATABASE_URL=postgresql://user:password@db.example.com/orderdesk?sslmode=require"
        ) from None


def _file_error_text(error: sqlite3.Error) -> str | None:
    """What is wrong with an SQLite file and the next step; None for a fault of a migration."""
    # the primary code, without the bits that SQLite adds for details
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
        return "is no SQLite database, or it is damaged. Restore a backup, or name another file."
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return "is held by another program. Stop that program, or wait for it, and start again."
    if code == sqlite3.SQLITE_FULL:
        return "stands on a disk that is full. Make room, and start again."
    if code == sqlite3.SQLITE_ERROR:
        theirs = (
            "holds tables that were not made by this program, or not whole. Name another "
            "file, or restore a backup."
        )
        return theirs if "already exists" in str(error) else None
    return (
        "cannot be read or written. Check the rights of the file and of its folder, and the disk."
    )


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
