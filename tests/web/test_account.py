"""The page "Your account"."""

from tests.web.browser_session import BrowserSession


def test_the_page_says_who_is_signed_in(ada: BrowserSession) -> None:
    with ada.tab() as tab:
        tab.act("account_state.load")

        assert tab.vars["account_state.person"] == "Ada's Teas"
        assert tab.vars["account_state.email"] == ""
        assert tab.vars["account_state.role"] == "Owner"
        assert tab.vars["account_state.account"] == "Ada's Teas"


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
