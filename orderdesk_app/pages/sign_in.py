"""Sign in with a key: one card.

A link from the server's start signs in at /sign-in/link (routes/sign_in.py).
"""

import reflex as rx

from orderdesk_app.components.native import post_form
from orderdesk_app.components.page import Page
from orderdesk_app.components.widgets import callout, field, secret_input

KEY_WORDS = {
    "unknown": "That key is not known here. Check that you copied all 64 characters.",
    "agents": (
        "This is an access key, which is for assistants. Sign in with the account's master key."
    ),
}
OTHER_WORDS = {
    "many": "Too many tries from this address. Wait a minute, then try again.",
    "origin": (
        "This form came from another address than this server's own. Open the sign-in page "
        "by the address in PUBLIC_URL."
    ),
    "ended": "Your session has ended. Sign in again.",
}


def sign_in() -> rx.Component:
    query = rx.State.router.url.query_parameters
    of_key, other = (
        rx.match(query["error"], *words.items(), "") for words in (KEY_WORDS, OTHER_WORDS)
    )
    return rx.fragment(
        rx.el.div(
            rx.el.div(
                rx.el.img(src="/logo.svg", alt="", width="32", height="32"),
                rx.el.h1("Sign in to Order Desk agents"),
                class_name="row",
            ),
            post_form(
                rx.cond(
                    query["out"] == "1", callout("You are signed out.", tone="green", role="status")
                ),
                rx.cond(other != "", callout(other, tone="amber")),
                rx.el.input(
                    type="hidden",
                    name="next",
                    value=rx.cond(query.contains("next"), query["next"], ""),
                    read_only=True,
                ),
                field(
                    "Key",
                    "key",
                    secret_input(
                        "key",
                        error=of_key,
                        required=True,
                        auto_focus=True,
                        max_length=512,
                        placeholder="Master key, 64 characters",
                    ),
                    error=of_key,
                ),
                rx.el.button("Sign in", type="submit", class_name="button primary full"),
                action="/sign-in/key",
                class_name="form",
            ),
            rx.el.p(
                (
                    "No key at hand? In development the server prints a one-time link when "
                    "it starts; an administrator makes one with "
                ),
                rx.el.code("orderdesk signin-link"),
                ".",
                class_name="dim small",
            ),
            class_name="panel stack",
        ),
    )


PAGE = Page(
    route="/sign-in",
    title="Sign in",
    icon="key-round",
    draw=sign_in,
    section="none",
    is_public=True,
)
