"""Whether mail would go out. None is sent."""

from orderdesk_app.cli.doctor.findings import Finding, Subject, note, ok, skipped, wrong
from orderdesk_app.config import Settings
from orderdesk_app.mail.sender import MailFailed
from orderdesk_app.mail.smtp import SmtpSender, smtp_server

_SECONDS = 10.0


async def findings(settings: Settings, wrong_names: frozenset[str]) -> list[Finding]:
    if settings.email_provider == "console":
        return [_printed(settings)]
    unusable = [name for name in sorted(wrong_names) if name.startswith(("SMTP_", "EMAIL_"))]
    if unusable:
        return [skipped(Subject.MAIL, f"{unusable[0]} is wrong")]
    server = f"{settings.smtp_host}:{settings.smtp_port}"
    try:
        await SmtpSender(smtp_server(settings), seconds=_SECONDS).check()
    except MailFailed as failure:
        said = f' It said: "{failure.said}"' if failure.said else ""
        return [wrong(Subject.MAIL, f"{failure.words}{said}")]
    words = "takes our log-in" if settings.smtp_username else "answers"
    return [
        ok(Subject.MAIL, f"the mail server {server} {words}; to try a mail: orderdesk mail-test")
    ]


def _printed(settings: Settings) -> Finding:
    if settings.is_production:
        return note(
            Subject.MAIL,
            "EMAIL_PROVIDER: nothing is mailed, so that nobody can be invited or sign in by a "
            "mailed link. To send mail, set EMAIL_PROVIDER=smtp and SMTP_HOST",
        )
    return ok(Subject.MAIL, "is printed (EMAIL_PROVIDER=console)")
