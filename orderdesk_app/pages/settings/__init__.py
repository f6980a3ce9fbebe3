"""Settings: keys, and what runs here. One module draws one section."""

from typing import Any

import reflex as rx

from orderdesk_app.components.native import go
from orderdesk_app.components.page import Page
from orderdesk_app.components.widgets import icon, panel
from orderdesk_app.pages.settings.key_forms import edit_dialog, make_dialog, rotate_dialog
from orderdesk_app.pages.settings.keys import MAKES, keys, new_key
from orderdesk_app.pages.settings.master import master
from orderdesk_app.services.roles import Permission
from orderdesk_app.states.settings import SettingsState

S: Any = SettingsState  # on its class, a state's attributes are variables of the browser
_ROTATES = S.permissions.contains(str(Permission.MANAGE_MASTER_KEY))


def settings() -> rx.Component:
    return rx.el.div(
        keys(),
        rx.el.div(
            _connect(),
            rx.cond(_ROTATES, master()),
            _system(),
            class_name=rx.cond(S.loaded, "stack wide", "stack wide unread"),
        ),
        rx.cond(MAKES, rx.fragment(make_dialog(), rotate_dialog())),
        edit_dialog(),
        class_name="stack wide",
    )


def _new_key_action() -> rx.Component:
    return rx.cond(MAKES, new_key())


def _connect() -> rx.Component:
    return panel(
        rx.el.div(
            rx.el.p(
                "Connect has the steps and the text to paste for each assistant, makes its key, "
                "and shows its first call.",
                class_name="dim",
            ),
            rx.el.div(
                go(icon("cable"), "Connect an assistant", to="/connect", class_name="button"),
                class_name="row",
            ),
            class_name="stack",
        ),
        title="Assistants",
    )


def _system() -> rx.Component:
    return rx.cond(
        S.facts.length() > 0,
        panel(
            rx.el.dl(
                rx.foreach(
                    S.facts,
                    lambda fact: rx.fragment(rx.el.dt(fact["name"]), rx.el.dd(fact["value"])),
                ),
                class_name="facts",
            ),
            title="System",
        ),
    )


PAGE = Page(
    route="/settings",
    title="Settings",
    icon="settings",
    draw=settings,
    order=90,
    section="foot",
    key=",",
    on_load=S.load,
    on_change=S.refresh,
    actions=_new_key_action,
)
