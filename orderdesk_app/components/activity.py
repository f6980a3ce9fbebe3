"""A row of the activity: who did what, how it ended, and what opens in its place."""

from typing import Any

import reflex as rx

from orderdesk_app.components.widgets import ago, badge, difference_table, icon


def activity_line(entry: Any, *, opened: Any, on_open: Any, details: rx.Component) -> rx.Component:
    """One row as an entry of a list. `opened` is the id of the row that shows `details`, `on_open`
    the handler that opens a row by its id.
    """
    mark = rx.match(
        entry["kind"],
        ("deleted", rx.el.span(icon("trash-2"), class_name="mark red")),
        ("failed", rx.el.span(icon("circle-alert"), class_name="mark")),
        ("read", rx.el.span(icon("eye"), class_name="mark")),
        rx.el.span(icon("pencil"), class_name="mark"),
    )
    is_open = opened == entry["id"]
    return rx.el.li(
        mark,
        who_and_what(entry),
        rx.el.div(
            badge(entry["outcome"], entry["tone"]),
            rx.el.span(entry["duration"], class_name="dim small number took"),
            ago(entry["ago"], entry["at"]),
            rx.el.button(
                "Details",
                type="button",
                class_name="button small bare",
                on_click=on_open(entry["id"]),
                aria_expanded=rx.cond(is_open, "true", "false"),
                aria_label="Details: " + entry["what"],
            ),
            class_name="row when",
        ),
        rx.cond(is_open, details),
        class_name="line opens",
        key=entry["id"],
    )


def who_and_what(entry: Any) -> rx.Component:
    return rx.el.div(
        rx.el.span(
            rx.cond(
                entry["by_agent"],
                badge(entry["who"], "violet"),
                rx.el.span(entry["who"], class_name="strong"),
            ),
            " ",
            entry["what"],
        ),
        rx.cond(entry["where"] != "", rx.el.span(entry["where"], class_name="dim small")),
        class_name="grow what",
    )


def row_details(*, difference: Any, arguments: Any, request_id: Any) -> rx.Component:
    """What a row did in full; nothing where it changed nothing or took no arguments."""
    return rx.el.div(
        rx.cond(difference.length() > 0, difference_table(difference, "What changed")),
        rx.cond(
            arguments != "",
            rx.el.pre(
                arguments,
                class_name="code result-body",
                tab_index=0,
                role="region",
                aria_label="Arguments",
                custom_attrs={"data-highlight": "1"},
            ),
        ),
        rx.el.p(
            "Request ", rx.el.code(request_id), class_name="dim small", overflow_wrap="anywhere"
        ),
        class_name="details stack tight",
    )
