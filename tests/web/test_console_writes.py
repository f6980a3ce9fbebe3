"""A write from the console: in a live store it is shown and asked for first."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import update
from sqlmodel import col

from orderdesk_app import wiring
from orderdesk_app.db.stores import Store
from orderdesk_app.tools.catalogue import every_tool, find_tool
from tests.web.browser_session import BrowserSession, Tab

ORDER = "100000001"
CITY = '{"shipping": {"city": "Quito"}}'
ANSWER = {"confirmed": "1"}


async def _make_live(actor: Any, row_id: str) -> None:
    services = wiring.current()
    async with services.database.write() as session:
        await session.exec(
            update(Store)
            .where(col(Store.id) == row_id, col(Store.tenant_id) == actor.tenant_id)
            .values(is_sandbox=False)
        )
        await services.signals.publish(session, f"tenant:{actor.tenant_id}")


def make_live(ada: BrowserSession, row_id: str) -> None:
    """The same store, as one that is no sandbox."""
    ada.web.do(_make_live, ada.actor, row_id)


@pytest.fixture
def tab(ada: BrowserSession) -> Iterator[Tab]:
    """The console, with one store that is live."""
    with ada.tab() as tab:
        tab.act("stores_state.add_sandbox")
        make_live(ada, tab.vars["signed_in_state.store_choices"][0]["id"])
        tab.act("page_load.load_page")
        tab.act("console_state.load")
        yield tab


def form_of(tab: Tab, **typed: str) -> dict[str, str]:
    names = ("tool", "run_token", "confirm_store_id")
    state = {name: tab.vars.get(f"console_state.{name}", "") for name in names}
    default = {"default_store_id": tab.vars["signed_in_state.default_store_id"]}
    fields = {field["name"]: field["value"] for field in tab.vars["console_state.fields"]}
    return {**state, **default, **fields, **typed}


def send(tab: Tab, **typed: str) -> None:
    tab.act("console_state.run", form=form_of(tab, **typed))


def city_of(tab: Tab) -> str:
    tab.act("console_state.choose", name="orders_get")
    send(tab, order_id=ORDER)
    result = json.loads(tab.vars["console_state.result"])
    return str(result["order"]["shipping"]["city"])


def test_no_form_is_filled_by_itself_for_a_live_store(tab: Tab) -> None:
    for tool in every_tool():
        tab.act("console_state.choose", name=tool.name)
        fields = [*tab.vars["console_state.fields"], *tab.vars["console_state.more"]]

        assert not [field["name"] for field in fields if field["value"]], tool.name
        for name, value in tool.example.model_dump(mode="json", exclude_unset=True).items():
            (field,) = [field for field in fields if field["name"] == name]
            assert field["hint"] or name in tool.secrets, f"{tool.name}.{name}: {value}"


WRITING = [tool.name for tool in every_tool() if tool.takes_store and not tool.reads]


@pytest.mark.parametrize("name", WRITING)
def test_whatever_writes_to_a_live_store_shows_and_asks_once(tab: Tab, name: str) -> None:
    asked = ("asks", "is_live", "confirm_store", "confirm_rows", "confirm_object")
    tab.act("console_state.choose", name=name)
    tab.act("console_state.fill_example")
    form = form_of(tab)

    send(tab)
    question = {part: tab.vars[f"console_state.{part}"] for part in asked}
    untouched = tab.vars["console_state.history"]
    send(tab, **ANSWER, confirm=form.get("order_id", ""))

    assert (question["asks"], question["is_live"]) == (True, True)
    assert question["confirm_store"] == "Sandbox store"
    assert question["confirm_rows"] or question["confirm_object"], "what it would do is shown"
    assert untouched == []
    assert tab.vars["console_state.asks"] is False
    assert tab.vars["console_state.code"] == "Done"


@pytest.mark.parametrize("name", [*WRITING, "stores_delete", "orders_list"])
def test_the_form_of_secrets_runs_no_other_tool(ada: BrowserSession, tab: Tab, name: str) -> None:
    """It asks nothing before it runs."""
    example = find_tool(name).example.model_dump(mode="json", exclude_unset=True)
    typed = {part: v if isinstance(v, str) else json.dumps(v) for part, v in example.items()}

    store = tab.vars["signed_in_state.default_store_id"]
    ada.post("/console/run", tool=name, default_store_id=store, confirm="", **typed)
    tab.act("console_state.refresh_history")

    assert tab.vars["console_state.history"] == []


def test_the_example_is_filled_in_by_its_button(tab: Tab) -> None:
    tab.act("console_state.choose", name="orders_update")
    offered = tab.vars["console_state.fills_example"]

    tab.act("console_state.fill_example")

    assert offered is True
    assert form_of(tab)["changes"] != ""
    assert tab.vars["console_state.fills_example"] is False


def test_a_sandbox_is_filled_by_itself_until_a_live_store_is_chosen(
    ada: BrowserSession, tab: Tab
) -> None:
    tab.act("stores_state.add_sandbox")
    live, sandbox = (choice["id"] for choice in tab.vars["signed_in_state.store_choices"])
    tab.act("switcher.choose_store", row_id=sandbox)
    tab.act("console_state.choose", name="orders_create")
    filled = form_of(tab)["order_data"]

    tab.act("switcher.choose_store", row_id=live)

    assert filled != ""
    assert form_of(tab)["order_data"] == ""


def test_a_change_of_a_live_store_is_shown_and_asked_for_once(tab: Tab) -> None:
    before = city_of(tab)
    tab.act("console_state.choose", name="orders_update")

    send(tab, order_id=ORDER, changes=CITY)
    asked = {
        name: tab.vars[f"console_state.{name}"]
        for name in ("asks", "is_live", "confirm_store", "confirm_rows")
    }
    untouched = [row["tool"] for row in tab.vars["console_state.history"]]
    send(tab, order_id=ORDER, changes=CITY, **ANSWER)

    assert asked == {
        "asks": True,
        "is_live": True,
        "confirm_store": "Sandbox store",
        "confirm_rows": [{"path": "shipping.city", "old": before, "new": "Quito"}],
    }
    assert untouched == ["orders_get"]
    assert tab.vars["console_state.asks"] is False
    assert tab.vars["console_state.headline"] == (
        f"Order {ORDER} in Sandbox store: shipping.city: {before} → Quito"
    )
    assert city_of(tab) == "Quito"


def test_a_folder_is_told_by_its_name(tab: Tab) -> None:
    tab.act("console_state.choose", name="orders_update")
    typed = {"order_id": ORDER, "changes": '{"folder_name": "Shipped"}'}

    send(tab, **typed)
    send(tab, **typed, **ANSWER)

    (row,) = tab.vars["console_state.difference"]
    assert (row["path"], row["new"]) == ("folder", "Shipped")
    assert tab.vars["console_state.headline"].endswith(f"folder: {row['old']} → Shipped")


def test_an_answer_to_no_question_only_asks(tab: Tab) -> None:
    tab.act("console_state.choose", name="orders_update")

    store = tab.vars["signed_in_state.default_store_id"]
    send(tab, order_id=ORDER, changes=CITY, confirm_store_id=store, **ANSWER)

    assert tab.vars["console_state.asks"] is True
    assert tab.vars["console_state.history"] == []


def test_another_change_than_the_one_that_was_shown_is_asked_for_again(tab: Tab) -> None:
    tab.act("console_state.choose", name="orders_update")
    send(tab, order_id=ORDER, changes=CITY)

    send(tab, order_id=ORDER, changes='{"shipping": {"city": "Lima"}}', **ANSWER)

    assert tab.vars["console_state.asks"] is True
    assert tab.vars["console_state.confirm_rows"][0]["new"] == "Lima"
    assert tab.vars["console_state.history"] == []


def test_an_order_that_somebody_else_changed_meanwhile_is_asked_for_again(
    ada: BrowserSession, tab: Tab
) -> None:
    tab.act("console_state.choose", name="orders_update")
    typed = {"order_id": ORDER, "changes": CITY}
    send(tab, **typed)
    ada.web.do(
        ada.web.services.console.run,
        ada.actor,
        "orders_update",
        {"order_id": ORDER, "changes": {"shipping": {"city": "Lima"}}},
    )

    send(tab, **typed, **ANSWER)
    again = tab.vars["console_state.confirm_note"], tab.vars["console_state.confirm_rows"]
    send(tab, **typed, **ANSWER)

    assert again[0].startswith("Something has changed since you were asked.")
    assert again[1] == [{"path": "shipping.city", "old": "Lima", "new": "Quito"}]
    assert city_of(tab) == "Quito"


def test_a_new_order_in_a_live_store_is_asked_for_too(tab: Tab) -> None:
    tab.act("console_state.choose", name="orders_create")
    tab.act("console_state.fill_example")

    send(tab)
    rows = {row["path"]: row["new"] for row in tab.vars["console_state.confirm_rows"]}
    history = tab.vars["console_state.history"]
    send(tab, **ANSWER)

    assert rows["email"] == "ada@example.com"
    assert "source_id" not in rows
    assert history == []
    assert tab.vars["console_state.headline"].endswith("was created.")


def test_what_deletes_names_the_order_and_the_store(tab: Tab) -> None:
    tab.act("console_state.choose", name="orders_delete")

    send(tab, order_id="100000004")
    asked = tab.vars["console_state.confirm_object"], tab.vars["console_state.confirm_store"]
    send(tab, order_id="100000004", confirm="100000004")

    assert re.fullmatch(r"\S+, .+, \d items?, total \d+\.\d+", asked[0])
    assert asked[1] == "Sandbox store"
    assert tab.vars["console_state.headline"] == "Order 100000004 in Sandbox store was deleted."


def test_a_change_that_changes_nothing_is_not_asked_for_and_says_so(tab: Tab) -> None:
    city = city_of(tab)
    tab.act("console_state.choose", name="orders_update")

    send(tab, order_id=ORDER, changes=json.dumps({"shipping": {"city": city}}))

    assert tab.vars["console_state.asks"] is False
    assert tab.vars["console_state.headline"] == "Nothing changed: it was so already."
    assert tab.vars["console_state.difference"] == []


@pytest.mark.parametrize(
    ("tool", "typed", "field"),
    [
        ("orders_update", {"order_id": ORDER, "changes": '{"shipping": {"town": "x"}}'}, "changes"),
        ("orders_update", {"order_id": "999999", "changes": CITY}, "order_id"),
        ("orders_create", {"order_data": '{"email": "a@example.com"}'}, "order_data"),
        ("orders_delete", {"order_id": "999999"}, "order_id"),
        (
            "orders_update",
            {"order_id": ORDER, "changes": CITY, "store_identifier": "no such"},
            "store_identifier",
        ),
    ],
)
def test_what_would_be_refused_is_refused_at_its_field_and_the_last_result_stays(
    tab: Tab, tool: str, typed: dict[str, str], field: str
) -> None:
    city_of(tab)
    shown = tab.vars["console_state.call"]
    tab.act("console_state.choose", name=tool)

    send(tab, **typed)

    assert list(tab.vars["console_state.errors"]) == [field]
    assert tab.vars["console_state.refusal"] == f"Nothing was run. Look at {field}."
    assert tab.vars["console_state.asks"] is False
    assert tab.vars["console_state.running"] is False
    assert tab.vars["console_state.call"] == shown


def test_a_read_is_never_asked_for(tab: Tab) -> None:
    tab.act("console_state.choose", name="orders_list")

    send(tab)

    assert tab.vars["console_state.asks"] is False
    assert tab.vars["console_state.said"].startswith("Done, 25 orders, ")


def test_a_screen_reader_hears_how_it_ended_and_not_the_json(tab: Tab) -> None:
    tab.act("console_state.choose", name="orders_list")
    send(tab, limit="5")
    listed = tab.vars["console_state.said"]
    tab.act("console_state.choose", name="orders_get")
    send(tab, order_id="999999")

    assert listed.startswith("Done, 5 orders, ")
    assert tab.vars["console_state.said"].startswith("NOT_FOUND, Store Sandbox store has no")
