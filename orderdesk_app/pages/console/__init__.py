"""Any tool by hand: the list, the form from its schema, the result beside it, the last calls
below.
"""

from typing import Any

import reflex as rx

from orderdesk_app.components.page import Page
from orderdesk_app.pages.console.form import tool_form
from orderdesk_app.pages.console.history import call_history
from orderdesk_app.pages.console.result import result_view
from orderdesk_app.pages.console.tools import tool_list
from orderdesk_app.states.console import ConsoleState

S: Any = ConsoleState  # on its class, a state's attributes are variables of the browser


def console() -> rx.Component:
    return rx.el.div(
        rx.el.div(tool_list(), tool_form(), result_view(), class_name="console"),
        call_history(),
        class_name="stack",
        custom_attrs={
            "data-query": rx.cond(
                (S.call != "") & (S.result_tool == S.tool),
                "?call=" + S.call,
                rx.cond(S.tool != "", "?tool=" + S.tool, ""),
            )
        },
    )


PAGE = Page(
    route="/console",
    title="Console",
    icon="terminal",
    draw=console,
    order=50,
    key="c",
    on_load=S.load,
    on_change=S.refresh_history,
)
