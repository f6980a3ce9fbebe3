"""`orderdesk users`: operators are listed, made, disabled and enabled from the shell."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest
from sqlmodel import col, select

from orderdesk_app import cli
from orderdesk_app.cli import opened
from orderdesk_app.context import Actor, TenantId, Via
from orderdesk_app.db.audit import AuditEntry
from orderdesk_app.db.users import User
from orderdesk_app.errors import AuthFailed, NotFound
from orderdesk_app.services.user_filter import UserFilter
from orderdesk_app.settings_reader import load_settings
from orderdesk_app.wiring import Services
from tests.worlds import open_services, settings_for

T = TypeVar("T")
NASTY = "Eve\n01ADMIN  Root  root@example.net\x1b[2J\r\u2028\u202e"


@dataclass
class Shell:
    """The command in this process, on a database of its own; `said` is what it printed."""

    url: str
    capsys: pytest.CaptureFixture[str]
    ids: dict[str, str]

    def run(self, *arguments: str, code: int = 0) -> str:
        assert cli.main(["users", *arguments]) == code
        printed = self.capsys.readouterr()
        return printed.out if code == 0 else printed.err

    def json(self, *arguments: str) -> Any:
        return json.loads(self.run(*arguments, "--json"))

    def do(self, work: Callable[[Services], Awaitable[T]]) -> T:
        async def inside() -> T:
            async with open_services(settings_for(self.url)) as services:
                return await work(services)

        return asyncio.run(inside())

    def state(self, name: str) -> str:
        [row] = self.json("list", "--search", name)["users"]
        return str(row["state"])


@pytest.fixture
def shell(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], sqlite_url: str
) -> Shell:
    """Ada is the operator; Bert and Chioma have accounts, and Chioma an address."""
    monkeypatch.setattr(opened, "load_settings", lambda **_: load_settings(values))
    monkeypatch.chdir(cli.ROOT)
    values = {"DATABASE_URL": sqlite_url}
    shell = Shell(sqlite_url, capsys, {})

    async def make(services: Services) -> None:
        for name in ("Ada", "Bert", "Chioma"):
            account, _ = await services.tenants.make_tenant(name, is_operator=name == "Ada")
            shell.ids[name] = str(account.owner_id)
        async with services.database.write() as session:
            chioma = await session.get(User, shell.ids["Chioma"])
            assert chioma is not None
            chioma.email = "chioma@example.net"
            session.add(chioma)

    shell.do(make)
    return shell


# ------------------------------------------------------------------ the list


def test_users_are_listed_in_a_table(shell: Shell) -> None:
    lines = shell.run("list").splitlines()

    assert lines[0].split()[:2] == ["ID", "NAME"]
    assert [line.split()[1] for line in lines[1:]] == ["Ada", "Bert", "Chioma"]
    assert lines[1].split()[3:5] == ["operator", "owner"]
    assert "chioma@example.net" in lines[3]


def test_programs_get_json(shell: Shell) -> None:
    listed = shell.json("list", "--sort", "created", "--descending")

    assert [row["name"] for row in listed["users"]] == ["Chioma", "Bert", "Ada"]
    assert listed["next"] is None
    assert listed["users"][0] == {
        "id": shell.ids["Chioma"],
        "name": "Chioma",
        "email": "chioma@example.net",
        "unverified_email": None,
        "state": "active",
        "role": "owner",
        "created_at": listed["users"][0]["created_at"],
        "last_sign_in_at": None,
        "last_active_at": None,
        "stores": 0,
        "calls": 0,
    }


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (("--search", "BER"), ["Bert"]),
        (("--search", "chioma@"), ["Chioma"]),
        (("--state", "operator"), ["Ada"]),
        (("--role", "viewer"), []),
    ],
)
def test_the_list_is_narrowed(shell: Shell, options: tuple[str, ...], names: list[str]) -> None:
    assert [row["name"] for row in shell.json("list", *options)["users"]] == names


def test_the_list_is_read_page_by_page(shell: Shell) -> None:
    names: list[str] = []
    after: tuple[str, ...] = ()
    for _ in range(3):
        page = shell.json("list", "--count", "1", *after)
        names += [row["name"] for row in page["users"]]
        after = ("--after", page["next"] or "")

    assert names == ["Ada", "Bert", "Chioma"]
    assert after == ("--after", "")
    assert "More with the same options and: --after " in shell.run("list", "--count", "1")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--count", "0"), "--count is a number from 1 to 1,000"),
        (("--state", "asleep"), "There is no state"),
        (("--after", "!!"), "--after is what the page before printed"),
        (("--after", "eHh4"), "is no place in this list"),
    ],
)
def test_a_wrong_option_is_named(shell: Shell, options: tuple[str, ...], words: str) -> None:
    assert words in shell.run("list", *options, code=1)


def test_a_name_cannot_forge_a_line_or_a_column(shell: Shell) -> None:
    async def rename(services: Services) -> None:
        async with services.database.write() as session:
            bert = await session.get(User, shell.ids["Bert"])
            assert bert is not None
            bert.name = NASTY
            session.add(bert)

    shell.do(rename)

    listed = shell.run("list")
    assert len(listed.splitlines()) == 4
    assert listed.replace("\n", "").replace("…", "").isprintable()
    [row] = [line for line in listed.splitlines() if shell.ids["Bert"] in line]
    assert row.split("  ")[1].startswith("Eve 01ADMIN Root root@example.net")
    assert "\x1b" not in shell.run("list", "--json")
    assert len(shell.run("disable", shell.ids["Bert"]).splitlines()) == 1


# ------------------------------------------------------------------ what it does


@pytest.mark.parametrize("by", ["id", "email", "EMAIL", "name"])
def test_a_user_is_named_by_id_address_or_name(shell: Shell, by: str) -> None:
    given = {
        "id": shell.ids["Chioma"],
        "email": "chioma@example.net",
        "EMAIL": "Chioma@Example.NET",
        "name": "chioma",
    }[by]

    assert shell.run("make-operator", given) == (
        f"Chioma ({shell.ids['Chioma']}) is an operator now.\n"
    )
    assert shell.state("Chioma") == "operator"


def test_a_name_that_several_have_is_asked_back(shell: Shell) -> None:
    shell.do(lambda services: services.tenants.make_tenant("Bert"))

    said = shell.run("disable", "Bert", code=1)

    assert "Several users have the name Bert" in said
    assert shell.ids["Bert"] in said
    assert shell.state("Ada") == "operator"


def test_nobody_is_found_by_a_part_of_a_name(shell: Shell) -> None:
    for text in ("Ber", "", "%", "chioma@example.ne", "x\n\x1b[2J"):
        said = shell.run("disable", text, code=1)

        assert "No user has the id, the e-mail address or the name" in said
        assert "\x1b" not in said


def test_an_operator_is_made_and_unmade(shell: Shell) -> None:
    shell.run("make-operator", "Bert")
    made = shell.state("Bert")
    row = shell.json("remove-operator", "Bert")

    assert made == "operator"
    assert (row["id"], row["state"]) == (shell.ids["Bert"], "active")


@pytest.mark.parametrize("act", ["remove-operator", "disable"])
def test_the_last_operator_stays(shell: Shell, act: str) -> None:
    said = shell.run(act, "Ada", code=1)

    assert "This is the last operator who can sign in" in said
    assert shell.state("Ada") == "operator"


def test_a_disabled_user_is_out_at_once_and_may_come_back(shell: Shell) -> None:
    async def disable_while_a_server_runs(services: Services) -> list[str]:
        account, key = await services.tenants.make_tenant("Dmitri")
        cookie = await services.sessions.start(account.id, account.owner_id, **session_of_a_key)
        await services.access.by_token(key.reveal())
        await asyncio.to_thread(shell.run, "disable", "Dmitri")
        seen = []
        if await services.sessions.resume(cookie) is None:
            seen.append("session")
        for _ in range(60):
            try:
                await services.access.by_token(key.reveal())
            except AuthFailed:
                seen.append("key")
                break
            await asyncio.sleep(0.05)
        return seen

    session_of_a_key: dict[str, Any] = {
        "credential_id": None,
        "address": "203.0.113.9",
        "user_agent": "Firefox",
    }
    gone = shell.do(disable_while_a_server_runs)

    assert gone == ["session", "key"]
    assert shell.state("Dmitri") == "disabled"
    assert shell.run("enable", "Dmitri").endswith("may sign in again.\n")
    assert shell.state("Dmitri") == "active"


def test_every_act_leaves_a_row_that_says_shell(shell: Shell) -> None:
    for act in ("make-operator", "remove-operator", "disable", "enable"):
        shell.run(act, "Bert")

    async def rows(services: Services) -> list[AuditEntry]:
        async with services.database.read() as session:
            question = select(AuditEntry).order_by(col(AuditEntry.at), col(AuditEntry.id))
            return list((await session.exec(question)).all())

    found = shell.do(rows)
    assert [(row.action, row.via, row.outcome) for row in found] == [
        (f"user.{act}", "shell", "ok")
        for act in ("make_operator", "remove_operator", "disable", "enable")
    ]


def test_only_the_shell_itself_is_let_in_without_a_user(shell: Shell) -> None:
    async def ask(services: Services) -> None:
        for via in set(Via) - {Via.SHELL}:
            with pytest.raises(NotFound):
                await services.users.page(Actor(TenantId(""), via=via), UserFilter())

    shell.do(ask)


# ------------------------------------------------------------------ no database of this release


def test_no_database_is_made(shell: Shell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    values = {"DATABASE_URL": f"sqlite:///{tmp_path}/new.db"}
    monkeypatch.setattr(opened, "load_settings", lambda **_: load_settings(values))

    assert "There is no database yet" in shell.run("list", code=2)
    assert not list(tmp_path.glob("new.db*"))


def test_a_database_of_another_release_is_left_alone(shell: Shell) -> None:
    async def change(services: Services) -> None:
        await services.database.execute("UPDATE alembic_version SET version_num = '0001'", {})

    shell.do(change)

    assert "schema of another release. Run: orderdesk doctor" in shell.run("list", code=2)
