"""What went wrong between us and an SMTP server, in words for operators."""

import socket
import ssl
from collections.abc import Iterator
from enum import StrEnum

from aiosmtplib import (
    SMTPException,
    SMTPNotSupported,
    SMTPRecipientsRefused,
    SMTPResponseException,
    SMTPSenderRefused,
)

from orderdesk_app.mail.message import one_line
from orderdesk_app.mail.sender import MailFailed

_MOST_SAID = 300


class Step(StrEnum):
    """How far it came."""

    CONNECT = "connect"
    ENCRYPT = "encrypt"
    LOG_IN = "log in"
    HAND_OVER = "hand over"


def mail_failure(error: Exception, step: Step, server: str) -> MailFailed:
    """`server` is its host and port.

    A refusal is permanent where it is one of the mail: who sent it, who gets it, what it says. A
    name or a password that is refused is a fault of our settings, which somebody mends.
    """
    if isinstance(error, SMTPRecipientsRefused):
        return _answered(error.recipients[0], "refused the recipient", step, server)
    if isinstance(error, SMTPSenderRefused):
        return _answered(error, "refused SMTP_FROM_EMAIL as the sender", step, server)
    if isinstance(error, SMTPResponseException) and error.code > 0:
        return _answered(error, _REFUSED[step], step, server)
    if isinstance(error, (SMTPNotSupported, ValueError)) and step is Step.HAND_OVER:
        return MailFailed(
            f"The mail server {server} takes no address with letters beyond a to z before its @.",
            is_permanent=True,
        )
    return MailFailed(f"The mail server {server} {_words(error, step)}")


_REFUSED = {
    Step.CONNECT: "refused the connection",
    Step.ENCRYPT: "refused STARTTLS. Set SMTP_PORT=465 if it expects TLS from the first byte",
    Step.LOG_IN: "refused SMTP_USERNAME and SMTP_PASSWORD",
    Step.HAND_OVER: "refused the mail",
}


def _answered(error: SMTPResponseException, words: str, step: Step, server: str) -> MailFailed:
    return MailFailed(
        f"The mail server {server} {words} ({error.code}).",
        is_permanent=step is Step.HAND_OVER and 500 <= error.code < 600,
        status=error.code,
        said=one_line(str(error.message), _MOST_SAID),
    )


def _words(error: Exception, step: Step) -> str:
    causes = [*_with_causes(error)]
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return (
                f"has a certificate that is not trusted: {cause.verify_message}. SMTP_HOST must be "
                "the name in it; SSL_CERT_FILE may name a file with an authority of your own."
            )
        if isinstance(cause, ssl.SSLError):
            return (
                "speaks no TLS there. Set SMTP_PORT=587 for STARTTLS, or SMTP_PORT=465 for TLS "
                "from the first byte."
            )
        if isinstance(cause, socket.gaierror):
            return "is not found: DNS knows no such name. Correct SMTP_HOST."
    if isinstance(error, SMTPResponseException):
        return "speaks no SMTP there. Correct SMTP_HOST or SMTP_PORT."
    if any(isinstance(cause, TimeoutError) for cause in causes):
        return f"did not answer in time ({_WHILE[step]}). See whether a firewall blocks the port."
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        return "refused the connection: nothing serves there. Correct SMTP_HOST or SMTP_PORT."
    if step is Step.ENCRYPT and isinstance(error, SMTPException):
        return (
            "offers no STARTTLS, so nothing was sent. Set SMTP_PORT=465 if it expects TLS from the "
            "first byte."
        )
    if step is Step.LOG_IN and not isinstance(error, OSError):
        return (
            "offers no way to log in that we know. Leave out SMTP_USERNAME and SMTP_PASSWORD, or "
            "use the port that its provider names."
        )
    return f"ended the connection ({_WHILE[step]})."


_WHILE = {
    Step.CONNECT: "while we connected",
    Step.ENCRYPT: "at STARTTLS",
    Step.LOG_IN: "while we logged in",
    Step.HAND_OVER: "while it took the mail",
}


def _with_causes(error: BaseException) -> Iterator[BaseException]:
    """The library hides the system's error behind its own, without an attribute for it."""
    found: BaseException | None = error
    while found is not None:
        yield found
        found = found.__context__
