"""Access keys that change: edited, or replaced by a new one while the old one still works."""

from dataclasses import replace
from datetime import timedelta

from orderdesk_app.context import Actor, Secret, new_id, now
from orderdesk_app.db.engine import Database
from orderdesk_app.db.keys import Credential
from orderdesk_app.db.signals import Signals
from orderdesk_app.errors import ValidationFailed
from orderdesk_app.security.tokens import hint, new_access_key, prefix
from orderdesk_app.services.key_choices import (
    KeyChoice,
    checked_key_name,
    find_editable,
    require_future,
    require_stores,
)
from orderdesk_app.services.key_rows import end_replaced
from orderdesk_app.services.key_views import KeyView, details_of, granted_scopes, key_view
from orderdesk_app.services.keys import Keys, require_person_at_web
from orderdesk_app.services.reauthentication import Reauthentication
from orderdesk_app.services.roles import Permission, require, require_scopes

OVERLAPS = (timedelta(0), timedelta(hours=1), timedelta(hours=24), timedelta(days=7))


class KeyChanges:
    """Each change is signalled, so that every process asks the database before the key's next
    call.
    """

    def __init__(
        self, database: Database, keys: Keys, signals: Signals, reauthentication: Reauthentication
    ) -> None:
        self._database = database
        self._keys = keys
        self._signals = signals
        self._reauthentication = reauthentication

    async def edit(self, actor: Actor, key_id: str, choice: KeyChoice) -> KeyView:
        """The key as it is chosen now. Whoever made it may; what it gains they need to have
        themselves, and to have proved who they are lately. To narrow it takes neither.

        Raises NotFound, ValidationFailed, PermissionDenied, ReauthenticationRequired.
        """
        require_person_at_web(actor)
        choice = replace(choice, name=checked_key_name(choice.name))
        async with self._database.write() as session:
            await self._keys.lock(session, actor.tenant_id)
            row = await find_editable(session, actor, key_id)
            choice = replace(
                choice, legacy_scopes=[half for half in choice.legacy_scopes if half in row.scopes]
            )
            gained = set(choice.scopes) - granted_scopes(row)
            if gained or not (choice.scopes or choice.legacy_scopes):
                require_scopes(actor, gained)
            if choice.widens(row):
                require(actor, Permission.MANAGE_OWN_KEYS)
                await self._reauthentication.require_recent(actor)
            if choice.expires_at != row.expires_at:
                require_future(choice.expires_at)
            await require_stores(session, actor, choice)
            choice.write_to(row)
            session.add(row)
            await self._signals.publish(session, f"tenant:{actor.tenant_id}")
            view = key_view(row, actor.role)
        await self._keys.record_change(actor, "edited", "key.edit", **details_of(view))
        return view

    async def rotate(
        self, actor: Actor, key_id: str, *, overlap: timedelta
    ) -> tuple[KeyView, Secret]:
        """A new key that may do the same, shown once. The old one works for the overlap, and never
        longer than it would have. Raises as `edit`.
        """
        require_person_at_web(actor)
        require(actor, Permission.MANAGE_OWN_KEYS)
        if overlap not in OVERLAPS:
            raise ValidationFailed("Choose how long the old key still works.", field="overlap")
        await self._reauthentication.require_recent(actor)
        key, moment = new_access_key(), now()
        async with self._database.write() as session:
            await self._keys.lock(session, actor.tenant_id)
            old = await find_editable(session, actor, key_id)
            if old.expires_at is not None and old.expires_at <= moment:
                raise ValidationFailed(
                    "This key has expired. Give it a later last day first, or make a new key.",
                    field="key_id",
                )
            if overlap:  # else the old one makes room
                await self._keys.require_room(session, actor)
            kept = old.model_dump(
                include={
                    "tenant_id",
                    "user_id",
                    "kind",
                    "name",
                    "scopes",
                    "store_ids",
                    "is_read_only",
                    "expires_at",
                    "active_store_id",
                }
            )
            new = Credential(
                **kept,
                id=new_id(),
                digest=self._keys.digest_of(key.reveal()),
                prefix=prefix(key),
                hint=hint(key),
            )
            session.add(new)
            end_replaced(old, moment, overlap)
            session.add(old)
            await self._signals.publish(session, f"tenant:{actor.tenant_id}")
            view = key_view(new, actor.role)
        await self._keys.record_change(
            actor,
            "rotated",
            "key.rotate",
            name=view.name,
            overlap_hours=overlap // timedelta(hours=1),
        )
        return view, key
