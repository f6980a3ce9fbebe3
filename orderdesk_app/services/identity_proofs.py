"""How somebody who is signed in proves again who they are: with a passkey, the master key,
or a mailed link.

A proof renews the one session that it was made in (services/reauthentication.py).
"""

from dataclasses import dataclass, replace
from typing import Protocol

from sqlmodel import col, update
from sqlmodel.ext.asyncio.session import AsyncSession

from orderdesk_app.context import Actor, Secret, now
from orderdesk_app.db.engine import Database
from orderdesk_app.db.keys import Credential
from orderdesk_app.db.owned import owned
from orderdesk_app.db.sessions import Session
from orderdesk_app.db.users import User
from orderdesk_app.errors import (
    AuthFailed,
    LinkExpired,
    LinkUsed,
    NotFound,
    PermissionDenied,
    RateLimited,
    SignInFailed,
    ValidationFailed,
)
from orderdesk_app.mail.letters import ConfirmLink
from orderdesk_app.observability import SIGN_INS
from orderdesk_app.services.access import FoundKey
from orderdesk_app.services.audit import AuditTrail, Entry
from orderdesk_app.services.key_views import MASTER
from orderdesk_app.services.keys import Keys
from orderdesk_app.services.limits import Limit
from orderdesk_app.services.magic_links import Link, LinkPurpose, MagicLinks
from orderdesk_app.services.mailer import Mailer
from orderdesk_app.services.members import find_first_owner, require_person, users_of
from orderdesk_app.services.passkeys import Passkeys

LINK_SECONDS = 15 * 60.0


class AttemptLimit(Protocol):
    """Limits the attempts of an address, or of a session (services/limits.py)."""

    async def check(self, key: str) -> None:
        """Raises RateLimited."""

    async def give_back(self, key: str) -> None:
        """Gives an attempt back that succeeded."""


@dataclass(frozen=True, slots=True)
class ProofChoices:
    """How this person can prove who they are."""

    has_passkey: bool
    has_master_key: bool  # one that acts as them
    email: str | None  # where a link can be mailed to


class IdentityProofs:
    """Every attempt is in the audit log; a wrong one counts against the network address and against
    the session.
    """

    def __init__(
        self,
        database: Database,
        keys: Keys,
        links: MagicLinks,
        mailer: Mailer,
        passkeys: Passkeys,
        audit: AuditTrail,
        *,
        by_address: AttemptLimit,
        by_session: AttemptLimit,
        mails: Limit,
    ) -> None:
        self._database = database
        self._keys = keys
        self._links = links
        self._mailer = mailer
        self._passkeys = passkeys
        self._audit = audit
        self._by_address = by_address
        self._by_session = by_session
        self._mails = mails

    async def choices(self, actor: Actor) -> ProofChoices:
        async with self._database.read() as session:
            owner = await find_first_owner(session, actor.tenant_id)
            keys = owned(actor, Credential).where(
                Credential.kind == MASTER,
                col(Credential.revoked_at).is_(None),
                col(Credential.replaced_at).is_(None),
            )
            has_key = (await session.exec(keys.limit(1))).first() is not None
            acts_as_them = owner is not None and owner.user_id == actor.user_id
            proves_them = acts_as_them and await _is_proved_by_key(session, actor)
            email = await self._email_of(session, actor)
        return ProofChoices(
            bool(await self._passkeys.list(actor)),
            has_key and proves_them,
            email if self._mailer.is_set_up else None,
        )

    async def with_key(self, actor: Actor, key: Secret) -> None:
        """Proves the session with a master key of its account that acts as this very user: another
        owner's proves another person, and who makes them an owner elsewhere may keep that key.
        Raises SignInFailed or RateLimited, and PermissionDenied where the key does not say which
        person it is.
        """
        await self._check(actor)  # before bcrypt, so that parallel guesses all count
        found = await self._keys.find(key.reveal().strip())
        if found is None or not _acts_as(found, actor):
            await self._record(actor, "key", SignInFailed.code)
            raise SignInFailed(_WRONG_KEY, field="key")
        try:
            async with self._database.write() as session:
                # bcrypt takes long: a rotation meanwhile has made this key worthless
                await self._keys.lock(session, actor.tenant_id)
                if not await self._keys.is_working(session, actor, found.credential_id):
                    raise SignInFailed(_WRONG_KEY, field="key")
                if not await _is_proved_by_key(session, actor):
                    raise PermissionDenied(_SHARED_KEY, field="key")
                await self._renew(session, actor)
        except (SignInFailed, PermissionDenied) as error:
            await self._record(actor, "key", error.code)
            raise
        await self._give_back(actor)
        await self._record(actor, "key")

    async def with_passkey(self, actor: Actor, answer: str, question_cookie: str | None) -> None:
        """Proves the session with one of the person's own passkeys. Raises SignInFailed or
        RateLimited.
        """
        await self._check(actor)
        try:
            async with self._database.write() as session:
                await self._passkeys.use_to_confirm(session, actor, answer, question_cookie)
                await self._renew(session, actor)
        except SignInFailed as error:
            await self._record(actor, "passkey", error.code)
            raise
        await self._give_back(actor)
        await self._record(actor, "passkey")

    async def mail_link(self, actor: Actor, *, next_page: str) -> str:
        """Mails the person a link that proves this session alone, and leads on to `next_page`;
        returns their address.

        Raises ValidationFailed where there is no verified address or no mail, and RateLimited.
        """
        async with self._database.read() as session:
            email = await self._email_of(session, actor)
        if email is None or not self._mailer.is_set_up:
            raise ValidationFailed(
                "No link can be mailed to you: there is no verified address, or mail is not set "
                "up here. Confirm with the master key, or sign in again."
            )
        await self._mails.spend(actor.user_id or "")
        async with self._database.write() as session:
            token = await self._links.make(
                session,
                LinkPurpose.CONFIRM,
                works_for=LINK_SECONDS,
                tenant_id=actor.tenant_id,
                user_id=actor.user_id,
                payload={"session_id": actor.session_id, "next_page": next_page},
            )
            await self._mailer.send(
                session,
                ConfirmLink(token, LINK_SECONDS),
                to=email,
                tenant_id=actor.tenant_id,
                user_id=actor.user_id,
                expires_in=LINK_SECONDS,
            )
        await self._record(actor, "mail")
        return email

    async def look_at_link(self, actor: Actor, token: str) -> None:
        """Raises what `use_link` raises; the link stays unused."""
        async with self._database.read() as session:
            _require_same_session(
                actor, await self._links.look(session, token, LinkPurpose.CONFIRM)
            )

    async def use_link(self, actor: Actor, token: str) -> str:
        """Uses the link up and proves the session; returns the page that it leads on to.

        Raises NotFound, LinkUsed, LinkExpired, RateLimited, and PermissionDenied in any other
        session than the one that asked for it: a thief who asks must not be let in by the click of
        the person who gets the mail.
        """
        await self._check(actor)
        try:
            async with self._database.write() as session:
                link = await self._links.use(session, token, LinkPurpose.CONFIRM)
                _require_same_session(actor, link)
                await self._renew(session, actor)
        except (LinkExpired, LinkUsed, NotFound, PermissionDenied) as error:
            await self._record(actor, "link", error.code)
            raise
        await self._give_back(actor)
        await self._record(actor, "link")
        return str(link.payload.get("next_page") or "/")

    async def _check(self, actor: Actor) -> None:
        await self._by_session.check(actor.session_id or "")
        try:
            await self._by_address.check(actor.address)
        except RateLimited:
            await self._by_session.give_back(actor.session_id or "")
            raise

    async def _give_back(self, actor: Actor) -> None:
        await self._by_session.give_back(actor.session_id or "")
        await self._by_address.give_back(actor.address)

    async def _renew(self, session: AsyncSession, actor: Actor) -> None:
        renewed = await session.exec(
            update(Session)
            .where(
                col(Session.id) == actor.session_id,
                col(Session.tenant_id) == actor.tenant_id,
                col(Session.ended_at).is_(None),
            )
            .values(proved_at=now())
            .returning(col(Session.id))
        )
        if renewed.scalar_one_or_none() is None:
            raise AuthFailed("Your session has ended. Sign in again.")

    async def _email_of(self, session: AsyncSession, actor: Actor) -> str | None:
        user = (
            await session.exec(users_of(actor).where(col(User.id) == actor.user_id))
        ).one_or_none()
        return user.email if user else None

    async def _record(self, actor: Actor, method: str, outcome: str = "ok") -> None:
        SIGN_INS.labels(f"confirm_{method}", outcome).inc()
        await self._audit.write_or_queue(
            Entry(actor=actor, action=f"confirm.{method}", outcome=outcome)
        )


def _acts_as(found: FoundKey, actor: Actor) -> bool:
    """Whether it is the master key of the actor's account, and acts as the actor. One that was
    replaced proves nobody's identity.
    """
    return not found.is_replaced and (found.kind, found.tenant_id, found.member.user_id) == (
        MASTER,
        actor.tenant_id,
        actor.user_id,
    )


async def _is_proved_by_key(session: AsyncSession, actor: Actor) -> bool:
    """Whether a master key that acts as this user proves the session.

    A session that a key began reaches no further than a key. Any other is a person's: other owners
    of the account can make a key that acts as the first one.
    """
    if actor.credential_id is not None:
        return True
    try:
        await require_person(session, replace(actor, credential_id="any"))
    except PermissionDenied:
        return False
    return True


def _require_same_session(actor: Actor, link: Link) -> None:
    if actor.session_id is None or link.payload.get("session_id") != actor.session_id:
        raise PermissionDenied(
            "This link was asked for in another browser, or before you signed in again. Open it "
            "in that browser, or ask for a new one here."
        )


_SHARED_KEY = (
    "The account's master key does not prove which person you are: it has other owners, or you "
    "have other accounts. Use a passkey or a mailed link, or sign in again."
)
_WRONG_KEY = "This is not your master key. Check that you copied all 64 characters."
