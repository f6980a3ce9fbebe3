"""Stores at the hands of a person."""

from collections.abc import Iterator

import httpx
import pytest

from orderdesk_app.orderdesk.wait_budget import WaitBudget
from orderdesk_app.services import stores as stores_service
from orderdesk_app.services.open_store import StoreRecord
from tests.web.browser_session import BrowserSession, Tab
from tests.web.test_console import form_of


@pytest.fixture
def tab(ada: BrowserSession) -> Iterator[Tab]:
    with ada.tab() as tab:
        yield tab


@pytest.fixture
def store(ada: BrowserSession, tab: Tab) -> StoreRecord:
    """A sandbox store, added by the click that adds one."""
    tab.act("stores_state.add_sandbox")
    (record,) = stores_of(ada)
    return record


def stores_of(session: BrowserSession) -> list[StoreRecord]:
    return list(session.web.do(session.web.services.stores.list, session.actor))


def actions(session: BrowserSession) -> list[tuple[str, str]]:
    return [
        (row.action, row.outcome)
        for row in session.web.do(session.web.services.activity.latest, session.actor)
    ]


def test_the_sandbox_is_there_after_one_click(
    ada: BrowserSession, tab: Tab, store: StoreRecord
) -> None:
    (card,) = tab.vars["stores_state.stores"]

    assert card["name"] == "Sandbox store"
    assert card["is_sandbox"] is True
    assert card["store_id"] == store.store_id
    assert "New" in card["folders"]
    assert tab.vars["stores_state.busy"] == []
    assert tab.vars["signed_in_state.notices"][-1]["tone"] == "green"
    assert actions(ada)[0] == ("store.connect", "ok")


def test_a_second_store_warns_that_agents_without_a_default_must_name_theirs(
    tab: Tab, store: StoreRecord
) -> None:
    def warnings() -> list[str]:
        notices = tab.vars["signed_in_state.notices"]
        return [notice["text"] for notice in notices if notice["tone"] == "amber"]

    after_one = warnings()
    tab.act("stores_state.add_sandbox")
    after_two = warnings()
    tab.act("notices.dismiss", notice_id=tab.vars["signed_in_state.notices"][-1]["id"])
    tab.act("stores_state.add_sandbox")

    assert after_one == []
    assert after_two == [
        "You have two stores now. Assistants whose key has no default store have to name the "
        "store in each call. Settings shows the default of each key."
    ]
    assert warnings() == []


def test_of_many_stores_a_person_is_told_a_few(
    ada: BrowserSession, tab: Tab, store: StoreRecord
) -> None:
    for _ in range(7):
        ada.web.do(ada.web.services.stores.add_sandbox, ada.actor)
    tab.act("page_load.load_page")
    tab.act("console_state.load")

    tab.act("console_state.run", form={**form_of(tab), "limit": "1"})

    assert tab.vars["console_state.message"].endswith("; and 3 more.")


def test_the_store_key_reaches_no_browser(
    ada: BrowserSession, tab: Tab, store: StoreRecord
) -> None:
    opened = ada.web.do(ada.web.services.stores.unseal, store)

    tab.act("stores_state.test", row_id=store.id)

    assert opened.access.api_key.reveal() not in tab.seen


def test_a_connection_that_is_tried_shows_the_real_answer(
    ada: BrowserSession, tab: Tab, store: StoreRecord
) -> None:
    tab.act("stores_state.test", row_id=store.id)

    assert "Order Desk answered in" in tab.vars["stores_state.answers"][store.id]
    assert tab.vars["stores_state.answers_tone"][store.id] == "green"
    assert ("store.test", "ok") in actions(ada)


def test_a_store_that_does_not_answer_says_so_on_its_card(
    ada: BrowserSession, tab: Tab, store: StoreRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object, **__: object) -> httpx.Response:
        raise httpx.ConnectError("gone")

    monkeypatch.setattr(httpx.AsyncClient, "send", refuse)
    monkeypatch.setattr(httpx.AsyncClient, "request", refuse)
    monkeypatch.setattr(stores_service, "WaitBudget", lambda _: WaitBudget(0.2))

    tab.act("stores_state.test", row_id=store.id)

    (tried,) = [
        row
        for row in ada.web.do(ada.web.services.activity.latest, ada.actor)
        if row.action == "store.test"
    ]
    assert tab.vars["stores_state.answers_tone"][store.id] == "red"
    assert tab.vars["stores_state.answers"][store.id].endswith(f" Reference: {tried.request_id}.")
    assert "gone" not in tab.seen


def test_a_store_is_renamed(ada: BrowserSession, store: StoreRecord) -> None:
    answer = ada.post(
        "/stores/edit", row_id=store.id, store_name="Paper and Ink", label="eu", api_key=""
    )

    (record,) = stores_of(ada)
    assert answer.headers["location"] == "/stores"
    assert (record.name, record.label) == ("Paper and Ink", "eu")
    with ada.tab() as tab:
        tab.act("home_state.load")
    assert [tab.vars["home_state.latest"][0][part] for part in ("what", "where")] == [
        "edited “Paper and Ink”",
        "master key",  # with which Ada has signed in
    ]
    assert ("store.edit", "ok") in actions(ada)


def test_a_name_that_cannot_be_says_so_at_its_field_and_keeps_what_was_typed(
    ada: BrowserSession, tab: Tab, store: StoreRecord
) -> None:
    ada.post("/stores/edit", row_id=store.id, store_name="", label="eu", api_key="")

    tab.act("page_load.load_page")

    assert tab.vars["signed_in_state.problem_form"] == f"edit-{store.id}"
    assert tab.vars["signed_in_state.problem"]
    assert tab.vars["signed_in_state.typed"]["label"] == "eu"


def test_a_store_is_disconnected_only_by_its_typed_name(
    ada: BrowserSession, tab: Tab, store: StoreRecord
) -> None:
    ada.post("/stores/disconnect", row_id=store.id, confirm="sandbox")
    kept = stores_of(ada)
    tab.act("page_load.load_page")
    said = tab.vars["signed_in_state.problem"]

    ada.post("/stores/disconnect", row_id=store.id, confirm="Sandbox store")

    assert len(kept) == 1
    assert "Sandbox store" in said
    assert stores_of(ada) == []
    assert ("store.disconnect", "ok") in actions(ada)
    tab.act("page_load.load_page")
    # Order Desk has nothing to do with it
    assert tab.vars["signed_in_state.notices"][-1]["text"] == "Sandbox store is disconnected."
    tab.act("home_state.load")
    assert tab.vars["home_state.latest"][0]["what"] == "disconnected “Sandbox store”"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"store_id": "abc", "api_key": "key"}, "store_id"),
        ({"store_id": "10001", "api_key": "two words"}, "api_key"),
    ],
)
def test_a_store_that_cannot_be_connected_says_why_and_gives_no_key_back(
    ada: BrowserSession, tab: Tab, fields: dict[str, str], field: str
) -> None:
    ada.post("/stores/connect", **fields, store_name="Paper", label="")

    tab.act("page_load.load_page")

    assert tab.vars["signed_in_state.problem_form"] == "connect"
    assert tab.vars["signed_in_state.problem_field"] == field
    # said as the form says it, not as a tool's parameter
    assert field not in tab.vars["signed_in_state.problem"]
    assert tab.vars["signed_in_state.typed"]["store_name"] == "Paper"
    assert "api_key" not in tab.vars["signed_in_state.typed"]
    assert stores_of(ada) == []


def test_a_neighbour_cannot_touch_a_store(
    ada: BrowserSession, bert: BrowserSession, store: StoreRecord
) -> None:
    for path, fields in (
        (
            "/stores/edit",
            {"row_id": store.id, "store_name": "Mine now", "label": "", "api_key": ""},
        ),
        ("/stores/disconnect", {"row_id": store.id, "confirm": store.name}),
    ):
        bert.post(path, **fields)
    with bert.tab() as other:
        other.act("stores_state.test", row_id=store.id)

    assert [(record.id, record.name) for record in stores_of(ada)] == [(store.id, store.name)]
    assert "no longer connected" in other.seen


def test_the_store_that_is_chosen_is_meant_where_none_is_named(
    ada: BrowserSession, tab: Tab, store: StoreRecord
) -> None:
    tab.act("stores_state.add_sandbox")
    second = stores_of(ada)[1]
    tab.act("console_state.load")
    tab.act("console_state.run", form={**form_of(tab), "limit": "1"})
    unsure = tab.vars["console_state.message"]

    tab.act("switcher.choose_store", row_id=second.id)
    tab.act("console_state.run", form={**form_of(tab), "limit": "1"})

    assert unsure.startswith(
        "Say which store: write its name here, or choose one at the top of the page. The "
        "stores are: Sandbox store ("
    )
    assert tab.vars["console_state.ok"] is True
    assert tab.vars["signed_in_state.active_store"] == second.id
    assert actions(ada)[0] == ("tool", "ok")


def test_a_neighbours_store_cannot_be_chosen(bert: BrowserSession, store: StoreRecord) -> None:
    with bert.tab() as other:
        other.act("switcher.choose_store", row_id=store.id)

    assert other.vars.get("signed_in_state.active_store", "") == ""
    assert "no longer connected" in other.seen
