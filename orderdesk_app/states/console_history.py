"""The console's history: the last ten calls, with their times in the zone of their store."""

import json
from typing import TypedDict

import reflex as rx

from orderdesk_app import wiring
from orderdesk_app.context import now
from orderdesk_app.errors import OrderDeskAgentsError
from orderdesk_app.services.access import Principal
from orderdesk_app.services.console import PastCall
from orderdesk_app.services.stores import Stores
from orderdesk_app.states.console_result import without_surrogates
from orderdesk_app.states.signed_in import SignedInState, handler
from orderdesk_app.states.times import ago, duration, exact
from orderdesk_app.tools.catalogue import find_tool


class CallRow(TypedDict):
    id: str
    tool: str
    arguments: str
    outcome: str
    tone: str
    duration: str
    ago: str
    exact: str


class ConsoleHistory(SignedInState, mixin=True):
    history: list[CallRow] = []

    @rx.event
    @handler
    async def refresh_history(self) -> None:
        """How long ago the last calls were, and those of other tabs."""
        await self._load_history()

    async def _load_history(self) -> None:
        services, actor = wiring.current(), self._require_actor()
        principal = await services.access.of_actor(actor)
        self.history = [
            _call_row(call, _zone(services.stores, principal, call))
            for call in await services.console.history.list(actor)
        ]


def _zone(stores: Stores, principal: Principal, call: PastCall) -> str:
    """The zone of the store that a past call was about, where that is certain: it was named, or
    there is only one.
    """
    try:
        if not find_tool(call.tool).takes_store:
            return ""
        named = call.arguments.get("store_identifier")
        if named:
            return stores.resolve(principal, str(named))[0].timezone
    except OrderDeskAgentsError:  # the tool or the store is gone
        return ""
    return principal.account.stores[0].timezone if len(principal.account.stores) == 1 else ""


def _call_row(call: PastCall, zone: str) -> CallRow:
    return CallRow(
        id=call.id,
        tool=call.tool,
        arguments=without_surrogates(json.dumps(call.arguments, ensure_ascii=False)[:200]),
        outcome="Done" if call.outcome == "ok" else call.outcome,
        tone="green" if call.outcome == "ok" else "red",
        duration=duration(call.duration_ms),
        ago=ago(call.at, now(), zone),
        exact=exact(call.at, zone),
    )
