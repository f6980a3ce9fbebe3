"""Who is signed in, and a form for their own name (routes/account.py)."""

from typing import Any

import reflex as rx

from orderdesk_app.components.native import post_form
from orderdesk_app.components.widgets import field, panel, skeleton, text_input
from orderdesk_app.states.account import AccountState

S: Any = AccountState  # on its class, a state's attributes are variables of the browser


def profile() -> rx.Component:
    return panel(
        rx.cond(S.loaded, rx.el.div(_facts(), _name_form(), class_name="stack"), _waiting()),
        title="You",
    )


def _facts() -> rx.Component:
    return rx.el.dl(
        rx.el.dt("Name"),
        rx.el.dd(S.person),
        rx.el.dt("E-mail"),
        rx.el.dd(
            rx.cond(
                S.email + S.typed_email != "",
                rx.fragment(
                    S.email,
                    S.typed_email,
                    rx.cond(S.typed_email != "", rx.el.span(" (not verified)", class_name="dim")),
                ),
                rx.el.span("None", class_name="dim"),
            )
        ),
        rx.el.dt("Account"),
        rx.el.dd(S.account),
        rx.el.dt("Role"),
        rx.el.dd(S.role),
        class_name="facts",
    )


def _name_form() -> rx.Component:
    wrong = rx.cond(S.problem_form == "name", S.problem, "")
    return post_form(
        field(
            "Your name",
            "name",
            text_input(
                "name",
                error=wrong,
                required=True,
                max_length=80,
                auto_complete="name",
                default_value=rx.cond(S.problem_form == "name", S.typed["name"], S.person),
                key=S.person + S.problem,
            ),
            help_text="Colleagues see it where something was done by you.",
            error=wrong,
        ),
        rx.el.div(rx.el.button("Save name", type="submit", class_name="button"), class_name="row"),
        action="/account/name",
        token=S.form_token,
        class_name="form stack",
    )


def _waiting() -> rx.Component:
    return skeleton("40%", "60%", "50%", "30%")
