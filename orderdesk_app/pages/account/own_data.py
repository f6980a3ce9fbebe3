"""What is yours: a file of it, and the end of it."""

from typing import Any

import reflex as rx

from orderdesk_app.components.deletion import deletion_dialog
from orderdesk_app.components.native import jump
from orderdesk_app.components.widgets import icon, open_button, panel
from orderdesk_app.states.account_own_data import DELETE_ACCOUNT, DELETE_ME, AccountOwnDataState

S: Any = AccountOwnDataState  # on its class, a state's attributes are variables of the browser


def own_data() -> rx.Component:
    return rx.fragment(_download(), _danger_zone())


def _download() -> rx.Component:
    return panel(
        rx.el.p(
            "One JSON file with what is kept about you: your accounts, sessions, keys without "
            "their secrets, activity and changes. Of accounts that you own, all that is in them."
        ),
        rx.el.div(
            # the browser's own link: the router would look for a page
            jump(icon("download"), "Download my data", to="/account/export", class_name="button"),
            class_name="row",
        ),
        title="Your data",
        class_name="stack",
    )


def _danger_zone() -> rx.Component:
    return panel(
        rx.cond(
            S.may_delete_account,
            _danger(
                "This account",
                "Its stores, keys, activity and changes go for good, for everybody in it. Nothing "
                "changes at Order Desk.",
                "Delete this account",
                DELETE_ACCOUNT,
                S.look_at_account,
            ),
        ),
        _danger(
            "You",
            "You and every account of which nobody else is an owner go for good. What you did in "
            "accounts of others stays there without your name.",
            "Delete me",
            DELETE_ME,
            S.look_at_me,
        ),
        deletion_dialog(
            DELETE_ACCOUNT,
            state=S,
            view=S.of_account,
            title="Delete this account",
            words="It cannot be brought back. Nothing changes at Order Desk.",
            label="Delete this account",
            action="/account/delete-account",
        ),
        deletion_dialog(
            DELETE_ME,
            state=S,
            view=S.of_me,
            title="Delete yourself",
            words="You are signed out everywhere, and nothing of this can be brought back. Nothing "
            "changes at Order Desk.",
            label="Delete me",
            action="/account/delete",
        ),
        title="Danger zone",
        class_name="stack",
    )


def _danger(title: str, words: str, label: str, dialog_id: str, look: Any) -> rx.Component:
    return rx.el.div(
        rx.el.div(rx.el.h3(title), rx.el.p(words, class_name="dim"), class_name="grow"),
        open_button(dialog_id, label, class_name="button danger", on_click=look),
        class_name="row apart",
    )
