"""An old sign-in makes no key and deletes nothing until the person has confirmed who they are; then
they come back to the form as they left it.
"""

from typing import Any

import pytest
from sqlmodel import col, update

from orderdesk_app.db.users import User
from orderdesk_app.errors import ReauthenticationRequired
from orderdesk_app.mail.letters import ConfirmLink
from orderdesk_app.services.identity_proofs import ProofChoices
from orderdesk_app.services.limit_store import DelayRules
from orderdesk_app.token_bucket import TokenBucket
from tests.web.browser_session import ORIGIN, BrowserSession, delayed, handler_named
from tests.web.test_console import run
from tests.web.test_keys import keys_of

CONFIRM = "/confirm?next=%2Fsettings"


def address_of(session: BrowserSession, email: str) -> None:
    """Gives the person a verified address."""
    user_id = session.view.owner_id

    async def set_email() -> None:
        async with session.web.services.database.write() as writing:
            await writing.exec(update(User).where(col(User.id) == user_id).values(email=email))

    session.web.do(set_email)


@pytest.fixture
def mailed(ada: BrowserSession, monkeypatch: pytest.MonkeyPatch) -> list[ConfirmLink]:
    """Ada has an address; the links that are mailed to it."""
    address_of(ada, f"{ada.view.id.lower()}@example.com")
    links: list[ConfirmLink] = []
    mailer = ada.web.services.mailer
    send = mailer.send

    async def noting(session: Any, content: Any, **given: Any) -> bool:
        if isinstance(content, ConfirmLink):
            links.append(content)
        return await send(session, content, **given)

    monkeypatch.setattr(mailer, "send", noting)
    return links


async def asks_for_a_proof(*_: Any) -> None:
    raise ReauthenticationRequired("Confirm that it is you.")


def make_key(session: BrowserSession) -> Any:
    return session.post(
        "/settings/keys/create", name="Claude", scopes="orders:write", default_store=""
    )


def test_a_key_waits_until_the_master_key_proves_who_it_is(ada: BrowserSession) -> None:
    ada.grow_old()

    refused = make_key(ada)
    page = ada.get(refused.headers["location"])
    confirmed = ada.post("/confirm/key", key=f" {ada.key.reveal()} ", next="/settings")
    with ada.tab() as tab:
        tab.act("page_load.load_page")
        came_back = dict(tab.vars)
    made = make_key(ada)

    assert (refused.status_code, refused.headers["location"]) == (303, CONFIRM)
    assert page.status_code == 200
    assert page.headers["cache-control"] == "no-store"
    assert confirmed.headers["location"] == "/settings"
    assert came_back["signed_in_state.problem_form"] == "key"
    assert came_back["signed_in_state.problem"] == ""
    assert came_back["signed_in_state.typed"] == {"name": "Claude", "scopes": "orders:write"}
    assert [notice["tone"] for notice in came_back["signed_in_state.notices"]] == ["green"]
    assert made.status_code == 200
    assert keys_of(ada) == ["Claude"]


@pytest.mark.parametrize(
    ("path", "fields", "form"),
    [
        ("/settings/keys/rotate-master", {"confirm": "replace"}, "rotate-master"),
        ("/stores/disconnect", {}, "disconnect-"),
    ],
)
def test_what_was_typed_to_confirm_a_deletion_is_still_there(
    ada: BrowserSession, path: str, fields: dict[str, str], form: str
) -> None:
    if form == "disconnect-":
        store = ada.web.do(ada.web.services.stores.add_sandbox, ada.actor)
        fields, form = {"row_id": store.id, "confirm": store.name}, f"disconnect-{store.id}"
    ada.grow_old()

    refused = ada.post(path, **fields)
    ada.post("/confirm/key", key=ada.key.reveal())

    page = "/" + path.split("/")[1]
    assert refused.headers["location"] == f"/confirm?next=%2F{page[1:]}"
    with ada.tab() as tab:
        tab.act("page_load.load_page")
        assert tab.vars["signed_in_state.problem_form"] == form
        assert tab.vars["signed_in_state.typed"] == {"confirm": fields["confirm"]}


def test_revoking_never_asks(ada: BrowserSession) -> None:
    made, _ = ada.web.do(ada.web.services.keys.create, ada.actor, "leaked")
    ada.grow_old()

    ada.post("/settings/keys/revoke", key_id=made.id)

    assert keys_of(ada) == []


def test_the_page_leads_on_where_nothing_has_to_be_proved(ada: BrowserSession) -> None:
    assert ada.get("/confirm?next=%2Fstores").headers["location"] == "/stores"


def test_a_stranger_signs_in_instead(ada: BrowserSession) -> None:
    ada.cookie = ""

    for path in ("/confirm?next=%2Fstores", "/confirm?next=https%3A%2F%2Fevil.example"):
        answer = ada.get(path)

        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/sign-in")
        assert "evil" not in answer.headers["location"]


@pytest.mark.parametrize("next_page", ["https://evil.example", "//evil.example", "/\\evil.example"])
def test_it_leads_to_pages_of_ours_alone(ada: BrowserSession, next_page: str) -> None:
    ada.grow_old()

    answer = ada.post("/confirm/key", key=ada.key.reveal(), next=next_page)

    assert answer.headers["location"] == "/"


@pytest.mark.parametrize(
    "page", ["/users/01M8H63FYR4NFA20KG84A39YBJ", "/account/passkeys/new", "/activity?page=2"]
)
def test_it_leads_back_to_any_page_of_ours(ada: BrowserSession, page: str) -> None:
    ada.grow_old()

    answer = ada.post("/confirm/key", key=ada.key.reveal(), next=page)

    assert answer.headers["location"] == page


def test_a_wrong_key_and_a_neighbours_prove_nothing(
    ada: BrowserSession, bert: BrowserSession
) -> None:
    access_key = ada.web.do(ada.web.services.keys.create, ada.actor, "for an agent")[1]
    ada.grow_old()

    for key in ("x" * 64, bert.key.reveal(), access_key.reveal(), ""):
        answer = ada.post("/confirm/key", key=key, next="/settings")
        assert answer.headers["location"] == "/confirm?error=unknown&next=%2Fsettings"

    assert "That is not your master key" in ada.get("/confirm?error=unknown").text
    assert make_key(ada).headers["location"] == CONFIRM


def test_another_session_of_the_same_person_stays_old(ada: BrowserSession) -> None:
    other = BrowserSession(ada.web, ada.view, ada.key)
    other.sign_in()
    other.grow_old()
    ada.grow_old()

    ada.post("/confirm/key", key=ada.key.reveal())

    assert make_key(ada).status_code == 200
    assert make_key(other).headers["location"] == CONFIRM


def test_a_mailed_link_proves_the_session_that_asked_for_it(
    ada: BrowserSession, mailed: list[ConfirmLink]
) -> None:
    ada.grow_old()
    make_key(ada)

    page = ada.get(CONFIRM)
    sent = ada.post("/confirm/mail", next="/settings")
    waiting = ada.get(sent.headers["location"])
    [link] = mailed
    address = f"{link.path}?token={link.token.reveal()}"
    looked = [ada.get(address) for _ in range(2)]  # a mail scanner, then the person
    still_old = make_key(ada).headers["location"]
    confirmed = ada.post(address)
    again = ada.post(address)

    assert f"Mail a link to {ada.view.id.lower()}@example.com" in page.text
    assert sent.headers["location"] == "/confirm?sent=1&next=%2Fsettings"
    assert "A link is on its way" in waiting.text
    assert [answer.status_code for answer in looked] == [200, 200]
    assert link.token.reveal() not in looked[0].text
    assert still_old == CONFIRM
    assert confirmed.headers["location"] == "/settings"
    assert again.status_code == 410
    assert make_key(ada).status_code == 200


def test_a_mailed_link_proves_no_other_session(
    ada: BrowserSession, bert: BrowserSession, mailed: list[ConfirmLink]
) -> None:
    """A thief of a cookie asks for the link; the click of the person who gets it must not help."""
    thief = BrowserSession(ada.web, ada.view, ada.key)
    thief.sign_in()
    thief.grow_old()
    thief.post("/confirm/mail", next="/settings")
    [link] = mailed
    address = f"{link.path}?token={link.token.reveal()}"
    stranger = BrowserSession(ada.web, ada.view, ada.key)

    clicks = [
        (session.get(address), session.post(address, token=bool(session.cookie), more="1"))
        for session in (ada, bert, stranger)
    ]

    assert [(seen.status_code, sent.status_code) for seen, sent in clicks] == [
        (403, 403),
        (403, 403),
        (200, 303),
    ]
    assert "Open this link in the browser in which you asked" in clicks[2][0].text
    assert make_key(thief).headers["location"] == CONFIRM
    assert thief.post(address).headers["location"] == "/settings"


def test_no_link_is_mailed_without_an_address_and_not_without_end(
    ada: BrowserSession, bert: BrowserSession, mailed: list[ConfirmLink]
) -> None:
    bert.grow_old()
    ada.grow_old()

    without = bert.post("/confirm/mail", next="/settings")
    asked = [ada.post("/confirm/mail").headers["location"] for _ in range(4)]

    assert without.headers["location"] == "/confirm?error=mail&next=%2Fsettings"
    assert asked == ["/confirm?sent=1"] * 3 + ["/confirm?error=many"]
    assert len(mailed) == 3


def test_wrong_proofs_use_up_tries_of_the_session_and_right_ones_do_not(
    ada: BrowserSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ada.web.services.limits.proofs, "rules", TokenBucket(2, 1 / 1000))

    assert answers_to_proofs(ada) == EXPECTED


def test_wrong_proofs_use_up_tries_of_the_network_and_right_ones_do_not(
    ada: BrowserSession,
) -> None:
    with delayed(ada.web.services.limits.proofs_by_network, DelayRules(2, 1000, 1000)):
        assert answers_to_proofs(ada) == EXPECTED


EXPECTED = ["/"] * 3 + ["/confirm?error=unknown"] * 2 + ["/confirm?error=many"]


def answers_to_proofs(ada: BrowserSession) -> list[str]:
    """To three right ones, two wrong ones, and one that comes too soon."""
    ada.grow_old()
    tries = [ada.key.reveal()] * 3 + ["x" * 64] * 2 + [ada.key.reveal()]
    return [ada.post("/confirm/key", key=key).headers["location"] for key in tries]


def test_a_person_without_a_key_or_an_address_is_told_to_sign_in_again(
    ada: BrowserSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada.grow_old()
    with_key = ada.get("/confirm").text
    nothing = ProofChoices(has_passkey=False, has_master_key=False, email=None)

    async def choices(*_: Any) -> ProofChoices:
        return nothing

    monkeypatch.setattr(ada.web.services.identity_proofs, "choices", choices)
    without = ada.get("/confirm").text

    assert ('name="key"' in with_key, "Mail a link" in with_key) == (True, False)
    assert ('name="key"' in without, "Sign out, and sign in again" in without) == (False, True)


@pytest.mark.parametrize(
    ("accept", "status"), [("text/html", 303), ("application/json", 403)], ids=["person", "program"]
)
def test_a_form_that_does_not_expect_the_refusal_leads_there_too(
    ada: BrowserSession, monkeypatch: pytest.MonkeyPatch, accept: str, status: int
) -> None:
    monkeypatch.setattr(ada.web.services.sign_in, "sign_out", asks_for_a_proof)

    answer = ada.request(
        "POST",
        "/sign-out",
        data={"form_token": ada.form_token()},
        headers={"origin": ORIGIN, "accept": accept, "referer": f"{ORIGIN}/activity?page=2"},
    )

    assert answer.status_code == status
    if status == 303:
        assert answer.headers["location"] == "/confirm?next=%2Factivity%3Fpage%3D2"
    else:
        assert answer.json()["error"] == "permission_denied"
        assert answer.json()["message"] == "Confirm that it is you."


@pytest.mark.parametrize(
    ("event", "service", "method"),
    [
        ("settings_state.refresh", "keys", "list"),
        ("stores_state.add_sandbox", "stores", "add_sandbox"),
    ],
    ids=["event", "event in parts"],
)
def test_an_event_leads_to_the_question_and_back(
    ada: BrowserSession, monkeypatch: pytest.MonkeyPatch, event: str, service: str, method: str
) -> None:
    ada.grow_old()
    monkeypatch.setattr(getattr(ada.web.services, service), method, asks_for_a_proof)
    with ada.tab() as tab:
        tab.send(handler_named(event), path="/stores", query={"q": "teas"})
        assert tab.redirects == ["/confirm?next=%2Fstores%3Fq%3Dteas"]
        assert tab.vars.get("signed_in_state.notices", []) == []
    monkeypatch.undo()
    confirmed = ada.post("/confirm/key", key=ada.key.reveal(), next="/stores?q=teas")

    assert confirmed.headers["location"] == "/stores?q=teas"
    with ada.tab() as tab:
        tab.act("page_load.load_page")
        [notice] = tab.vars["signed_in_state.notices"]
    assert notice["text"] == "You confirmed that it is you. Now do it again."


def test_a_store_is_not_disconnected_in_the_console_by_an_old_sign_in(ada: BrowserSession) -> None:
    store = ada.web.do(ada.web.services.stores.add_sandbox, ada.actor)
    ada.grow_old()

    with ada.tab() as tab:
        tab.act("console_state.load")
        run(tab, "stores_delete", store_id=store.store_id, confirm=store.store_id)

        assert tab.redirects == ["/confirm"]
        assert tab.vars["console_state.running"] is False
    assert [found.id for found in ada.web.do(ada.web.services.stores.list, ada.actor)] == [store.id]
    assert ada.web.do(ada.web.services.console.history.list, ada.actor) == []
