"""People of several accounts go from one to the other without signing in again."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlmodel import col, select

from orderdesk_app.context import Actor, Role, TenantId
from orderdesk_app.db.engine import Database
from orderdesk_app.db.memberships import Membership
from orderdesk_app.db.tenants import Tenant
from orderdesk_app.errors import NotFound
from orderdesk_app.services.audit import AuditTrail, Entry
from orderdesk_app.services.sessions import Sessions, WebUser

MOST_SHOWN = 100


@dataclass(frozen=True, slots=True)
class AccountChoice:
    """An account that the person may go to, or is in."""

    id: TenantId
    name: str
    role: Role


class AccountSwitch:
    """A session that a master key began stays in its account: its holder need not be the person in
    whose name the key acts.
    """

    def __init__(self, database: Database, sessions: Sessions, audit: AuditTrail) -> None:
        self._database = database
        self._sessions = sessions
        self._audit = audit

    async def list(self, actor: Actor) -> Sequence[AccountChoice]:
        """The open accounts of the actor, by name; none for a session of a master key."""
        if actor.credential_id is not None or actor.user_id is None:
            return ()
        question = (
            select(Tenant, Membership)
            .join(Membership, col(Membership.tenant_id) == col(Tenant.id))
            .where(col(Membership.user_id) == actor.user_id, col(Tenant.disabled_at).is_(None))
            .order_by(col(Tenant.name), col(Tenant.id))
            .limit(MOST_SHOWN)
        )
        async with self._database.read() as session:
            found = (await session.exec(question)).all()
        return [
            AccountChoice(tenant.id, tenant.name, Role(membership.role))
            for tenant, membership in found
        ]

    async def go_to(self, user: WebUser, tenant_id: str) -> str:
        """Ends the session and begins another of the same sign-in in that account; returns the
        cookie's value. Raises NotFound for an account that is not the person's.
        """
        chosen = next((one for one in await self.list(user.actor) if one.id == tenant_id), None)
        if chosen is None:
            raise NotFound("You do not belong to that account any more. Reload the page.")
        async with self._database.write() as session:
            cookie = await self._sessions.move(session, user.session_id, chosen.id)
        actor = replace(user.actor, tenant_id=chosen.id, role=chosen.role, session_id=None)
        await self._audit.write_or_queue(Entry(actor=actor, action="sign_in.switch"))
        return cookie
