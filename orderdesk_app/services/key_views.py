"""A key as people see it, and what it may do: the scopes of its row that its user's role allows."""

from dataclasses import dataclass, replace
from datetime import datetime

from orderdesk_app.context import ALL_SCOPES, READING_SCOPES, Json, LegacyScope, Role, Scope, UserId
from orderdesk_app.db.keys import Credential
from orderdesk_app.services.roles import legacy_scopes_of, scopes_of

MASTER, ACCESS, APP = "master", "access", "app"


@dataclass(frozen=True, slots=True)
class KeyView:
    """A key as people see it: never the key itself, but its first and last characters.

    `scopes` and `legacy_scopes` are what it may do now, the other two what was chosen for it.
    """

    id: str
    kind: str
    name: str
    prefix: str
    hint: str
    scopes: tuple[Scope, ...]
    granted: tuple[Scope, ...]
    legacy_scopes: tuple[LegacyScope, ...]
    legacy_granted: tuple[LegacyScope, ...]
    store_ids: tuple[str, ...] | None  # None for every store of the account
    is_read_only: bool
    created_at: datetime
    expires_at: datetime | None
    replaced_at: datetime | None  # when another key took its place
    last_used_at: datetime | None
    last_client: str
    last_address: str
    default_store_id: str | None = None  # the store of calls that name none
    user_id: UserId | None = None  # who made it; None of a user who is deleted

    @property
    def is_master(self) -> bool:
        return self.kind == MASTER


def key_view(row: Credential, role: Role | None) -> KeyView:
    """The key of a user with that role; None is a role that allows everything."""
    may = scopes_of_key(row, role)
    legacy = legacy_scopes_of_key(row, role)
    return KeyView(
        id=row.id,
        kind=row.kind,
        name=row.name,
        prefix=row.prefix,
        hint=row.hint,
        scopes=tuple(scope for scope in Scope if scope in may),
        granted=tuple(scope for scope in Scope if scope in granted_scopes(row)),
        legacy_scopes=tuple(scope for scope in LegacyScope if scope in legacy),
        legacy_granted=tuple(scope for scope in LegacyScope if scope.value in row.scopes),
        store_ids=None if row.store_ids is None else tuple(row.store_ids),
        is_read_only=row.is_read_only,
        created_at=row.created_at,
        expires_at=row.expires_at,
        replaced_at=row.replaced_at,
        last_used_at=row.last_used_at,
        last_client=row.last_client,
        last_address=row.last_address,
        default_store_id=row.active_store_id,
        user_id=row.user_id,
    )


def granted_scopes(row: Credential) -> frozenset[Scope]:
    """The scopes that were chosen for the key; a master key has all, also those that came later."""
    if row.kind == MASTER:
        return ALL_SCOPES
    return frozenset(scope for scope in Scope if scope.value in row.scopes)


def scopes_of_key(row: Credential, role: Role | None) -> frozenset[Scope]:
    """What the key may do in the name of a user with that role."""
    may = granted_scopes(row) & scopes_of(role)
    return may & READING_SCOPES if row.is_read_only else may


def legacy_scopes_of_key(row: Credential, role: Role | None) -> frozenset[LegacyScope]:
    """As scopes_of_key, for the halves of stores:manage."""
    if row.is_read_only or row.kind == MASTER:
        return frozenset()
    granted = frozenset(scope for scope in LegacyScope if scope.value in row.scopes)
    return granted & legacy_scopes_of(role)


def powerless_view(row: Credential) -> KeyView:
    """A key whose user is no member of the account: it opens nothing."""
    return replace(key_view(row, None), scopes=(), legacy_scopes=())


def details_of(view: KeyView) -> dict[str, Json]:
    """What the audit log keeps of a key that was made or edited."""
    scopes: list[Json] = [*sorted(map(str, (*view.granted, *view.legacy_granted)))]
    details: dict[str, Json] = {"name": view.name, "scopes": scopes}
    if view.is_read_only:
        details["read_only"] = True
    if view.store_ids is not None:
        details["store_row_ids"] = list(view.store_ids)
    if view.expires_at is not None:
        details["expires"] = view.expires_at.isoformat(timespec="seconds")
    return details
