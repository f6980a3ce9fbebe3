"""Signing in: with the master key, or by a link that works once."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import Select

from orderdesk_app.context import Actor, Secret, TenantId, UserId, Via
from orderdesk_app.db.engine import Database
from orderdesk_app.db.memberships import Membership
from orderdesk_app.db.sessions import Session
from orderdesk_app.db.tenants import Tenant
from orderdesk_app.db.users import User
from orderdesk_app.errors import (
    AuthFailed,
    LinkExpired,
    NotFound,
    ReplacedKey,
    SignInFailed,
    WeakKey,
)
from orderdesk_app.observability import SIGN_INS
from orderdesk_app.services.access import FoundKey
from orderdesk_app.services.audit import AuditTrail, Entry
from orderdesk_app.services.key_views import MASTER
from orderdesk_app.services.keys import Keys
from orderdesk_app.services.limits import Limit, network_of
from orderdesk_app.services.magic_links import Link, LinkPurpose, MagicLinks, expired_words
from orderdesk_app.services.members import Member, find_first_owner, member_of
from orderdesk_app.services.provisioning import Provisioning
from orderdesk_app.services.sessions import Sessions, WebUser

LINK_SECONDS = 900.0
MOST_ACCOUNTS = 200  # of one person, to choose from
NO_TENANT = TenantId("")  # of an actor who has not signed in


class SignInDelays(Protocol):
    """Delays the failed attempts of an address (services/delays.py)."""

    async def check(self, key: str) -> None:
        """Counts one. Raises RateLimited while it has to wait."""

    async def give_back(self, key: str) -> None:
        """Takes one back that was none."""


@dataclass(frozen=True, slots=True)
class LinkAccount:
    """An account that a link may sign in to."""

    id: TenantId
    name: str


@dataclass(frozen=True, slots=True)
class LinkView:
    """A link that may be used. Its accounts, the one that was used last first; whoever has several
    chooses. `next_page` is where its person was going.
    """

    accounts: tuple[LinkAccount, ...]
    next_page: str


@dataclass(frozen=True, slots=True)
class FoundLink:
    """An account that a link signs in to, and its person as a member of it."""

    tenant_id: TenantId
    account_name: str
    member: Member


class SignIn:
    """Signing in and out; every attempt is in the audit log."""

    def __init__(
        self,
        database: Database,
        links: MagicLinks,
        keys: Keys,
        sessions: Sessions,
        *,
        limit: SignInDelays,
        sign_ins: Limit,
        audit: AuditTrail | None = None,
        provisioning: Provisioning | None = None,
    ) -> None:
        self._database = database
        self._links = links
        self._keys = keys
        self._sessions = sessions
        self._delays = limit
        self._sign_ins = sign_ins
        self._audit = audit
        self._provisioning = provisioning

    async def with_key(
        self,
        key: Secret,
        *,
        address: str,
        user_agent: str,
        replaces: str | None = None,
        device: str = "",
    ) -> str:
        """Signs in with a master key; returns the cookie's value. The session of the cookie
        `replaces`, which the browser held so far, ends.

        Raises SignInFailed, or RateLimited for the address, or for an account that is signed in to
        again and again from there: each sign-in leaves rows.
        """
        stranger = Actor(NO_TENANT, via=Via.WEB, address=address)
        found = await self.check_key(key, by=stranger)
        if found.is_replaced:
            await self._record(
                replace(stranger, tenant_id=found.tenant_id), "sign_in.key", SignInFailed.code
            )
            raise ReplacedKey(_REPLACED_KEY, field="master_key")
        actor = _known(stranger, found.tenant_id, found.member)
        await self._sign_ins.spend(sign_in_key(found.tenant_id, address))
        async with self._database.write() as session:
            # bcrypt takes long: if the key was rotated meanwhile, the rotation has not ended the
            # session that would begin here.
            await self._keys.lock(session, found.tenant_id)
            still_works = await self._keys.is_working(session, actor, found.credential_id)
            if still_works:
                cookie = await self._sessions.begin(
                    session,
                    found.tenant_id,
                    found.member.user_id,
                    credential_id=found.credential_id,
                    address=address,
                    user_agent=user_agent,
                    replaces=replaces,
                    device=device,
                )
        if not still_works:
            await self._record(actor, "sign_in.key", SignInFailed.code)
            raise SignInFailed(_UNKNOWN_KEY, field="master_key")
        await self._record(replace(actor, credential_id=found.credential_id), "sign_in.key")
        return cookie

    async def check_key(self, key: Secret, *, by: Actor) -> FoundKey:
        """The account and owner of this master key; `by` is who presents it, as far as that is
        known.

        Only a wrong one counts as an attempt, against the address and in the audit log. So a right
        one works from a network that sent many wrong ones: a stranger there locks nobody out. Keys
        are random, and an unknown one costs a look into an index and no bcrypt.

        For a strong one that is new an account opens, where AUTO_PROVISION_TENANT is on. Raises
        SignInFailed or RateLimited.
        """
        found = await self._keys.find(key.reveal().strip())
        if found is not None and found.kind == MASTER:
            return found
        await self._delays.check(by.address)  # first, so that parallel guesses all count
        found = found or await self._newly_opened(key, by)
        if found is not None and found.kind == MASTER:
            await self._delays.give_back(by.address)
            return found
        if found is not None and by.tenant_id == NO_TENANT:
            by = replace(by, tenant_id=found.tenant_id)
        await self._record(by, "sign_in.key", SignInFailed.code)
        if found is not None:
            raise SignInFailed(
                (
                    "This is an access key, which is for agents. Sign in with the account's "
                    "master key, or with a sign-in link."
                ),
                field="master_key",
            )
        raise SignInFailed(_UNKNOWN_KEY, field="master_key")

    async def _newly_opened(self, key: Secret, by: Actor) -> FoundKey | None:
        if self._provisioning is None:
            return None
        try:
            is_open = await self._provisioning.open_account(key, via=by.via, address=by.address)
        except WeakKey as error:
            await self._record(by, "sign_in.key", error.code)
            raise
        return await self._keys.find(key.reveal().strip()) if is_open else None

    async def record_sign_in(self, actor: Actor) -> None:
        """Commits the audit row of an agent's sign-in: `actor` presented a good key (over HTTP or
        stdio).
        """
        await self._record(actor, "sign_in.key")

    async def record_failed_sign_in(self, *, via: Via, address: str = "") -> None:
        """Commits the audit row of a sign-in with a key that does not exist."""
        stranger = Actor(NO_TENANT, via=via, address=address)
        await self._record(stranger, "sign_in.key", SignInFailed.code)

    async def make_link(self, tenant_id: TenantId) -> Secret:
        """The token of a new link that signs the account's first owner in: good once, for 15
        minutes. Raises NotFound for an account without an owner who may sign in.
        """
        async with self._database.write() as session:
            owner = await find_first_owner(session, tenant_id)
            if owner is None:
                raise NotFound("This account has no owner who may sign in.")
            return await self._links.make(
                session,
                LinkPurpose.SIGN_IN,
                works_for=LINK_SECONDS,
                tenant_id=tenant_id,
                user_id=owner.user_id,
            )

    async def look_at_link(self, token: str) -> LinkView:
        """What the link signs in to; it stays unused. Raises NotFound, LinkUsed or LinkExpired."""
        async with self._database.read() as session:
            link = await self._links.look(session, token, LinkPurpose.SIGN_IN)
            found = await self._accounts_of(session, link)
        return LinkView(
            tuple(LinkAccount(each.tenant_id, each.account_name) for each in found),
            str(link.payload.get("next_page", "")),
        )

    async def use_link(
        self,
        token: str,
        *,
        address: str,
        user_agent: str,
        replaces: str | None = None,
        device: str = "",
        tenant_id: str = "",
    ) -> str:
        """Uses the link up and signs in, to that account of its person or else to the one that was
        used last; returns the cookie's value, as `with_key` does.

        Of many uses at once one succeeds. Only one that fails counts as an attempt. Raises
        NotFound, LinkUsed, LinkExpired or RateLimited.
        """
        stranger = Actor(NO_TENANT, via=Via.WEB, address=address)
        try:
            async with self._database.read() as session:
                link = await self._links.look(session, token, LinkPurpose.SIGN_IN)
                found = await self._account_of(session, link, tenant_id)
            async with self._database.write() as session:
                await self._keys.lock(session, found.tenant_id)
                link = await self._links.use(session, token, LinkPurpose.SIGN_IN)
                found = await self._account_of(session, link, found.tenant_id)
                cookie = await self._sessions.begin(
                    session,
                    found.tenant_id,
                    found.member.user_id,
                    credential_id=None,
                    address=address,
                    user_agent=user_agent,
                    replaces=replaces,
                    device=device,
                )
        except (AuthFailed, NotFound) as error:
            await self._delays.check(address)
            await self._record(stranger, "sign_in.link", error.code)
            raise
        await self._record(_known(stranger, found.tenant_id, found.member), "sign_in.link")
        return cookie

    async def sign_out(self, user: WebUser, cookie: str | None) -> None:
        """Ends the session, in every tab and for every copy of the cookie."""
        await self._sessions.end(cookie)
        if self._audit is not None:
            await self._audit.write_or_queue(Entry(actor=user.actor, action="sign_out"))

    async def _account_of(self, session: AsyncSession, link: Link, tenant_id: str) -> FoundLink:
        """The account of that id, or the one that was used last. Raises what `_accounts_of` raises,
        also for an account that the link does not sign in to.
        """
        accounts = await self._accounts_of(session, link)
        found = next((each for each in accounts if tenant_id in ("", each.tenant_id)), None)
        if found is None:
            raise LinkExpired(expired_words(link.purpose, link.works_for))
        return found

    async def _accounts_of(self, session: AsyncSession, link: Link) -> Sequence[FoundLink]:
        """Where the link signs its person in: to its own account, or to all of theirs, the one that
        was used last first. Raises LinkExpired where there is none: an account or the user is
        disabled, or the user is no longer a member.
        """
        question = accounts_by_last_use(link.user_id)
        if link.tenant_id is not None:
            question = question.where(col(Membership.tenant_id) == link.tenant_id)
        found = (await session.exec(question.limit(MOST_ACCOUNTS))).all()
        if not found:
            raise LinkExpired(expired_words(link.purpose, link.works_for))
        return [
            FoundLink(tenant.id, tenant.name, member_of(membership, user))
            for tenant, membership, user in found
        ]

    async def _record(self, actor: Actor, action: str, outcome: str = "ok") -> None:
        SIGN_INS.labels(action.removeprefix("sign_in."), outcome).inc()
        if self._audit is not None:
            await self._audit.write(Entry(actor=actor, action=action, outcome=outcome))


def accounts_by_last_use(user_id: UserId | None) -> Select[Tenant, Membership, User]:
    """The accounts that a user may sign in to, the one that was used last first; none for a user
    who is disabled.
    """
    used_at = (
        select(func.max(Session.created_at))
        .where(col(Session.tenant_id) == col(Tenant.id), col(Session.user_id) == col(User.id))
        .scalar_subquery()
    )
    return (
        select(Tenant, Membership, User)
        .join(Membership, col(Membership.tenant_id) == col(Tenant.id))
        .join(User, col(User.id) == col(Membership.user_id))
        .where(
            col(Membership.user_id) == user_id,
            col(Tenant.disabled_at).is_(None),
            col(User.disabled_at).is_(None),
        )
        .order_by(used_at.desc().nulls_last(), col(Membership.created_at), col(Tenant.id))
    )


def sign_in_key(of: TenantId | UserId, address: str) -> str:
    """What the limit of sign-ins that succeed counts by. Nobody elsewhere uses it up."""
    return f"{of} {network_of(address)}"


def _known(stranger: Actor, tenant_id: TenantId, member: Member) -> Actor:
    """The stranger as an actor of the account, after a successful sign-in."""
    return replace(
        stranger,
        tenant_id=tenant_id,
        user_id=member.user_id,
        role=member.role,
        is_operator=member.is_operator,
    )


_REPLACED_KEY = (
    "This master key was replaced. Sign in with the new one, with a link, or with a passkey."
)
_UNKNOWN_KEY = (
    "This master key is not known here. Copy it again, whole, or sign in with a sign-in link."
)
