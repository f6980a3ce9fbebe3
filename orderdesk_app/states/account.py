"""Your account: who is signed in. Each further section of the page has a state of its own, whose
`load` stands in SECTIONS.
"""

from typing import Any

import reflex as rx

from orderdesk_app import wiring
from orderdesk_app.services.callers import Callers, open_to
from orderdesk_app.states.account_own_data import AccountOwnDataState
from orderdesk_app.states.account_passkeys import AccountPasskeysState
from orderdesk_app.states.account_sessions import AccountSessionsState
from orderdesk_app.states.signed_in import SignedInState, handler

# What `load` and `refresh` run after their own part, in the order of the page.
SECTIONS: tuple[Any, ...] = (
    AccountPasskeysState.load,
    AccountSessionsState.load,
    AccountOwnDataState.load,
)


class AccountState(SignedInState):
    loaded: bool = False
    person: str = ""
    email: str = ""  # empty without one
    typed_email: str = ""  # not verified: a label
    role: str = ""
    account: str = ""

    @rx.event
    @handler
    @open_to(Callers.SIGNED_IN)
    async def load(self) -> list[Any]:
        await self._read()
        return list(SECTIONS)

    @rx.event
    @handler
    @open_to(Callers.SIGNED_IN)
    async def refresh(self) -> list[Any]:
        """Runs when something happens in the account."""
        await self._read()
        return list(SECTIONS)

    async def _read(self) -> None:
        profile = await wiring.current().profile.get(self._require_actor())
        self.person = profile.name
        self.email = profile.email or ""
        self.typed_email = "" if profile.email else profile.unverified_email or ""
        self.role = profile.role.words + (", operator" if profile.is_operator else "")
        self.account = profile.account
        self.loaded = True
