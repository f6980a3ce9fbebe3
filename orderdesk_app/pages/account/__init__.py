"""Your account: who is signed in, and what is theirs alone. One module draws one section."""

import reflex as rx

from orderdesk_app.components.page import Page
from orderdesk_app.pages.account.own_data import own_data
from orderdesk_app.pages.account.passkeys import passkeys
from orderdesk_app.pages.account.profile import profile
from orderdesk_app.pages.account.sessions import sessions
from orderdesk_app.states.account import AccountState


def account() -> rx.Component:
    return rx.el.div(profile(), passkeys(), sessions(), own_data(), class_name="stack wide")


PAGE = Page(
    route="/account",
    title="Your account",
    icon="circle-user-round",
    draw=account,
    order=95,
    section="foot",
    key="y",
    on_load=AccountState.load,
    on_change=AccountState.refresh,
)
