"""`orderdesk rotate-keys`: what it says, and how it ends."""

import asyncio
import base64
import json
import secrets
from collections.abc import Callable

import pytest

from orderdesk_app import cli
from orderdesk_app.cli import opened
from orderdesk_app.services import key_rotation
from orderdesk_app.settings_reader import load_settings
from tests.worlds import open_services, settings_for

Run = Callable[..., tuple[int, str, str]]


def new_key() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()


OLD, NEW, OTHER = new_key(), new_key(), new_key()


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], sqlite_url: str
) -> Run:
    """The command in this process, on a database of two accounts whose keys OLD has wrapped."""
    monkeypatch.chdir(cli.ROOT)
    monkeypatch.setattr(key_rotation, "OBJECTION_SECONDS", 0.01)

    async def make() -> None:
        async with open_services(settings_for(sqlite_url, MCP_KMS_KEY=OLD)) as services:
            for name in ("Ada", "Bert"):
                account, _ = await services.tenants.make_tenant(name)
                await services.keyring.tenant(account.id)

    asyncio.run(make())

    def run(*arguments: str, key: str = NEW, previous: str = OLD) -> tuple[int, str, str]:
        values = {
            "DATABASE_URL": sqlite_url,
            "MCP_KMS_KEY": key,
            "MCP_KMS_KEY_PREVIOUS": previous,
        }
        monkeypatch.setattr(opened, "load_settings", lambda **_: load_settings(values))
        code = cli.main(["rotate-keys", *arguments])
        printed = capsys.readouterr()
        assert not any(key in printed.out + printed.err for key in (OLD, NEW, OTHER))
        return code, printed.out, printed.err

    return run


def test_a_check_changes_nothing_and_says_what_is_to_do(run: Run) -> None:
    first = run("--check")
    second = run("--check")

    assert first == second
    assert first[0] == 1
    assert [line.split()[1:] for line in first[1].splitlines()] == [
        ["0", "keys", "MCP_KMS_KEY"],
        ["3", "keys", "MCP_KMS_KEY_PREVIOUS"],
    ]


def test_it_rotates_and_says_what_comes_next(run: Run) -> None:
    code, said, _ = run()

    assert code == 0
    assert "3 keys were wrapped again." in said
    assert "remove it from every server" in said
    assert run("--check", previous="")[0] == 0
    assert run(previous="")[:2][0] == 0
    assert run(key=OLD, previous="")[0] == 2


def test_programs_read_json(run: Run) -> None:
    run()

    told = json.loads(run("--json")[1])

    assert told["rewrapped"] == 0
    assert [(key["rows"], key["is_current"]) for key in told["keys"]] == [(3, True)]


def test_several_keys_of_before_are_named_with_commas(run: Run) -> None:
    assert run(previous=f" {OTHER}, {OLD} ,")[0] == 0


def test_without_the_key_of_before_nothing_is_opened(run: Run) -> None:
    code, _, said = run(previous=OTHER)

    assert code == 2
    assert said.startswith("orderdesk: MCP_KMS_KEY: this is not the key")
    assert run("--check")[0] == 1


def test_there_is_no_database_to_rotate(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opened, "look_at", lambda _: None)

    assert run()[0] == 2
