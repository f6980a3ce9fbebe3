"""Public sign-up: a mailed link proves an address, and opens an account with its owner and key.

Nobody learns at sign-up whether an address has an account: the answer, the work and the time are
the same, and only the mail differs.
"""

from dataclasses import dataclass, replace

from sqlmodel.ext.asyncio.session import AsyncSession

from orderdesk_app.context import Actor, Role, Secret, TenantId, UserId, Via
from orderdesk_app.db.engine import Database
from orderdesk_app.db.users import User
from orderdesk_app.errors import (
    Conflict,
    PermissionDenied,
    RateLimited,
    ValidationFailed,
)
from orderdesk_app.mail.addresses import email_address
from orderdesk_app.mail.letters import AlreadyRegistered, Content, Verify, Welcome
from orderdesk_app.observability import SIGN_UPS
from orderdesk_app.security.tokens import new_master_key
from orderdesk_app.services.audit import AuditTrail, Entry
from orderdesk_app.services.keys import Keys
from orderdesk_app.services.limits import SignUpLimits
from orderdesk_app.services.magic_links import LinkPurpose, MagicLinks
from orderdesk_app.services.mailer import Mailer
from orderdesk_app.services.members import find_first_membership, find_user_by_email, lock_email
from orderdesk_app.services.sessions import Sessions, SignInMethod
from orderdesk_app.services.tenants import LONGEST_NAME, NewAccount, Tenants, account_name

_UNNAMED = "My account"


@dataclass(frozen=True, slots=True)
class SignUpRules:
    """What the settings say of sign-up."""

    is_open: bool  # ENABLE_PUBLIC_SIGNUP
    needs_proof: bool  # REQUIRE_EMAIL_VERIFICATION
    works_for: float  # SIGNUP_VERIFICATION_EXPIRY, in seconds


@dataclass(frozen=True, slots=True)
class Browser:
    """Where somebody signs up. `replaces` is the session cookie that the browser held so far,
    `device` its own token (services/devices.py).
    """

    address: str
    user_agent: str
    replaces: str | None = None
    device: str = ""


@dataclass(frozen=True, slots=True)
class OpenedAccount:
    """What a sign-up made. The key is shown once; the cookie signs the browser in."""

    account: NewAccount
    master_key: Secret
    cookie: str
    next_page: str = ""  # where its owner was going


class SignUp:
    """Asked for by strangers: each act is limited, and what they typed is checked here."""

    def __init__(
        self,
        database: Database,
        tenants: Tenants,
        keys: Keys,
        links: MagicLinks,
        mailer: Mailer,
        sessions: Sessions,
        rules: SignUpRules,
        *,
        limits: SignUpLimits,
        audit: AuditTrail | None = None,
    ) -> None:
        self._database = database
        self._tenants = tenants
        self._keys = keys
        self._links = links
        self._mailer = mailer
        self._sessions = sessions
        self.rules = rules
        self.limits = limits
        self._audit = audit

    async def send_link(self, email: str, *, address: str, next_page: str = "") -> str:
        """Mails a link to the address, for the first time or again; returns the address as it is
        kept. An address that has an account gets a link that signs in. Either leads to `next_page`.

        Raises ValidationFailed (field "email"), RateLimited for the network, PermissionDenied where
        sign-up is closed.
        """
        self._require_open()
        if not self.rules.needs_proof:
            raise PermissionDenied("No mail is sent here for a sign-up. Sign up on /sign-up.")
        email = email_address(email)
        await self._take_attempt(address)
        try:
            await self.limits.mails.check(email)
        except RateLimited:
            # Answer as if it had worked: somebody else may have asked for the mails until now.
            return email
        async with self._database.write() as session:
            user = await find_user_by_email(session, email)
            letter = await self._letter_for(session, email, user, next_page)
            to = address_of(user, email)
            await self._mailer.send(session, letter, to=to, expires_in=self.rules.works_for)
        SIGN_UPS.labels("asked").inc()
        return email

    async def look(self, token: str) -> str:
        """The address that the link opens an account for; the link stays unused.

        Raises NotFound, LinkUsed or LinkExpired.
        """
        async with self._database.read() as session:
            link = await self._links.look(session, token, LinkPurpose.SIGN_UP)
        return str(link.payload["email"])

    async def verify(self, token: str, name: str, *, browser: Browser) -> OpenedAccount:
        """Uses the link up, opens the account with its owner and key, and signs in: all of it or
        nothing. Of many uses at once one succeeds. Without a `name` the account is called after the
        address.

        Raises NotFound, LinkUsed, LinkExpired, ValidationFailed (field "name"), Conflict for an
        address that has got an account meanwhile, RateLimited, PermissionDenied for a user who is
        disabled or where sign-up was closed.
        """
        self._require_open()
        email = await self.look(token)
        name = account_name(name) if name.strip() else _name_from(email)
        # bcrypt takes long: one good link, sent many times at once, must not buy it as often.
        await self.limits.uses.check(browser.address)
        key = new_master_key()
        hashed = await self._keys.hash_key(key)
        async with self._database.write() as session:
            link = await self._links.use(session, token, LinkPurpose.SIGN_UP)
            email, next_page = str(link.payload["email"]), str(link.payload.get("next_page", ""))
            await lock_email(self._database, session, email)
            owner = await self._owner_without_account(session, email)
            account = await self._tenants.add_account(
                session, name, hashed, owner=owner, email=email
            )
            await self._mailer.send(
                session,
                Welcome(name),
                to=address_of(owner, email),
                tenant_id=account.id,
                user_id=account.owner_id,
            )
            cookie = await self._begin_session(session, account, browser)
        await self.limits.uses.give_back(browser.address)
        return replace(await self._opened(account, key, cookie, browser), next_page=next_page)

    async def open_without_proof(self, email: str, name: str, *, browser: Browser) -> OpenedAccount:
        """REQUIRE_EMAIL_VERIFICATION=false: opens an account at once. The address is its label, and
        nothing is ever sent to it.

        Raises ValidationFailed (field "email" or "name"), RateLimited, PermissionDenied.
        """
        self._require_open()
        if self.rules.needs_proof:
            raise PermissionDenied("An account needs a verified address. Sign up on /sign-up.")
        email = email_address(email)
        name = account_name(name) if name.strip() else _name_from(email)
        await self._take_attempt(browser.address)
        key = new_master_key()
        hashed = await self._keys.hash_key(key)
        async with self._database.write() as session:
            account = await self._tenants.add_account(session, name, hashed, unverified_email=email)
            cookie = await self._begin_session(session, account, browser)
        return await self._opened(account, key, cookie, browser)

    def _require_open(self) -> None:
        if not self.rules.is_open:
            raise PermissionDenied(
                "Sign-up is closed here. Ask whoever runs this installation for an account."
            )

    async def _take_attempt(self, address: str) -> None:
        try:
            await self.limits.attempts.check(address)
        except RateLimited:
            SIGN_UPS.labels("limited").inc()
            raise

    async def _letter_for(
        self, session: AsyncSession, email: str, user: User | None, next_page: str
    ) -> Content:
        """The letter with its link. Somebody whose accounts are all gone is a newcomer.

        Known or not, the same questions are asked and a row of the same size is made: else the time
        would tell them apart.
        """
        works_for = self.rules.works_for
        tenant_id = await _tenant_of(session, user)
        is_known = tenant_id is not None or (user is not None and user.disabled_at is not None)
        token = await self._links.make(
            session,
            LinkPurpose.SIGN_IN if is_known else LinkPurpose.SIGN_UP,
            works_for=works_for,
            tenant_id=tenant_id,
            user_id=user.id if user is not None and is_known else None,
            payload={"email": email, "next_page": next_page},
        )
        return AlreadyRegistered(token, works_for) if is_known else Verify(token, works_for)

    async def _owner_without_account(self, session: AsyncSession, email: str) -> User | None:
        """The user of this address, whose accounts are all gone; None for nobody's address."""
        user = await find_user_by_email(session, email)
        if user is None:
            return None
        if user.disabled_at is not None:
            raise PermissionDenied(
                "No account can be opened for this address. Ask whoever runs this installation."
            )
        if await _tenant_of(session, user) is not None:
            raise Conflict(
                "This address has got an account meanwhile. Have a link mailed to you on the "
                "sign-in page."
            )
        return user

    async def _begin_session(
        self, session: AsyncSession, account: NewAccount, browser: Browser
    ) -> str:
        return await self._sessions.begin(
            session,
            account.id,
            account.owner_id,
            credential_id=None,
            address=browser.address,
            user_agent=browser.user_agent,
            replaces=browser.replaces,
            device=browser.device,
            method=SignInMethod.SIGN_UP,
        )

    async def _opened(
        self, account: NewAccount, key: Secret, cookie: str, browser: Browser
    ) -> OpenedAccount:
        SIGN_UPS.labels("opened").inc()
        if self._audit is not None:
            actor = Actor(
                account.id,
                account.owner_id,
                role=Role.OWNER,
                is_operator=account.is_operator,
                via=Via.WEB,
                address=browser.address,
            )
            # The key exists and was never shown before: a full queue must not keep it back.
            await self._audit.write_or_queue(Entry(actor=actor, action="sign_up"))
        return OpenedAccount(account, key, cookie)


def address_of(user: User | None, email: str) -> str:
    """Where the mail goes: to the address that the user has proved. One that differs in its case
    alone may be somebody else's at its server, and the link signs in.
    """
    return (user and user.email) or email


async def _tenant_of(session: AsyncSession, user: User | None) -> TenantId | None:
    """The account that a sign-in link for this user opens; None where there is none."""
    membership = await find_first_membership(session, user.id if user else UserId(""))
    return membership.tenant_id if membership else None


def _name_from(email: str) -> str:
    """A name to begin with, from the part of the address before the @."""
    try:
        return account_name(email.rpartition("@")[0][:LONGEST_NAME])
    except ValidationFailed:
        return _UNNAMED
