"""Deletes old rows of the audit log, the journal and OAuth clients in small batches, each found by
an index and committed by itself, so that no other write waits for long.
"""

from datetime import UTC, datetime

from orderdesk_app.db.engine import Database

AUDIT_BATCH = 200
CLIENTS_BATCH = 200
JOURNAL_BATCH = 50  # its rows hold up to three whole orders

DELETE_AUDIT_ROWS = """
    DELETE FROM audit_log WHERE id IN
    (SELECT id FROM audit_log WHERE at < :before ORDER BY at LIMIT :count) RETURNING 1
"""
# A row that is open has no closed_at: it is never deleted, as the next read of its object has to
# settle it.
DELETE_CHANGES = """
    DELETE FROM changes WHERE id IN
    (SELECT id FROM changes WHERE closed_at < :before ORDER BY closed_at LIMIT :count) RETURNING 1
"""
DELETE_CLIENTS = """
    DELETE FROM oauth_clients WHERE client_id IN
    (SELECT client_id FROM oauth_clients WHERE expires_at < :before ORDER BY expires_at
     LIMIT :count) RETURNING 1
"""


async def delete_old_audit_rows(database: Database, before: datetime) -> int:
    """Delete one batch of rows older than `before`; returns how many they were."""
    return await _delete(database, DELETE_AUDIT_ROWS, before, AUDIT_BATCH)


async def delete_old_changes(database: Database, before: datetime) -> int:
    """Delete one batch of writes that were closed before `before`; returns how many they were."""
    return await _delete(database, DELETE_CHANGES, before, JOURNAL_BATCH)


async def delete_expired_clients(database: Database, before: datetime) -> int:
    """Delete one batch of OAuth clients whose time was over before `before`; returns how many."""
    return await _delete(database, DELETE_CLIENTS, before, CLIENTS_BATCH)


async def _delete(database: Database, statement: str, before: datetime, count: int) -> int:
    moment = before.astimezone(UTC)
    # SQLite keeps times as text, in the form that SQLAlchemy writes (services/audit.py)
    given = (
        moment.replace(tzinfo=None).isoformat(" ", "microseconds") if database.is_sqlite else moment
    )
    return len(await database.execute(statement, {"before": given, "count": count}))
