"""One mail, and the message that it becomes on its way."""

import unicodedata
from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8

SENDER_NAME = "Order Desk agents"
_MOST_SUBJECT = 150
# line and paragraph separators, controls, and what turns the direction of text around it
_NOT_IN_A_LINE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail to one address, ready to be sent. It may take several tries: `id` and `at` stay."""

    id: str
    at: datetime
    to: str  # as email_address() returns it
    subject: str
    text: str
    html: str

    def __repr__(self) -> str:
        return f"Mail({self.id})"  # the rest is personal


def one_line(text: str, most: int) -> str:
    """The text on one line of at most `most` characters, without characters that nobody sees."""
    seen = "".join(" " if unicodedata.category(sign) in _NOT_IN_A_LINE else sign for sign in text)
    # A header's reader, our own library included, decodes what begins like this (RFC 2047).
    line = " ".join(seen.replace("=?", "= ?").split())
    return line if len(line) <= most else line[: most - 1].rstrip() + "…"


def as_message(mail: Mail, from_email: str) -> EmailMessage:
    """The mail with its headers, in text and HTML."""
    # Only an address with letters beyond a to z before its @ needs an extension of SMTP (RFC 6531).
    policy = SMTP if mail.to.isascii() and from_email.isascii() else SMTPUTF8
    message = EmailMessage(policy=policy)
    message["Subject"] = one_line(mail.subject, _MOST_SUBJECT)
    message["From"] = _header_address(from_email, SENDER_NAME)
    message["To"] = _header_address(mail.to)
    message["Date"] = mail.at
    # The same at each try, so that a server or a person can tell a second copy.
    message["Message-ID"] = f"<{mail.id}@{from_email.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no answering machine answers
    message.set_content(mail.text, cte="quoted-printable")
    message.add_alternative(mail.html, subtype="html", cte="quoted-printable")
    return message


def _header_address(address: str, name: str = "") -> Address:
    username, _, domain = address.rpartition("@")
    return Address(name, username, domain)
