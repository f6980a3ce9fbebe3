"""Rows of the activity as Home and the page of all activity show them; one is open at a time."""

from collections.abc import Iterable
from typing import TypedDict

import reflex as rx

from orderdesk_app import wiring
from orderdesk_app.context import Actor, now
from orderdesk_app.services.activity_entries import ActivityEntry
from orderdesk_app.services.callers import open_to
from orderdesk_app.services.open_store import StoreRecord
from orderdesk_app.services.roles import Permission
from orderdesk_app.states.activity_text import (
    actor_label,
    kind_of,
    means_of,
    outcome_of,
    summary_of,
)
from orderdesk_app.states.console_result import as_json
from orderdesk_app.states.difference_text import DifferenceRow, difference_rows
from orderdesk_app.states.signed_in import SignedInState, handler
from orderdesk_app.states.times import ago, duration, stamp
from orderdesk_app.tools.catalogue import every_tool

READS = tuple(tool.name for tool in every_tool() if tool.reads)
WRITES = tuple(tool.name for tool in every_tool() if not tool.reads)
_MOST_ARGUMENTS = 4000  # characters


class ActivityRow(TypedDict):
    """One thing that happened."""

    id: str
    kind: str
    who: str
    what: str
    where: str  # the store and the program, as far as they are known
    outcome: str
    tone: str
    by_agent: bool
    duration: str
    ago: str
    at: str


class OpenedRow(SignedInState, mixin=True):
    """The row that is open, and what is in it."""

    opened: str = ""
    arguments: str = ""
    request_id: str = ""
    difference: list[DifferenceRow] = []

    @rx.event
    @handler
    @open_to(Permission.SEE_ACCOUNT)
    async def open_row(self, row_id: str) -> None:
        """Opens a row: its arguments, its request id, and what it changed; closes it again."""
        if self.opened == row_id:
            self.opened = ""
            return
        services, actor = wiring.current(), self._require_actor()
        entry = await services.activity.get(actor, row_id)
        change = await services.changes.get(actor, entry.change_id) if entry.change_id else None
        stores = await services.stores.list(actor)
        folders = next((store.folders for store in stores if store.id == entry.store_row_id), ())
        self.opened = row_id
        self.arguments = as_json(entry.arguments)[:_MOST_ARGUMENTS] if entry.arguments else ""
        self.request_id = entry.request_id
        self.difference = difference_rows(change.changes, folders) if change else []


def activity_rows(
    entries: Iterable[ActivityEntry], actor: Actor, stores: Iterable[StoreRecord]
) -> list[ActivityRow]:
    """The rows for the screen of that actor."""
    of_stores = {str(record.id): record for record in stores}
    return [_row(entry, of_stores.get(entry.store_row_id or ""), actor) for entry in entries]


def _row(entry: ActivityEntry, store: StoreRecord | None, actor: Actor) -> ActivityRow:
    outcome, tone = outcome_of(entry)
    # what the sentence says is not said twice
    place = store.name if store and store.name != entry.arguments.get("store") else ""
    return ActivityRow(
        id=entry.id,
        kind=kind_of(entry),
        who=actor_label(entry, actor),
        what=summary_of(entry),
        where=" · ".join(part for part in (place, *means_of(entry, actor)) if part),
        outcome=outcome,
        tone=tone,
        by_agent=entry.via in ("mcp", "stdio"),
        duration=duration(entry.duration_ms) if entry.duration_ms else "",
        ago=ago(entry.at, now()),
        at=stamp(entry.at),
    )
