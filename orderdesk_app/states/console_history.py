"""The console's history: the last ten calls."""

import json
from typing import TypedDict

from orderdesk_app import wiring
from orderdesk_app.context import Actor, now
from orderdesk_app.services.console import PastCall
from orderdesk_app.states.activity_text import caller_label
from orderdesk_app.states.console_result import without_surrogates
from orderdesk_app.states.signed_in import SignedInState
from orderdesk_app.states.times import ago, duration, stamp


class CallRow(TypedDict):
    id: str
    tool: str
    arguments: str
    outcome: str
    tone: str
    duration: str
    ago: str
    at: str
    who: str


class ConsoleHistory(SignedInState, mixin=True):
    history: list[CallRow] = []
    names_others: bool = False  # somebody else ran one of them

    async def _load_history(self) -> None:
        history, actor = wiring.current().console.history, self._require_actor()
        self.history = [_call_row(call, actor) for call in await history.list(actor)]
        self.names_others = any(row["who"] not in ("", "You") for row in self.history)


def _call_row(call: PastCall, actor: Actor) -> CallRow:
    return CallRow(
        id=call.id,
        tool=call.tool,
        arguments=without_surrogates(json.dumps(call.arguments, ensure_ascii=False)[:200]),
        outcome="Done" if call.outcome == "ok" else call.outcome,
        tone="green" if call.outcome == "ok" else "red",
        duration=duration(call.duration_ms),
        ago=ago(call.at, now()),
        at=stamp(call.at),
        who=caller_label(call, actor),
    )
