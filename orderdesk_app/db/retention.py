"""Finds and deletes old rows of the audit log, the journal and OAuth in small batches, each
found by an index and committed by itself, so that no other write waits for long.
"""

import json
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Any

from orderdesk_app.context import TenantId
from orderdesk_app.db.engine import Database

AUDIT_BATCH = 200
OAUTH_BATCH = 200
JOURNAL_BATCH = 50  # its rows hold up to three whole orders

# Rows of chains that wait for a younger one (a list in JSON) are not looked at: the others would
# wait with them.
_SQLITE_WAITING = "SELECT value FROM json_each(:waiting)"
_POSTGRES_WAITING = "SELECT json_array_elements_text(CAST(:waiting AS json))"
_AUDIT_ROWS = """
    at < :before AND (sequence IS NULL OR coalesce(tenant_id, '') NOT IN ({waiting}))
    ORDER BY at LIMIT :count
"""
# Whose the oldest rows are; 0 for rows from before the chains, which are deleted as they are.
OLDEST_AUDIT_ROWS = f"""
    SELECT tenant_id, sequence IS NOT NULL AS is_linked, count(*) FROM
    (SELECT tenant_id, sequence FROM audit_log WHERE {_AUDIT_ROWS}) AS old
    GROUP BY tenant_id, sequence IS NOT NULL
"""  # noqa: S608
# :count of the oldest rows, of which those in a chain stay: they leave it in their order
DELETE_AUDIT_ROWS = f"""
    DELETE FROM audit_log WHERE sequence IS NULL AND id IN
    (SELECT id FROM audit_log WHERE {_AUDIT_ROWS}) RETURNING 1
"""  # noqa: S608
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
DELETE_CODES = """
    DELETE FROM oauth_codes WHERE id IN
    (SELECT id FROM oauth_codes WHERE expires_at < :before ORDER BY expires_at LIMIT :count)
    RETURNING 1
"""
DELETE_TOKENS = """
    DELETE FROM oauth_tokens WHERE id IN
    (SELECT id FROM oauth_tokens WHERE refresh_expires_at < :before ORDER BY refresh_expires_at
     LIMIT :count) RETURNING credential_id
"""
END_APP = """
    UPDATE credentials SET revoked_at = :at WHERE id = :id AND kind = 'app' AND revoked_at IS NULL
    AND NOT EXISTS (SELECT 1 FROM oauth_tokens WHERE credential_id = :id) RETURNING 1
"""


async def chains_with_old_rows(
    database: Database, before: datetime, waiting: Collection[TenantId | None]
) -> tuple[Sequence[TenantId | None], int]:
    """Of the oldest AUDIT_BATCH rows that are older than `before`: the accounts whose chains have
    some, without those that wait, and how many rows are in no chain.
    """
    found = await _of_audit(database, OLDEST_AUDIT_ROWS, before, waiting)
    linked = [tenant_id for tenant_id, is_linked, _ in found if is_linked]
    return linked, sum(count for _, is_linked, count in found if not is_linked)


async def delete_unlinked_audit_rows(
    database: Database, before: datetime, waiting: Collection[TenantId | None]
) -> int:
    """Delete those of the same rows that are in no chain; returns how many."""
    return len(await _of_audit(database, DELETE_AUDIT_ROWS, before, waiting))


async def _of_audit(
    database: Database, statement: str, before: datetime, waiting: Collection[TenantId | None]
) -> Sequence[tuple[Any, ...]]:
    given = {
        "before": _moment(database, before),
        "count": AUDIT_BATCH,
        "waiting": json.dumps(sorted(tenant_id or "" for tenant_id in waiting)),
    }
    form = _SQLITE_WAITING if database.is_sqlite else _POSTGRES_WAITING
    return await database.execute(statement.format(waiting=form), given)


async def delete_old_changes(database: Database, before: datetime) -> int:
    """Delete one batch of writes that were closed before `before`; returns how many they were."""
    return await _delete(database, DELETE_CHANGES, before, JOURNAL_BATCH)


async def delete_expired_clients(database: Database, before: datetime) -> int:
    """Delete one batch of OAuth clients whose time was over before `before`; returns how many."""
    return await _delete(database, DELETE_CLIENTS, before, OAUTH_BATCH)


async def delete_expired_codes(database: Database, before: datetime) -> int:
    """Delete one batch of codes that expired before `before`; returns how many."""
    return await _delete(database, DELETE_CODES, before, OAUTH_BATCH)


async def delete_expired_tokens(database: Database, before: datetime) -> int:
    """Delete one batch of tokens of which neither works since `before`; returns how many. An app
    whose last ones they were is no longer connected.
    """
    given = {"before": _moment(database, before), "count": OAUTH_BATCH}
    deleted = await database.execute(DELETE_TOKENS, given)
    for app_id in sorted({str(app_id) for (app_id,) in deleted}):
        await database.execute(END_APP, {"id": app_id, "at": _moment(database, before)})
    return len(deleted)


async def _delete(database: Database, statement: str, before: datetime, count: int) -> int:
    given = {"before": _moment(database, before), "count": count}
    return len(await database.execute(statement, given))


def _moment(database: Database, at: datetime) -> datetime | str:
    """SQLite keeps times as text, in the form that SQLAlchemy writes (services/audit_links.py)."""
    moment = at.astimezone(UTC)
    if not database.is_sqlite:
        return moment
    return moment.replace(tzinfo=None).isoformat(" ", "microseconds")
