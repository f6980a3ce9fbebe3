"""The browsers that are signed in: a row each, with a button that ends its session."""

from typing import Any

import reflex as rx

from orderdesk_app.components.widgets import ago, badge, skeleton
from orderdesk_app.states.account_sessions import AccountSessionsState

S: Any = AccountSessionsState  # on its class, a state's attributes are variables of the browser


def sessions() -> rx.Component:
    return rx.el.section(
        rx.el.header(
            rx.el.h2("Sessions"),
            rx.cond(
                S.sessions.length() > 1,
                # no question before it: a session that is not yours is an emergency
                rx.el.button(
                    "End all others",
                    type="button",
                    class_name="button small danger",
                    on_click=S.end_others,
                ),
            ),
            class_name="row apart",
        ),
        rx.cond(
            S.loaded,
            rx.fragment(rx.el.div(_table(), class_name="scroll"), _left_out()),
            rx.el.div(skeleton("100%", "60%"), padding="0 16px 16px"),
        ),
        class_name="panel flush",
    )


def _table() -> rx.Component:
    return rx.el.table(
        rx.el.caption("Browsers that are signed in as you", class_name="sr"),
        rx.el.thead(
            rx.el.tr(
                rx.el.th("Device", scope="col"),
                rx.cond(S.has_accounts, rx.el.th("Account", scope="col")),
                rx.el.th("Signed in", scope="col"),
                rx.el.th("Address", scope="col"),
                rx.el.th("Last use", scope="col"),
                rx.el.th(rx.el.span("End", class_name="sr"), scope="col"),
            )
        ),
        rx.el.tbody(rx.foreach(S.sessions, _row)),
        class_name="table cards-narrow",
    )


def _row(session: Any) -> rx.Component:
    def cell(label: str, *children: Any) -> rx.Component:
        return rx.el.td(*children, custom_attrs={"data-label": label})

    return rx.el.tr(
        cell(
            "Device",
            rx.el.div(
                rx.el.span(session["device"], class_name="strong"),
                rx.cond(session["is_this"], badge("This browser", "green")),
                class_name="row",
            ),
        ),
        rx.cond(S.has_accounts, cell("Account", session["account"])),
        cell(
            "Signed in",
            rx.el.div(
                rx.el.span(session["method"], class_name="small"),
                ago(session["began"], session["began_at"]),
                class_name="row",
            ),
        ),
        cell("Address", rx.el.code(session["address"])),
        cell("Last use", ago(session["seen"], session["seen_at"])),
        cell(
            "",
            rx.cond(
                session["is_this"],
                rx.fragment(),
                rx.el.button(
                    "End",
                    type="button",
                    class_name="button small danger",
                    aria_label="End the session of " + session["device"],
                    on_click=S.end(session["id"]),
                ),
            ),
        ),
        key=session["id"],
    )


def _left_out() -> rx.Component:
    return rx.cond(
        S.left_out > 0,
        rx.el.p(
            f"{S.left_out} more, used longer ago. “End all others” ends them too.",
            class_name="dim small found",
        ),
    )
