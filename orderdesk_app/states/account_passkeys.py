"""Your account: the passkeys of the person who is signed in. They are added and removed by plain
forms (routes/passkeys.py).
"""

from datetime import datetime
from typing import TypedDict

import reflex as rx

from orderdesk_app import wiring
from orderdesk_app.context import now
from orderdesk_app.services.callers import Callers, open_to
from orderdesk_app.services.passkeys import PasskeyView
from orderdesk_app.states.signed_in import SignedInState, handler
from orderdesk_app.states.times import ago, stamp


class PasskeyRow(TypedDict):
    id: str
    name: str
    added: str
    added_at: str
    used: str
    used_at: str


class AccountPasskeysState(SignedInState):
    loaded: bool = False
    passkeys: list[PasskeyRow] = []
    is_available: bool = True  # browsers make passkeys for the address of this installation

    @rx.event
    @handler
    @open_to(Callers.SIGNED_IN)
    async def load(self) -> None:
        services = wiring.current().passkeys
        moment = now()
        self.passkeys = [_row(view, moment) for view in await services.list(self._require_actor())]
        self.is_available = services.is_available
        self.loaded = True


def _row(view: PasskeyView, moment: datetime) -> PasskeyRow:
    return PasskeyRow(
        id=view.id,
        name=view.name,
        added=ago(view.created_at, moment),
        added_at=stamp(view.created_at),
        used=ago(view.last_used_at, moment) or "Never",
        used_at=stamp(view.last_used_at),
    )
