"""What a row of `credentials` means: which are shown, how one ends, and the key that a call has."""

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement
from sqlmodel import col, or_

from orderdesk_app.context import StoreRowId, now
from orderdesk_app.db.keys import Credential
from orderdesk_app.services.access import FoundKey
from orderdesk_app.services.key_views import APP, legacy_scopes_of_key, scopes_of_key
from orderdesk_app.services.members import Member


def is_listed() -> tuple[ColumnElement[bool], ...]:
    """The keys that people see: not revoked, no apps, and no replaced ones that have ended."""
    return (
        col(Credential.revoked_at).is_(None),
        col(Credential.kind) != APP,
        or_(col(Credential.replaced_at).is_(None), col(Credential.expires_at) > now()),
    )


def is_working() -> tuple[ColumnElement[bool], ...]:
    """The keys and apps that were not revoked and have not ended."""
    ends = col(Credential.expires_at)
    return col(Credential.revoked_at).is_(None), or_(ends.is_(None), ends > now())


def end_replaced(row: Credential, moment: datetime, overlap: timedelta) -> None:
    """The key that another one has replaced: it works for the overlap, and never longer than it
    would have. A key that was replaced before keeps the end that was promised then, unless there is
    no overlap.
    """
    if not overlap:
        row.revoked_at = moment
    elif row.replaced_at is None:
        ends = moment + overlap
        row.expires_at = ends if row.expires_at is None else min(ends, row.expires_at)
    row.replaced_at = row.replaced_at or moment


def found_key(row: Credential, member: Member) -> FoundKey:
    return FoundKey(
        credential_id=row.id,
        tenant_id=row.tenant_id,
        member=member,
        made_by=row.user_id,
        kind=row.kind,
        name=row.name,
        scopes=scopes_of_key(row, member.role),
        legacy_scopes=legacy_scopes_of_key(row, member.role),
        store_ids=(None if row.store_ids is None else frozenset(map(StoreRowId, row.store_ids))),
        expires_at=row.expires_at,
        is_replaced=row.replaced_at is not None,
        active_store_id=StoreRowId(row.active_store_id) if row.active_store_id else None,
    )
