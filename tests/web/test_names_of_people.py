"""The activity names the person: "You" is the one who looks alone, others have their names, and
rows of a master key say so.
"""

from typing import Any

import pytest

from orderdesk_app.context import Actor, Role, Via
from orderdesk_app.services.audit import Entry
from tests.web.browser_session import BrowserSession
from tests.web.colleagues import Colleague, add_colleague
from tests.web.test_console import run
from tests.worlds import FIRST_ORDER


def write(who: BrowserSession, actor: Actor, **facts: Any) -> None:
    entry = Entry(**{"actor": actor, "action": "store.test", **facts})
    who.web.do(who.web.services.audit.write, entry)


def newest(who: BrowserSession) -> dict[str, Any]:
    with who.tab() as tab:
        tab.act("activity_state.load")
        row: dict[str, Any] = tab.vars["activity_state.rows"][0]
        return row


def on_home(who: BrowserSession) -> list[str]:
    """Who did something quiet, as Home says it."""
    with who.tab() as tab:
        tab.act("home_state.load")
        return [row["who"] for row in tab.vars["home_state.quiet"]]


@pytest.fixture
def cleo(ada: BrowserSession) -> Colleague:
    return add_colleague(ada, Role.MEMBER, "Cleo")


@pytest.fixture
def dora(ada: BrowserSession) -> Colleague:
    return add_colleague(ada, Role.VIEWER, "Dora")


def test_you_are_the_one_who_looks(cleo: Colleague, dora: Colleague) -> None:
    write(cleo, cleo.actor)

    assert newest(cleo)["who"] == "You"
    assert newest(dora)["who"] == "Cleo"
    assert "You" in on_home(cleo)
    assert "Cleo" in on_home(dora)
    assert "You" not in on_home(dora)


def test_a_row_of_a_master_key_says_so(ada: BrowserSession, cleo: Colleague) -> None:
    write(ada, ada.actor)  # signed in with the key

    assert newest(cleo)["who"] == "Master key"
    assert newest(ada)["who"] == "You"
    assert "master key" in newest(ada)["where"]
    assert "Master key" in on_home(cleo)


def test_the_owner_who_came_by_a_link_is_not_the_holder_of_the_key(
    ada: BrowserSession, cleo: Colleague
) -> None:
    write(ada, ada.actor)
    start = ada.web.services.sessions.start
    cookie = ada.web.do(
        start, ada.view.id, ada.view.owner_id, credential_id=None, address="", user_agent=""
    )
    by_link = BrowserSession(ada.web, ada.view, ada.key, cookie=cookie)

    assert newest(by_link)["who"] == "Master key"


def test_an_agents_row_names_the_key_and_whose_it_is(
    ada: BrowserSession, cleo: Colleague, dora: Colleague
) -> None:
    _, key = ada.web.do(ada.web.services.keys.create, cleo.actor, "laptop")
    principal = ada.web.do(ada.web.services.access.by_token, key.reveal())
    write(ada, principal.actor, action="tool", tool="orders_get")

    assert newest(cleo)["who"] == "laptop"
    assert newest(cleo)["where"] == ""
    assert (newest(dora)["who"], newest(dora)["where"]) == ("laptop", "Cleo")


def test_the_name_stays_when_somebody_has_left(ada: BrowserSession, cleo: Colleague) -> None:
    write(cleo, cleo.actor)

    ada.post("/people/remove", user_id=str(cleo.user_id))

    with ada.tab() as tab:
        tab.act("activity_state.load")
        rows = tab.vars["activity_state.rows"]
    assert rows[0]["what"] == "removed Cleo"
    assert "Cleo" in [row["who"] for row in rows]
    export = ada.get("/activity/export?format=csv").text
    assert ",Cleo," in export


def test_a_sign_in_that_failed_was_nobody_known(ada: BrowserSession, cleo: Colleague) -> None:
    write(ada, Actor(ada.view.id, via=Via.WEB), action="sign_in.key", outcome="AUTH_ERROR")

    assert newest(cleo)["who"] == "Somebody"


def test_the_consoles_history_names_who_ran_it(ada: BrowserSession, dora: Colleague) -> None:
    with ada.tab() as tab:
        tab.act("stores_state.add_sandbox")
    with dora.tab() as tab:
        tab.act("page_load.load_page")
        tab.act("console_state.load")
        run(tab, "orders_get", order_id=FIRST_ORDER)
        assert tab.vars["console_state.history"][0]["who"] == "You"
    with ada.tab() as tab:
        tab.act("console_state.load")

        assert tab.vars["console_state.history"][0]["who"] == "Dora"
        assert tab.vars["console_state.names_others"] is True


def test_a_changed_role_is_said_with_its_name_and_article(
    ada: BrowserSession, cleo: Colleague
) -> None:
    ada.post("/people/role", user_id=str(cleo.user_id), role="owner")

    assert newest(cleo)["what"] == "made Cleo an owner"
