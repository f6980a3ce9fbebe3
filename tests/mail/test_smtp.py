"""Mail goes through real SMTP servers, encrypted, and what goes wrong is named."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from orderdesk_app.context import Secret
from orderdesk_app.errors import ConfigurationError
from orderdesk_app.mail.message import Mail
from orderdesk_app.mail.sender import MailFailed
from orderdesk_app.mail.smtp import SmtpSender, SmtpServer, smtp_server
from orderdesk_app.settings_reader import load_settings
from tests.mail_server import (
    DROP,
    DROP_BEFORE,
    HANG,
    LOGIN,
    PASSWORD,
    USERNAME,
    mail_server,
    sender_to,
)

MAIL = Mail(
    id="01JZ0000000000000000000000",
    at=datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC),
    to="ada@example.net",
    subject="Confirm your e-mail address",
    text="Hello Ada,\n\nopen https://desk.example.com/verify?token=" + "x" * 200 + "\n",
    html="<p>Hello Ada</p>",
)


async def failure_of(sender: SmtpSender, mail: Mail = MAIL) -> MailFailed:
    with pytest.raises(MailFailed) as raised:
        await sender.send(mail)
    assert "ada@" not in raised.value.words, "the words go into logs"
    assert raised.value.words.endswith(".")
    return raised.value


async def test_a_mail_goes_encrypted_with_its_text_its_html_and_its_headers() -> None:
    async with mail_server(with_login=True) as server:
        await sender_to(server, **LOGIN).send(MAIL)

    [message] = server.mails
    assert server.logins == [(USERNAME, PASSWORD)]
    assert server.was_encrypted == [True]
    assert server.hellos == ["desk.example.com"]
    assert server.recipients == ["ada@example.net"]
    assert message["To"] == "ada@example.net"
    assert message["From"] == "Order Desk agents <orders@example.com>"
    assert message["Subject"] == MAIL.subject
    assert message["Message-ID"] == f"<{MAIL.id}@example.com>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert parsedate_to_datetime(message["Date"]) == MAIL.at
    text, html = (message.get_body((kind,)) for kind in ("plain", "html"))
    assert text is not None
    assert html is not None
    assert text.get_content().replace("\r\n", "\n") == MAIL.text
    assert html.get_content().strip() == MAIL.html


async def test_tls_from_the_first_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    async with mail_server(tls="implicit", with_login=True) as server:
        monkeypatch.setattr("orderdesk_app.mail.smtp.IMPLICIT_TLS_PORT", server.port)
        await sender_to(server, **LOGIN).send(MAIL)

    assert (server.subjects(), server.was_encrypted) == ([MAIL.subject], [True])


async def test_a_relay_without_tls_gets_mail_when_the_settings_say_so() -> None:
    async with mail_server(tls="none") as server:
        await sender_to(server, use_tls=False).send(MAIL)

    assert server.was_encrypted == [False]


async def test_a_server_that_drops_starttls_gets_nothing() -> None:
    async with mail_server(tls="none", with_login=True) as server:
        failure = await failure_of(sender_to(server, **LOGIN))

    assert "offers no STARTTLS" in failure.words
    assert (server.logins, server.mails, failure.is_permanent) == ([], [], False)


async def test_a_certificate_that_nobody_vouches_for_gets_nothing() -> None:
    async with mail_server(with_login=True) as server:
        known = SmtpServer("127.0.0.1", server.port, "orders@example.com", **LOGIN)
        failure = await failure_of(SmtpSender(known))

    assert "not trusted: self-signed certificate" in failure.words
    assert "SSL_CERT_FILE" in failure.words
    assert (server.logins, server.mails, failure.is_permanent) == ([], [], False)


async def test_a_certificate_of_another_name_gets_nothing() -> None:
    async with mail_server() as server:
        failure = await failure_of(sender_to(server, host="localhost"))

    assert "SMTP_HOST must be the name in it" in failure.words
    assert server.mails == []


def test_no_password_goes_over_an_open_line_to_another_machine() -> None:
    with pytest.raises(ConfigurationError, match="SMTP_USE_TLS"):
        SmtpServer("smtp.example.com", 25, "orders@example.com", use_tls=False, **LOGIN)

    SmtpServer("127.0.0.1", 25, "orders@example.com", use_tls=False, **LOGIN)


async def test_a_wrong_password_is_a_fault_of_the_settings_and_not_of_the_mail() -> None:
    async with mail_server(with_login=True) as server:
        failure = await failure_of(sender_to(server, username="orders", password=Secret("wrong")))

    assert failure.words == (
        f"The mail server 127.0.0.1:{server.port} refused SMTP_USERNAME and SMTP_PASSWORD (535)."
    )
    assert not failure.is_permanent, "somebody mends the settings, and then it goes out"


async def test_a_server_without_log_in_is_named() -> None:
    async with mail_server() as server:
        failure = await failure_of(sender_to(server, **LOGIN))

    assert "no way to log in" in failure.words


@pytest.mark.parametrize(
    ("answer", "is_permanent"),
    [
        ("451 4.7.1 greylisted, ada@example.net, come back", False),
        ("421 4.3.2 going down", False),
        ("554 5.7.1 spam from ada@example.net", True),
    ],
)
@pytest.mark.parametrize("stage", ["refusals", "answers"])
async def test_a_refusal_is_final_when_the_server_says_so(
    stage: str, answer: str, is_permanent: bool
) -> None:
    async with mail_server() as server:
        getattr(server, stage).append(answer)
        failure = await failure_of(sender_to(server))
        await sender_to(server).send(MAIL)

    assert failure.is_permanent == is_permanent
    assert failure.status == int(answer[:3])
    assert answer[4:].split(",")[0] in failure.said
    assert server.subjects() == [MAIL.subject], "the second try arrived"


async def test_a_line_that_breaks_before_the_answer_is_no_success() -> None:
    async with mail_server() as server:
        server.answers.extend([DROP, DROP_BEFORE])
        first = await failure_of(sender_to(server))
        second = await failure_of(sender_to(server))

    assert "ended the connection (while it took the mail)" in first.words
    assert (first.is_permanent, second.is_permanent) == (False, False)
    assert [mail["Message-ID"] for mail in server.mails] == [f"<{MAIL.id}@example.com>"]


async def test_a_server_that_hangs_ends_in_time() -> None:
    async with mail_server() as server:
        server.answers.append(HANG)
        started = asyncio.get_running_loop().time()
        failure = await failure_of(sender_to(server, seconds=0.3))
        took = asyncio.get_running_loop().time() - started

    assert "did not answer in time (while it took the mail)" in failure.words
    assert took < 5


@asynccontextmanager
async def tcp_server(says: bytes) -> AsyncIterator[int]:
    """Something that is no mail server; it says that and waits."""

    class Says(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.WriteTransport)
            transport.write(says)

    server = await asyncio.get_running_loop().create_server(Says, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


@pytest.mark.parametrize(
    ("says", "words"),
    [
        (b"", "did not answer in time (while we connected)"),
        (b"554 no\r\n", "refused the connection (554)"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "speaks no SMTP there"),
    ],
)
async def test_what_is_no_mail_server_is_named(says: bytes, words: str) -> None:
    async with tcp_server(says) as port:
        known = SmtpServer("127.0.0.1", port, "orders@example.com")
        failure = await failure_of(SmtpSender(known, seconds=0.3))

    assert words in failure.words
    assert not failure.is_permanent


async def test_a_wrong_kind_of_tls_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    async with mail_server(tls="starttls") as server:
        monkeypatch.setattr("orderdesk_app.mail.smtp.IMPLICIT_TLS_PORT", server.port)
        failure = await failure_of(sender_to(server))

    assert "speaks no TLS there. Set SMTP_PORT=587" in failure.words


async def test_nothing_that_serves_there_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        known = SmtpServer("127.0.0.1", taken.getsockname()[1], "orders@example.com")
        failure = await failure_of(SmtpSender(known))

    assert "nothing serves there" in failure.words


async def test_a_name_that_dns_does_not_know_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    async def unknown(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", unknown, raising=False)
    failure = await failure_of(
        SmtpSender(SmtpServer("smtp.example.com", 587, "orders@example.com"))
    )

    assert "DNS knows no such name. Correct SMTP_HOST." in failure.words


async def test_an_address_beyond_a_to_z_needs_a_server_that_knows_them() -> None:
    mail = replace(MAIL, to="jörg@xn--bcher-kva.example")
    async with mail_server() as server:
        await sender_to(server).send(mail)
    assert server.recipients == ["jörg@xn--bcher-kva.example"]

    async with mail_server(with_utf8=False) as server:
        failure = await failure_of(sender_to(server), mail)
    assert failure.is_permanent
    assert "letters beyond a to z" in failure.words


@pytest.mark.parametrize(
    ("public_url", "hello"),
    [
        ("http://localhost:8080", "localhost"),
        ("http://127.0.0.1:8080", "[127.0.0.1]"),
        ("http://[::1]:8080", "[IPv6:::1]"),
    ],
)
def test_we_say_hello_by_the_name_of_our_address(public_url: str, hello: str) -> None:
    settings = load_settings(
        {
            "EMAIL_PROVIDER": "smtp",
            "SMTP_HOST": "Smtp.Example.com.",
            "SMTP_FROM_EMAIL": "orders@example.com",
            "SMTP_USERNAME": "orders",
            "SMTP_PASSWORD": "p",
            "PUBLIC_URL": public_url,
        }
    )

    assert smtp_server(settings) == SmtpServer(
        "smtp.example.com", 587, "orders@example.com", "orders", Secret("p"), True, hello
    )
