"""Why a database cannot be used, in words for operators."""

import sqlite3
from pathlib import Path

from sqlalchemy.exc import DatabaseError, OperationalError

from orderdesk_app.errors import ConfigurationError

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


def unusable_database(error: DatabaseError, *, file: Path | None) -> ConfigurationError | None:
    """What is wrong with an SQLite `file`, or with a server; None for a fault of a statement."""
    if words := _REFUSALS.get(getattr(error.orig, "sqlstate", None) or ""):
        return ConfigurationError(f"DATABASE_URL: {words}")
    if type(error) not in (OperationalError, DatabaseError):
        return None
    if isinstance(error.orig, sqlite3.Error):
        said = _file_error_text(error.orig)
        return ConfigurationError(f"DATABASE_URL: the file {file} {said}") if said else None
    return ConfigurationError(
        "DATABASE_URL: the database cannot be reached, is none, or refused us. Check "
        "host, port, name, user and password. "
        "Example: "
        "DATABASE_URL=postgresql://user:password@db.example.com/orderdesk?sslmode=require"
    )


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
