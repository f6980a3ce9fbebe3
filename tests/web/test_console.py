"""Any tool by hand."""

import asyncio
import json
from base64 import b64decode
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from orderdesk_app.context import now
from orderdesk_app.services import console as console_service
from orderdesk_app.states import console_history, console_result
from orderdesk_app.token_bucket import TokenBucket
from orderdesk_app.tools.catalogue import every_tool
from tests.web.browser_session import BrowserSession, Tab, Web, handler_named


@pytest.fixture
def tab(ada: BrowserSession) -> Iterator[Tab]:
    """The console, with a sandbox store connected."""
    with ada.tab() as tab:
        tab.act("stores_state.add_sandbox")
        tab.act("console_state.load")
        yield tab


def form_of(tab: Tab) -> dict[str, str]:
    """The form as it stands, filled as the page fills it."""
    state = {name: tab.vars[f"console_state.{name}"] for name in ("tool", "run_token")}
    stores = {
        name: tab.vars.get(f"{owner}.{name}", "")
        for owner, name in (
            ("signed_in_state", "default_store_id"),
            ("console_state", "confirm_store_id"),
        )
    }
    return {**state, **stores, **values_of(tab)}


def values_of(tab: Tab) -> dict[str, str]:
    return {field["name"]: field["value"] for field in tab.vars["console_state.fields"]}


@pytest.fixture
def order_desk(web: Web, monkeypatch: pytest.MonkeyPatch) -> "SlowOrderDesk":
    """Keeps every call of the console waiting until it is told to answer."""
    slow = SlowOrderDesk(web)
    monkeypatch.setattr(web.services.console, "run", slow.run)
    return slow


class SlowOrderDesk:
    def __init__(self, web: Web) -> None:
        self._web, self._run, self._open = web, web.services.console.run, asyncio.Event()

    async def run(self, *arguments: Any, **named: Any) -> Any:
        await self._open.wait()
        return await self._run(*arguments, **named)

    async def _answer(self) -> None:
        self._open.set()

    def answer(self, tab: Tab) -> None:
        self._web.do(self._answer)
        tab.finish("console_state.run")


def run(tab: Tab, tool: str, *, confirm: str = "", **changed: Any) -> dict[str, Any]:
    """Runs it as the page does: what deletes is asked for first, and the dialog's answer is sent
    with the same form.
    """
    tab.act("console_state.choose", name=tool)
    tab.act("console_state.run", form={**form_of(tab), **changed})
    if confirm:
        tab.act("console_state.run", form={**form_of(tab), **changed, "confirm": confirm})
    return (
        dict(json.loads(tab.vars["console_state.result"]))
        if tab.vars["console_state.result"]
        else {}
    )


def test_every_tool_is_on_the_list_and_has_a_form(tab: Tab) -> None:
    tools = {row["name"] for row in tab.vars["console_state.tools"]}

    assert tools == {tool.name for tool in every_tool()}
    for tool in every_tool():
        tab.act("console_state.choose", name=tool.name)
        named = [field["name"] for field in tab.vars.get("console_state.fields", [])] + [
            field["name"] for field in tab.vars.get("console_state.more", [])
        ]
        assert set(named) == set(tool.input_schema.get("properties", {})), tool.name
        told = json.dumps(
            [
                tab.vars["console_state.description"],
                tab.vars.get("console_state.fields"),
                tab.vars.get("console_state.more"),
            ]
        )
        assert "`" not in told, f"{tool.name}: marks of code are for models"


def test_a_tool_runs_with_its_example(tab: Tab) -> None:
    result = run(tab, "orders_list")

    assert len(result["orders"]) == 5
    assert tab.vars["console_state.ok"] is True
    assert tab.vars["console_state.code"] == "Done"
    assert tab.vars["console_state.took"].endswith("ms") or tab.vars["console_state.took"].endswith(
        " s"
    )
    assert tab.vars["console_state.columns"][0] == {"name": "id", "is_number": False}
    assert len(tab.vars["console_state.rows"]) == 5


def test_a_change_made_here_is_seen_by_the_next_read(tab: Tab) -> None:
    changed = run(
        tab, "orders_update", order_id="100000001", changes='{"shipping": {"city": "Quito"}}'
    )

    order = run(tab, "orders_get", order_id="100000001")

    assert changed["changed"] == ["shipping.city"]
    assert order["order"]["shipping"]["city"] == "Quito"


def test_the_second_read_comes_from_the_cache(tab: Tab) -> None:
    run(tab, "orders_get", order_id="100000002")
    run(tab, "orders_get", order_id="100000002")

    assert tab.vars["console_state.cached"] is True


def test_a_form_of_one_tool_is_never_run_as_another(tab: Tab) -> None:
    tab.act("console_state.choose", name="orders_get")
    drawn = {**form_of(tab), "order_id": "100000003"}
    tab.act("console_state.choose", name="orders_delete")
    filled = tab.vars["console_state.form_id"]

    tab.act("console_state.run", form=drawn)

    assert "Nothing was run" in tab.vars["signed_in_state.notices"][-1]["text"]
    assert tab.vars["console_state.form_id"] == filled  # what is typed meanwhile stays
    assert run(tab, "orders_get", order_id="100000003")["order"]["id"] == "100000003"


def test_a_form_that_is_sent_twice_runs_once(tab: Tab) -> None:
    tab.act("console_state.choose", name="orders_create")
    form = form_of(tab)

    tab.act("console_state.run", form=form)
    tab.act("console_state.run", form=form)
    once = tab.vars["console_state.history"]
    tab.act("console_state.run", form=form_of(tab))

    assert len(once) == 1
    assert (
        tab.vars.get("signed_in_state.notices", []) == tab.vars["signed_in_state.notices"][:1]
    )  # the sandbox's own
    assert len(tab.vars["console_state.history"]) == 2


def test_a_form_of_long_ago_is_refused_and_says_so(tab: Tab) -> None:
    tab.act("console_state.choose", name="orders_create")

    tab.act("console_state.run", form={**form_of(tab), "run_token": "of-long-ago"})

    assert "out of date" in tab.vars["signed_in_state.notices"][-1]["text"]
    assert tab.vars["console_state.history"] == []


def test_a_page_that_the_server_has_forgotten_runs_nothing_and_says_so(
    ada: BrowserSession, tab: Tab
) -> None:
    tab.act("console_state.choose", name="orders_create")
    form, memory = form_of(tab), tab.vars["console_state.page_id"]

    with ada.tab() as forgotten:  # as after the server has started again
        forgotten.send(
            handler_named("console_state.run"),
            {"form": form},
            path="/console",
            query={"tool": "orders_create"},
        )

    assert forgotten.vars["signed_in_state.notices"][-1]["text"].startswith(
        "Nothing was run: the server lost the state of this page"
    )
    assert forgotten.vars["console_state.tool"] == "orders_create"
    assert forgotten.vars["console_state.page_id"] != memory
    assert forgotten.vars["console_state.history"] == []


def test_a_call_that_waits_keeps_nothing_else_waiting(tab: Tab, order_desk: SlowOrderDesk) -> None:
    tab.act("console_state.choose", name="orders_list")

    tab.send(handler_named("console_state.run"), {"form": form_of(tab)}, waits=False)
    # the button is busy
    tab.send(handler_named("console_state.run"), {"form": form_of(tab)}, waits=False)
    tab.act("console_state.show", view="request")
    waiting = tab.vars["console_state.running"]
    order_desk.answer(tab)

    assert waiting is True
    assert tab.vars["console_state.view"] == "request"
    assert tab.vars["console_state.running"] is False
    assert len(json.loads(tab.vars["console_state.result"])["orders"]) == 5
    assert len(tab.vars["console_state.history"]) == 1


def test_a_result_that_comes_when_another_tool_is_chosen_stands_in_the_history_alone(
    tab: Tab, order_desk: SlowOrderDesk
) -> None:
    tab.act("console_state.choose", name="orders_list")
    tab.send(handler_named("console_state.run"), {"form": form_of(tab)}, waits=False)

    tab.act("console_state.choose", name="stores_list")
    order_desk.answer(tab)

    assert tab.vars["console_state.tool"] == "stores_list"
    assert tab.vars["console_state.result"] == ""
    assert tab.vars["console_state.running"] is False
    assert [row["tool"] for row in tab.vars["console_state.history"]] == ["orders_list"]


def test_a_result_that_comes_after_sign_out_is_shown_to_nobody(
    ada: BrowserSession, tab: Tab, order_desk: SlowOrderDesk
) -> None:
    tab.act("console_state.choose", name="orders_list")
    tab.send(handler_named("console_state.run"), {"form": form_of(tab)}, waits=False)

    ada.post("/sign-out")
    order_desk.answer(tab)

    assert tab.vars["console_state.result"] == ""
    assert tab.vars["console_state.history"] == []


def test_what_deletes_runs_when_its_id_was_typed_once_more(tab: Tab) -> None:
    run(tab, "orders_delete", order_id="100000004")
    asked = tab.vars["console_state.confirm_text"], tab.vars["console_state.confirm_store"]
    run(tab, "orders_delete", order_id="100000004", confirm="100000005")
    refused = tab.vars["signed_in_state.notices"][-1]["text"]
    there = run(tab, "orders_get", order_id="100000004")

    deleted = run(tab, "orders_delete", order_id="100000004", confirm=" 100000004 ")

    assert asked == ("100000004", "Sandbox store (a sandbox: nothing in it is real)")
    assert refused == "Nothing was deleted: type 100000004 to confirm it."
    assert there["order"]["id"] == "100000004"
    assert deleted["deleted"] is True


def test_the_store_that_a_change_would_meet_is_named(ada: BrowserSession, tab: Tab) -> None:
    tab.act("console_state.choose", name="orders_update")
    only = tab.vars["console_state.changes_orders"], tab.vars["signed_in_state.default_store"]
    tab.act("stores_state.add_sandbox")
    unsure = tab.vars["signed_in_state.default_store"]
    tab.act("switcher.choose_store", row_id=tab.vars["signed_in_state.store_choices"][1]["id"])
    chosen = tab.vars["signed_in_state.default_store"]
    tab.act("console_state.choose", name="stores_use_store")

    assert only == (True, "Sandbox store (a sandbox: nothing in it is real)")
    assert unsure == ""
    assert chosen.startswith("Sandbox store 2 (")
    assert tab.vars["console_state.changes_orders"] is False


CITY = '{"shipping": {"city": "Quito"}}'


@pytest.fixture
def two_stores(ada: BrowserSession, tab: Tab) -> tuple[str, str]:
    """Two stores, the first one chosen; their row ids."""
    tab.act("stores_state.add_sandbox")
    first, second = (choice["id"] for choice in tab.vars["signed_in_state.store_choices"])
    tab.act("switcher.choose_store", row_id=first)
    return first, second


def cities(tab: Tab, order_id: str) -> dict[str, str]:
    """The order's city in each of the stores."""
    names = [choice["name"] for choice in tab.vars["signed_in_state.store_choices"]]
    return {
        name: run(tab, "orders_get", order_id=order_id, store_identifier=name)["order"]["shipping"][
            "city"
        ]
        for name in names
    }


def test_a_change_never_meets_a_store_that_was_chosen_in_another_tab(
    ada: BrowserSession, tab: Tab, two_stores: tuple[str, str]
) -> None:
    before = cities(tab, "100000001")
    tab.act("console_state.choose", name="orders_update")
    form = {**form_of(tab), "order_id": "100000001", "changes": CITY}
    with ada.tab() as other:
        other.act("switcher.choose_store", row_id=two_stores[1])

    tab.act("console_state.run", form=form)
    refused, now_meant, busy = (
        tab.vars["signed_in_state.notices"][-1]["text"],
        tab.vars["signed_in_state.default_store"],
        tab.vars["console_state.running"],
    )
    untouched = cities(tab, "100000001")
    run(tab, "orders_update", order_id="100000001", changes=CITY)

    assert refused.startswith(
        "Nothing was run: the chosen store changed in another tab. This page now shows "
        "Sandbox store 2."
    )
    assert now_meant.startswith("Sandbox store 2 (")
    assert tab.vars["signed_in_state.active_store"] == two_stores[1]
    assert busy is False
    assert untouched == before
    assert cities(tab, "100000001") == {**before, "Sandbox store 2": "Quito"}


def test_a_store_that_is_named_is_met_whatever_another_tab_chose(
    ada: BrowserSession, tab: Tab, two_stores: tuple[str, str]
) -> None:
    tab.act("console_state.choose", name="orders_update")
    form = {
        **form_of(tab),
        "order_id": "100000001",
        "changes": CITY,
        "store_identifier": "Sandbox store",
    }
    with ada.tab() as other:
        other.act("switcher.choose_store", row_id=two_stores[1])

    tab.act("console_state.run", form=form)

    assert tab.vars["console_state.ok"] is True
    assert cities(tab, "100000001")["Sandbox store"] == "Quito"


def test_a_store_that_is_gone_in_another_tab_hands_no_change_to_the_one_that_is_left(
    ada: BrowserSession, tab: Tab, two_stores: tuple[str, str]
) -> None:
    tab.act("console_state.choose", name="orders_update")
    form = {**form_of(tab), "order_id": "100000001", "changes": CITY}
    ada.web.do(
        ada.web.services.stores.disconnect, ada.actor, two_stores[0], typed_name="Sandbox store"
    )

    tab.act("console_state.run", form=form)

    assert "Nothing was run" in tab.vars["signed_in_state.notices"][-1]["text"]
    assert tab.vars["console_state.history"] == []


def test_who_deletes_is_told_the_store_that_was_typed(
    tab: Tab, two_stores: tuple[str, str]
) -> None:
    run(tab, "orders_delete", order_id="100000004", store_identifier="sandbox STORE 2")

    assert (
        tab.vars["console_state.confirm_store"]
        == "Sandbox store 2 (a sandbox: nothing in it is real)"
    )


def test_who_disconnects_a_store_is_told_its_name(
    ada: BrowserSession, tab: Tab, two_stores: tuple[str, str]
) -> None:
    second = ada.web.do(ada.web.services.stores.list, ada.actor)[1]

    run(tab, "stores_delete", store_id=second.store_id)

    assert (
        tab.vars["console_state.confirm_store"]
        == "Sandbox store 2 (a sandbox: nothing in it is real)"
    )


def test_nothing_is_deleted_in_another_store_than_the_one_that_was_confirmed(
    ada: BrowserSession, tab: Tab, two_stores: tuple[str, str]
) -> None:
    run(tab, "orders_delete", order_id="100000004")
    confirmed = {**form_of(tab), "order_id": "100000004", "confirm": "100000004"}
    with ada.tab() as other:
        other.act("switcher.choose_store", row_id=two_stores[1])

    tab.act("console_state.run", form=confirmed)

    assert (
        "the chosen store changed in another tab" in tab.vars["signed_in_state.notices"][-1]["text"]
    )
    assert tab.vars["console_state.confirm_text"] == ""
    assert tab.vars["console_state.history"] == []


def test_nothing_is_deleted_in_a_store_that_took_over_the_name_that_was_confirmed(
    ada: BrowserSession, tab: Tab, two_stores: tuple[str, str]
) -> None:
    stores, typed = (
        ada.web.services.stores,
        {"order_id": "100000004", "store_identifier": "Sandbox store 2"},
    )
    run(tab, "orders_delete", **typed)
    confirmed = {**form_of(tab), **typed, "confirm": "100000004"}
    ada.web.do(stores.edit, ada.actor, two_stores[1], name="Old", label="", api_key=None)
    ada.web.do(
        stores.edit, ada.actor, two_stores[0], name="Sandbox store 2", label="", api_key=None
    )

    tab.act("console_state.run", form=confirmed)

    assert "Nothing was run" in tab.vars["signed_in_state.notices"][-1]["text"]
    assert tab.vars["console_state.history"] == []


def test_what_cannot_be_deleted_is_told_before_anybody_types_its_id(tab: Tab) -> None:
    run(tab, "orders_delete", order_id="100000004", store_identifier="nobody's")

    assert list(tab.vars["console_state.errors"]) == ["store_identifier"]
    assert tab.vars.get("console_state.confirm_text", "") == ""


def test_the_switcher_knows_what_a_run_did_to_the_stores(ada: BrowserSession, tab: Tab) -> None:
    tab.act("stores_state.add_sandbox")
    first, second = ada.web.do(ada.web.services.stores.list, ada.actor)

    run(tab, "stores_use_store", identifier=second.store_id)
    chosen = tab.vars["signed_in_state.active_store"]
    run(tab, "stores_delete", store_id=second.store_id, confirm=second.store_id)

    assert chosen == second.id
    assert [choice["id"] for choice in tab.vars["signed_in_state.store_choices"]] == [first.id]
    assert tab.vars["signed_in_state.active_store"] == ""


def test_a_page_that_is_loaded_again_keeps_its_form_and_result(tab: Tab) -> None:
    run(tab, "orders_list", limit="2")
    filled, call = tab.vars["console_state.form_id"], tab.vars["console_state.call"]
    load = handler_named("console_state.load")

    tab.send(load, path="/console", query={"call": call})
    tab.send(load, path="/console", query={"tool": "orders_list"})
    tab.send(load, path="/console")
    kept = (
        tab.vars["console_state.form_id"],
        tab.vars["console_state.call"],
        values_of(tab)["limit"],
    )
    tab.send(load, path="/console", query={"tool": "orders_get"})

    assert kept == (filled, call, "2")
    assert tab.vars["console_state.tool"] == "orders_get"
    assert tab.vars["console_state.call"] == call  # the last result stays until the next comes


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"call": "01M8AY1EB51SCJNPYHWNM0RXXX"}, "no longer in the history"),
        ({"tool": "nope"}, "no tool named nope"),
    ],
)
def test_an_address_of_what_is_not_there_opens_the_console_and_says_so(
    ada: BrowserSession, query: dict[str, str], words: str
) -> None:
    with ada.tab() as tab:
        tab.act("console_state.load")
        run(tab, "stores_list")
    with ada.tab() as fresh:
        fresh.send(handler_named("console_state.load"), path="/console", query=query)

    assert words in fresh.vars["signed_in_state.notices"][-1]["text"]
    assert fresh.vars["console_state.loaded"] is True
    assert fresh.vars["console_state.tool"] == "orders_list"
    assert fresh.vars["console_state.run_token"]
    assert [row["tool"] for row in fresh.vars["console_state.history"]] == ["stores_list"]


def test_an_address_of_what_is_not_there_leaves_the_form_alone(tab: Tab) -> None:
    run(tab, "orders_list", limit="2")
    filled = tab.vars["console_state.form_id"]

    tab.send(handler_named("console_state.load"), path="/console", query={"tool": "nope"})

    assert (tab.vars["console_state.form_id"], values_of(tab)["limit"]) == (filled, "2")


def test_an_error_is_shown_as_one_and_stands_at_its_field(tab: Tab) -> None:
    result = run(tab, "orders_get", order_id="999999999")

    assert result["error"]["code"] == "NOT_FOUND"
    assert tab.vars["console_state.ok"] is False
    assert tab.vars["console_state.message"] == result["error"]["message"]
    assert tab.vars["console_state.rows"] == []


@pytest.mark.parametrize(
    ("tool", "changed", "field"),
    [
        ("orders_list", {"limit": "many"}, "limit"),
        ("orders_list", {"limit": "1.5"}, "limit"),
        ("orders_get", {"order_id": ""}, "order_id"),
        ("orders_update", {"changes": "{broken"}, "changes"),
        ("orders_update", {"changes": "[1]"}, "changes"),
        ("orders_update", {"changes": '{"shipping_total": NaN}'}, "changes"),
        ("orders_update", {"changes": "[" * 100_000}, "changes"),
        ("orders_list", {"limit": "0"}, "limit"),
    ],
)
def test_what_cannot_be_is_said_at_the_field(
    tab: Tab, tool: str, changed: dict[str, str], field: str
) -> None:
    run(tab, tool, **changed)

    assert tab.vars["console_state.errors"][field]


@pytest.mark.parametrize(
    ("tool", "changed", "field"),
    [
        ("orders_update", {"changes": '{"shipping": {"citty": "Quito"}}'}, "changes"),
        ("orders_update", {"changes": '{"email": 5, "order_items": [{"id": "no"}]}'}, "changes"),
        (
            "orders_create",
            {"order_data": '{"shipping": {"company": "Paper and Ink"}}'},
            "order_data",
        ),
        ("orders_get", {"store_identifier": "nobody's"}, "store_identifier"),
    ],
)
def test_what_the_tool_refuses_is_said_at_the_argument_that_holds_it(
    tab: Tab, tool: str, changed: dict[str, str], field: str
) -> None:
    run(tab, tool, **changed)

    assert list(tab.vars["console_state.errors"]) == [field]
    assert tab.vars["console_state.errors"][field] == tab.vars["console_state.message"]
    assert tab.vars["console_state.error_focus"]


def test_the_last_result_stays_beside_a_new_error_of_the_form(tab: Tab) -> None:
    run(tab, "orders_list")
    shown = tab.vars["console_state.call"]

    tab.act("console_state.run", form={**form_of(tab), "limit": "many"})

    assert tab.vars["console_state.errors"]["limit"]
    assert tab.vars["console_state.refusal"] == "Nothing was run. Look at limit."
    assert tab.vars["console_state.call"] == shown
    assert len(json.loads(tab.vars["console_state.result"])["orders"]) == 5


def test_a_posted_form_that_order_desk_refuses_is_marked_at_its_field(
    ada: BrowserSession, tab: Tab
) -> None:
    answer = ada.post("/console/run", tool="stores_register", store_id="10001", api_key="two words")

    tab.send(
        handler_named("console_state.load"),
        path="/console",
        query={"call": answer.headers["location"].removeprefix("/console?call=")},
    )

    assert list(tab.vars["console_state.errors"]) == ["api_key"]
    assert tab.vars["console_state.error_focus"]


def test_the_last_ten_calls_are_kept_and_one_can_be_run_again(tab: Tab) -> None:
    for number in range(1, 13):
        run(tab, "orders_list", limit=str(number))
    tab.act("console_state.load")

    history = tab.vars["console_state.history"]
    tab.send(handler_named("console_state.open_call"), {"call_id": history[3]["id"]})

    assert len(history) == 10
    assert form_of(tab)["limit"] == "9"
    assert len(json.loads(tab.vars["console_state.result"])["orders"]) == 9


def test_the_history_tells_the_time_as_it_goes_on(
    tab: Tab, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tab, "orders_list", limit="3")
    filled, later = tab.vars["console_state.form_id"], now() + timedelta(seconds=61)
    monkeypatch.setattr(console_history, "now", lambda: later)

    tab.act("console_state.refresh_history")

    assert tab.vars["console_state.history"][0]["ago"] == "1 min ago"
    assert (tab.vars["console_state.form_id"], values_of(tab)["limit"]) == (filled, "3")


def test_a_tool_with_a_secret_is_not_run_by_an_event(tab: Tab) -> None:
    tab.act("console_state.choose", name="tenant_use_master_key")
    tab.act("console_state.run", form={**form_of(tab), "master_key": "typed-into-a-state"})

    assert tab.vars["console_state.history"] == []
    assert "typed-into-a-state" not in tab.seen


def test_a_tool_with_a_secret_is_posted_plainly_and_kept_without_it(
    ada: BrowserSession, tab: Tab
) -> None:
    answer = ada.post("/console/run", tool="tenant_use_master_key", master_key=ada.key.reveal())

    call_id = answer.headers["location"].removeprefix("/console?call=")
    tab.send(handler_named("console_state.load"), path="/console", query={"call": call_id})
    assert tab.vars["console_state.tool"] == "tenant_use_master_key"
    assert json.loads(tab.vars["console_state.result"])["tenant"]["name"] == "Ada's Teas"
    assert ada.key.reveal() not in tab.seen
    assert '"master_key": "***"' in tab.vars["console_state.request"]
    assert form_of(tab)["master_key"] == ""


def test_a_posted_form_without_its_secret_comes_back(ada: BrowserSession, tab: Tab) -> None:
    answer = ada.post("/console/run", tool="stores_register", store_id="10001", api_key="")

    tab.act("page_load.load_page")
    tab.act("console_state.load")
    assert answer.headers["location"] == "/console"
    assert tab.vars["console_state.tool"] == "stores_register"
    assert tab.vars["console_state.errors"]["api_key"]
    assert form_of(tab)["store_id"] == "10001"


def test_the_console_has_a_limit_of_its_own(
    ada: BrowserSession, tab: Tab, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = ada.web.services.limits.console
    monkeypatch.setattr(limit, "rules", TokenBucket(1, 0.01))

    run(tab, "orders_list")
    run(tab, "orders_list")

    assert "calls a minute" in tab.vars["signed_in_state.notices"][-1]["text"]


def test_a_neighbour_opens_nothing(ada: BrowserSession, bert: BrowserSession, tab: Tab) -> None:
    run(tab, "orders_list")
    call_id = tab.vars["console_state.call"]

    with bert.tab() as other:
        other.act("console_state.load")
        other.act("console_state.open_call", call_id=call_id)
        other.send(handler_named("console_state.load"), path="/console", query={"call": call_id})

    assert other.vars["console_state.history"] == []
    assert other.vars["console_state.result"] == ""
    assert "no longer in the history" in other.seen


def test_a_table_has_every_plain_column_and_is_sorted_by_any(tab: Tab) -> None:
    orders = run(tab, "orders_list", limit="20")["orders"]
    columns = [column["name"] for column in tab.vars["console_state.columns"]]
    (total,) = [
        column for column in tab.vars["console_state.columns"] if column["name"] == "order_total"
    ]
    place = columns.index("order_total")

    tab.act("console_state.sort", column="order_total")
    up = [float(row[place]) for row in tab.vars["console_state.rows"]]
    tab.act("console_state.sort", column="order_total")
    down = [float(row[place]) for row in tab.vars["console_state.rows"]]

    assert set(columns) == {
        name
        for order in orders
        for name, value in order.items()
        if not isinstance(value, list | dict)
    }
    assert len(columns) > 8
    assert total["is_number"] is True
    assert up == sorted(order["order_total"] for order in orders)
    assert down == up[::-1]


def test_only_a_read_is_told_to_come_from_the_cache_or_not(tab: Tab) -> None:
    run(tab, "orders_list")
    read = tab.vars.get("console_state.reads", True)
    run(tab, "orders_update", order_id="100000001", changes='{"shipping": {"city": "Quito"}}')

    assert (read, tab.vars["console_state.reads"]) == (True, False)


def test_a_result_that_is_too_large_for_the_screen_is_downloaded_and_says_whether_it_is_kept(
    tab: Tab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console_result, "MOST_SHOWN", 500)
    tab.act("console_state.choose", name="orders_list")
    tab.act("console_state.run", form=form_of(tab))
    kept = tab.vars["console_state.rest"]
    monkeypatch.setattr(console_service, "MOST_RESULT_BYTES", 1000)
    tab.act("console_state.run", form=form_of(tab))
    cut, is_whole = tab.vars["console_state.rest"], tab.vars["console_state.is_whole"]
    downloaded = b64decode(
        tab.act("console_state.download").partition("base64,")[2].partition('"')[0]
    )
    tab.act("console_state.open_call", call_id=tab.vars["console_state.call"])

    assert kept == "This is the first part. The download has all of it."
    assert cut == (
        "This is the first part. The download has all of it; it is too large to stay in "
        "the history, so take it now."
    )
    assert is_whole is False
    assert len(json.loads(downloaded)["orders"]) == 5
    assert tab.vars["console_state.is_cut"] is True  # there is nothing to download now
    assert "too large to keep" in tab.vars["console_state.result"]


def test_half_a_character_of_order_desks_is_shown_as_json_writes_it(
    ada: BrowserSession, tab: Tab
) -> None:
    half = {"note": "half \ud83d a fox"}
    kept = tab.web.do(
        tab.web.services.console.history.keep,
        ada.actor,
        tool="orders_update",
        arguments={"order_id": "5", "changes": half},
        result={"orders": [half]},
        outcome="ok",
        duration_ms=1.0,
        cached=False,
    )

    tab.act("console_state.open_call", call_id=kept.id)

    assert json.loads(tab.vars["console_state.result"]) == {"orders": [half]}
    assert tab.vars["console_state.rows"] == [["half \\ud83d a fox"]]
    assert json.loads(form_of(tab)["changes"]) == half
