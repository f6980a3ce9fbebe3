"""What is wrong with the disk or the file of a database, in words for the caller."""

import sqlite3
from dataclasses import dataclass

import psycopg
from sqlalchemy.exc import DBAPIError


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
