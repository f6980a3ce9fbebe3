"""The page of all activity: its address is its filters, and what it shows is of one account."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from orderdesk_app.context import UserId, Via, now
from orderdesk_app.services.audit import Entry
from tests.web.browser_session import BrowserSession, Tab, Web, handler_named

FACTS = "activity_state."


@pytest.fixture
def tab(ada: BrowserSession) -> Iterator[Tab]:
    with ada.tab() as tab:
        yield tab


def happen(session: BrowserSession, **facts: Any) -> str:
    agent = replace(session.actor, via=Via.MCP, client_name="Claude", session_id=None)
    entry = Entry(**{"actor": agent, "action": "tool", "tool": "orders_get", **facts})
    session.web.do(session.web.services.audit.write, entry)
    return entry.id


def show(tab: Tab, query: str = "") -> dict[str, Any]:
    """What the page shows at that address."""
    given = dict(parse_qsl(query.removeprefix("?")))
    tab.send(handler_named("activity_state.load"), path="/activity", query=given)
    return {
        name.removeprefix(FACTS): value
        for name, value in tab.vars.items()
        if name.startswith(FACTS)
    }


def shown(facts: dict[str, Any]) -> list[str]:
    return [row["what"] for row in facts["rows"]]


def query_of(address: str) -> str:
    return urlsplit(address).query


def test_every_row_is_there_reads_too(ada: BrowserSession, tab: Tab) -> None:
    happen(ada, arguments={"order_id": "1"})
    happen(ada, tool="orders_delete", arguments={"order_id": "2"})
    happen(ada, outcome="ORDERDESK_API_ERROR", arguments={"order_id": "3"})

    rows = show(tab)["rows"]

    assert [(row["what"], row["kind"], row["outcome"]) for row in rows[:3]] == [
        ("tried to read order 3", "failed", "Order Desk failed"),
        ("deleted order 2", "deleted", "Deleted"),
        ("read order 1", "read", "Done"),
    ]
    assert {(row["who"], row["where"]) for row in rows[:3]} == {("Master key", "Claude")}


def test_refused_here_not_found_and_order_desk_failed_are_three_things(
    ada: BrowserSession, tab: Tab
) -> None:
    for outcome in ("PERMISSION_DENIED", "NOT_FOUND", "ORDERDESK_API_ERROR", "ok"):
        happen(ada, outcome=outcome)

    outcomes = {
        asked: {row["outcome"] for row in show(tab, f"outcome={asked}")["rows"]}
        for asked in ("refused", "NOT_FOUND", "ORDERDESK_API_ERROR")
    }

    assert outcomes == {
        "refused": {"Refused here: not allowed"},
        "NOT_FOUND": {"Not found"},
        "ORDERDESK_API_ERROR": {"Order Desk failed"},
    }


def test_the_form_leads_to_the_address_that_shows_what_it_asked_for(
    ada: BrowserSession, tab: Tab
) -> None:
    happen(ada, arguments={"order_id": "1"})
    happen(ada, tool="orders_update", arguments={"order_id": "2"}, change_id="c")
    form = {"tool": "", "outcome": "", "client": "Claude", "writes": "1", "zone": "Europe/Berlin"}

    tab.send(handler_named("activity_state.apply"), {"form": form}, path="/activity")
    facts = show(tab, query_of(tab.redirects[-1]))

    assert tab.redirects == ["/activity?client=Claude&writes=1"]
    assert shown(facts) == ["changed order 2"]
    assert (facts["client"], facts["writes"], facts["zone"]) == ("Claude", True, "")
    assert [(chip["words"], chip["without"]) for chip in facts["chips"]] == [
        ("Claude", "/activity?writes=1"),
        ("Changes only", "/activity?client=Claude"),
    ]


def test_days_are_those_of_the_persons_zone(ada: BrowserSession, tab: Tab) -> None:
    happen(ada, at=now() - timedelta(days=3), arguments={"order_id": "1"})
    day = (now() - timedelta(days=3)).date().isoformat()
    form = {"from": day, "to": day, "zone": "UTC"}

    tab.send(handler_named("activity_state.apply"), {"form": form}, path="/activity")
    facts = show(tab, query_of(tab.redirects[-1]))

    assert shown(facts) == ["read order 1"]
    assert [chip["words"] for chip in facts["chips"]] == [f"From {day} (UTC)", f"To {day} (UTC)"]


def test_a_form_with_two_days_the_wrong_way_round_is_told_at_its_field(tab: Tab) -> None:
    form = {"from": "2026-11-02", "to": "2026-11-01"}

    tab.send(handler_named("activity_state.apply"), {"form": form}, path="/activity")

    assert tab.redirects == []
    assert tab.vars["activity_state.form_field"] == "from"
    assert "Swap the two days" in tab.vars["activity_state.form_fault"]


@pytest.mark.parametrize(
    "query",
    ["outcome=great", "from=yesterday", "zone=Mars", "before=x", "after=1", "tool=" + "x" * 300],
)
def test_a_faulty_address_is_told_and_shows_no_rows(
    ada: BrowserSession, tab: Tab, query: str
) -> None:
    happen(ada)
    show(tab)

    facts = show(tab, query)

    assert facts["fault"]
    assert (facts["rows"], facts["older"], facts["as_csv"]) == ([], "", "")
    assert tab.vars.get("signed_in_state.notices", []) == []
    assert show(tab)["fault"] == ""


def test_pages_are_addresses_that_lead_on_and_back(ada: BrowserSession, tab: Tab) -> None:
    for number in range(60):
        happen(ada, arguments={"order_id": str(number)})

    first = show(tab, "client=Claude")
    second = show(tab, query_of(first["older"]))
    happen(ada, arguments={"order_id": "new"})
    tab.act("activity_state.refresh")
    again = show(tab, query_of(second["newer"]))

    assert (len(first["rows"]), len(second["rows"])) == (50, 10)
    assert (first["newest"], first["newer"], second["older"]) == ("", "", "")
    assert second["newest"] == "/activity?client=Claude"
    assert shown(first)[0] == "read order 59"
    assert shown(second) == [f"read order {number}" for number in range(9, -1, -1)]
    assert "read order 59" in shown(again)


def test_a_call_that_comes_is_on_the_first_page(ada: BrowserSession, tab: Tab) -> None:
    show(tab)
    happen(ada, arguments={"order_id": "4711"})

    tab.send(handler_named("activity_state.refresh"), path="/activity")

    assert shown({"rows": tab.vars["activity_state.rows"]})[0] == "read order 4711"


def test_a_row_opens_to_its_arguments_and_its_request_id(ada: BrowserSession, tab: Tab) -> None:
    row_id = happen(ada, arguments={"order_id": "4711"}, request_id="01REQUEST")
    show(tab, "request=01REQUEST")

    tab.act("activity_state.open_row", row_id=row_id)

    assert '"4711"' in tab.vars["activity_state.arguments"]
    assert tab.vars["activity_state.request_id"] == "01REQUEST"


def test_another_person_is_named_and_oneself_is_you(ada: BrowserSession, tab: Tab) -> None:
    web = ada.web
    web.do(
        web.services.database.execute,
        "INSERT INTO users (id, name, is_operator, created_at) VALUES ('01GRACE', 'Grace', false, "
        "'2026-01-01 00:00:00.000000')",
        {},
    )
    web.do(
        web.services.database.execute,
        "INSERT INTO memberships (tenant_id, user_id, role, created_at) VALUES (:tenant, "
        "'01GRACE', 'member', '2026-01-01 00:00:00.000000')",
        {"tenant": ada.view.id},
    )
    grace = replace(ada.actor, user_id=UserId("01GRACE"), via=Via.CONSOLE)
    happen(ada, actor=grace, arguments={"order_id": "1"})
    happen(ada, actor=replace(ada.actor, via=Via.CONSOLE), arguments={"order_id": "2"})

    rows = show(tab)["rows"]
    of_grace = show(tab, "person=01GRACE")

    assert [row["who"] for row in rows[:2]] == ["You, in the console", "Grace, in the console"]
    assert shown(of_grace) == ["read order 1"]
    assert of_grace["chips"][0]["words"] == "Grace"


def test_a_neighbour_sees_nothing_of_it(ada: BrowserSession, bert: BrowserSession) -> None:
    happen(ada, arguments={"order_id": "4711"}, request_id="01REQUEST", store_row_id="01STORE")
    queries = ("", "request=01REQUEST", "store=01STORE", "client=Claude", "tool=orders_get")

    with bert.tab() as tab:
        rows = [
            row
            for query in (*queries, f"person={ada.actor.user_id}")
            for row in show(tab, query)["rows"]
            if row["by_agent"]
        ]

    assert rows == []
    assert "4711" not in tab.seen
    assert str(ada.view.name) not in tab.seen
    assert tab.vars["activity_state.clients"] == []


def test_a_page_without_rows_says_so_with_filters_and_without(bert: BrowserSession) -> None:
    with bert.tab() as tab:
        facts = show(tab, "outcome=ORDERDESK_API_ERROR")

    assert (facts["rows"], facts["fault"], len(facts["chips"])) == ([], "", 1)


def test_the_search_of_a_rare_thing_says_how_far_it_looked(
    ada: BrowserSession, tab: Tab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orderdesk_app.services.activity_log.LOOKED_THROUGH", 60)
    for _ in range(70):
        happen(ada, outcome="NOT_FOUND")

    facts = show(tab, "outcome=ok&client=Claude")

    assert facts["rows"] == []
    assert facts["looked_at"].endswith("+00:00")
    # "Looked back to 12 May, 14:02 UTC.": a step may be shorter than a day
    assert re.fullmatch(r"\d+ \w+, \d\d:\d\d UTC", facts["looked_minute"])
    assert facts["older"].startswith("/activity?client=Claude&outcome=ok&before=")
    assert not facts["looked_on"]


def test_a_search_towards_newer_rows_says_that_it_looked_on(
    ada: BrowserSession, tab: Tab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orderdesk_app.services.activity_log.LOOKED_THROUGH", 60)
    for _ in range(70):
        happen(ada, outcome="NOT_FOUND")

    facts = show(tab, "outcome=ok&client=Claude&after=20200101T000000000000-0")

    assert (facts["rows"], facts["looked_on"]) == ([], True)
    assert facts["looked_at"] != ""
    assert facts["newer"].startswith("/activity?client=Claude&outcome=ok&after=")


# ------------------------------------------------------------------ the download


def test_the_download_is_a_file_of_the_rows_that_the_page_shows(
    ada: BrowserSession, tab: Tab
) -> None:
    happen(ada, arguments={"order_id": "1"})
    happen(ada, outcome="NOT_FOUND", arguments={"order_id": "2"})
    facts = show(tab, "outcome=NOT_FOUND")

    table = ada.get(facts["as_csv"])
    lines = ada.get(facts["as_json_lines"])

    day = f"{now():%Y-%m-%d}"
    assert (table.status_code, lines.status_code) == (200, 200)
    assert table.headers["content-type"] == "text/csv; charset=utf-8"
    assert lines.headers["content-type"] == "application/x-ndjson; charset=utf-8"
    assert table.headers["content-disposition"] == f'attachment; filename="activity-{day}.csv"'
    assert lines.headers["content-disposition"].endswith(f'"activity-{day}.jsonl"')
    assert {answer.headers["cache-control"] for answer in (table, lines)} == {"no-store"}
    assert "content-length" not in table.headers  # it is not known before the end
    assert [json.loads(line)["arguments"] for line in lines.text.splitlines()] == [
        {"order_id": "2"}
    ]
    assert table.text.count("NOT_FOUND") == 1


@pytest.mark.parametrize("query", ["from=yesterday", "outcome=x", "format=xlsx", "zone=Mars"])
def test_a_download_that_cannot_be_is_told_on_a_page(ada: BrowserSession, query: str) -> None:
    answer = ada.get(f"/activity/export?{query}")

    assert answer.status_code == 400
    assert "Nothing was downloaded" in answer.text
    assert "attachment" not in answer.headers.get("content-disposition", "")


def test_nobody_downloads_without_signing_in(ada: BrowserSession, web: Web) -> None:
    happen(ada, arguments={"order_id": "4711"})

    web.client.cookies.clear()
    answer = web.client.get("/activity/export?format=csv")
    ada.post("/sign-out")
    after = ada.get("/activity/export?format=csv")

    for refused in (answer, after):
        assert refused.status_code == 303
        assert refused.headers["location"] == "/sign-in?error=ended&next=%2Factivity"
        assert "4711" not in refused.text


def test_a_neighbours_download_has_nothing_of_it(ada: BrowserSession, bert: BrowserSession) -> None:
    happen(ada, arguments={"order_id": "4711"}, request_id="01REQUEST", store_row_id="01STORE")
    queries = ("", "request=01REQUEST", "store=01STORE", f"person={ada.actor.user_id}")

    found = "".join(bert.get(f"/activity/export?format=jsonl&{query}").text for query in queries)

    assert "4711" not in found
    assert "Claude" not in found
