"""Passkeys over HTTP: a question with its cookie, and a form with the answer."""

from typing import Any

import pytest

from orderdesk_app.routes.passkeys import COOKIE as QUESTION
from orderdesk_app.services.passkeys import PasskeyView
from orderdesk_app.services.sessions import COOKIE
from tests.authenticator import Authenticator
from tests.web.browser_session import ORIGIN, BrowserSession

NEW, ADD = "/account/passkeys/new", "/account/passkeys/add"


def answer_with(
    session: BrowserSession, path: str, question: Any, answer: str, **fields: str
) -> Any:
    """The form with the answer, from the browser that asked."""
    cookie = question.headers["set-cookie"].split(";")[0]
    own = f"{COOKIE}={session.cookie}; " if session.cookie else ""
    given = {"form_token": session.form_token()} if session.cookie else {}
    session.web.client.cookies.clear()
    return session.web.client.post(
        path,
        data={**given, **fields, "credential": answer},
        headers={"origin": ORIGIN, "cookie": own + cookie},
    )


def ask(session: BrowserSession, path: str) -> Any:
    return session.post(f"{path}/options", token=bool(session.cookie), more="1")


def add(session: BrowserSession, phone: Authenticator, name: str = "My phone") -> Any:
    question = ask(session, "/account/passkeys")
    return answer_with(session, ADD, question, phone.create(question.text), name=name)


def passkeys_of(session: BrowserSession) -> list[PasskeyView]:
    found: list[PasskeyView] = session.web.do(session.web.services.passkeys.list, session.actor)
    return found


@pytest.fixture
def phone(ada: BrowserSession) -> Authenticator:
    """Ada's, with a passkey in it."""
    phone = Authenticator()
    add(ada, phone)
    return phone


def test_a_passkey_is_added_seen_and_removed(ada: BrowserSession) -> None:
    page = ada.get(NEW)
    added = add(ada, Authenticator(), "Ada's <phone>")
    with ada.tab() as tab:
        tab.act("account_passkeys_state.load")
        [row] = tab.vars["account_passkeys_state.passkeys"]
    removed = ada.post("/account/passkeys/remove", passkey_id=row["id"])

    assert page.status_code == 200
    assert 'data-passkey="create"' in page.text
    assert added.headers["location"] == "/account"
    assert (row["name"], row["used"]) == ("Ada's <phone>", "Never")
    assert removed.headers["location"] == "/account"
    assert passkeys_of(ada) == []


def test_it_signs_in_and_leads_to_the_wanted_page(
    ada: BrowserSession, phone: Authenticator
) -> None:
    stranger = BrowserSession(ada.web, ada.view, ada.key)
    question = ask(stranger, "/sign-in/passkey")
    answer = answer_with(
        stranger, "/sign-in/passkey", question, phone.get(question.text), next="/stores"
    )

    cookies = answer.headers.get_list("set-cookie")
    session = next(one for one in cookies if one.startswith(f"{COOKIE}="))
    assert answer.headers["location"] == "/stores"
    assert "httponly" in session.lower()
    assert any(one.startswith(f'{QUESTION}=""') for one in cookies)
    stranger.cookie = session.split(";")[0].removeprefix(f"{COOKIE}=")
    assert stranger.actor.user_id == ada.view.owner_id


def test_the_cookie_of_a_question_is_for_this_site_and_no_script(ada: BrowserSession) -> None:
    cookie = (
        ask(BrowserSession(ada.web, ada.view, ada.key), "/sign-in/passkey")
        .headers["set-cookie"]
        .lower()
    )

    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert "max-age=300" in cookie


def test_it_confirms_who_somebody_is(ada: BrowserSession, phone: Authenticator) -> None:
    ada.grow_old()
    page = ada.get("/confirm?next=%2Fsettings")
    question = ask(ada, "/confirm/passkey")
    confirmed = answer_with(
        ada, "/confirm/passkey", question, phone.get(question.text), next="/settings"
    )
    ada.grow_old()
    again = answer_with(
        ada, "/confirm/passkey", question, phone.get(question.text), next="/settings"
    )

    assert 'action="/confirm/passkey"' in page.text
    assert confirmed.headers["location"] == "/settings"
    assert again.headers["location"] == "/confirm?error=passkey&next=%2Fsettings"


def test_a_neighbours_passkey_confirms_nothing(
    ada: BrowserSession, bert: BrowserSession, phone: Authenticator
) -> None:
    bert.grow_old()
    question = ask(bert, "/confirm/passkey")

    answer = answer_with(bert, "/confirm/passkey", question, phone.get(question.text))

    assert answer.headers["location"] == "/confirm?error=passkey"
    assert "confirm/passkey" not in bert.get("/confirm").text  # Bert has none


def test_an_old_sign_in_adds_none_and_comes_back(ada: BrowserSession) -> None:
    question = ask(ada, "/account/passkeys")
    ada.grow_old()

    page = ada.get(NEW)
    asked = ask(ada, "/account/passkeys")
    sent = answer_with(ada, ADD, question, Authenticator().create(question.text), name="x")

    assert page.headers["location"] == "/confirm?next=%2Faccount%2Fpasskeys%2Fnew"
    assert [asked.status_code, sent.status_code] == [303, 303]
    assert passkeys_of(ada) == []


def test_a_refused_answer_says_so_and_keeps_the_name(ada: BrowserSession) -> None:
    question = ask(ada, "/account/passkeys")

    answer = answer_with(ada, ADD, question, "{}", name="My <phone>")
    page = ada.get(NEW)

    assert answer.headers["location"] == NEW
    assert "could not be verified" in page.text
    assert 'value="My &lt;phone&gt;"' in page.text


def test_a_wrong_passkey_says_so_on_the_sign_in_page(ada: BrowserSession) -> None:
    stranger = BrowserSession(ada.web, ada.view, ada.key)
    question = ask(stranger, "/sign-in/passkey")

    answer = answer_with(
        stranger, "/sign-in/passkey", question, Authenticator().get(question.text), next="/stores"
    )

    assert answer.headers["location"] == "/sign-in?error=passkey&next=%2Fstores"
    page = stranger.get("/sign-in?error=passkey")
    assert "That passkey does not sign in here" in page.text
    assert 'action="/sign-in/passkey"' in page.text


def test_the_answer_allows_passkeys_on_our_own_pages(ada: BrowserSession) -> None:
    policy = ada.get("/sign-in").headers["permissions-policy"]

    assert "publickey-credentials-get=(self)" in policy
    assert "publickey-credentials-create=(self)" in policy
