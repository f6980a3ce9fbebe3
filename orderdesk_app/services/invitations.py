"""Invitations: an owner asks somebody by e-mail to join the account, in a role.

An invitation is for one address. A mailed link proves whose the address is; where mail is not set
up, the owner gets the link to pass on, and it proves nothing: the user it makes has no address, and
it signs nobody in who is known already. An invitation lasts as long as its inviter is an owner.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.exc import IntegrityError
from sqlmodel import and_, col, delete, select
from sqlmodel.ext.asyncio.session import AsyncSession

from orderdesk_app.context import Actor, Role, Secret, TenantId, UserId, Via, now
from orderdesk_app.db.engine import Database
from orderdesk_app.db.invitations import Invitation
from orderdesk_app.db.memberships import Membership
from orderdesk_app.db.owned import owned
from orderdesk_app.db.signals import Signals
from orderdesk_app.db.tenants import Tenant
from orderdesk_app.db.users import User
from orderdesk_app.errors import AuthFailed, Conflict, LinkExpired, NotFound, PermissionDenied
from orderdesk_app.mail.addresses import email_address, readable
from orderdesk_app.mail.letters import Invitation as InvitationLetter
from orderdesk_app.services.audit import AuditTrail, Entry
from orderdesk_app.services.limits import Limit
from orderdesk_app.services.magic_links import Link, LinkPurpose, MagicLinks
from orderdesk_app.services.mailer import Mailer
from orderdesk_app.services.members import (
    find_first_owner,
    find_user_by_email,
    is_same_address,
    lock_email,
    lock_members,
    require_person,
    require_still,
    users_of,
)
from orderdesk_app.services.profile import person_name
from orderdesk_app.services.reauthentication import Reauthentication
from orderdesk_app.services.roles import Permission, require
from orderdesk_app.services.sessions import Sessions, WebUser

WORKS_FOR = timedelta(days=7)
MOST_WAITING = 50  # invitations of one account
MOST_PEOPLE = 200  # members of one account
_KEPT = timedelta(days=30)  # how long an expired invitation is shown
PATH = "/invitation"
WITHDRAWN = "This invitation was withdrawn. Ask the person who invited you for a new one."
_SENT_AGAIN = "This invitation was sent again since. Use the link of the newest mail."
_UNKNOWN = "That invitation was accepted or withdrawn meanwhile. Reload the list of people."


@dataclass(frozen=True, slots=True)
class InvitationView:
    """An invitation that waits; `by` is the name of the owner who made it."""

    id: str
    email: str
    role: Role
    by: str
    created_at: datetime
    expires_at: datetime
    is_expired: bool


@dataclass(frozen=True, slots=True)
class Sent:
    """An invitation that was mailed just now. Where mail is not set up, `link` is to be passed on
    by its owner: it is shown once and kept nowhere.
    """

    email: str
    link: Secret | None


@dataclass(frozen=True, slots=True)
class Offer:
    """What an invitation offers to whoever opened its link."""

    account: str
    by: str
    role: Role
    email: str
    is_proof: bool  # of whose the address is
    is_known: bool  # the address has a user already; only a link that is a proof tells
    is_for_user: bool  # whether the user who is signed in may accept it
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Accepted:
    """Somebody who joined: the cookie of their new session, in that account."""

    cookie: str
    account: str


@dataclass(frozen=True, slots=True)
class _Found:
    row: Invitation
    tenant: Tenant
    inviter: User
    is_proof: bool


class Invitations:
    """Every invitation and every answer is in the audit log, without the address."""

    def __init__(
        self,
        database: Database,
        signals: Signals,
        links: MagicLinks,
        mailer: Mailer,
        sessions: Sessions,
        reauthentication: Reauthentication,
        audit: AuditTrail,
        *,
        limit: Limit,
        answers: Limit,
        public_url: str,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._database = database
        self._signals = signals
        self._links = links
        self._mailer = mailer
        self._sessions = sessions
        self._reauthentication = reauthentication
        self._audit = audit
        self._limit = limit
        self._answers = answers
        self._public_url = public_url
        self._clock = clock

    @property
    def are_mailed(self) -> bool:
        """False where mail is not set up: the owner passes the link on."""
        return self._mailer.is_set_up

    async def list(self, actor: Actor) -> list[InvitationView]:
        """Those that wait, the newest first; expired ones for a while."""
        require(actor, Permission.SEE_ACCOUNT)
        moment = self._clock()
        question = owned(actor, Invitation).where(
            col(Invitation.expires_at) > moment - _KEPT,
        )
        async with self._database.read() as session:
            rows = (await session.exec(question.order_by(col(Invitation.id).desc()))).all()
            names = {user.id: user.name for user in (await session.exec(users_of(actor))).all()}
        return [
            InvitationView(
                row.id,
                readable(row.email),
                Role(row.role),
                names.get(row.invited_by, ""),
                row.created_at,
                row.expires_at,
                moment >= row.expires_at,
            )
            for row in rows
        ]

    async def invite(self, actor: Actor, email: str, role: Role) -> Sent:
        """Mails an invitation to that address.

        Raises ValidationFailed (field "email"), Conflict for an address that belongs to the account
        or is invited already, RateLimited, and ReauthenticationRequired.
        """
        require(actor, Permission.MANAGE_PEOPLE)
        await self._reauthentication.require_recent(actor)
        email = email_address(email)
        await self._limit.check(actor.tenant_id)
        moment = self._clock()
        try:
            async with self._database.write() as session:
                await lock_members(self._database, session, [actor.tenant_id])
                await require_still(session, actor, Permission.MANAGE_PEOPLE)
                await _require_room(session, actor, email, moment)
                row = Invitation(
                    tenant_id=actor.tenant_id,
                    invited_by=await _inviter(session, actor),
                    email=email,
                    email_key=email.lower(),
                    role=role.value,
                    created_at=moment,
                    expires_at=moment + WORKS_FOR,
                )
                session.add(row)
                sent = await self._send(session, actor, row)
        except IntegrityError:
            raise _invited_already(email) from None
        await self._record(actor, "person.invite", role=role.value)
        return sent

    async def resend(self, actor: Actor, invitation_id: str) -> Sent:
        """Mails it again, for another week; the links of the mails before stop working. Raises what
        `invite` raises, and NotFound.
        """
        require(actor, Permission.MANAGE_PEOPLE)
        await self._reauthentication.require_recent(actor)
        await self._limit.check(actor.tenant_id)
        async with self._database.write() as session:
            await lock_members(self._database, session, [actor.tenant_id])
            await require_still(session, actor, Permission.MANAGE_PEOPLE)
            row = await _waiting(session, actor, invitation_id)
            row.invited_by = await _inviter(session, actor)
            row.sends += 1
            row.expires_at = self._clock() + WORKS_FOR
            session.add(row)
            sent = await self._send(session, actor, row)
            role = row.role
        await self._record(actor, "person.invite", role=role)
        return sent

    async def withdraw(self, actor: Actor, invitation_id: str) -> str:
        """Its links stop working at once; returns the address. Raises NotFound."""
        require(actor, Permission.MANAGE_PEOPLE)
        async with self._database.write() as session:
            await lock_members(self._database, session, [actor.tenant_id])
            await require_still(session, actor, Permission.MANAGE_PEOPLE)
            row = await _waiting(session, actor, invitation_id)
            email = readable(row.email)
            await session.delete(row)
            await self._signals.publish(session, f"tenant:{actor.tenant_id}")
        await self._record(actor, "person.withdraw")
        return email

    async def look(self, token: str, user: WebUser | None = None) -> Offer:
        """What the link offers to the user who is signed in, or to a stranger; it stays unused.

        Raises NotFound, LinkUsed, or LinkExpired: too old, withdrawn, sent again since, or of
        somebody who is no owner any more.
        """
        async with self._database.read() as session:
            link = await self._links.look(session, token, LinkPurpose.INVITATION)
            found = await self._find(session, link)
            known = await find_user_by_email(session, found.row.email) if found.is_proof else None
            is_for_user = await who_may_accept(session, found, user) is not None if user else False
        return Offer(
            found.tenant.name,
            found.inviter.name,
            Role(found.row.role),
            readable(found.row.email),
            found.is_proof,
            known is not None,
            is_for_user,
            found.row.expires_at,
        )

    async def accept(
        self,
        token: str,
        *,
        user: WebUser | None,
        name: str,
        address: str,
        user_agent: str,
        replaces: str | None,
        device: str = "",
    ) -> Accepted:
        """Uses the link up, makes the membership, and signs in to the account: all of it or
        nothing. `user` is who is signed in, `name` what a new user is to be called, `replaces` the
        cookie of the session that ends, `device` the browser's own token.

        Raises what `look` raises, PermissionDenied for somebody with another address, Conflict for
        a member, ValidationFailed (field "name") and RateLimited.
        """
        await self._answers.check(address)
        known = await self._reauthentication.proved_at(user.actor) if user else None
        if user is not None and known is None:
            raise AuthFailed("Your session has ended. Sign in again, then open the invitation.")
        async with self._database.write() as session:
            link = await self._links.use(session, token, LinkPurpose.INVITATION)
            found = await self._find(session, link)
            tenant_id, role = found.tenant.id, Role(found.row.role)
            await lock_members(self._database, session, [tenant_id])
            found = await self._find(session, link)
            await lock_email(self._database, session, found.row.email)
            person = await self._person(session, found, user, name)
            await _require_stranger(session, found, person)
            session.add(
                Membership(
                    tenant_id=tenant_id,
                    user_id=person.id,
                    role=role.value,
                    created_at=self._clock(),
                )
            )
            await session.delete(found.row)
            await session.flush()
            cookie = await self._sessions.begin(
                session,
                tenant_id,
                person.id,
                credential_id=None,
                address=address,
                user_agent=user_agent,
                # a link that was passed on by hand proves nobody: its inviter has it too
                proved_at=None if found.is_proof else known,
                replaces=replaces,
                device=device,
            )
            await self._signals.publish(session, f"tenant:{tenant_id}")
            await self._signals.publish(session, f"user:{person.id}")
            joined = Actor(tenant_id, person.id, role=role, via=Via.WEB, address=address)
            inviter, account = found.inviter.id, found.tenant.name
        await self._answers.give_back(address)
        await self._record(joined, "person.join", person=inviter, role=role.value)
        return Accepted(cookie, account)

    async def _person(
        self, session: AsyncSession, found: _Found, user: WebUser | None, name: str
    ) -> User:
        """Who joins: the user who is signed in, the one whose address it is, or a new one."""
        if user is not None:
            await require_person(session, user.actor)
            row = await who_may_accept(session, found, user)
            if row is None:
                raise PermissionDenied(
                    f"This invitation is for {readable(found.row.email)}, and you are signed in as "
                    "somebody else. Sign out, then open the invitation again."
                )
            return row
        if found.is_proof:
            known = await find_user_by_email(session, found.row.email)
            if known is not None and known.disabled_at is not None:
                raise PermissionDenied(
                    "The user of this address is disabled. Ask whoever runs this installation."
                )
            if known is not None:
                return known
        new = User(
            name=person_name(name),
            email=found.row.email if found.is_proof else None,
            unverified_email=None if found.is_proof else found.row.email,
        )
        session.add(new)
        await session.flush()
        return new

    async def _find(self, session: AsyncSession, link: Link) -> _Found:
        """The invitation of that link. Raises LinkExpired."""
        question = (
            select(Invitation, Tenant, User)
            .join(Tenant, col(Tenant.id) == col(Invitation.tenant_id))
            .join(User, col(User.id) == col(Invitation.invited_by))
            .join(
                Membership,
                and_(
                    col(Membership.tenant_id) == col(Invitation.tenant_id),
                    col(Membership.user_id) == col(Invitation.invited_by),
                ),
            )
            .where(
                col(Invitation.id) == str(link.payload.get("invitation")),
                col(Membership.role) == Role.OWNER.value,
                col(Tenant.disabled_at).is_(None),
                col(User.disabled_at).is_(None),
            )
        )
        found = (await session.exec(question)).one_or_none()
        if found is None:
            raise LinkExpired(WITHDRAWN)
        row, tenant, inviter = found
        if link.payload.get("sends") != row.sends:
            raise LinkExpired(_SENT_AGAIN)
        return _Found(row, tenant, inviter, bool(link.payload.get("is_proof")))

    async def _send(self, session: AsyncSession, actor: Actor, row: Invitation) -> Sent:
        """Inside the write: a new link, and its mail or itself."""
        token = await self._links.make(
            session,
            LinkPurpose.INVITATION,
            works_for=WORKS_FOR.total_seconds(),
            tenant_id=row.tenant_id,
            payload={"invitation": row.id, "sends": row.sends, "is_proof": self.are_mailed},
        )
        tenant = await session.get(Tenant, actor.tenant_id)
        inviter = (await session.exec(users_of(actor).where(col(User.id) == row.invited_by))).one()
        letter = InvitationLetter(
            inviter.name,
            tenant.name if tenant else "",
            Role(row.role),
            token,
            WORKS_FOR.total_seconds(),
        )
        is_mailed = await self._mailer.send(
            session,
            letter,
            to=row.email,
            tenant_id=row.tenant_id,
            expires_in=WORKS_FOR.total_seconds(),
        )
        await self._signals.publish(session, f"tenant:{row.tenant_id}")
        link = None if is_mailed else Secret(f"{self._public_url}{PATH}?token={token.reveal()}")
        return Sent(readable(row.email), link)

    async def _record(self, actor: Actor, action: str, **details: str) -> None:
        await self._audit.write_or_queue(Entry(actor=actor, action=action, arguments=details))


async def who_may_accept(session: AsyncSession, found: _Found, user: WebUser) -> User | None:
    """The user who is signed in, where the invitation is for them. Only a link that was passed on
    by hand is also for somebody whose address nobody has verified.
    """
    row = await session.get(User, user.actor.user_id)
    if row is None:
        return None
    if row.email is None:
        return None if found.is_proof else row
    return row if is_same_address(row.email, found.row.email) else None


async def _require_stranger(session: AsyncSession, found: _Found, person: User) -> None:
    members = owned(Actor(found.tenant.id), Membership)
    if (await session.exec(members.where(col(Membership.user_id) == person.id))).first():
        raise Conflict("You belong to this account already. Sign in to it.")


async def _require_room(session: AsyncSession, actor: Actor, email: str, moment: datetime) -> None:
    """Raises Conflict for an address that is here already, and where too many are."""
    people = (await session.exec(users_of(actor))).all()
    if any((user.email or "").lower() == email.lower() for user in people):
        raise Conflict(f"{readable(email)} belongs to this account already.", field="email")
    await session.exec(
        delete(Invitation).where(
            col(Invitation.tenant_id) == actor.tenant_id,
            col(Invitation.expires_at) < moment - _KEPT,
        )
    )
    waiting = (await session.exec(owned(actor, Invitation))).all()
    if any(row.email_key == email.lower() for row in waiting):
        raise _invited_already(email)
    if len(waiting) >= MOST_WAITING or len(people) + len(waiting) >= MOST_PEOPLE:
        raise Conflict(
            f"An account has at most {MOST_PEOPLE} people and {MOST_WAITING} invitations that "
            "wait. Withdraw one that is no longer needed.",
            field="email",
        )


def _invited_already(email: str) -> Conflict:
    return Conflict(
        f"{readable(email)} is invited already. Send that invitation again, or withdraw it to "
        "change the role.",
        field="email",
    )


async def _waiting(session: AsyncSession, actor: Actor, invitation_id: str) -> Invitation:
    question = owned(actor, Invitation).where(col(Invitation.id) == invitation_id)
    row = (await session.exec(question)).one_or_none()
    if row is None:
        raise NotFound(_UNKNOWN, field="invitation_id")
    return row


async def _inviter(session: AsyncSession, actor: Actor) -> UserId:
    """The user who invites; for the system, the account's first owner."""
    if actor.user_id is not None:
        return actor.user_id
    owner = await find_first_owner(session, TenantId(actor.tenant_id))
    if owner is None:
        raise PermissionDenied("This account has no owner who could invite anybody.")
    return owner.user_id
