"""The page "Your account"."""

import pytest

from tests.web.browser_session import BrowserSession, handler_named


def test_the_page_says_who_is_signed_in(ada: BrowserSession) -> None:
    with ada.tab() as tab:
        tab.act("account_state.load")

        assert tab.vars["account_state.person"] == "Ada's Teas"
        assert tab.vars["account_state.email"] == ""
        assert tab.vars["account_state.role"] == "Owner"
        assert tab.vars["account_state.account"] == "Ada's Teas"


def test_an_address_that_was_only_typed_is_told_apart(ada: BrowserSession) -> None:
    services = ada.web.services
    ada.web.do(
        services.database.execute,
        "UPDATE users SET unverified_email = 'ada@example.net' WHERE id = :id",
        {"id": ada.view.owner_id},
    )

    with ada.tab() as tab:
        tab.act("account_state.load")

        assert tab.vars["account_state.email"] == ""
        assert tab.vars["account_state.typed_email"] == "ada@example.net"


def test_a_new_name_is_on_the_page(ada: BrowserSession) -> None:
    answer = ada.post("/account/name", name="Ada Okafor")

    with ada.tab() as tab:
        tab.act("account_state.load")

        assert tab.vars["account_state.person"] == "Ada Okafor"
    assert answer.headers["location"] == "/account"


def test_a_refused_name_is_told_at_its_field_with_what_was_typed(ada: BrowserSession) -> None:
    ada.post("/account/name", name="x" * 90)

    with ada.tab() as tab:
        tab.act("page_load.load_page")

        assert tab.vars["signed_in_state.problem_form"] == "name"
        assert tab.vars["signed_in_state.typed"] == {"name": "x" * 90}


def second_browser(ada: BrowserSession) -> BrowserSession:
    other = BrowserSession(ada.web, ada.view, ada.key)
    other.sign_in()
    return other


def test_the_page_lists_the_browsers_that_are_signed_in(ada: BrowserSession) -> None:
    second_browser(ada)

    with ada.tab() as tab:
        tab.act("account_sessions_state.load")

        rows = tab.vars["account_sessions_state.sessions"]
    assert [row["is_this"] for row in rows] == [True, False]
    assert {row["method"] for row in rows} == {"With the master key"}
    assert ada.cookie not in str(rows)


def test_the_sections_load_with_the_page(ada: BrowserSession) -> None:
    with ada.tab() as tab:
        tab.act("account_state.load")
        tab.wait_for("account_sessions_state.loaded")

        assert len(tab.vars["account_sessions_state.sessions"]) == 1


@pytest.mark.parametrize("path", ["/", "/account", "/no/such/page"])
@pytest.mark.parametrize("way", ["end", "end_others"])
def test_an_ended_session_signs_its_open_pages_out(
    ada: BrowserSession, way: str, path: str
) -> None:
    other = second_browser(ada)
    with ada.tab() as tab, other.tab() as open_page:
        open_page.send(handler_named("page_load.load_page"), path=path)
        tab.act("account_sessions_state.load")
        theirs = next(
            row["id"] for row in tab.vars["account_sessions_state.sessions"] if not row["is_this"]
        )

        tab.act(f"account_sessions_state.{way}", **({"session_id": theirs} if way == "end" else {}))

        open_page.wait_for_redirect()  # nobody has touched it
        assert open_page.redirects[0].startswith("/sign-in?error=ended")
        assert len(tab.vars["account_sessions_state.sessions"]) == 1
        assert other.get("/health/detailed").status_code == 401


def test_the_session_of_another_cannot_be_ended(ada: BrowserSession, bert: BrowserSession) -> None:
    session_id = bert.actor.session_id

    with ada.tab() as tab:
        tab.act("account_sessions_state.end", session_id=session_id)

        assert "no such session" in tab.vars["signed_in_state.notices"][-1]["text"]
    assert bert.get("/health/detailed").status_code == 403  # signed in, and no operator


def test_signing_in_again_signs_the_pages_of_the_former_session_out(ada: BrowserSession) -> None:
    with ada.tab() as open_page:
        open_page.send(handler_named("page_load.load_page"), path="/no/such/page")

        ada.post("/sign-in/key", key=ada.key.reveal(), token=False)

        open_page.wait_for_redirect()
