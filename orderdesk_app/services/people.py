"""The people of an account: who belongs to it, in which role, and how they leave it.

An account keeps an owner who can sign in: a write that could take the last one away asks for that
behind a lock, so that two at once cannot take two.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlmodel import col, delete, func, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from orderdesk_app.context import Actor, Role, TenantId, UserId, now
from orderdesk_app.db.engine import Database
from orderdesk_app.db.invitations import Invitation
from orderdesk_app.db.keys import Credential
from orderdesk_app.db.memberships import Membership
from orderdesk_app.db.owned import owned
from orderdesk_app.db.sessions import Session
from orderdesk_app.db.signals import Signals
from orderdesk_app.db.users import User
from orderdesk_app.errors import Conflict, NotFound, ValidationFailed
from orderdesk_app.services.audit import AuditTrail, Entry
from orderdesk_app.services.magic_links import LinkPurpose, end_links
from orderdesk_app.services.members import lock_members, require_still, users_of
from orderdesk_app.services.operators import require_operator_left
from orderdesk_app.services.reauthentication import Reauthentication
from orderdesk_app.services.roles import Permission, require
from orderdesk_app.services.tenants import Tenants

LAST_OWNER = (
    "This is the last owner who can sign in, and an account needs one. Make somebody else an owner "
    "first."
)
_LEAVE = "person.leave"
_UNKNOWN = "Nobody of this account is that person. Reload the list of people."


@dataclass(frozen=True, slots=True)
class PersonView:
    """A member of the account, as everybody in it sees them."""

    id: UserId
    name: str
    email: str | None  # verified; None without one
    role: Role
    since: datetime
    last_sign_in_at: datetime | None  # to this account, as far as sessions are kept
    is_disabled: bool


class People:
    """Every change is in the audit log, and acts at once on keys, sessions and open pages."""

    def __init__(
        self,
        database: Database,
        signals: Signals,
        tenants: Tenants,
        reauthentication: Reauthentication,
        audit: AuditTrail,
    ) -> None:
        self._database = database
        self._signals = signals
        self._tenants = tenants
        self._reauthentication = reauthentication
        self._audit = audit

    async def list(self, actor: Actor) -> list[PersonView]:
        """Everybody who belongs to the account, by name."""
        require(actor, Permission.SEE_ACCOUNT)
        async with self._database.read() as session:
            memberships = (await session.exec(owned(actor, Membership))).all()
            users = {user.id: user for user in (await session.exec(users_of(actor))).all()}
            latest = owned(actor, Session).subquery()
            question = select(latest.c.user_id, func.max(latest.c.created_at))
            signed_in = dict((await session.exec(question.group_by(latest.c.user_id))).all())
        people = [
            _view(row, users[row.user_id], signed_in.get(row.user_id))
            for row in memberships
            if row.user_id in users
        ]
        return sorted(people, key=lambda person: (person.name.casefold(), person.id))

    async def change_role(self, actor: Actor, user_id: str, role: Role) -> PersonView:
        """Gives a member another role. Somebody who is no owner any more has no open invitations.

        Raises NotFound, Conflict for the last owner, and ReauthenticationRequired.
        """
        require(actor, Permission.MANAGE_PEOPLE)
        await self._reauthentication.require_recent(actor)
        async with self._database.write() as session:
            await lock_members(self._database, session, [actor.tenant_id])
            await require_still(session, actor, Permission.MANAGE_PEOPLE)
            membership, user = await _find(session, actor, user_id)
            if membership.role == role:
                return _view(membership, user, None)
            if role is not Role.OWNER:
                await require_owner_left(session, actor, without=user.id)
                await _delete_invitations(session, actor, user.id)
            membership.role = role.value
            session.add(membership)
            await self._publish(session, actor.tenant_id, user.id)
            changed = _view(membership, user, None)
        await self._record(actor, "person.role", user.id, role=role.value)
        return changed

    async def remove(self, actor: Actor, user_id: str) -> PersonView:
        """Takes a member out of the account: their keys and sessions here end at once. What they
        did stays in the activity, with their name.

        Raises NotFound, and Conflict for the last owner or the last operator.
        """
        require(actor, Permission.MANAGE_PEOPLE)
        return await self._take_out(actor, user_id, "person.remove")

    async def leave(self, actor: Actor, *, typed_name: str) -> PersonView:
        """The same for oneself, in any role. Raises ValidationFailed unless the account's name was
        typed, and ReauthenticationRequired: nobody can let themselves in again.
        """
        await self._reauthentication.require_recent(actor)
        name = (await self._tenants.get(actor)).name
        if typed_name.strip() != name:
            raise ValidationFailed(
                f"Type the account's name, {name}, to leave it.", field="confirm"
            )
        return await self._take_out(actor, actor.user_id or "", _LEAVE)

    async def _take_out(self, actor: Actor, user_id: str, action: str) -> PersonView:
        moment = now()
        async with self._database.write() as session:
            await lock_members(self._database, session, [actor.tenant_id])
            if action != _LEAVE:  # leaving is open to every role
                await require_still(session, actor, Permission.MANAGE_PEOPLE)
            membership, user = await _find(session, actor, user_id)
            await require_owner_left(session, actor, without=user.id)
            if user.is_operator and not await _has_another_account(session, membership):
                await require_operator_left(self._database, session, without_user=user.id)
            await session.exec(
                update(Credential)
                .where(
                    col(Credential.tenant_id) == actor.tenant_id,
                    col(Credential.user_id) == user.id,
                    col(Credential.kind).in_(("access", "app")),
                    col(Credential.revoked_at).is_(None),
                )
                .values(revoked_at=moment)
            )
            await session.exec(
                update(Session)
                .where(
                    col(Session.tenant_id) == actor.tenant_id,
                    col(Session.user_id) == user.id,
                    col(Session.ended_at).is_(None),
                )
                .values(ended_at=moment)
            )
            purposes = (LinkPurpose.SIGN_IN, LinkPurpose.CONFIRM)
            await end_links(session, actor.tenant_id, purposes, moment, user_id=user.id)
            await _delete_invitations(session, actor, user.id)
            taken = _view(membership, user, None)
            await session.delete(membership)
            await self._publish(session, actor.tenant_id, user.id)
        await self._record(actor, action, user.id)
        return taken

    async def _publish(self, session: AsyncSession, tenant_id: TenantId, user_id: UserId) -> None:
        await self._signals.publish(session, f"tenant:{tenant_id}")
        await self._signals.publish(session, f"user:{user_id}")

    async def _record(self, actor: Actor, action: str, user_id: UserId, **details: str) -> None:
        # The id alone: a name or an address would stay here when its user is deleted.
        arguments = {"person": user_id, **details}
        await self._audit.write_or_queue(Entry(actor=actor, action=action, arguments=arguments))


async def require_owner_left(session: AsyncSession, actor: Actor, *, without: UserId) -> None:
    """Raises Conflict where that user is the account's last owner who can sign in."""
    question = owned(actor, Membership).where(col(Membership.role) == Role.OWNER.value)
    owners = {row.user_id for row in (await session.exec(question)).all()}
    if without not in owners:
        return
    enabled = users_of(actor).where(col(User.disabled_at).is_(None))
    can_sign_in = {user.id for user in (await session.exec(enabled)).all()}
    if not (owners & can_sign_in) - {without}:
        raise Conflict(LAST_OWNER, field="user_id")


async def _find(session: AsyncSession, actor: Actor, user_id: str) -> tuple[Membership, User]:
    question = owned(actor, Membership).where(col(Membership.user_id) == user_id)
    membership = (await session.exec(question)).one_or_none()
    user = (await session.exec(users_of(actor).where(col(User.id) == user_id))).one_or_none()
    if membership is None or user is None:
        raise NotFound(_UNKNOWN, field="user_id")
    return membership, user


async def _has_another_account(session: AsyncSession, membership: Membership) -> bool:
    others = select(Membership).where(
        col(Membership.user_id) == membership.user_id,
        col(Membership.tenant_id) != membership.tenant_id,
    )
    return (await session.exec(others.limit(1))).first() is not None


async def _delete_invitations(session: AsyncSession, actor: Actor, user_id: UserId) -> None:
    """Those that the user made: somebody who is removed must not come back by their own, and what
    is open was promised by an owner.
    """
    await session.exec(
        delete(Invitation).where(
            col(Invitation.tenant_id) == actor.tenant_id, col(Invitation.invited_by) == user_id
        )
    )


def _view(row: Membership, user: User, signed_in_at: datetime | None) -> PersonView:
    return PersonView(
        user.id,
        user.name,
        user.email,
        Role(row.role),
        row.created_at,
        signed_in_at,
        user.disabled_at is not None,
    )
