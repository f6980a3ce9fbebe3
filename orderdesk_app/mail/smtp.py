"""Sends mail through an SMTP server (RFC 5321), over TLS (RFC 3207, RFC 8314)."""

import asyncio
import contextlib
import ssl
from dataclasses import dataclass
from email.message import EmailMessage
from ipaddress import ip_address
from urllib.parse import urlsplit

from aiosmtplib import SMTP, SMTPException

from orderdesk_app.config import Settings
from orderdesk_app.context import Secret
from orderdesk_app.errors import ConfigurationError
from orderdesk_app.mail.message import Mail, as_message
from orderdesk_app.mail.smtp_failures import Step, mail_failure
from orderdesk_app.setting_rules import is_loopback, url_host

IMPLICIT_TLS_PORT = 465  # "submissions": TLS from the first byte
SEND_SECONDS = 30.0  # for one mail, from the connection to the server's 250
_ANSWER_SECONDS = 15.0
_GOODBYE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """Where mail is handed over, and as whom. `hello` is our own name (EHLO)."""

    host: str
    port: int
    from_email: str
    username: str = ""
    password: Secret | None = None
    use_tls: bool = True
    hello: str = "localhost"

    def __post_init__(self) -> None:
        if self.password and not self.use_tls and not is_loopback(self.host):
            raise ConfigurationError(
                "SMTP_USE_TLS: a password is sent over an encrypted line alone. Set "
                "SMTP_USE_TLS=true"
            )

    @property
    def has_implicit_tls(self) -> bool:
        return self.use_tls and self.port == IMPLICIT_TLS_PORT

    @property
    def has_starttls(self) -> bool:
        return self.use_tls and self.port != IMPLICIT_TLS_PORT


def smtp_server(settings: Settings) -> SmtpServer:
    """The server that the settings name."""
    password = settings.smtp_password.get_secret_value()
    return SmtpServer(
        host=settings.smtp_host,
        port=settings.smtp_port,
        from_email=settings.smtp_from_email,
        username=settings.smtp_username,
        password=Secret(password) if password else None,
        use_tls=settings.smtp_use_tls,
        hello=_hello(urlsplit(settings.public_url).hostname or "localhost"),
    )


def _hello(host: str) -> str:
    """Our name as EHLO takes it: an IP address is in brackets (RFC 5321, 4.1.3)."""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    return f"[IPv6:{address}]" if address.version == 6 else f"[{address}]"


class SmtpSender:
    """EMAIL_PROVIDER=smtp: one connection for each mail.

    With TLS, a server without it, or with a certificate that nobody vouches for, gets neither
    password nor mail. `context` is for tests, whose certificate only they trust.
    """

    def __init__(
        self,
        server: SmtpServer,
        *,
        context: ssl.SSLContext | None = None,
        seconds: float = SEND_SECONDS,
    ) -> None:
        self._server = server
        self._context = context or (ssl.create_default_context() if server.use_tls else None)
        self._seconds = seconds
        self._goodbyes: set[asyncio.Task[None]] = set()

    async def send(self, mail: Mail) -> None:
        """Returns after the server's 250. Raises MailFailed."""
        await self._visit(as_message(mail, self._server.from_email), mail.to)

    async def check(self) -> None:
        """Connects and logs in, and sends nothing. Raises MailFailed."""
        await self._visit()

    async def _visit(self, message: EmailMessage | None = None, to: str = "") -> None:
        """One connection: log in, hand the message over, say goodbye."""
        server = self._server
        client = self._client()
        step = Step.CONNECT
        try:
            async with asyncio.timeout(self._seconds):
                await client.connect()
                if server.has_starttls:
                    step = Step.ENCRYPT
                    await client.starttls()
                if server.password:
                    step = Step.LOG_IN
                    await client.login(server.username, server.password.reveal())
                if message is not None:
                    step = Step.HAND_OVER
                    await client.send_message(message, sender=server.from_email, recipients=[to])
        except (SMTPException, OSError, ValueError) as error:
            client.close()
            raise mail_failure(error, step, f"{url_host(server.host)}:{server.port}") from error
        except BaseException:
            client.close()
            raise
        # The mail is taken: what becomes of the goodbye is no failure of it.
        goodbye = asyncio.create_task(_say_goodbye(client))
        self._goodbyes.add(goodbye)
        goodbye.add_done_callback(self._goodbyes.discard)

    def _client(self) -> SMTP:
        server = self._server
        return SMTP(
            hostname=server.host,
            port=server.port,
            local_hostname=server.hello,  # the library would ask DNS for one
            timeout=min(_ANSWER_SECONDS, self._seconds),
            use_tls=server.has_implicit_tls,
            start_tls=False,  # done by hand, so that a failure there can be named
            tls_context=self._context,
        )


async def _say_goodbye(client: SMTP) -> None:
    with contextlib.suppress(SMTPException, OSError):
        async with asyncio.timeout(_GOODBYE_SECONDS):
            await client.quit()
    client.close()
