"""The pages of users as an operator sees them, and as nobody else does."""

import re
from datetime import timedelta
from typing import Any

import pytest

from orderdesk_app.context import Role, now
from orderdesk_app.db.user_days import UserDay
from tests.attacks.cast import ANONYMOUS, MEMBER, OPERATOR, OWNER, VIEWER, Cast, invite_cast
from tests.web.browser_session import BrowserSession, Tab, Web, handler_named
from tests.web.test_apps import connect_app

FORMS = ("disable", "enable", "operator", "delete")


@pytest.fixture
def cast(web: Web) -> Cast:
    return invite_cast(web)


@pytest.fixture
def ruth(cast: Cast) -> BrowserSession:
    """An operator."""
    return cast[OPERATOR]


def list_of(tab: Tab, **query: str) -> list[dict[str, Any]]:
    tab.send(handler_named("users_state.load"), {}, path="/users", query=query)
    rows: list[dict[str, Any]] = tab.vars["users_state.rows"]
    return rows


def open_user(tab: Tab, user_id: str) -> dict[str, Any]:
    tab.send(handler_named("user_state.load"), {}, path=f"/users/{user_id}")
    return {
        name.removeprefix("user_state."): value
        for name, value in tab.vars.items()
        if name.startswith("user_state.")
    }


def test_an_address_that_was_only_typed_is_told_apart(ruth: BrowserSession) -> None:
    # a name of its own: the app is shared, and a page has fifty lines
    account, _ = ruth.web.do(ruth.web.services.tenants.make_tenant, "Quince and Co")
    ruth.web.do(
        ruth.web.services.database.execute,
        "UPDATE users SET unverified_email = 'ada@example.net' WHERE id = :id",
        {"id": account.owner_id},
    )

    with ruth.tab() as tab:
        (line,) = list_of(tab, search="quince")
        facts = open_user(tab, account.owner_id)["facts"]

    assert line["email"] == "ada@example.net (not verified)"
    assert {"E-mail": "ada@example.net (not verified)"}.items() <= {
        fact["label"]: fact["words"] for fact in facts
    }.items()


def test_who_is_being_deleted_has_words_for_a_name(ruth: BrowserSession) -> None:
    account, _ = ruth.web.do(ruth.web.services.tenants.make_tenant, "Medlar and Co")
    execute, owner = ruth.web.services.database.execute, {"id": account.owner_id}
    ruth.web.do(execute, "UPDATE users SET name = '' WHERE id = :id", owner)

    with ruth.tab() as tab:
        lines = {line["id"]: line["name"] for line in list_of(tab)}
        known = open_user(tab, account.owner_id)["user_row_id"]
    ruth.web.do(execute, "DELETE FROM users WHERE id = :id", owner)  # the app is shared

    assert lines[account.owner_id] == "Being deleted"
    assert known == ""


def test_an_operator_sees_everybody_and_a_search_leaves_some(
    ruth: BrowserSession,
) -> None:
    with ruth.tab() as tab:
        list_of(tab)
        heads = tab.vars["users_state.heads"]
        names = ("Ada's Teas", "A member", "A viewer", "The house")
        # each by its name: the app is shared, and a page has fifty lines
        everybody = {row["name"] for name in names for row in list_of(tab, search=name)}
        viewers = [row["role"] for row in list_of(tab, role="viewer")]
        found = list_of(tab, search="ada", sort="created", order="descending")
        nobody = list_of(tab, search="nobody")
        list_of(tab, sort="salary")
        fault = tab.vars["users_state.fault"]

    assert everybody == {*names}
    assert [(head["words"], head["order"]) for head in heads][:2] == [
        ("Name", "ascending"),
        ("E-mail", "none"),
    ]
    assert heads[0]["address"] == "/users?order=descending"
    assert heads[2]["address"] == "/users?sort=created&order=descending"
    assert set(viewers) == {"Viewer"}
    assert "Ada's Teas" in {row["name"] for row in found}
    assert {row["name"].casefold()[:3] for row in found} == {"ada"}
    assert nobody == []
    assert fault == "There is no sort “salary”. Choose one from the list."


def test_a_form_leads_to_the_address_of_what_was_chosen(ruth: BrowserSession) -> None:
    form = {"search": " Ada ", "state": "", "role": "owner", "sort": "name", "order": "ascending"}
    with ruth.tab() as tab:
        tab.act("users_state.apply", form=form)
        tab.act("users_state.apply", form={**form, "search": "x" * 101})

        assert tab.redirects == ["/users?search=Ada&role=owner"]
        assert tab.vars["users_state.form_field"] == "search"


def test_a_users_page_has_what_they_have_and_did(
    web: Web, cast: Cast, ruth: BrowserSession
) -> None:
    owner = cast.users[OWNER]

    async def called() -> None:
        async with web.services.database.write() as session:
            yesterday = now().date() - timedelta(days=1)
            session.add(UserDay(user_id=owner, day=yesterday, calls=1204))

    web.do(called)
    with ruth.tab() as tab:
        shown = open_user(tab, owner)
        tab.send(handler_named("user_state.count"), {}, path=f"/users/{owner}")
        # the page goes on by itself under an open dialog
        deletion = open_user(tab, owner)["deletion"]
        gone = open_user(tab, "01NOBODY")["user_row_id"]

    assert shown["user_name"] == "Ada's Teas"
    assert shown["finding"].startswith("1,204 calls in 30 days, most on ")
    assert len(shown["bars"]) == 30
    assert shown["bars"][-2]["height"] == "80.0"
    assert [account["name"] for account in shown["accounts"]] == ["Ada's Teas"]
    assert [key["name"] for key in shown["user_keys"]] == ["Master key"]
    assert len(shown["browsers"]) == 1
    assert deletion["to_type"] == "Ada's Teas"
    assert deletion["goes"] == ["The account Ada's Teas goes, with everything in it."]
    [losers] = deletion["losers"]
    assert losers.endswith(" lose the account Ada's Teas.")
    assert " and " in losers
    assert gone == ""


def test_a_users_apps_stand_among_their_keys(ruth: BrowserSession, ada: BrowserSession) -> None:
    connect_app(ada, "Claude")

    with ruth.tab() as tab:
        keys = open_user(tab, ada.view.owner_id)["user_keys"]

    assert [(key["name"], key["hint"][:1]) for key in keys] == [("Claude", ""), ("Master key", "…")]


@pytest.mark.parametrize("who", [ANONYMOUS, VIEWER, MEMBER, OWNER])
@pytest.mark.usefixtures("sockets_for_strangers")
def test_to_others_none_of_it_is_there(cast: Cast, who: str) -> None:
    person, target = cast[who], cast.users[OPERATOR]
    unknown = person.request("GET", "/no-such-page", headers={"accept": "text/html"})
    pages = [
        person.request("GET", path, headers={"accept": "text/html"})
        for path in ("/users", f"/users/{target}", "/users/01NOBODY", "/users.html")
    ]
    answers = [
        person.post(f"/users/{form}", user_id=target, row_id=target, confirm="The house")
        for form in FORMS
    ]
    with person.tab() as tab:
        for name in ("users_state.load", "user_state.load", "user_state.count"):
            tab.send(handler_named(name), {}, path=f"/users/{target}")
        tab.act("users_state.apply", form={"search": "The"})

    assert "The house" not in tab.seen
    if who == ANONYMOUS:
        assert pages[1].headers["location"].startswith("/sign-in?")
        assert {answer.headers["location"] for answer in answers} == {"/sign-in?error=ended"}
    else:
        assert [_plain(page.text) for page in pages] == [_plain(unknown.text)] * 4
        assert {page.status_code for page in pages} == {404}
        assert [answer.status_code for answer in answers] == [404] * 4
        assert tab.redirects == []
    with cast[OPERATOR].tab() as tab:
        assert open_user(tab, target)["state_words"] == "Operator"


def _plain(page: str) -> str:
    """Without the reference, which each answer has of its own."""
    return re.sub(r"<code>.*?</code>", "", page)


def test_who_is_disabled_is_signed_out_in_the_open_page(
    web: Web, cast: Cast, ruth: BrowserSession
) -> None:
    ada, owner = cast[OWNER], cast.users[OWNER]
    with ada.tab() as page:
        page.send(handler_named("page_load.load_page"), {}, path="/settings")
        answer = ruth.post("/users/disable", user_id=owner)
        page.wait_for_redirect()

    assert answer.headers["location"] == f"/users/{owner}"
    assert page.redirects[0].startswith("/sign-in")
    assert ada.form_token() == ""
    refused = ada.post("/sign-in/key", key=ada.key.reveal(), token=False)
    assert refused.headers["location"] != "/"
    with ruth.tab() as tab:
        assert open_user(tab, owner)["is_user_disabled"] is True

    ruth.post("/users/enable", user_id=owner)
    assert ada.form_token() == ""  # the session that ended stays ended
    ada.sign_in()
    assert ada.actor.user_id == owner


def test_operators_are_made_after_a_fresh_proof_and_the_last_one_stays(
    cast: Cast, ruth: BrowserSession
) -> None:
    owner = cast.users[OWNER]
    ruth.post("/users/operator", user_id=owner, operator="1")
    with ruth.tab() as tab:
        assert open_user(tab, owner)["is_user_operator"] is True
    ruth.grow_old()

    answer = ruth.post("/users/operator", user_id=owner, operator="0")

    assert answer.headers["location"].startswith("/confirm?")
    with ruth.tab() as tab:
        assert open_user(tab, owner)["is_user_operator"] is True


def test_a_user_is_deleted_once_their_name_is_typed(cast: Cast, ruth: BrowserSession) -> None:
    owner = cast.users[OWNER]
    refused = ruth.post("/users/delete", row_id=owner, confirm="somebody")
    with ruth.tab() as tab:
        tab.send(handler_named("page_load.load_page"), {}, path=f"/users/{owner}")
        kept = open_user(tab, owner)
        form = (tab.vars["signed_in_state.problem_form"], kept["deletion"]["to_type"])

    deleted = ruth.post("/users/delete", row_id=owner, confirm="Ada's Teas")

    assert refused.headers["location"] == f"/users/{owner}"
    assert form == ("delete-user", "Ada's Teas")
    assert deleted.headers["location"] == "/users"
    with ruth.tab() as tab:
        assert open_user(tab, owner)["user_row_id"] == ""


@pytest.mark.parametrize("user_id", ["", "x/y", "//evil.example", "é", "u" * 100])
def test_an_id_that_is_none_leads_back_to_the_list(ruth: BrowserSession, user_id: str) -> None:
    for form in ("disable", "enable", "operator"):
        answer = ruth.post(f"/users/{form}", user_id=user_id, operator="1")

        assert answer.headers["location"] in ("/users", f"/users/{'u' * 64}")

    ruth.grow_old()
    answer = ruth.post("/users/delete", row_id=user_id, confirm="somebody")
    assert answer.headers["location"] in ("/confirm?next=%2Fusers", "/confirm")


def test_roles_of_one_account_make_nobody_an_operator(cast: Cast) -> None:
    assert {cast[name].actor.role for name in (VIEWER, MEMBER, OWNER)} == set(Role)
    assert not any(cast[name].actor.is_operator for name in (VIEWER, MEMBER, OWNER))
