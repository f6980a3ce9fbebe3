"""Every event that a browser can send, sent raw: what the page shows is no protection."""

import importlib
from typing import Any

import pytest
import reflex as rx
from reflex_base.registry import RegistrationContext
from sqlalchemy.exc import OperationalError
from starlette.websockets import WebSocketDisconnect

from orderdesk_app.services.callers import Callers, open_to
from orderdesk_app.states.guard import FRAMEWORK, HYDRATE, forget_closed_tabs, without_zeros
from orderdesk_app.states.signed_in import HANDLER, SignedInState, handler, operators_only
from tests.web.browser_session import STATE, BrowserSession, Tab, Web, handler_named, our_handlers
from tests.worlds import counted


class ProbeState(SignedInState):
    """Handlers as somebody may write them one day."""

    ran: int = 0

    @rx.event
    @handler
    @operators_only
    async def for_admins(self) -> None:
        self.ran += 1

    @rx.event
    async def forgotten(self) -> None:
        self.ran += 100

    @rx.event
    @handler
    async def open_to_nobody(self) -> None:
        self.ran += 100

    @rx.event
    async def set_ran(self, value: int) -> None:
        self.ran = value

    @rx.event
    @handler
    @open_to(Callers.SIGNED_IN)
    async def fails(self) -> None:
        raise RuntimeError("a library's words")


def test_a_stranger_gets_no_socket(web: Web) -> None:
    with pytest.raises(WebSocketDisconnect) as refused:
        Tab(web, "", "a-strangers").__enter__()

    assert refused.value.code == 1008


def test_there_are_handlers_to_guard(web: Web) -> None:
    found = our_handlers()

    assert len(found) >= 15


@pytest.mark.usefixtures("sockets_for_strangers")
def test_every_handler_of_ours_is_refused_without_a_session(web: Web) -> None:
    for number, name in enumerate(our_handlers()):
        with Tab(web, "", f"anonymous-{number}") as tab:
            answer = tab.send(name, {})

        assert "orderdesk_app" not in answer, name
        assert tab.redirects == (
            []
            if not getattr(
                RegistrationContext.get().event_handlers[name].handler.fn, HANDLER, False
            )
            else ["/sign-in?error=ended"]
        ), name


def test_every_handler_is_refused_after_sign_out_on_the_same_socket(ada: BrowserSession) -> None:
    with ada.tab() as tab:
        tab.act("home_state.load")
        assert tab.vars["home_state.loaded"] is True
        ada.post("/sign-out")

        for name in our_handlers():
            tab.redirects.clear()
            answer = tab.send(name, {})

            assert "Ada" not in answer, name
            assert tab.vars["home_state.metrics"] == [], name  # what stood there is wiped
        tab.redirects.clear()
        tab.act("home_state.load")
        assert tab.redirects == ["/sign-in?error=ended"]


@pytest.mark.parametrize("table", ["memberships", "users", "tenants"])
def test_every_handler_is_refused_once_the_user_or_the_account_is_gone(
    web: Web, ada: BrowserSession, table: str
) -> None:
    column = {"memberships": "user_id", "users": "id", "tenants": "id"}[table]
    gone = ada.view.id if table == "tenants" else ada.view.owner_id
    form_token = ada.form_token()
    with ada.tab() as tab:
        tab.act("home_state.load")
        web.do(
            web.services.database.execute,
            f"DELETE FROM {table} WHERE {column} = :id",
            {"id": gone},
        )

        for name in our_handlers():
            tab.redirects.clear()
            answer = tab.send(name, {})

            assert "Ada" not in answer, name
            assert tab.vars["home_state.metrics"] == [], name
    form = {"form_token": form_token, "name": "Claude", "scopes": "orders:read"}
    assert ada.send("/settings/keys/create", form).headers["location"] == "/sign-in?error=ended"
    assert ada.get("/health/detailed").status_code == 401


def test_who_stops_being_an_operator_stops_at_the_next_event(
    web: Web, admin: BrowserSession
) -> None:
    with admin.tab() as tab:
        tab.act("probe_state.for_admins")
        tab.act("settings_state.load")
        assert tab.vars["settings_state.facts"]
        web.do(
            web.services.database.execute,
            "UPDATE users SET is_operator = false WHERE id = :id",
            {"id": admin.view.owner_id},
        )
        tab.act("probe_state.for_admins")
        tab.act("settings_state.load")

        assert tab.vars["probe_state.ran"] == 1
        assert tab.vars["settings_state.facts"] == []
        assert tab.vars["signed_in_state.is_operator"] is False
    assert admin.get("/health/detailed").status_code == 403


def test_a_person_in_two_accounts_sees_the_one_that_they_signed_in_to(
    web: Web, ada: BrowserSession, bert: BrowserSession
) -> None:
    web.do(
        web.services.database.execute,
        "INSERT INTO memberships (tenant_id, user_id, role, created_at) "
        "SELECT :tenant, user_id, 'viewer', created_at FROM memberships WHERE user_id = :user",
        {"tenant": bert.view.id, "user": ada.view.owner_id},
    )
    web.do(web.services.stores.add_sandbox, bert.actor)

    with ada.tab() as tab:
        tab.act("stores_state.load")

        assert tab.vars["signed_in_state.name"] == "Ada's Teas"
        assert tab.vars["stores_state.stores"] == []
    key = web.do(web.services.access.by_token, ada.key.reveal())
    assert (key.actor.tenant_id, key.actor.role) == (ada.view.id, "owner")


def test_a_session_that_ended_elsewhere_says_so_and_leads_back_afterwards(
    ada: BrowserSession,
) -> None:
    with ada.tab() as tab:
        ada.post("/sign-out")
        tab.send(handler_named("home_state.load"), path="/console", query={"tool": "orders_get"})

    assert tab.redirects == ["/sign-in?error=ended&next=%2Fconsole%3Ftool%3Dorders_get"]


def test_setvar_is_refused_even_to_admins(admin: BrowserSession) -> None:
    with admin.tab() as tab:
        for name in RegistrationContext.get().event_handlers:
            if name.endswith(".setvar"):
                tab.send(name, {"var_name": "ran", "value": 777})
        tab.act("probe_state.for_admins")

    assert tab.vars["probe_state.ran"] == 1


def test_a_handler_that_forgot_its_mark_does_not_run(admin: BrowserSession) -> None:
    with admin.tab() as tab:
        tab.act("probe_state.forgotten")
        tab.act("probe_state.open_to_nobody")
        tab.act("probe_state.set_ran", value=777)
        tab.act("probe_state.for_admins")

    assert tab.vars["probe_state.ran"] == 1


def test_a_member_is_refused_what_is_for_admins(ada: BrowserSession) -> None:
    with ada.tab() as tab:
        tab.act("probe_state.for_admins")

    assert tab.vars.get("probe_state.ran", 0) == 0


def test_every_handler_of_the_product_turns_errors_into_notices(web: Web) -> None:
    ours = [
        name
        for name in our_handlers()
        if not name.endswith(".setvar") and "probe_state" not in name
    ]

    unmarked = [
        name
        for name in ours
        if not getattr(RegistrationContext.get().event_handlers[name].handler.fn, HANDLER, False)
    ]

    assert unmarked == []


@pytest.mark.usefixtures("sockets_for_strangers")
def test_of_the_framework_seven_handlers_are_open_and_no_other(web: Web) -> None:
    others = [
        name
        for name in RegistrationContext.get().event_handlers
        if name not in FRAMEWORK and "orderdesk_app" not in name
    ]

    for number, name in enumerate(others):
        with Tab(web, "", f"framework-{number}") as tab:
            assert "orderdesk_app" not in tab.send(
                name, {"var_name": "name", "value": "evil", "vars": {}}
            ), name
    assert set(RegistrationContext.get().event_handlers) >= FRAMEWORK


def test_variables_cannot_be_set_from_outside(ada: BrowserSession) -> None:
    person = f"{STATE}.orderdesk_app___states___person____person"
    with ada.tab() as tab:
        tab.send(
            f"{STATE}.reflex___state____update_vars_internal_state.update_vars_internal",
            {"vars": {f"{person}.is_operator": True, f"{person}._session": "x"}},
        )
        tab.act("probe_state.for_admins")
        tab.send(f"{STATE}.hydrate")

    assert tab.vars["signed_in_state.is_operator"] is False
    assert tab.vars["probe_state.ran"] == 0


@pytest.mark.usefixtures("sockets_for_strangers")
def test_a_tab_that_another_session_takes_over_shows_nothing_of_the_first(
    ada: BrowserSession, bert: BrowserSession
) -> None:
    with ada.tab("one-tab") as tab:
        tab.send(f"{STATE}.hydrate")
        tab.act("settings_state.load")
        assert tab.vars["signed_in_state.name"] == "Ada's Teas"

    for other in (bert.cookie, ""):
        with Tab(ada.web, other, "one-tab") as taken:
            answer = taken.send(f"{STATE}.hydrate")

        assert "Ada" not in answer
        assert taken.vars["settings_state.loaded"] is False


@pytest.mark.usefixtures("sockets_for_strangers")
def test_a_strangers_tab_is_forgotten_when_it_closes_and_a_persons_is_kept(
    web: Web, ada: BrowserSession
) -> None:
    app = importlib.import_module(
        "orderdesk_app.orderdesk_app"
    ).app  # as the server does: it can be built once
    with ada.tab("a-persons-tab") as tab, Tab(web, "", "a-strangers-tab") as strangers:
        for each in (tab, strangers):
            each.send(f"{STATE}.hydrate")

    leave_all(web, app)

    with Tab(web, "", "an-open-tab") as other:
        other.send(f"{STATE}.hydrate")
        forget_closed_tabs(app)

        assert {"a-persons-tab", "an-open-tab"} <= set(app.state_manager.states)
        assert "a-strangers-tab" not in app.state_manager.states


def test_of_closed_tabs_the_newest_few_are_kept(
    web: Web, ada: BrowserSession, bert: BrowserSession
) -> None:
    app = importlib.import_module("orderdesk_app.orderdesk_app").app
    for number in range(5):
        for session in (ada, bert):
            with session.tab(f"{session.view.id}-{number}") as tab:
                tab.send(f"{STATE}.hydrate")
            leave_all(web, app)

    def kept(session: BrowserSession) -> set[str]:
        return {tab[-1] for tab in app.state_manager.states if session.view.id in tab}

    with ada.tab(f"{ada.view.id}-9") as tab:
        tab.send(f"{STATE}.hydrate")
        forget_closed_tabs(app, most=100, most_of_one=2)
        assert (kept(ada), kept(bert)) == ({"3", "4", "9"}, {"3", "4"})
        forget_closed_tabs(app, most=3, most_of_one=2)
        assert (kept(ada), kept(bert)) == ({"4", "9"}, {"3", "4"})
    leave_all(web, app)
    forget_closed_tabs(app, most=0)
    assert app.state_manager.states == {}


def leave_all(web: Web, app: Any) -> None:
    """A test's client does not wait until Reflex has taken its leave."""

    async def take_leave(sid: str) -> None:
        if leaving := app.event_namespace.on_disconnect(sid):
            await leaving

    for sid in list(app.event_namespace.token_to_sid.values()):
        web.do(take_leave, sid)


def test_the_cookie_is_in_nothing_that_the_browser_gets(ada: BrowserSession) -> None:
    with ada.tab() as tab:
        tab.send(f"{STATE}.hydrate")
        for end in (
            "home_state.load",
            "stores_state.load",
            "settings_state.load",
            "console_state.load",
        ):
            tab.act(end)

    assert ada.cookie not in tab.seen
    assert ada.key.reveal() not in tab.seen
    assert ada.cookie.split(".")[1] not in tab.seen


def test_a_page_of_another_site_cannot_connect(ada: BrowserSession) -> None:
    tab = Tab(ada.web, ada.cookie, "evil", origin="http://evil.example")

    with pytest.raises(WebSocketDisconnect):
        tab.__enter__()


def test_what_nobody_expected_is_told_with_a_reference_and_no_library_words(
    ada: BrowserSession,
) -> None:
    with ada.tab() as tab:
        tab.act("probe_state.fails")

    (notice,) = tab.vars["signed_in_state.notices"]
    assert notice["tone"] == "red"
    assert "reference" in notice["text"]
    assert "library" not in tab.seen


def test_nonsense_from_outside_breaks_nothing(ada: BrowserSession) -> None:
    nonsense: list[dict[str, Any]] = [
        {},
        {"name": 7},
        {"row_id": {"a": 1}},
        {"form": "text"},
        {"notice_id": None},
        {"view": [1]},
        {"call_id": "x" * 5000},
    ]
    with ada.tab() as tab:
        for name in our_handlers():
            for payload in nonsense:
                tab.send(name, payload)
        tab.act("home_state.load")

    assert tab.vars["home_state.loaded"] is True
    assert "Traceback" not in tab.seen


def test_a_zero_character_in_an_id_is_an_unknown_id(ada: BrowserSession) -> None:
    with ada.tab() as tab:
        tab.act("console_state.open_call", call_id="\0")

    (notice,) = tab.vars["signed_in_state.notices"]
    assert "on our side" not in notice["text"]
    assert without_zeros({"a": ["\0b", {"c": "\0"}], "d": 1}) == {
        "a": ["\ufffdb", {"c": "\ufffd"}],
        "d": 1,
    }


def test_the_newest_three_notices_stand_and_can_be_closed(ada: BrowserSession) -> None:
    with ada.tab() as tab:
        for _ in range(5):
            tab.act("stores_state.test", row_id="nobody's")
        for _ in range(5):
            tab.act("probe_state.fails")
        first = tab.vars["signed_in_state.notices"]
        tab.send(handler_named("notices.dismiss"), {"notice_id": first[0]["id"]})

    assert len(first) == 3
    assert len(tab.vars["signed_in_state.notices"]) == 2


def test_one_notice_does_not_stand_three_times(ada: BrowserSession) -> None:
    with ada.tab() as tab:
        for _ in range(3):
            tab.act("switcher.choose_store", row_id="nobody's")

    assert [notice["tone"] for notice in tab.vars["signed_in_state.notices"]] == ["red"]


def test_nothing_runs_and_the_tab_is_told_why_while_the_database_is_away(
    ada: BrowserSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(cookie: str | None) -> None:
        raise OperationalError("a library's words", {}, OSError())

    with ada.tab() as tab:
        tab.act("home_state.load")
        with monkeypatch.context() as patched:
            patched.setattr(ada.web.services.sessions, "resume", away)
            for _ in range(2):
                tab.vars["signed_in_state.notices"] = []
                tab.emit(handler_named("switcher.choose_store"), {"row_id": "nobody's"})
                tab.wait_for("signed_in_state.notices")
        (notice,) = tab.vars["signed_in_state.notices"]
        tab.act("switcher.choose_store", row_id="nobody's")

    assert notice["tone"] == "red"
    assert "Our own records cannot be reached" in notice["text"]
    assert "library" not in tab.seen
    assert len(tab.vars["signed_in_state.notices"]) == 2, "it works again on the same socket"


@pytest.mark.usefixtures("sockets_for_strangers")
def test_events_are_counted_by_what_the_guard_said(web: Web, ada: BrowserSession) -> None:
    before = {
        outcome: counted("web_events", outcome=outcome)
        for outcome in ("allowed", "signed_out", "no_handler", "wrong_role", "framework")
    }

    with ada.tab() as tab:
        tab.act("home_state.load")
        tab.act("probe_state.for_admins")
        tab.act("probe_state.forgotten")
        tab.act("probe_state.open_to_nobody")
    with Tab(web, "", "nobody-at-all") as tab:
        tab.act("home_state.load")

    assert {
        outcome
        for outcome, count in before.items()
        if counted("web_events", outcome=outcome) > count
    } == set(before)


def test_what_no_page_of_ours_sends_is_no_fault_of_ours(ada: BrowserSession) -> None:
    before = counted("unexpected_errors")
    wrong: list[dict[str, Any]] = [
        {"no_such_argument": 1},
        *({name: value} for name in ("row_id", "name", "form", "text") for value in WRONG),
    ]
    with ada.tab() as tab:
        for name in our_handlers():
            for payload in wrong:
                tab.send(name, dict(payload))
        tab.act("home_state.load")
        still_serves = tab.vars["home_state.loaded"]

    assert still_serves is True
    assert counted("unexpected_errors") == before
    assert counted("web_events", outcome="bad_payload") > 0


WRONG: list[Any] = [None, 5, True, [], ["x"], [[]], "x"]


@pytest.mark.usefixtures("sockets_for_strangers")
def test_nor_are_a_strangers_events(web: Web) -> None:
    before = counted("unexpected_errors")

    for number, name in enumerate(sorted(FRAMEWORK - HYDRATE)):
        with Tab(web, "", f"stranger-{number}") as tab:
            for payload in (
                {},
                {"vars": []},
                {"vars": {"no.such.variable": 1}},
                {"value": {}},
                {"info": 5, "component_stack": []},
                {"info": "TypeError", "component_stack": "x"},
                {"x": 1},
            ):
                tab.send(name, dict(payload))

    assert counted("unexpected_errors") == before
