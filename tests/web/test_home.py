"""Each figure of Home: something happens, and the page shows it."""

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from orderdesk_app.context import Via, now
from orderdesk_app.db.signals import Signals
from orderdesk_app.services.audit import AuditLog, Entry
from tests.web.browser_session import BrowserSession, Tab, cookies_of, forget, handler_named
from tests.web.test_console import form_of


@pytest.fixture
def tab(ada: BrowserSession) -> Iterator[Tab]:
    with ada.tab() as tab:
        yield tab


def tile(tab: Tab, name: str) -> dict[str, str]:
    return next(dict(tile) for tile in tab.vars["home_state.metrics"] if tile["name"] == name)


def values(tab: Tab) -> set[tuple[str, str]]:
    """The name and the value of every tile; of none before the page has been read."""
    return {(tile["name"], tile["value"]) for tile in tab.vars.get("home_state.metrics") or []}


def happen(session: BrowserSession, **facts: Any) -> None:
    given: dict[str, Any] = {
        "actor": session.actor,
        "action": "tool",
        "tool": "orders_get",
        **facts,
    }
    session.web.do(session.web.services.audit.write, Entry(**given))


def test_a_new_account_sees_what_to_do_next(tab: Tab) -> None:
    tab.act("home_state.load")

    assert tab.vars["home_state.is_newcomer"] is True
    assert [step["done"] for step in tab.vars["home_state.steps"]] == [False, False, False, False]
    assert tile(tab, "Calls")["value"] == "0"
    assert tile(tab, "Median duration")["value"] == "–"
    assert "0.0" not in tile(tab, "Errors")["note"]  # of nothing there is no share
    assert {hour["median"] for hour in tab.vars["home_state.hours"]} == {""}


def test_a_call_moves_the_number_of_calls(ada: BrowserSession, tab: Tab) -> None:
    happen(ada, duration_ms=12)
    tab.act("home_state.load")

    assert tile(tab, "Calls")["value"] == "1"
    assert tile(tab, "Calls")["finding"] == "Busiest hour from"
    assert tile(tab, "Calls")["clock"].endswith(" UTC")
    assert tile(tab, "Calls")["since"] == tab.vars["home_state.hours"][0]["since"]
    assert tile(tab, "Calls")["most"] == ": 1"
    assert [hour["calls"] for hour in tab.vars["home_state.hours"]] == ["1", *["0"] * 23]


def test_a_failed_call_moves_the_number_of_errors_and_colours_it(
    ada: BrowserSession, tab: Tab
) -> None:
    happen(ada, outcome="NOT_FOUND")
    tab.act("home_state.load")

    assert tile(tab, "Errors")["value"] == "1"
    assert tile(tab, "Errors")["tone"] == "red"
    assert "100.0\u00a0% of calls" in tile(tab, "Errors")["note"]


def test_durations_move_the_median(ada: BrowserSession, tab: Tab) -> None:
    for duration in (10, 30, 2000):
        happen(ada, duration_ms=duration)
    tab.act("home_state.load")

    assert tile(tab, "Median duration")["value"] == "30 ms"


def test_an_answer_from_the_cache_counts_as_saved(ada: BrowserSession, tab: Tab) -> None:
    happen(ada, upstream_requests=3)
    happen(ada, cached=True)
    tab.act("home_state.load")

    assert tile(tab, "Saved by cache")["value"] == "1"
    assert "of 4 requests" in tile(tab, "Saved by cache")["note"]


def test_the_latest_says_in_plain_words_who_did_what(ada: BrowserSession, tab: Tab) -> None:
    assistant = ada.web.do(ada.web.services.access.by_token, ada.key.reveal(), via=Via.MCP).actor
    named = type(assistant)(
        tenant_id=assistant.tenant_id, via=Via.MCP, client_name="Claude Desktop"
    )
    happen(
        ada,
        actor=named,
        tool="orders_update",
        arguments={"order_id": "1042", "changes": {"folder_name": "Shipped"}},
        change_id="a change",
    )
    happen(ada, outcome="NOT_FOUND", arguments={"order_id": "77"})
    happen(
        ada,
        outcome="CONFLICT_ERROR",
        tool="orders_update",
        arguments={"order_id": "1", "changes": {"folder_name": "Shipped"}},
    )
    happen(
        ada,
        outcome="CONFLICT_ERROR",
        tool="orders_update",
        arguments={"order_id": "1", "changes": {"email": "x", "order_notes": []}},
    )
    tab.act("home_state.load")

    unchanged, unmoved, failed, moved = tab.vars["home_state.latest"][:4]
    assert (unchanged["what"], unmoved["what"]) == (
        "tried to change order 1: email, order notes",
        "tried to move order 1 to Shipped",
    )
    assert moved["where"] == ""  # its own name stands first, and is not said twice
    assert (moved["who"], moved["what"], moved["outcome"], moved["by_agent"]) == (
        "Claude Desktop",
        "moved order 1042 to Shipped",
        "Done",
        True,
    )
    assert (failed["what"], failed["outcome"], failed["tone"]) == (
        "tried to read order 77",
        "Not found",
        "gray",
    )
    assert moved["at"].endswith("+00:00")


def test_two_assistants_with_one_program_are_told_apart_by_their_keys(
    ada: BrowserSession, tab: Tab
) -> None:
    for name in ("Claude on the till", "Claude at home"):
        _, key = ada.web.do(ada.web.services.keys.create, ada.actor, name)
        assistant = ada.web.do(ada.web.services.access.by_token, key.reveal(), via=Via.MCP).actor
        happen(ada, actor=replace(assistant, client_name="claude-ai"))
    tab.act("settings_state.load")
    newest = tab.vars["settings_state.keys"][0]
    ada.post("/settings/keys/revoke", key_id=newest["id"], confirm=newest["name"])
    tab.act("home_state.load")

    revoked, *calls = [
        (line["who"], line["where"], line["what"])
        for line in (*tab.vars["home_state.latest"][:1], *tab.vars["home_state.quiet"][:2])
    ]
    assert revoked[0] == "You"
    assert revoked[2].startswith("revoked the key “Claude ")
    assert [call[:2] for call in calls] == [
        ("Claude at home", "claude-ai"),
        ("Claude on the till", "claude-ai"),
    ]


def test_every_time_is_given_to_the_browser_which_knows_the_persons_zone(
    ada: BrowserSession, tab: Tab
) -> None:
    tab.act("stores_state.add_sandbox")
    (record,) = ada.web.do(ada.web.services.stores.list, ada.actor)
    moment = now() - timedelta(minutes=5)
    happen(ada, store_row_id=record.id, at=moment, tool="orders_delete")
    tab.act("home_state.load")
    tab.act("stores_state.load")
    tab.act("page_load.load_page")

    told = {
        next(
            line["at"]
            for line in tab.vars["home_state.latest"]
            if line["what"].startswith("deleted order")
        ),
        tab.vars["home_state.stores"][0]["at"],
        tab.vars["stores_state.stores"][0]["last_at"],
    }
    assert told == {moment.isoformat(timespec="milliseconds")}
    served = datetime.fromisoformat(tab.vars["signed_in_state.server_time"])
    assert timedelta() <= now() - served < timedelta(minutes=1)


def test_a_store_whose_key_is_refused_is_a_problem(ada: BrowserSession, tab: Tab) -> None:
    tab.act("stores_state.add_sandbox")
    (record,) = ada.web.do(ada.web.services.stores.list, ada.actor)
    happen(ada, store_row_id=record.id, outcome="AUTH_ERROR")
    tab.act("home_state.load")
    with_problem = list(tab.vars["home_state.problems"]), tab.vars["home_state.stores"][0]["tone"]
    happen(ada, store_row_id=record.id)
    tab.act("home_state.load")

    assert "Order Desk refused the key of Sandbox store" in with_problem[0][0]
    assert with_problem[1] == "red"
    assert tab.vars["home_state.problems"] == []
    assert tab.vars["home_state.stores"][0]["words"] == "Answers"


def test_a_problem_is_gone_when_its_own_next_step_went_well(ada: BrowserSession, tab: Tab) -> None:
    tab.act("stores_state.add_sandbox")
    (record,) = ada.web.do(ada.web.services.stores.list, ada.actor)
    happen(ada, store_row_id=record.id, outcome="ORDERDESK_API_ERROR")
    tab.act("home_state.load")
    said = list(tab.vars["home_state.problems"])

    tab.act("stores_state.test", row_id=record.id)
    tab.act("home_state.load")

    assert "Test the connection under Stores" in said[0]
    assert tab.vars["home_state.problems"] == []
    assert [tab.vars[f"{page}.stores"][0]["tone"] for page in ("home_state", "stores_state")] == [
        "green",
        "green",
    ]


def test_an_order_that_is_not_there_is_no_fault_of_the_store(ada: BrowserSession, tab: Tab) -> None:
    tab.act("stores_state.add_sandbox")
    (record,) = ada.web.do(ada.web.services.stores.list, ada.actor)
    happen(ada, store_row_id=record.id, outcome="NOT_FOUND")
    tab.act("home_state.load")

    assert tab.vars["home_state.stores"][0]["words"] == "Answers"
    assert tab.vars["home_state.problems"] == []


def test_a_fault_of_ours_is_no_fault_of_the_store(ada: BrowserSession, tab: Tab) -> None:
    tab.act("stores_state.add_sandbox")
    (record,) = ada.web.do(ada.web.services.stores.list, ada.actor)
    happen(ada, store_row_id=record.id, outcome="INTERNAL_ERROR")
    tab.act("home_state.load")
    tab.act("stores_state.load")

    assert tab.vars["home_state.stores"][0]["tone"] != "red"
    assert tab.vars["stores_state.stores"][0]["tone"] != "red"
    assert tab.vars["home_state.problems"] == []
    assert tab.vars["home_state.latest"][0]["outcome"] == "Failed on our side"


def test_each_step_is_ticked_when_it_is_done(ada: BrowserSession, tab: Tab) -> None:
    tab.act("stores_state.add_sandbox")
    tab.act("console_state.load")
    tab.act("console_state.run", form={**form_of(tab), "limit": "1"})
    ada.post("/settings/keys/create", name="Claude", scopes="orders:read")
    happen(ada, actor=type(ada.actor)(tenant_id=ada.view.id, via=Via.MCP))
    tab.act("home_state.load")

    assert [step["done"] for step in tab.vars["home_state.steps"]] == [True, True, True, True]
    assert tab.vars["home_state.is_newcomer"] is False


def test_a_neighbour_sees_nothing_of_it(ada: BrowserSession, bert: BrowserSession) -> None:
    happen(ada, arguments={"order_id": "4711"})

    with bert.tab() as tab:
        tab.act("home_state.load")

    assert tile(tab, "Calls")["value"] == "0"
    assert "4711" not in tab.seen


def test_yesterday_is_not_counted(ada: BrowserSession, tab: Tab) -> None:
    happen(ada, at=now() - timedelta(days=365))
    tab.act("home_state.load")

    assert tile(tab, "Calls")["value"] == "0"


def test_requests_that_were_made_lower_what_is_ready(ada: BrowserSession, tab: Tab) -> None:
    tab.act("stores_state.add_sandbox")
    (record,) = ada.web.do(ada.web.services.stores.list, ada.actor)
    ada.web.do(ada.web.services.buckets.drain, record.upstream_id, 60)
    tab.act("home_state.load")
    tab.act("stores_state.load")

    assert tab.vars["home_state.stores"][0]["free"] == 0
    assert tab.vars["stores_state.stores"][0]["filled"] == "0%"


def test_reads_push_no_change_off_the_list(ada: BrowserSession, tab: Tab) -> None:
    happen(ada, tool="orders_delete", arguments={"order_id": "4"}, change_id="a change")
    happen(ada, outcome="NOT_FOUND", arguments={"order_id": "77"})
    for _ in range(40):
        happen(ada)
    happen(ada, tool="orders_list")
    tab.act("home_state.load")

    assert [(row["what"], row["kind"]) for row in tab.vars["home_state.latest"]] == [
        ("tried to read order 77", "failed"),
        ("deleted order 4", "deleted"),
    ]
    assert "read order 40 times, listed orders" in [
        row["what"].split(", signed in")[0] for row in tab.vars["home_state.quiet"]
    ]


def test_a_row_opens_its_arguments_its_request_and_its_difference(
    ada: BrowserSession, tab: Tab
) -> None:
    tab.act("stores_state.add_sandbox")
    ada.web.do(
        ada.web.services.console.run,
        ada.actor,
        "orders_update",
        {"order_id": "100000001", "changes": {"folder_name": "Shipped"}},
    )
    tab.act("home_state.load")
    row = tab.vars["home_state.latest"][0]

    tab.act("home_state.open_row", row_id=row["id"])
    opened = {
        name: tab.vars[f"home_state.{name}"]
        for name in ("opened", "arguments", "request_id", "difference")
    }
    tab.act("home_state.open_row", row_id=row["id"])

    assert opened["opened"] == row["id"]
    assert '"folder_name": "Shipped"' in opened["arguments"]
    assert opened["request_id"]
    ((path, new),) = [(change["path"], change["new"]) for change in opened["difference"]]
    assert (path, new) == ("folder", "Shipped")
    assert tab.vars["home_state.opened"] == ""


def test_a_neighbours_row_does_not_open(ada: BrowserSession, bert: BrowserSession) -> None:
    happen(ada, tool="orders_delete", arguments={"order_id": "4711"}, change_id="a change")
    (row,) = ada.web.do(ada.web.services.activity.latest, ada.actor, count=1)

    with bert.tab() as tab:
        tab.act("home_state.open_row", row_id=row.id)

    assert "4711" not in tab.seen
    assert "no longer in the activity" in tab.vars["signed_in_state.notices"][-1]["text"]


def test_a_key_in_an_address_is_warned_of_with_the_way_to_the_header(
    ada: BrowserSession, bert: BrowserSession
) -> None:
    def warnings(session: BrowserSession) -> list[str]:
        with session.tab() as tab:
            tab.act("home_state.load")
        return [text for text in tab.vars.get("home_state.problems", []) if "?token=" in text]

    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    key = ada.key.reveal()
    ada.request("POST", "/mcp", json=message, headers={"authorization": f"Bearer {key}"})
    assert warnings(ada) == []
    answer = ada.request("POST", f"/mcp?token={key}", json=message)

    assert answer.status_code == 200
    assert len(warnings(ada)) == 1
    assert "header Authorization" in warnings(ada)[0]
    assert key not in warnings(ada)[0]
    assert warnings(bert) == []
    ada.post("/settings/keys/rotate-master", confirm="replace")
    assert warnings(ada) == []


# ------------------------------------------------------------------ pages that go on by themselves


@pytest.mark.parametrize(
    ("path", "variable"),
    [
        ("/", "home_state.quiet"),
        ("/activity", "activity_state.rows"),
        ("/console", "console_state.history"),
        ("/stores", "stores_state.stores"),
        ("/settings", "settings_state.total"),
    ],
)
def test_a_page_that_is_open_shows_a_call_without_asking(
    ada: BrowserSession, path: str, variable: str
) -> None:
    with ada.tab() as tab:
        tab.send(handler_named("page_load.load_page"), path=path)
        began = time.monotonic()

        happen(ada)
        ada.web.do(ada.web.services.keys.create, ada.actor, "a key")
        ada.web.do(ada.web.services.stores.add_sandbox, ada.actor)
        ada.web.do(ada.web.services.console.run, ada.actor, "stores_list", {})
        tab.wait_for(variable)

        assert time.monotonic() - began < 5  # most of it is the sandbox


def test_a_page_shows_a_call_of_another_process(ada: BrowserSession, tab: Tab) -> None:
    """Its row and its signal are in the database, and nothing else."""
    tab.send(handler_named("page_load.load_page"), path="/activity")
    services = ada.web.services
    signals = Signals(services.database)
    elsewhere = AuditLog(services.database, services.sealer, enabled=True, signals=signals)
    entry = Entry(actor=ada.actor, action="tool", tool="orders_get", arguments={"order_id": "4711"})

    ada.web.do(elsewhere.write, entry)
    ada.web.do(elsewhere.flush)
    tab.wait_for("activity_state.rows")

    assert tab.vars["activity_state.rows"][0]["what"] == "read order 4711"


def test_an_open_page_of_a_neighbour_is_sent_nothing(
    ada: BrowserSession, bert: BrowserSession
) -> None:
    with bert.tab() as tab:
        tab.send(handler_named("page_load.load_page"), path="/")
        before = len(tab.seen)

        happen(ada, arguments={"order_id": "4711"})
        happen(bert)
        # The page may have been read between the two: then the second is not on it yet.
        tab.wait_until(lambda: ("Calls", "1") in values(tab))

        assert "4711" not in tab.seen[before:]


def test_a_page_whose_session_has_ended_is_sent_to_the_sign_in_and_shows_nothing(
    ada: BrowserSession, tab: Tab
) -> None:
    tab.send(handler_named("page_load.load_page"), path="/")
    other = BrowserSession(ada.web, ada.view, ada.key)
    other.sign_in()
    ada.post("/sign-out")

    happen(other)
    tab.wait_for_redirect()
    seen = len(tab.seen)
    with other.tab() as second:
        second.send(handler_named("page_load.load_page"), path="/activity")
        happen(other, arguments={"order_id": "4711"})
        second.wait_for("activity_state.rows")
    tab.act("home_state.load")

    assert set(tab.redirects) == {"/sign-in?error=ended"}
    assert tab.vars["home_state.metrics"] == []
    assert "read order" not in tab.seen[seen:]


def test_a_page_whose_state_has_expired_goes_on(ada: BrowserSession, tab: Tab) -> None:
    """Reflex forgets a state after an hour without events."""
    tab.send(handler_named("page_load.load_page"), path="/activity")
    forget(tab.token)

    happen(ada, arguments={"order_id": "4711"})
    tab.wait_for("activity_state.rows")

    assert tab.vars["activity_state.rows"][0]["what"] == "read order 4711"
    assert tab.redirects == []


def test_an_open_page_stays_its_own_persons_when_another_tab_made_the_call(
    ada: BrowserSession, tab: Tab
) -> None:
    """A signal is heard while the other tab's event runs; nothing of that event comes along."""
    other = BrowserSession(ada.web, ada.view, ada.key)
    other.sign_in()
    with other.tab() as second:
        second.send(handler_named("page_load.load_page"), path="/")
        tab.act("stores_state.add_sandbox")
        second.wait_for("home_state.stores")

        assert other.cookie in cookies_of(second.token)
        assert ada.cookie not in cookies_of(second.token)
        assert second.vars["signed_in_state.name"] == "Ada's Teas"
