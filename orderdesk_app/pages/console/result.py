"""The result of the last run: its head, and the result as text, tree, table or request."""

from typing import Any

import reflex as rx

from orderdesk_app.components.widgets import (
    badge,
    callout,
    copy_button,
    difference_table,
    empty,
    icon,
    skeleton,
    sorting_head,
)
from orderdesk_app.states.console import ConsoleState

S: Any = ConsoleState  # on its class, a state's attributes are variables of the browser


def result_view() -> rx.Component:
    def view(name: str, words: str) -> rx.Component:
        return rx.el.button(
            words,
            type="button",
            on_click=S.show(name),
            aria_pressed=rx.cond(S.view == name, "true", "false"),
        )

    # Made by assets/ui/json.js from the text beside it, which is also what is copied.
    tree = rx.el.div(
        key=S.call,
        class_name="code result-body tree",
        tab_index=0,
        role="region",
        aria_label="Result as a tree",
        custom_attrs={"data-json-tree": "result"},
    )
    to_copy = rx.el.pre(S.result, id="result", hidden=True)
    filled = rx.el.div(
        _head(),
        # said once: where it is about an argument, at its field
        rx.cond(~S.ok & ~S.errors.values().contains(S.message), callout(S.message)),
        rx.cond(S.headline != "", rx.el.p(S.headline, class_name="headline")),
        rx.cond(S.difference.length() > 0, difference_table(S.difference, "What changed")),
        rx.cond((S.rest != "") & (S.view != "request"), callout(S.rest, tone="blue", role="note")),
        rx.el.div(
            view("raw", "Raw"),
            rx.cond(S.is_whole, view("tree", "Tree")),
            rx.cond(S.rows.length() > 0, view("table", "Table")),
            view("request", "Request"),
            class_name="segments",
            role="group",
            aria_label="Show as",
        ),
        rx.match(
            S.view,
            ("table", rx.fragment(_table(), to_copy)),
            ("tree", rx.fragment(tree, to_copy)),
            (
                "request",
                rx.el.pre(
                    S.request,
                    id="result",
                    class_name="code result-body",
                    tab_index=0,
                    custom_attrs={"data-highlight": "1"},
                    aria_label="Request",
                ),
            ),
            rx.el.pre(
                S.result,
                id="result",
                class_name="code result-body",
                tab_index=0,
                custom_attrs={"data-highlight": "1"},
                aria_label="Result",
            ),
        ),
        class_name=rx.cond(S.running, "stack tight fading", "stack tight"),
    )
    nothing = empty("terminal", "Nothing run yet", "Run the tool. The result appears here.")
    return rx.el.section(
        rx.el.h2("Result", class_name="sr"),
        # What a screen reader says: how it ended, and not the whole result.
        rx.el.p(rx.cond(S.running, "Running", S.said), class_name="sr", role="status"),
        # The last result stays until the next one comes.
        rx.cond(
            S.call != "",
            filled,
            rx.cond(S.running, skeleton("40%", "100%", "90%", "60%"), nothing),
        ),
        class_name="panel result",
        aria_busy=rx.cond(S.running, "true", "false"),
        aria_label="Result",
        custom_attrs={"data-result": S.call},
    )


def _head() -> rx.Component:
    return rx.el.div(
        badge(S.code, rx.cond(S.ok, "green", "red")),
        rx.cond(
            S.cached, badge("From cache", "blue"), rx.cond(S.ok & S.reads, badge("Not cached"))
        ),
        rx.cond(S.running, badge("Running", "blue")),
        rx.el.span(
            rx.el.code(S.result_tool),
            " · ",
            S.took,
            " · ",
            S.size,
            class_name="dim small",
            style={"fontVariantNumeric": "tabular-nums"},
        ),
        rx.el.span(class_name="grow"),
        rx.el.span(
            rx.cond(S.is_whole | (S.view == "request"), copy_button("result")),
            rx.cond(
                S.is_cut,
                rx.fragment(),
                rx.el.button(
                    icon("download"),
                    type="button",
                    class_name="button small square",
                    aria_label="Download the result",
                    title="Download",
                    on_click=S.download,
                ),
            ),
            class_name="row whole",
        ),
        class_name="row",
    )


def _table() -> rx.Component:
    def head_of(column: Any) -> rx.Component:
        name = column["name"]
        looks = rx.cond(column["is_number"], "number", "")
        return sorting_head(
            name,
            is_sorted=S.sorted_by == name,
            is_descending=S.is_descending,
            on_click=S.sort(name),
            class_name=looks,
        )

    def cell_of(cell: Any, place: Any) -> rx.Component:
        return rx.el.td(cell, class_name=rx.cond(S.columns[place]["is_number"], "number", ""))

    return rx.el.div(
        rx.el.table(
            rx.el.thead(rx.el.tr(rx.foreach(S.columns, head_of))),
            rx.el.tbody(rx.foreach(S.rows, lambda row: rx.el.tr(rx.foreach(row, cell_of)))),
            class_name="table",
        ),
        class_name="scroll result-body",
        tab_index=0,
        role="region",
        aria_label="Result as a table",
    )
