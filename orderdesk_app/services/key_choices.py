"""What a person chooses for an access key, and whether they may choose it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from orderdesk_app.context import READING_SCOPES, Actor, LegacyScope, Scope, now
from orderdesk_app.db.keys import Credential
from orderdesk_app.db.owned import owned
from orderdesk_app.db.stores import Store
from orderdesk_app.errors import NotFound, ValidationFailed
from orderdesk_app.services.names import is_visible, without_idle_half_spaces

_LONGEST_NAME = 80
KEEP = "keep"
# how long a new key works, or an edited one from now on, in days; "" is for ever
SPANS: Final[Mapping[str, str]] = {
    "": "Never",
    "1": "In 1 day",
    "7": "In 7 days",
    "30": "In 30 days",
    "90": "In 90 days",
    "365": "In 1 year",
}


@dataclass(frozen=True, slots=True)
class KeyChoice:
    """A key as its person wants it. `store_ids` None is every store, also those that come later.

    `legacy_scopes` can be kept by a key that has them, and given to no other.
    """

    name: str
    scopes: Collection[Scope] = READING_SCOPES
    store_ids: Collection[str] | None = None
    is_read_only: bool = False
    expires_at: datetime | None = None
    default_store_id: str | None = None
    legacy_scopes: Collection[LegacyScope] = ()

    def write_to(self, row: Credential) -> None:
        row.name = self.name
        row.scopes = sorted({*map(str, self.scopes), *map(str, self.legacy_scopes)})
        row.store_ids = None if self.store_ids is None else sorted(self.store_ids)
        row.is_read_only = self.is_read_only
        row.expires_at = self.expires_at
        row.active_store_id = self.default_store_id

    def widens(self, row: Credential) -> bool:
        """Whether a key of this choice may do anything that the key of the row may not."""
        had_stores = None if row.store_ids is None else set(row.store_ids)
        return (
            not {*map(str, self.scopes), *map(str, self.legacy_scopes)} <= set(row.scopes)
            or (row.is_read_only and not self.is_read_only)
            or (
                had_stores is not None
                and (self.store_ids is None or not set(self.store_ids) <= had_stores)
            )
            or (
                row.expires_at is not None
                and (self.expires_at is None or self.expires_at > row.expires_at)
            )
        )


def end_of(chosen: str, moment: datetime, now_ends: datetime | None = None) -> datetime | None:
    """When a key with that choice expires; None for never. KEEP is the end that it has now. Raises
    ValidationFailed for what is not offered.
    """
    if chosen == KEEP and now_ends is not None:
        return now_ends
    if chosen not in SPANS:
        raise ValidationFailed("Choose how long the key works.", field="expires")
    return moment + timedelta(days=int(chosen)) if chosen else None


def checked_key_name(name: str) -> str:
    """The name without the spaces around it. Raises ValidationFailed."""
    text = without_idle_half_spaces(name.strip())
    if not 1 <= len(text) <= _LONGEST_NAME or not is_visible(text):
        raise ValidationFailed(
            f"A key's name has 1 to {_LONGEST_NAME} characters on one line, each of which can "
            "be seen. Choose another.",
            field="name",
        )
    return text


def require_future(expires_at: datetime | None) -> None:
    """Raises ValidationFailed for an end that has passed."""
    if expires_at is not None and expires_at <= now():
        raise ValidationFailed(
            "A key's last day is in the future. Choose a later one.", field="expires"
        )


async def require_stores(session: AsyncSession, actor: Actor, choice: KeyChoice) -> None:
    """Inside a write: raises NotFound for a store that the actor does not reach, and
    ValidationFailed for a choice of none, or a default store that the key would not reach.
    """
    wanted = choice.store_ids
    if wanted is not None and not wanted:
        raise ValidationFailed(
            "Choose at least one store, or let the key work with all of them.", field="stores"
        )
    if not wanted and choice.default_store_id is None:
        return
    mine = {store.id for store in (await session.exec(owned(actor, Store))).all()}
    if wanted and not set(wanted) <= mine:
        raise NotFound("A chosen store is no longer connected. Choose again.", field="stores")
    default = choice.default_store_id
    if default is None:
        return
    if default not in mine:
        raise NotFound("That store is no longer connected. Choose another.", field="default_store")
    if wanted and default not in wanted:
        raise ValidationFailed(
            "The key does not reach its default store. Choose one that it reaches.",
            field="default_store",
        )


async def find_editable(session: AsyncSession, actor: Actor, key_id: str) -> Credential:
    """Inside a write: an access key that works and that the actor made. Raises NotFound: what
    somebody else's key may do is theirs to choose.
    """
    question = owned(actor, Credential).where(
        col(Credential.id) == key_id,
        col(Credential.kind) == "access",
        col(Credential.revoked_at).is_(None),
        col(Credential.replaced_at).is_(None),
        col(Credential.user_id) == actor.user_id,
    )
    row = (await session.exec(question)).one_or_none()
    if row is None:
        raise NotFound(
            "You have no such key, or it was revoked or replaced before. Reload the list of keys.",
            field="key_id",
        )
    return row
