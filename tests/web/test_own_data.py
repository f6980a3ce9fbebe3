"""What is yours, in the web app: the file, and the end of it."""

import pytest

from orderdesk_app.context import Role
from tests.web.browser_session import BrowserSession, Tab
from tests.web.colleagues import add_colleague


def form_problem(tab: Tab) -> tuple[str, str, str]:
    tab.act("page_load.load_page")
    return tuple(tab.vars[f"signed_in_state.problem{part}"] for part in ("_form", "_field", ""))


def test_the_file_is_a_download_that_nothing_keeps(ada: BrowserSession) -> None:
    answer = ada.get("/account/export")

    assert answer.status_code == 200
    assert answer.json()["user"]["name"] == "Ada's Teas"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-disposition"].startswith('attachment; filename="my-data-')


def test_a_stranger_is_led_to_the_sign_in(web) -> None:
    answer = web.client.get("/account/export")

    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/sign-in")


def test_the_dialog_says_what_goes(ada: BrowserSession) -> None:
    add_colleague(ada, Role.VIEWER, "Cleo")
    with ada.tab() as tab:
        tab.act("account_own_data_state.look_at_me")
        tab.act("account_own_data_state.look_at_account")

        me = tab.vars["account_own_data_state.of_me"]
        account = tab.vars["account_own_data_state.of_account"]
    assert me["to_type"] == account["to_type"] == "Ada's Teas"
    assert "1 account" in me["counts"]
    assert me["goes"] == ["The account Ada's Teas goes, with everything in it."]
    assert "1 key" in account["counts"]
    assert me["losers"] == account["losers"] == ["Cleo loses the account Ada's Teas."]


def test_who_deletes_themselves_is_signed_out_everywhere(ada: BrowserSession) -> None:
    with ada.tab() as tab:
        tab.act("account_state.load")

        answer = ada.post("/account/delete", confirm="Ada's Teas")

        assert answer.status_code == 200
        assert "You are deleted" in answer.text
        assert "1 account" in answer.text
        assert 'orderdesk_session=""' in answer.headers["set-cookie"]
        assert answer.headers["cache-control"] == "no-store"
        tab.act("account_state.load")
        assert tab.redirects[0].startswith("/sign-in")
    assert ada.get("/account/export").status_code == 303
    again = ada.post("/sign-in/key", key=ada.key.reveal(), token=False)
    assert again.headers["location"] != "/"


def test_what_was_typed_wrong_stays_in_the_form(ada: BrowserSession) -> None:
    answer = ada.post("/account/delete", confirm="Bert")

    assert answer.headers["location"] == "/account"
    with ada.tab() as tab:
        form, field, words = form_problem(tab)
        assert (form, field) == ("delete-me", "confirm")
        assert "Type Ada's Teas" in words
        assert tab.vars["signed_in_state.typed"] == {"confirm": "Bert"}
        tab.act("account_own_data_state.load")
        assert tab.vars["account_own_data_state.of_me"]["to_type"] == "Ada's Teas"


@pytest.mark.parametrize("path", ["/account/delete", "/account/delete-account"])
def test_an_old_sign_in_is_asked_for_a_proof_first(ada: BrowserSession, path: str) -> None:
    ada.grow_old()

    answer = ada.post(path, confirm="Ada's Teas")

    assert answer.headers["location"].startswith("/confirm")
    assert ada.get("/account/export").status_code == 200


def test_an_owner_deletes_the_account_and_its_people_stay(ada: BrowserSession) -> None:
    cleo = add_colleague(ada, Role.MEMBER, "Cleo")
    refused = cleo.post("/account/delete-account", confirm="Ada's Teas")

    answer = ada.post("/account/delete-account", confirm="Ada's Teas")

    assert refused.status_code == 403
    assert "The account is deleted" in answer.text
    services = ada.web.services
    rows = ada.web.do(
        services.database.query,
        "SELECT name FROM users WHERE id IN (:ada, :cleo) ORDER BY name",
        {"ada": ada.view.owner_id, "cleo": cleo.user_id},
    )
    assert [name for (name,) in rows] == ["Ada's Teas", "Cleo"]
    assert cleo.get("/account/export").status_code == 303


def test_an_operator_deletes_a_user(ada: BrowserSession, admin: BrowserSession) -> None:
    answer = admin.post("/users/delete", row_id=ada.view.owner_id, confirm="Ada's Teas")

    assert answer.headers["location"] == "/users"
    assert ada.get("/account/export").status_code == 303
    with admin.tab() as tab:
        tab.act("page_load.load_page")
        assert "everything of theirs" in str(tab.vars["signed_in_state.notices"])


def test_a_deleted_users_key_opens_nothing(ada: BrowserSession, admin: BrowserSession) -> None:
    services = ada.web.services
    _, key = ada.web.do(services.keys.create, ada.actor, "Claude")
    ask = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    headers = {"accept": "application/json, text/event-stream"}
    before = [
        ada.web.client.post(
            "/mcp", json=ask, headers={**headers, "authorization": f"Bearer {each.reveal()}"}
        ).status_code
        for each in (key, ada.key)
    ]

    admin.post("/users/delete", row_id=ada.view.owner_id, confirm="Ada's Teas")

    after = [
        ada.web.client.post(
            "/mcp", json=ask, headers={**headers, "authorization": f"Bearer {each.reveal()}"}
        ).status_code
        for each in (key, ada.key)
    ]
    assert (before, after) == ([200, 200], [401, 401])


def test_others_find_nobody(ada: BrowserSession, bert: BrowserSession) -> None:
    answer = bert.post("/users/delete", row_id=ada.view.owner_id, confirm="Ada's Teas")

    assert answer.status_code == 404
    assert ada.get("/account/export").status_code == 200
