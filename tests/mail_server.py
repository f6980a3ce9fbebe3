"""A real SMTP server on loopback, in the loop of the test that uses it; what it answers is up to
the test.
"""

import asyncio
import ssl
import tempfile
import warnings
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from functools import lru_cache
from ipaddress import ip_address
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from orderdesk_app.context import Secret
from orderdesk_app.mail.smtp import SmtpSender, SmtpServer

USERNAME, PASSWORD = "orders", "correct horse, tr0ub4dor"
HANG, DROP, DROP_BEFORE = "hang", "drop", "drop before"


@dataclass
class MailServer:
    """`answers` are used up by the mails that arrive, 250 when there are none: an SMTP line, HANG,
    DROP (the mail is kept and the line is cut before the 250) or DROP_BEFORE (not kept).

    `refusals` answer RCPT TO the same way. `mails` are those that were kept.
    """

    port: int = 0
    answers: deque[str] = field(default_factory=deque)
    refusals: deque[str] = field(default_factory=deque)
    mails: list[EmailMessage] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    logins: list[tuple[str, str]] = field(default_factory=list)
    was_encrypted: list[bool] = field(default_factory=list)
    hellos: list[str] = field(default_factory=list)

    async def handle_RCPT(  # noqa: N802  aiosmtpd finds it by its name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.refusals:
            return self.refusals.popleft()
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        answer = self.answers.popleft() if self.answers else "250 OK"
        if answer.startswith(("250", DROP)) and answer != DROP_BEFORE:
            self.keep(server, session, envelope)
        if answer == HANG:
            await asyncio.sleep(60)
        if answer in (DROP, DROP_BEFORE):
            assert server.transport is not None
            server.transport.abort()
            return "421 gone"
        return answer

    def keep(self, server: SMTP, session: Session, envelope: Envelope) -> None:
        assert isinstance(envelope.content, bytes)
        message = message_from_bytes(envelope.content, policy=SMTP_POLICY)
        assert isinstance(message, EmailMessage)
        self.mails.append(message)
        self.recipients += envelope.rcpt_tos
        assert server.transport is not None
        self.was_encrypted.append(server.transport.get_extra_info("sslcontext") is not None)
        self.hellos.append(str(session.host_name))

    def authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
    ) -> AuthResult:
        login = data.login.decode(), data.password.decode()
        self.logins.append(login)
        return AuthResult(success=login == (USERNAME, PASSWORD), handled=False)

    def subjects(self) -> list[str]:
        return [str(mail["Subject"]) for mail in self.mails]


@asynccontextmanager
async def mail_server(
    *,
    tls: str = "starttls",
    with_login: bool = False,
    with_utf8: bool = True,
    state: MailServer | None = None,
) -> AsyncIterator[MailServer]:
    """`tls` is "starttls", "implicit" or "none"; `state` is for a server of a test's own kind."""
    state = state or MailServer()
    context = server_context() if tls != "none" else None

    def protocol() -> SMTP:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns of passwords without STARTTLS
            return SMTP(
                state,
                hostname="mail.test",
                tls_context=context if tls == "starttls" else None,
                authenticator=state.authenticate if with_login else None,
                auth_required=with_login,
                auth_require_tls=tls == "starttls",
                auth_exclude_mechanism=() if with_login else ("LOGIN", "PLAIN"),
                enable_SMTPUTF8=with_utf8,
            )

    server = await asyncio.get_running_loop().create_server(
        protocol, "127.0.0.1", 0, ssl=context if tls == "implicit" else None
    )
    state.port = server.sockets[0].getsockname()[1]
    try:
        yield state
    finally:
        server.close()


def sender_to(server: MailServer, *, seconds: float = 10.0, **changes: Any) -> SmtpSender:
    """A sender that trusts that server's certificate."""
    given: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": server.port,
        "from_email": "orders@example.com",
        "hello": "desk.example.com",
    }
    return SmtpSender(SmtpServer(**given | changes), context=trusting_context(), seconds=seconds)


LOGIN = {"username": USERNAME, "password": Secret(PASSWORD)}


@lru_cache(maxsize=1)
def certificate() -> tuple[bytes, bytes]:
    """A self-signed certificate for 127.0.0.1, and its key, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mail.test")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM), key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"".join(certificate()))
        file.flush()
        context.load_cert_chain(file.name)
    return context


def trusting_context() -> ssl.SSLContext:
    return ssl.create_default_context(cadata=certificate()[0].decode())
