"""Looks at a database from outside, for `orderdesk doctor`: makes no file, migrates nothing, and
leaves every row as it is.
"""

import os
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

import psycopg
from sqlalchemy import Connection, NullPool, create_engine, text
from sqlalchemy.exc import DatabaseError, OperationalError

from orderdesk_app.database_refusals import unusable_database
from orderdesk_app.db.engine import is_sqlite_url, postgres_conninfo, sqlite_file
from orderdesk_app.errors import ConfigurationError
from orderdesk_app.setting_rules import missing_folder
from orderdesk_app.storage_faults import has_sound_pages

_CHECK_SECONDS = 2.0  # for the pages of an SQLite file
LOCK_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class RootKey:
    """The wrapped key that all others hang on."""

    row_id: str
    wrapped: bytes
    key_id: str  # of the MCP_KMS_KEY that wrapped it


@dataclass(frozen=True, slots=True)
class DatabaseState:
    """`revision` is that of its schema, "" where there are no tables of ours; `fault` is what is
    wrong although it answers.
    """

    revision: str = ""
    root_key: RootKey | None = None
    wrapped_by: Mapping[str, int] = field(default_factory=dict)  # how many keys, by the key's id
    fault: str = ""
    clock: datetime | None = None  # a Postgres server's, None for a file
    most_connections: int | None = None


def look_at(url: str) -> DatabaseState | None:
    """The state of a database; None for an SQLite file that the first start will make. Blocks.

    Raises ConfigurationError where it cannot be reached or read.
    """
    file = sqlite_file(url) if is_sqlite_url(url) else None
    try:
        return _look_at_server(url) if file is None else _look_at_file(file, url)
    except DatabaseError as error:
        if (refusal := unusable_database(error, file=file)) is None:
            raise
        raise refusal from None


def _look_at_file(path: Path, url: str) -> DatabaseState | None:
    if missing := missing_folder(url):
        raise ConfigurationError(f"DATABASE_URL: {missing}")
    # the folder first: whether a file is in one that is closed cannot be asked
    _must_be_writable(path.parent if path.parent.exists() else Path.cwd())
    if not path.exists():
        return None
    _must_be_writable(path)
    # Without a WAL no process has it open, and a connection would make one for a moment.
    has_wal = path.with_name(f"{path.name}-wal").exists()
    mode = "mode=ro" if has_wal else "mode=ro&immutable=1"
    with _sqlite(f"{path.resolve().as_uri()}?{mode}") as connection:
        raw = connection.connection.driver_connection
        assert isinstance(raw, sqlite3.Connection)
        until = time.monotonic() + _CHECK_SECONDS
        if has_sound_pages(raw, lambda: time.monotonic() > until) is False:
            raise ConfigurationError(
                f"DATABASE_URL: the file {path} is damaged. Restore a backup, or name another file."
            )
        state = _state(connection)
        if has_wal:  # while the other connection is open: the last one to close would write
            _must_not_be_locked(path)
        return state


def _must_be_writable(path: Path) -> None:
    if not os.access(path, os.W_OK):
        raise ConfigurationError(
            f"DATABASE_URL: {path} cannot be written to by this user. Start as the user that it "
            "belongs to, or change its owner with chown."
        )


def _must_not_be_locked(path: Path) -> None:
    with _sqlite(f"{path.resolve().as_uri()}?mode=rw") as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        connection.exec_driver_sql("ROLLBACK")


@contextmanager
def _sqlite(uri: str) -> Iterator[Connection]:
    engine = create_engine(
        "sqlite://",
        creator=lambda: sqlite3.connect(uri, uri=True, timeout=LOCK_SECONDS, isolation_level=None),
        hide_parameters=True,
        poolclass=NullPool,
    )
    with engine.connect() as connection:
        yield connection


def _look_at_server(url: str) -> DatabaseState:
    conninfo = postgres_conninfo(url)
    engine = create_engine(
        "postgresql+psycopg://",
        creator=lambda: psycopg.connect(conninfo, autocommit=True),
        hide_parameters=True,
        poolclass=NullPool,
    )
    with engine.connect() as connection:
        connection.exec_driver_sql("SET statement_timeout = '5s'")
        is_standby, is_read_only, clock, most = connection.execute(
            text(
                "SELECT pg_is_in_recovery(), current_setting('transaction_read_only') = 'on', "
                "clock_timestamp(), current_setting('max_connections')::int"
            )
        ).one()
        fault = ""
        if is_standby or is_read_only:
            fault = (
                "this server takes no changes (a standby, or default_transaction_read_only). Use "
                "the address of the server that does"
            )
        state = _state(connection)
        if state.revision and not fault:
            fault = _missing_right(connection)
        return replace(state, fault=fault, clock=clock, most_connections=most)


def _missing_right(connection: Connection) -> str:
    may_write = connection.execute(
        text(
            "SELECT has_table_privilege('audit_log', 'INSERT') "
            "AND has_table_privilege('audit_log', 'UPDATE') "
            "AND has_table_privilege('audit_log', 'DELETE')"
        )
    ).scalar_one()
    if may_write:
        return ""
    return (
        "its user may not change the tables. Let the owner of the tables be the user of "
        "DATABASE_URL"
    )


def _state(connection: Connection) -> DatabaseState:
    try:
        revision = connection.exec_driver_sql(
            "SELECT version_num FROM alembic_version"
        ).scalar_one_or_none()
        found = connection.exec_driver_sql(
            "SELECT id, wrapped, key_id FROM master_key_metadata WHERE purpose = 'digest'"
        ).first()
        wrapped_by = connection.exec_driver_sql(
            "SELECT key_id, count(*) FROM master_key_metadata GROUP BY key_id"
        ).all()
    except DatabaseError as error:
        if not _has_no_table(error):
            raise
        return DatabaseState()
    root_key = RootKey(str(found[0]), bytes(found[1]), str(found[2])) if found else None
    counts = {str(name): int(number) for name, number in wrapped_by}
    return DatabaseState(str(revision or ""), root_key, counts)


def _has_no_table(error: DatabaseError) -> bool:
    if isinstance(error.orig, psycopg.Error):
        return error.orig.sqlstate == "42P01"
    return isinstance(error, OperationalError) and "no such table" in str(error.orig)
