"""A sign-in link by e-mail: asked for on the sign-in page, used by a button."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from orderdesk_app.context import new_id
from orderdesk_app.mail.message import Mail
from orderdesk_app.mail.outbox import OutboxSender
from orderdesk_app.services.limit_store import DelayRules
from orderdesk_app.services.sessions import COOKIE
from tests.web.browser_session import BrowserSession, Web, delayed
from tests.worlds import eventually

MAILED = "/sign-in?mailed=1"


def give_address(person: BrowserSession) -> str:
    """A verified address of their own."""
    address = f"Ada.{new_id()}@example.net"
    set_column(person, "users", "email", f"'{address}'", person.view.owner_id)
    return address


def set_column(person: BrowserSession, table: str, column: str, value: str, row_id: str) -> None:
    person.web.do(
        person.web.services.database.execute,
        f"UPDATE {table} SET {column} = {value} WHERE id = :id",
        {"id": row_id},
    )


def stranger(ada: BrowserSession) -> BrowserSession:
    return BrowserSession(ada.web, ada.view, ada.key)


def ask(ada: BrowserSession, email: str, **fields: str) -> Any:
    return stranger(ada).post("/sign-in/mail", token=False, email=email, **fields)


def is_quiet(web: Web) -> None:
    """Until every job is done."""

    async def nothing_waits() -> bool:
        return (await web.services.jobs.counts()).waiting == 0

    web.do(eventually, nothing_waits, 10, every=0.01)


def mails_to(web: Web, address: str) -> list[Mail]:
    is_quiet(web)
    assert isinstance(web.services.mail_sender, OutboxSender)
    return [mail for mail in web.services.mail_sender.mails if mail.to == address]


def path_in(mail: Mail) -> str:
    [path] = re.findall(r"(/sign-in/link\?token=\S+)", mail.text)
    return str(path)


def test_a_link_is_mailed_and_its_button_signs_in(ada: BrowserSession) -> None:
    address = give_address(ada)

    answer = ask(ada, f"  {address.lower()} ")

    assert answer.headers["location"] == MAILED
    assert "a link is on its way" in stranger(ada).get(MAILED).text
    [mail] = mails_to(ada.web, address)
    page = stranger(ada).get(path_in(mail))
    assert "This link signs you in as <strong>Ada&#39;s Teas</strong>" in page.text
    assert "set-cookie" not in page.headers  # a mail scanner signs nobody in
    done = stranger(ada).send(path_in(mail), {"next": "/"})
    assert (done.status_code, done.headers["location"]) == (303, "/")
    assert COOKIE in done.headers["set-cookie"]
    assert stranger(ada).send(path_in(mail), {"next": "/"}).status_code == 410


def test_the_link_leads_to_the_page_that_was_wanted(ada: BrowserSession) -> None:
    address = give_address(ada)

    answer = ask(ada, address, next="/console?tool=orders_get")
    [mail] = mails_to(ada.web, address)
    page = stranger(ada).get(path_in(mail)).text
    done = stranger(ada).send(path_in(mail), {"next": "/console?tool=orders_get"})
    elsewhere = ask(ada, give_address(ada), next="https://evil.example/")

    assert answer.headers["location"] == f"{MAILED}&next=%2Fconsole%3Ftool%3Dorders_get"
    assert 'name="next" value="/console?tool=orders_get"' in page
    assert done.headers["location"] == "/console?tool=orders_get"
    assert elsewhere.headers["location"] == MAILED


def closed_account(ada: BrowserSession) -> str:
    set_column(ada, "tenants", "disabled_at", "created_at", ada.view.id)
    return give_address(ada)


def disabled_user(ada: BrowserSession) -> str:
    set_column(ada, "users", "disabled_at", "created_at", ada.view.owner_id)
    return give_address(ada)


def user_without_account(ada: BrowserSession) -> str:
    database = ada.web.services.database
    ada.web.do(
        database.execute, "DELETE FROM memberships WHERE user_id = :id", {"id": ada.view.owner_id}
    )
    return give_address(ada)


@pytest.mark.parametrize(
    "made",
    [closed_account, disabled_user, user_without_account, lambda _: f"{new_id()}@example.net"],
    ids=["closed account", "disabled user", "user without account", "unknown"],
)
def test_where_nobody_may_sign_in_the_answer_is_the_same_and_no_mail_is_sent(
    ada: BrowserSession, made: Callable[[BrowserSession], str]
) -> None:
    known = ask(ada, give_address(ada))
    address = made(ada)

    answer = ask(ada, address)

    assert (answer.status_code, answer.text) == (known.status_code, known.text)
    assert {name: answer.headers[name] for name in answer.headers if name != "x-request-id"} == {
        name: known.headers[name] for name in known.headers if name != "x-request-id"
    }
    assert mails_to(ada.web, address) == []


def test_the_address_of_a_label_is_nobodys(ada: BrowserSession) -> None:
    """Only `users.email` is verified; whoever typed another into a sign-up gets no mail by it."""
    address = f"{new_id()}@example.net"
    set_column(ada, "users", "name", f"'{address}'", ada.view.owner_id)

    ask(ada, address)

    assert mails_to(ada.web, address) == []


@pytest.mark.parametrize("email", ["", "ada", "ada@", "a b@example.net", "a@example.net\r\nBcc: x"])
def test_what_is_no_address_is_told_at_its_field(ada: BrowserSession, email: str) -> None:
    answer = ask(ada, email)

    assert answer.status_code == 400
    assert 'id="email-wrong" role="alert">This is no e-mail address.' in answer.text
    assert "Bcc" not in str(answer.headers)


def test_one_mailbox_is_not_flooded_and_the_page_says_how_long_to_wait(
    ada: BrowserSession,
) -> None:
    address = give_address(ada)

    answers = [ask(ada, each) for each in (address, address.upper(), address)]
    unknown = f"{new_id()}@example.net"
    same = [ask(ada, unknown) for _ in range(3)][-1]

    assert [answer.status_code for answer in answers] == [303, 303, 429]
    assert answers[-1].headers["retry-after"] == "60"
    assert "A link was asked for this address" in answers[-1].text
    assert f'value="{address}"' in answers[-1].text  # typed text survives
    assert same.text.replace(unknown, "") == answers[-1].text.replace(address, "")
    assert len(mails_to(ada.web, address)) == 2
    # whoever asked in her name has left her links that work
    assert stranger(ada).send(path_in(mails_to(ada.web, address)[0]), {"x": ""}).status_code == 303


def test_one_network_asks_for_links_at_a_pace(ada: BrowserSession) -> None:
    with delayed(ada.web.services.limits.link_requests, DelayRules(2, 30, 30)):
        answers = [ask(ada, f"{new_id()}@example.net") for _ in range(3)]

    assert [answer.status_code for answer in answers] == [303, 303, 429]
    assert answers[-1].headers["retry-after"] == "30"


def test_without_mail_there_is_no_form_and_the_address_refuses(
    ada: BrowserSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "E-mail me a link" in stranger(ada).get("/sign-in").text
    monkeypatch.setattr(ada.web.services.mailer, "is_set_up", False)
    address = give_address(ada)

    answer = ask(ada, address)

    assert "E-mail me a link" not in stranger(ada).get("/sign-in").text
    assert answer.status_code == 400
    assert mails_to(ada.web, address) == []


def test_who_belongs_to_several_accounts_chooses_one(
    ada: BrowserSession, bert: BrowserSession
) -> None:
    address = give_address(ada)
    ada.web.do(
        ada.web.services.database.execute,
        "INSERT INTO memberships (tenant_id, user_id, role, created_at) "
        "SELECT :tenant, :user, 'viewer', created_at FROM users WHERE id = :user",
        {"tenant": bert.view.id, "user": ada.view.owner_id},
    )
    ask(ada, address)
    [mail] = mails_to(ada.web, address)

    page = stranger(ada).get(path_in(mail)).text
    foreign = stranger(ada).send(path_in(mail), {"account": "no-account-of-hers"})
    done = stranger(ada).send(path_in(mail), {"account": bert.view.id})

    # the one that was used last comes first
    assert re.findall(r'name="account" value="(\w+)"', page) == [ada.view.id, bert.view.id]
    assert foreign.status_code == 410
    cookie = done.headers["set-cookie"].split(";")[0].removeprefix(f"{COOKIE}=")
    user = ada.web.do(ada.web.services.sessions.resume, cookie)
    assert (user.actor.tenant_id, user.actor.user_id) == (bert.view.id, ada.view.owner_id)
    assert user.actor.role == "viewer"


def test_no_address_is_in_a_log_or_an_audit_row(
    ada: BrowserSession, capsys: pytest.CaptureFixture[str]
) -> None:
    address = give_address(ada)
    capsys.readouterr()

    ask(ada, address)
    mails_to(ada.web, address)
    ada.web.do(ada.web.services.audit.flush)

    rows = ada.web.do(
        ada.web.services.database.execute,
        "SELECT * FROM audit_log WHERE action = 'sign_in.mail'",
        {},
    )
    assert rows
    assert address.lower() not in str([tuple(row) for row in rows]).lower()
    assert address.lower() not in capsys.readouterr().err.lower()
