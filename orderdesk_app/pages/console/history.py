"""The last ten calls as a table."""

from typing import Any

import reflex as rx

from orderdesk_app.components.widgets import ago, badge
from orderdesk_app.states.console import ConsoleState

S: Any = ConsoleState  # on its class, a state's attributes are variables of the browser


def call_history() -> rx.Component:
    def row(call: Any) -> rx.Component:
        def cell(label: str, *children: Any, **props: Any) -> rx.Component:
            return rx.el.td(*children, custom_attrs={"data-label": label}, **props)

        return rx.el.tr(
            cell("Tool", rx.el.code(call["tool"]), class_name="one-line"),
            cell(
                "Arguments",
                rx.el.div(call["arguments"], class_name="mono dim cut"),
                class_name="gives-way",
            ),
            cell("Outcome", badge(call["outcome"], call["tone"])),
            rx.cond(S.names_others, cell("By", rx.el.span(call["who"], class_name="small"))),
            cell("Took", call["duration"], class_name="number one-line"),
            cell("When", ago(call["ago"], call["at"]), class_name="one-line"),
            cell(
                "",
                rx.el.button(
                    "Open",
                    type="button",
                    class_name="button small",
                    on_click=S.open_call(call["id"]),
                    aria_label="Open " + call["tool"] + ", " + call["ago"],
                ),
            ),
            key=call["id"],
        )

    return rx.cond(
        S.history.length() > 0,
        rx.el.section(
            rx.el.header(
                rx.el.h2("Last calls"),
                rx.el.p(
                    (
                        "The last ten from this console, secrets removed. Open one to see "
                        "its result and to run it again."
                    ),
                    class_name="dim small",
                ),
            ),
            rx.el.div(
                rx.el.table(
                    rx.el.thead(
                        rx.el.tr(
                            rx.el.th("Tool", scope="col"),
                            rx.el.th("Arguments", scope="col"),
                            rx.el.th("Outcome", scope="col"),
                            rx.cond(S.names_others, rx.el.th("By", scope="col")),
                            rx.el.th("Took", scope="col", class_name="number"),
                            rx.el.th("When", scope="col"),
                            rx.el.th(rx.el.span("Open", class_name="sr"), scope="col"),
                        )
                    ),
                    rx.el.tbody(rx.foreach(S.history, row)),
                    class_name="table cards-narrow",
                ),
                class_name="scroll",
            ),
            class_name="panel flush",
        ),
    )
