"""What is going on: problems, four numbers, the latest calls, the stores' health, a newcomer's next
steps.
"""

from typing import Any

import reflex as rx

from orderdesk_app.components.activity import activity_line, row_details, who_and_what
from orderdesk_app.components.native import go
from orderdesk_app.components.page import Page
from orderdesk_app.components.widgets import (
    ago,
    badge,
    callout,
    clock,
    empty,
    icon,
    meter,
    skeleton,
)
from orderdesk_app.states.home import HomeState

S: Any = HomeState  # on its class, a state's attributes are variables of the browser


def home() -> rx.Component:
    return rx.el.div(
        rx.foreach(S.problems, lambda problem: callout(problem, tone="amber", role="status")),
        # Without a store every number is nothing and the first step is all there is to do, so the
        # steps stand first; with one they give way to what goes on.
        rx.cond(S.is_newcomer & (S.stores.length() == 0), _steps()),
        rx.el.div(
            rx.cond(
                S.loaded,
                rx.el.div(rx.foreach(S.metrics, _metric), class_name="four"),
                rx.el.div(
                    *[
                        rx.el.div(skeleton("40%", "60%", "100%"), class_name="panel tile")
                        for _ in range(4)
                    ],
                    class_name="four",
                ),
            ),
            rx.el.div(
                rx.el.button(
                    "Show as table",
                    type="button",
                    class_name="button small bare",
                    on_click=S.show_table,
                    aria_pressed=S.as_table,
                ),
                class_name="row apart-end",
            ),
            rx.cond(S.loaded, _by_hour()),
            class_name="stack tight",
        ),
        rx.el.div(_latest(), _stores(), class_name="two"),
        rx.cond(S.is_newcomer & (S.stores.length() > 0), _steps()),
        class_name="stack",
    )


def _metric(metric: Any) -> rx.Component:
    return rx.el.section(
        rx.el.h2(metric["name"], class_name="dim small"),
        rx.el.p(metric["value"], class_name=["figure", metric["tone"]]),
        rx.el.p(metric["note"], class_name="dim small"),
        rx.el.svg(
            rx.el.svg.polyline(
                points=metric["points"],
                fill="none",
                stroke="currentColor",
                custom_attrs={
                    "strokeWidth": "1.5",
                    "vectorEffect": "non-scaling-stroke",
                    "strokeLinejoin": "round",
                },
            ),
            custom_attrs={
                "viewBox": "0 0 240 36",
                "preserveAspectRatio": "none",
                "aria-hidden": "true",
                "focusable": "false",
            },
            class_name="spark",
        ),
        rx.el.p(
            metric["finding"],
            rx.cond(
                metric["since"] != "", rx.fragment(" ", clock(metric["clock"], metric["since"]))
            ),
            metric["most"],
            class_name="dim small",
        ),
        class_name="panel tile",
        aria_label=metric["name"],
    )


def _by_hour() -> rx.Component:
    """The curves as a table: for everybody who asks, and for screen readers always."""

    def row(hour: Any) -> rx.Component:
        return rx.el.tr(
            rx.el.th(clock(hour["clock"], hour["since"]), scope="row"),
            *[
                rx.el.td(hour[name], class_name="number")
                for name in ("calls", "errors", "median", "saved")
            ],
            key=hour["since"],
        )

    heads = ("Calls", "Errors", "Median duration", "Saved by cache")
    table = rx.el.table(
        rx.el.caption("The last 24 hours, the newest first", class_name="sr"),
        rx.el.thead(
            rx.el.tr(
                rx.el.th("Hour from", scope="col"),
                *[rx.el.th(words, scope="col", class_name="number") for words in heads],
            )
        ),
        rx.el.tbody(rx.foreach(S.hours, row)),
        class_name="table",
    )
    # What scrolls can be reached by keyboard; what only screen readers have does not scroll.
    scrolling = rx.el.div(
        table, class_name=rx.cond(S.as_table, "scroll", ""), tab_index=rx.cond(S.as_table, 0, -1)
    )
    return rx.el.div(scrolling, class_name=rx.cond(S.as_table, "panel flush by-hour", "sr"))


def _steps() -> rx.Component:
    def step(entry: Any) -> rx.Component:
        return rx.el.li(
            rx.cond(
                entry["done"],
                rx.el.span(
                    icon("circle-check"), rx.el.span("Done: ", class_name="sr"), class_name="ok"
                ),
                rx.el.span(icon("circle"), class_name="dim"),
            ),
            rx.el.span(
                entry["words"], class_name=rx.cond(entry["done"], "grow dim", "grow strong")
            ),
            rx.cond(
                entry["done"],
                rx.fragment(),
                go(
                    entry["label"],
                    to=entry["href"],
                    class_name="button small",
                    aria_label=entry["label"] + ": " + entry["words"],
                ),
            ),
            class_name="row step",
        )

    return rx.el.section(
        rx.el.h2("First steps"), rx.el.ol(rx.foreach(S.steps, step)), class_name="panel stack tight"
    )


def _latest() -> rx.Component:
    nothing = empty(
        "activity",
        "No calls yet",
        "What assistants and people do with your stores stands here as it happens.",
        go("Open the console", to="/console", class_name="button"),
    )
    quiet = rx.fragment(
        rx.el.h3("Read, and changed nothing, in 24 h", class_name="dim small lines-of"),
        rx.el.ul(rx.foreach(S.quiet, _quiet_line), class_name="lines"),
    )
    filled = rx.fragment(
        rx.cond(
            S.latest.length() > 0,
            rx.el.ol(rx.foreach(S.latest, _line), class_name="lines"),
            rx.el.p("No changes and no failures lately.", class_name="dim lines-of"),
        ),
        rx.cond(S.quiet.length() > 0, quiet),
    )
    return rx.el.section(
        rx.el.header(
            rx.el.div(
                rx.el.h2("Latest"),
                go("All activity", to="/activity", class_name="button small head-link"),
                class_name="row apart",
            )
        ),
        rx.cond(
            S.loaded,
            rx.cond((S.latest.length() > 0) | (S.quiet.length() > 0), filled, nothing),
            rx.el.div(skeleton(*["100%"] * 10), padding="0 16px 16px"),
        ),
        class_name="panel flush",
    )


def _line(entry: Any) -> rx.Component:
    return activity_line(entry, opened=S.opened, on_open=S.open_row, details=_details())


def _details() -> rx.Component:
    return row_details(difference=S.difference, arguments=S.arguments, request_id=S.request_id)


def _quiet_line(entry: Any) -> rx.Component:
    return rx.el.li(
        who_and_what(entry),
        rx.el.div("Last ", ago(entry["ago"], entry["at"]), class_name="dim small"),
        class_name="line",
        key=entry["id"],
    )


def _stores() -> rx.Component:
    def store(entry: Any) -> rx.Component:
        return rx.el.li(
            rx.el.div(
                rx.el.span(entry["name"], class_name="strong cut"),
                rx.el.span(
                    entry["calls"],
                    " calls in 24 h",
                    rx.cond(
                        entry["ago"] != "",
                        rx.fragment(", the last ", ago(entry["ago"], entry["at"])),
                    ),
                    class_name="dim small",
                ),
                meter(entry["filled"], rx.fragment(entry["free"], " requests free")),
                class_name="grow what",
            ),
            badge(entry["words"], entry["tone"]),
            class_name="line",
        )

    nothing = empty(
        "store",
        "No stores yet",
        "Connect one, or try the sandbox.",
        go("Stores", to="/stores", class_name="button"),
    )
    return rx.el.section(
        rx.el.header(rx.el.h2("Stores")),
        rx.cond(
            S.loaded,
            rx.cond(
                S.stores.length() > 0,
                rx.el.ul(rx.foreach(S.stores, store), class_name="lines"),
                nothing,
            ),
            rx.el.div(skeleton("100%", "60%"), padding="0 16px 16px"),
        ),
        class_name="panel flush",
    )


PAGE = Page(
    route="/",
    title="Home",
    icon="house",
    draw=home,
    order=10,
    key="h",
    on_load=S.load,
    on_change=S.load,
)
