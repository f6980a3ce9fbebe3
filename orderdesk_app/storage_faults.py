"""What is wrong with the disk or the file of a database, in words for the caller."""

import contextlib
import errno
import os
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
from sqlalchemy.exc import DBAPIError, IntegrityError


@dataclass(frozen=True, slots=True)
class StorageFault:
    """`words` begin the sentence that a caller reads; `is_damage`: no wait will mend it."""

    words: str
    is_damage: bool = False


_FULL = StorageFault("The disk of our database is full")
_READ_ONLY = StorageFault("Our database takes no changes just now")
_DISK = StorageFault("The disk of our database fails")
_DAMAGED = StorageFault("Our database is damaged", is_damage=True)
# by the primary code: SQLite adds details in the higher bits. With each of them the transaction
# was rolled back.
_OF_SQLITE = {
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_READONLY: _READ_ONLY,
    sqlite3.SQLITE_PERM: _READ_ONLY,
    sqlite3.SQLITE_IOERR: _DISK,
    sqlite3.SQLITE_CANTOPEN: _DISK,
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_NOTADB: _DAMAGED,
}
# by SQLSTATE
_OF_POSTGRES = {
    "53100": _FULL,
    "25006": _READ_ONLY,
    "58030": _DISK,
    "XX001": _DAMAGED,
    "XX002": _DAMAGED,
}


def storage_fault(error: BaseException) -> StorageFault | None:
    """The fault that a driver reports; None for every other error."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(cause, sqlite3.Error):
        return _OF_SQLITE.get(getattr(cause, "sqlite_errorcode", 0) & 0xFF)
    if isinstance(cause, psycopg.Error):
        return _OF_POSTGRES.get(cause.sqlstate or "")
    return None


# a WAL that may be written over hides a full disk for a while
_LEAST_FREE_BYTES = 1024 * 1024
_STEPS = 10_000  # of SQLite's machine between two questions whether to stop


def file_identity(path: Path) -> tuple[int, int]:
    """Which file it is, independent of its name."""
    found = path.stat()
    return found.st_dev, found.st_ino


def check_free_space(folder: Path) -> None:
    """Raises OSError for a disk that is full."""
    disk = os.statvfs(folder)
    if disk.f_bavail * disk.f_frsize < _LEAST_FREE_BYTES:
        raise OSError(errno.ENOSPC, "the disk of the database is full")


def existing_file(path: Path) -> str:
    """The URI by which SQLite opens a file and never makes one: only a migration makes it. Where it
    was moved away, an empty file in its place would be taken for the database.
    """
    return f"{path.resolve().as_uri()}?mode=rw"


@contextlib.contextmanager
def connection_to(path: Path, *, seconds: float) -> Iterator[sqlite3.Connection]:
    """A connection to an SQLite file that is there; each statement is its own transaction."""
    with contextlib.closing(
        sqlite3.connect(existing_file(path), uri=True, timeout=seconds, isolation_level=None)
    ) as connection:
        yield connection


def is_sound(path: Path, has_to_stop: Callable[[], bool]) -> bool | None:
    """Whether every page of an SQLite file can be read and fits the others; None where it had to
    stop before that was known. Blocks.
    """
    with connection_to(path, seconds=1) as connection:
        return has_sound_pages(connection, has_to_stop)


def has_sound_pages(connection: sqlite3.Connection, has_to_stop: Callable[[], bool]) -> bool | None:
    """`is_sound` for the file of an open connection."""
    connection.set_progress_handler(has_to_stop, _STEPS)
    try:
        return bool(connection.execute("PRAGMA quick_check(1)").fetchone() == ("ok",))
    except sqlite3.Error as error:
        fault = storage_fault(error)
        return False if fault is not None and fault.is_damage else None
    finally:
        connection.set_progress_handler(None, 0)


def is_about_gone_rows(error: IntegrityError) -> bool:
    """Whether a row could not be written because another one that it names is gone."""
    cause = error.orig
    if isinstance(cause, psycopg.Error):
        return isinstance(cause, psycopg.errors.ForeignKeyViolation)
    return getattr(cause, "sqlite_errorcode", None) == sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY


def is_locked(error: Exception) -> bool:
    """True when SQLite waited its time for another process's write.

    It happens before anything is written: BEGIN IMMEDIATE takes the lock.
    """
    cause = error.orig if isinstance(error, DBAPIError) else error
    return (
        isinstance(cause, sqlite3.Error)
        and getattr(cause, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY
    )
