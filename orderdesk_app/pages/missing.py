"""The address that leads nowhere."""

import reflex as rx

from orderdesk_app.components.page import Page


def missing() -> rx.Component:
    return rx.el.div(
        rx.el.a(
            rx.el.img(src="/logo.svg", alt="", width="24", height="24"),
            "Order Desk agents",
            href="/",
            class_name="brand",
            padding="0",
        ),
        rx.el.h1("There is no such page"),
        rx.el.p("The address may be mistyped, or the page was removed.", class_name="dim"),
        rx.el.div(rx.el.a("Home", href="/", class_name="button primary"), class_name="row"),
        class_name="panel stack",
    )


PAGE = Page(
    route="404",
    title="There is no such page",
    icon="circle-help",
    draw=missing,
    section="none",
    is_public=True,
)
