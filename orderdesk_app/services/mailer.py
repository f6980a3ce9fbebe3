"""Mail to people: committed with what it is about, and sent in the background."""

from datetime import datetime

from sqlmodel.ext.asyncio.session import AsyncSession

from orderdesk_app.config import Settings
from orderdesk_app.context import JsonObject, TenantId, UserId, new_id, now
from orderdesk_app.mail.addresses import email_address
from orderdesk_app.mail.letters import Content, Trial
from orderdesk_app.mail.message import Mail
from orderdesk_app.mail.outbox import OutboxSender
from orderdesk_app.mail.sender import MailFailed, MailSender
from orderdesk_app.mail.smtp import SmtpSender, smtp_server
from orderdesk_app.mail.templates import draw, load
from orderdesk_app.services.jobs import Handler, JobFailed, Jobs

MAIL = "mail"  # the kind of its jobs


class Mailer:
    """`is_set_up` is False where mail reaches nobody: EMAIL_PROVIDER=console in production."""

    def __init__(self, jobs: Jobs, public_url: str, *, is_set_up: bool) -> None:
        self._jobs = jobs
        self._public_url = public_url
        self.is_set_up = is_set_up

    async def send(
        self,
        session: AsyncSession,
        content: Content,
        *,
        to: str,
        tenant_id: TenantId | None = None,
        user_id: UserId | None = None,
        expires_in: float | None = None,
    ) -> bool:
        """Send a mail once this transaction is committed; never when it is rolled back.

        It goes with its tenant or user. `expires_in`: the seconds after which it is worth nothing,
        as its link has expired. False where mail is not set up, and nothing was done. Raises
        ValidationFailed for what is no address.
        """
        address = email_address(to)
        if not self.is_set_up:
            return False
        # Drawn now: what is committed is what is sent, also by the release that comes after.
        await load()
        drawn = draw(content, self._public_url)
        payload: JsonObject = {
            "to": address,
            "at": now().isoformat(),
            "subject": drawn.subject,
            "text": drawn.text,
            "html": drawn.html,
        }
        await self._jobs.add(
            session, MAIL, payload, tenant_id=tenant_id, user_id=user_id, expires_in=expires_in
        )
        return True


def sender_of(settings: Settings) -> MailSender:
    """The way to send mail that EMAIL_PROVIDER names."""
    if settings.email_provider == "console":
        return OutboxSender()
    return SmtpSender(smtp_server(settings))


def has_mail(settings: Settings) -> bool:
    """Whether mail reaches anybody. The outbox shows links that sign in, which is for a
    development machine.
    """
    return settings.email_provider == "smtp" or not settings.is_production


async def send_trial(sender: MailSender, to: str, public_url: str) -> None:
    """Send a mail that says nothing, now. Raises MailFailed."""
    await load()
    drawn = draw(Trial(), public_url)
    await sender.send(Mail(new_id(), now(), to, drawn.subject, drawn.text, drawn.html))


def deliver_with(sender: MailSender) -> Handler:
    """What runs the jobs that `Mailer.send` adds."""

    async def deliver(payload: JsonObject) -> None:
        values = {name: str(value) for name, value in payload.items()}
        mail = Mail(
            id=values["job_id"],
            at=datetime.fromisoformat(values["at"]),
            to=values["to"],
            subject=values["subject"],
            text=values["text"],
            html=values["html"],
        )
        try:
            await sender.send(mail)
        except MailFailed as failure:
            raise JobFailed(failure.words, is_permanent=failure.is_permanent) from failure

    return deliver
