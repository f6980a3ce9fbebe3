"""Your account: the browsers that are signed in, and how to end their sessions."""

from datetime import datetime
from typing import Final, TypedDict

import reflex as rx

from orderdesk_app import wiring
from orderdesk_app.context import now
from orderdesk_app.services.callers import Callers, open_to
from orderdesk_app.services.own_sessions import SessionView
from orderdesk_app.services.sessions import SignInMethod
from orderdesk_app.states.signed_in import SignedInState, handler
from orderdesk_app.states.times import ago, stamp

_METHODS: Final = {
    SignInMethod.KEY: "With the master key",
    SignInMethod.LINK: "By a link",
    SignInMethod.PASSKEY: "With a passkey",
    SignInMethod.SIGN_UP: "By signing up",
}


class SessionRow(TypedDict):
    id: str
    device: str
    address: str
    account: str
    method: str
    began: str
    began_at: str
    seen: str
    seen_at: str
    is_this: bool


class AccountSessionsState(SignedInState):
    loaded: bool = False
    sessions: list[SessionRow] = []
    has_accounts: bool = False  # whether they are of several accounts
    left_out: int = 0  # of very many, those that were used longest ago

    @rx.event
    @handler
    @open_to(Callers.SIGNED_IN)
    async def load(self) -> None:
        await self._read()

    @rx.event
    @handler
    @open_to(Callers.SIGNED_IN)
    async def end(self, session_id: str) -> None:
        device = await wiring.current().own_sessions.end(self._require_actor(), session_id)
        self._notify(f"The session is ended: {device}.")
        await self._read()

    @rx.event
    @handler
    @open_to(Callers.SIGNED_IN)
    async def end_others(self) -> None:
        count = await wiring.current().own_sessions.end_others(self._require_actor())
        self._notify(_ended(count))
        await self._read()

    async def _read(self) -> None:
        found = await wiring.current().own_sessions.list(self._require_actor())
        moment = now()
        self.sessions = [_row(view, moment) for view in found.shown]
        self.has_accounts = len({view.account for view in found.shown}) > 1
        self.left_out = found.total - len(found.shown)
        self.loaded = True


def _ended(count: int) -> str:
    if not count:
        return "There was no other session."
    return "The other session is ended." if count == 1 else f"{count} other sessions are ended."


def _row(view: SessionView, moment: datetime) -> SessionRow:
    return SessionRow(
        id=view.id,
        device=view.device,
        address=view.address,
        account=view.account,
        method=_METHODS[view.method],
        began=ago(view.created_at, moment),
        began_at=stamp(view.created_at),
        seen=ago(view.seen_at, moment),
        seen_at=stamp(view.seen_at),
        is_this=view.is_this,
    )
