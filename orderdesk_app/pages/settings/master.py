"""The master key: which one it is, and the dialog that replaces it."""

from typing import Any

import reflex as rx

from orderdesk_app.components.native import post_form
from orderdesk_app.components.widgets import (
    callout,
    cancel_button,
    dialog,
    field,
    icon,
    open_button,
    panel,
    text_input,
)
from orderdesk_app.pages.settings.key_forms import select
from orderdesk_app.pages.settings.keys import HAS_CHOICE, revoke_form
from orderdesk_app.states.key_forms import GRACES
from orderdesk_app.states.settings import SettingsState

S: Any = SettingsState  # on its class, a state's attributes are variables of the browser


def master() -> rx.Component:
    unmeant = rx.cond(S.problem_form == "rotate-master", S.problem, "")
    return panel(
        rx.cond(
            S.master_hint != "",
            rx.el.p(
                "The master key signs in here and may do everything. It ends with ",
                rx.el.code("…", S.master_hint),
                ".",
                rx.cond(
                    HAS_CHOICE & (S.master_default_store != ""),
                    rx.fragment(
                        " At /mcp its calls that name no store mean ", S.master_default_store, "."
                    ),
                ),
                class_name="dim",
            ),
            rx.el.p(
                (
                    "This account has no master key yet: you came by a link. Make one to "
                    "sign in with, and keep it safe."
                ),
                class_name="dim",
            ),
        ),
        rx.foreach(S.former_masters, _former),
        rx.el.div(
            rx.cond(
                S.master_hint != "",
                open_button(
                    "rotate-master",
                    icon("rotate-cw"),
                    "Replace master key",
                    class_name="button danger",
                ),
                post_form(
                    rx.el.button(
                        icon("key-round"), "Make master key", type="submit", class_name="button"
                    ),
                    action="/settings/keys/rotate-master",
                    token=S.form_token,
                ),
            ),
            class_name="row",
            margin_top="12px",
        ),
        _replace_dialog(unmeant),
        title="Master key",
    )


def _replace_dialog(unmeant: Any) -> rx.Component:
    return dialog(
        "rotate-master",
        "Replace the master key",
        callout(
            "The old master key signs in no more, and other browsers that it signed in are "
            "signed out. Access keys stay as they are.",
            tone="amber",
            role="note",
        ),
        post_form(
            field(
                "For assistants the old key stops",
                "grace",
                select(
                    "grace",
                    list(GRACES.items()),
                    rx.cond(S.typed.contains("grace"), S.typed["grace"], "0"),
                ),
                help_text=(
                    "If somebody else may have it, at once. Otherwise assistants that have it "
                    "can work until you have given them another."
                ),
            ),
            field(
                "Type “replace” to confirm",
                "confirm-rotate",
                text_input(
                    "confirm",
                    id="confirm-rotate",
                    error=unmeant,
                    auto_complete="off",
                    default_value=rx.cond(
                        S.problem_form == "rotate-master", S.typed["confirm"], ""
                    ),
                    custom_attrs={"data-confirm": "replace"},
                ),
                error=unmeant,
            ),
            rx.el.div(
                cancel_button(),
                rx.el.button(
                    "Replace master key",
                    type="submit",
                    class_name="button danger primary",
                    disabled=True,
                ),
                class_name="ends",
            ),
            action="/settings/keys/rotate-master",
            token=S.form_token,
            class_name="form",
            key=rx.cond(S.problem_form == "rotate-master", "again" + S.problem, "rotate"),
        ),
        custom_attrs={"data-reopen": rx.cond(S.problem_form == "rotate-master", "1", "")},
    )


def _former(key: Any) -> rx.Component:
    """A master key that was replaced and still works for assistants."""
    return rx.el.div(
        rx.el.p(
            "The old one, which ends with ",
            rx.el.code(key["hint"]),
            ", signs in no more. Assistants can work with it until ",
            rx.el.time(key["ends_exactly"], date_time=key["ends_at"]),
            ".",
            class_name="dim",
        ),
        revoke_form(key["id"], "Stop the old master key " + key["hint"], "Stop it now"),
        class_name="row apart",
        key=key["id"],
    )
