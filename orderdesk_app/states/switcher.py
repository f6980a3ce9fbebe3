"""The store switcher: which store calls of this session mean that name none."""

import reflex as rx

from orderdesk_app import wiring
from orderdesk_app.services.callers import open_to
from orderdesk_app.services.roles import Permission
from orderdesk_app.states.console import ConsoleState
from orderdesk_app.states.signed_in import SignedInState, handler


class Switcher(SignedInState):
    """Which store is meant where none is named."""

    @rx.event
    @handler
    @open_to(Permission.RUN_READING_TOOLS)
    async def choose_store(self, row_id: str) -> None:
        services, actor = wiring.current(), self._require_actor()
        record = await services.stores.find(actor, row_id)
        await services.stores.use(await services.access.of_actor(actor), record.id)
        self._active_store = record.id
        await self._load_stores()
        (await self.get_state(ConsoleState))._follow_store()
        self._notify(f"In this console, calls that name no store now mean {record.name}.")
