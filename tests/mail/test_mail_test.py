"""`orderdesk mail-test` sends one mail, and says in plain words what went wrong."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from orderdesk_app import cli
from orderdesk_app.cli import mail_test
from orderdesk_app.settings_reader import load_settings
from tests.mail_server import mail_server

Run = Callable[..., int]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the command in this process, with these settings alone."""

    def run(*arguments: str, **settings: str) -> int:
        monkeypatch.setattr(mail_test, "load_settings", lambda: load_settings(settings))
        monkeypatch.chdir(cli.ROOT)
        return cli.main(["mail-test", *arguments])

    return run


def smtp(port: int) -> dict[str, str]:
    return {
        "EMAIL_PROVIDER": "smtp",
        "SMTP_HOST": "127.0.0.1",
        "SMTP_PORT": str(port),
        "SMTP_USE_TLS": "false",
        "SMTP_FROM_EMAIL": "orders@example.com",
    }


def test_without_a_mail_server_it_is_printed(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("ada@bücher.example") == 0

    printed = capsys.readouterr()
    assert "Mail to ada@bücher.example\nSubject: A test mail" in printed.out
    assert "not sent. Set EMAIL_PROVIDER=smtp" in printed.err


def test_what_is_no_address_is_named(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("ada") == 1

    assert capsys.readouterr().err == (
        "orderdesk: This is no e-mail address. Write one such as ada@example.com.\n"
    )


async def test_it_goes_out_or_the_servers_words_are_shown(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    async with mail_server(tls="none") as server:
        sent = await asyncio.to_thread(run, "ada@example.net", **smtp(server.port))
        said = capsys.readouterr()
        server.refusals.append("550 5.7.1 relaying denied")
        refused = await asyncio.to_thread(run, "ada@example.net", **smtp(server.port))
        error = capsys.readouterr().err

    assert (sent, server.subjects()) == (0, ["A test mail"])
    assert f"127.0.0.1:{server.port} took the mail" in said.out
    assert refused == 1
    assert error == (
        f"orderdesk: The mail server 127.0.0.1:{server.port} refused the recipient (550). It said: "
        '"5.7.1 relaying denied"\n'
    )


def test_a_server_that_is_not_there_is_named(
    run: Run, capsys: pytest.CaptureFixture[str], unused_tcp_port: Any
) -> None:
    assert run("ada@example.net", **smtp(unused_tcp_port)) == 1

    assert "nothing serves there. Correct SMTP_HOST or SMTP_PORT." in capsys.readouterr().err
