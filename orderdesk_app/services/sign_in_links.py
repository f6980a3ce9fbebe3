"""A sign-in link by e-mail, for a verified address.

Nobody learns whether an address has an account: the request checks the address, takes its limits
and adds one job, the same for each address. The job finds out, and sends or does not.
"""

from hashlib import sha256

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from orderdesk_app.context import Actor, JsonObject, Via
from orderdesk_app.db.engine import Database
from orderdesk_app.db.memberships import Membership
from orderdesk_app.db.tenants import Tenant
from orderdesk_app.db.users import User
from orderdesk_app.errors import RateLimited, ValidationFailed
from orderdesk_app.mail.addresses import email_address
from orderdesk_app.mail.letters import SignInLink
from orderdesk_app.observability import SIGN_INS
from orderdesk_app.services.audit import AuditLog, Entry
from orderdesk_app.services.delays import GrowingDelays
from orderdesk_app.services.jobs import Jobs
from orderdesk_app.services.magic_links import LinkPurpose, MagicLinks
from orderdesk_app.services.mailer import Mailer
from orderdesk_app.services.members import find_user_by_email
from orderdesk_app.services.sign_in import LINK_SECONDS, NO_TENANT

SIGN_IN_MAIL = "sign_in_mail"  # the kind of its jobs


class SignInLinks:
    """`is_possible` is False where mail reaches nobody."""

    def __init__(
        self,
        database: Database,
        links: MagicLinks,
        mailer: Mailer,
        jobs: Jobs,
        audit: AuditLog,
        *,
        by_network: GrowingDelays,
        by_mailbox: GrowingDelays,
    ) -> None:
        self._database = database
        self._links = links
        self._mailer = mailer
        self._jobs = jobs
        self._audit = audit
        self._by_network = by_network
        self._by_mailbox = by_mailbox

    @property
    def is_possible(self) -> bool:
        return self._mailer.is_set_up

    async def ask(self, email: str, *, address: str, next_page: str) -> None:
        """Sees to it that a link is mailed to the address if it is somebody's.

        Raises ValidationFailed (field "email") for what is no address, and RateLimited for the
        network or the mailbox, whether or not the address has an account.
        """
        if not self.is_possible:
            raise ValidationFailed("No mail is sent from here. Sign in with a key.", field="email")
        email = email_address(email)
        await self._by_network.check(address)
        try:
            # servers take a name before the @ in any case
            await self._by_mailbox.check(sha256(email.lower().encode()).hexdigest())
        except RateLimited:
            await self._by_network.give_back(address)
            raise
        payload: JsonObject = {"email": email, "next_page": next_page}
        async with self._database.write() as session:
            await self._jobs.add(session, SIGN_IN_MAIL, payload, expires_in=LINK_SECONDS)
        SIGN_INS.labels("mail", "ok").inc()
        # the address of the mailbox is in no row: it may be anybody's
        stranger = Actor(NO_TENANT, via=Via.WEB, address=address)
        await self._audit.queue(Entry(actor=stranger, action="sign_in.mail"))

    async def deliver(self, payload: JsonObject) -> None:
        """Runs the job: mails a link to the user of this address. Nothing for an address that is
        nobody's, for a user who is disabled, and without an account that is open.
        """
        async with self._database.write() as session:
            user = await find_user_by_email(session, str(payload["email"]))
            if user is None or user.email is None or not await _may_sign_in(session, user):
                return
            token = await self._links.make(
                session,
                LinkPurpose.SIGN_IN,
                works_for=LINK_SECONDS,
                user_id=user.id,
                payload={"next_page": payload["next_page"]},
            )
            await self._mailer.send(
                session,
                SignInLink(token, LINK_SECONDS),
                to=user.email,
                user_id=user.id,
                expires_in=LINK_SECONDS,
            )


async def _may_sign_in(session: AsyncSession, user: User) -> bool:
    question = (
        select(Membership)
        .join(Tenant, col(Tenant.id) == col(Membership.tenant_id))
        .where(col(Membership.user_id) == user.id, col(Tenant.disabled_at).is_(None))
    )
    has_account = (await session.exec(question.limit(1))).first() is not None
    return has_account and user.disabled_at is None
