"""The passkeys of the person who is signed in, and the way to a new one (routes/passkeys.py)."""

from typing import Any

import reflex as rx

from orderdesk_app.components.native import NativeLink, post_form
from orderdesk_app.components.widgets import (
    ago,
    cancel_button,
    dialog,
    empty,
    icon,
    open_button,
    skeleton,
)
from orderdesk_app.states.account_passkeys import AccountPasskeysState

S: Any = AccountPasskeysState  # on its class, a state's attributes are variables of the browser


def passkeys() -> rx.Component:
    return rx.el.section(
        rx.el.header(
            rx.el.h2("Passkeys"),
            rx.cond(S.loaded & S.is_available & (S.passkeys.length() > 0), _add()),
            class_name="row apart",
        ),
        rx.cond(
            S.loaded,
            rx.cond(
                S.passkeys.length() > 0,
                rx.fragment(
                    rx.el.div(_table(), class_name="scroll"),
                    rx.foreach(S.passkeys, _remove_dialog),
                ),
                rx.cond(S.is_available, _nothing(), _unavailable()),
            ),
            rx.el.div(skeleton("100%", "60%"), padding="0 16px 16px"),
        ),
        class_name="panel flush",
    )


def _add() -> rx.Component:
    # the server draws that page: a link of the framework would look for it among its own
    link: rx.Component = NativeLink.create(
        icon("plus"),
        rx.el.span("Add a passkey"),
        href="/account/passkeys/new",
        class_name="button small",
    )
    return link


def _nothing() -> rx.Component:
    return empty(
        "fingerprint",
        "No passkeys yet",
        "With a passkey you sign in by a finger, your face or a PIN, and type no key.",
        _add(),
    )


def _unavailable() -> rx.Component:
    return rx.el.p(
        "Browsers make passkeys for addresses that begin with https and have a name. This "
        "installation has none.",
        class_name="dim",
        padding="0 16px 16px",
    )


def _table() -> rx.Component:
    return rx.el.table(
        rx.el.caption("Your passkeys", class_name="sr"),
        rx.el.thead(
            rx.el.tr(
                rx.el.th("Name", scope="col"),
                rx.el.th("Added", scope="col"),
                rx.el.th("Last used", scope="col"),
                rx.el.th(rx.el.span("Remove", class_name="sr"), scope="col"),
            )
        ),
        rx.el.tbody(rx.foreach(S.passkeys, _row)),
        class_name="table cards-narrow",
    )


def _row(passkey: Any) -> rx.Component:
    def cell(label: str, *children: Any) -> rx.Component:
        return rx.el.td(*children, custom_attrs={"data-label": label})

    return rx.el.tr(
        cell(
            "Name",
            rx.el.span(passkey["name"], class_name="strong long-name", title=passkey["name"]),
        ),
        cell("Added", ago(passkey["added"], passkey["added_at"])),
        cell("Last used", ago(passkey["used"], passkey["used_at"])),
        cell(
            "",
            open_button(
                "remove-passkey-" + passkey["id"],
                "Remove",
                class_name="button small danger",
                aria_label="Remove " + passkey["name"],
            ),
        ),
        key=passkey["id"],
    )


def _remove_dialog(passkey: Any) -> rx.Component:
    return dialog(
        "remove-passkey-" + passkey["id"],
        "Remove " + passkey["name"],
        rx.el.p(
            "You cannot sign in with it any more. Your device still lists it until you delete it "
            "there too."
        ),
        post_form(
            rx.el.input(type="hidden", name="passkey_id", value=passkey["id"], read_only=True),
            rx.el.div(
                cancel_button(),
                rx.el.button("Remove passkey", type="submit", class_name="button danger primary"),
                class_name="ends",
            ),
            action="/account/passkeys/remove",
            token=S.form_token,
            class_name="form",
        ),
        key=passkey["id"],
    )
