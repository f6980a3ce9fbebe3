"""`orderdesk audit verify`: what it prints, and how it ends."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

from orderdesk_app import cli
from orderdesk_app.cli import audit as command
from orderdesk_app.cli.exit_codes import FAILED, TAMPERED, WRONG_SETTING
from orderdesk_app.context import Actor, TenantId, Via
from orderdesk_app.services.audit import Entry
from orderdesk_app.settings_reader import load_settings
from orderdesk_app.wiring import Services
from tests.worlds import open_services, settings_for

T = TypeVar("T")


@dataclass
class Shell:
    """The command in this process, on a database with an account."""

    url: str
    capsys: pytest.CaptureFixture[str]
    actor: Actor

    def run(self, *arguments: str, code: int = 0) -> str:
        assert cli.main(["audit", "verify", *arguments]) == code
        printed = self.capsys.readouterr()
        return printed.out + printed.err

    def json(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        """The chain of the account."""
        chains = [
            json.loads(line) for line in self.run(*arguments, "--json", code=code).splitlines()
        ]
        return next(chain for chain in chains if chain["tenant_id"] == self.actor.tenant_id)

    def do(self, work: Callable[[Services], Awaitable[T]]) -> T:
        async def inside() -> T:
            async with open_services(settings_for(self.url)) as services:
                return await work(services)

        return asyncio.run(inside())

    def call(self, count: int) -> None:
        async def calls(services: Services) -> None:
            for _ in range(count):
                await services.audit.queue(Entry(self.actor, "tool", tool="orders_get"))

        self.do(calls)

    def sql(self, statement: str) -> None:
        self.do(lambda services: services.database.execute(statement, {}))


@pytest.fixture
def shell(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], sqlite_url: str
) -> Shell:
    values = {"DATABASE_URL": sqlite_url}
    monkeypatch.setattr(command, "load_settings", lambda **_: load_settings(values))
    monkeypatch.chdir(cli.ROOT)
    shell = Shell(sqlite_url, capsys, Actor(TenantId("")))

    async def make(services: Services) -> Actor:
        account, _ = await services.tenants.make_tenant("Ada's Teas")
        return account.owner(Via.MCP)

    shell.actor = shell.do(make)
    shell.call(5)
    return shell


def test_a_whole_log_is_said_to_be_whole(shell: Shell) -> None:
    said = shell.run()

    assert f"WHOLE  chain {shell.json()['chain']}, account {shell.actor.tenant_id}: 5 rows" in said
    assert said.splitlines()[-1] == "1 chains, 0 of them tampered with."
    assert shell.run("--tenant", shell.actor.tenant_id) == said
    assert "no audit log" in shell.run("--tenant", "01NOBODY", code=FAILED)


def test_programs_get_an_object_a_line(shell: Shell) -> None:
    shell.sql("DELETE FROM audit_log WHERE sequence = 3")

    chain = shell.json(code=TAMPERED)

    assert chain == {
        "chain": chain["chain"],
        "tenant_id": shell.actor.tenant_id,
        "state": "tampered",
        "whole": 4,
        "erased": 0,
        "expired": 0,
        "unchained": 0,
        "found": 1,
        "findings": [
            {
                "kind": "missing",
                "words": "rows were deleted, and not by us",
                "first": 3,
                "last": 3,
                "row_id": None,
            }
        ],
        "checkpoint": chain["checkpoint"],
    }


def test_a_person_reads_what_was_changed(shell: Shell) -> None:
    shell.sql("UPDATE audit_log SET outcome = 'x' WHERE sequence = 2")
    shell.sql("DELETE FROM audit_log WHERE sequence > 3")

    said = shell.run(code=TAMPERED)

    assert "TAMPERED  chain" in said
    assert "  changed row 2 (" in said
    assert "  missing rows 4 to 5: rows were deleted, and not by us" in said


def test_a_person_reads_that_a_whole_chain_is_gone(shell: Shell) -> None:
    shell.sql("DELETE FROM audit_log")
    shell.sql("DELETE FROM audit_chains WHERE id <> 'register'")

    said = shell.run(code=TAMPERED)

    assert "TAMPERED  the number of chains" in said
    assert "  missing: 1 chain was deleted with all rows, and not by us" in said


def test_a_checkpoint_that_was_kept_shows_what_was_cut_off(shell: Shell, tmp_path: Path) -> None:
    kept = tmp_path / "checkpoints"
    kept.write_text(shell.json()["checkpoint"] + "\n")
    shell.call(2)
    assert shell.json("--since", f"@{kept}")["whole"] == 2

    shell.sql("DELETE FROM audit_log")
    shell.sql("DELETE FROM audit_chains")

    nothing = shell.run().splitlines()
    assert nothing[0] == "0 chains, 0 of them tampered with."
    assert "all of it was deleted" in nothing[1]
    assert "the whole chain is gone" in shell.run("--since", f"@{kept}", code=TAMPERED)
    assert "no checkpoint of this installation" in shell.run("--since", "x", code=FAILED)
    with pytest.raises(SystemExit, match=str(WRONG_SETTING)):
        cli.main(["audit", "verify", "--since", f"@{tmp_path / 'missing'}"])
