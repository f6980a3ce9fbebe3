"""Deleting a whole account: its owner does, and the people of it stay as users."""

from dataclasses import dataclass

from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from orderdesk_app.context import Actor, Via
from orderdesk_app.db.deletions import Doomed
from orderdesk_app.db.engine import Database
from orderdesk_app.db.tenants import Tenant
from orderdesk_app.errors import NotFound, PermissionDenied, ValidationFailed
from orderdesk_app.services.deletions import BEING_DELETED, Count, Deletions, in_words
from orderdesk_app.services.members import lock_members, require_still, users_of
from orderdesk_app.services.operators import require_operator_left
from orderdesk_app.services.reauthentication import Reauthentication
from orderdesk_app.services.roles import Permission, require
from orderdesk_app.services.user_deletion import Deleted

ACTION = "account.delete"
_MOST_NAMED = 20


@dataclass(frozen=True, slots=True)
class AccountPreview:
    """What the deletion of the account does. `others` are the names of the other people, who lose
    it: at most twenty of `other_count`.
    """

    name: str
    others: tuple[str, ...]
    other_count: int
    counts: tuple[Count, ...]


class AccountDeletion:
    """The actor's own account, in the web app."""

    def __init__(
        self, database: Database, deletions: Deletions, reauthentication: Reauthentication
    ) -> None:
        self._database = database
        self._deletions = deletions
        self._reauthentication = reauthentication

    async def preview(self, actor: Actor) -> AccountPreview:
        """What would go, and who would lose the account. Raises PermissionDenied, NotFound."""
        _require_owner(actor)
        async with self._database.read() as session:
            tenant = await _find(session, actor)
            people = (await session.exec(users_of(actor))).all()
        others = [user.name for user in people if user.id != actor.user_id]
        counts = await self._deletions.count(Doomed(None, [actor.tenant_id]))
        return AccountPreview(
            tenant.name, tuple(others[:_MOST_NAMED]), len(others), tuple(in_words(counts))
        )

    async def delete(self, actor: Actor, typed: str) -> Deleted:
        """Delete the account with everything in it; its people stay as users.

        Raises PermissionDenied, NotFound, ValidationFailed unless its name was typed, Conflict
        where no operator could sign in any more, ReauthenticationRequired.
        """
        _require_owner(actor)
        await self._reauthentication.require_recent(actor)
        doomed = Doomed(None, [actor.tenant_id])
        counts = await self._deletions.count(doomed)
        async with self._database.write() as session:
            await lock_members(self._database, session, doomed.tenant_ids)
            await require_operator_left(self._database, session, without_tenants=doomed.tenant_ids)
            tenant = await _find(session, actor)
            await require_still(session, actor, Permission.DELETE_ACCOUNT)
            if typed.strip() != tenant.name:
                raise ValidationFailed(
                    f"Type the account's name, {tenant.name}, to delete it.", field="confirm"
                )
            deletion = await self._deletions.begin(session, ACTION, doomed, counts, by=None)
        is_finished = await self._deletions.run(deletion)
        return Deleted(tuple(in_words(counts)), is_finished)


def _require_owner(actor: Actor) -> None:
    require(actor, Permission.DELETE_ACCOUNT)
    if actor.via != Via.WEB:
        raise PermissionDenied(
            "An account is deleted by a person in the web app. Open Settings there."
        )


async def _find(session: AsyncSession, actor: Actor) -> Tenant:
    tenant = (await session.exec(select(Tenant).where(Tenant.id == actor.tenant_id))).one_or_none()
    if tenant is None or tenant.name == BEING_DELETED:
        raise NotFound("This account no longer exists.")
    return tenant
