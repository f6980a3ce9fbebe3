"""The sign-in page, where the framework has gone to it by itself: the server draws it
(routes/sign_in.py), and the browser loads it from there (assets/ui/session.js).
"""

import reflex as rx

from orderdesk_app.components.page import Page


def sign_in() -> rx.Component:
    return rx.el.div(
        rx.el.div(
            rx.el.img(src="/logo.svg", alt="", width="32", height="32"),
            rx.el.h1("Sign in to Order Desk agents"),
            class_name="row",
        ),
        class_name="panel stack",
        custom_attrs={"data-served": "1"},
    )


PAGE = Page(
    route="/sign-in",
    title="Sign in",
    icon="key-round",
    draw=sign_in,
    section="none",
    is_public=True,
)
