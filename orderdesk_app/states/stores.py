"""The stores as cards, the sandbox in one click, and a connection tried now.

Keys are typed into plain forms (routes/stores.py).
"""

from collections.abc import AsyncGenerator
from typing import TypedDict

import reflex as rx

from orderdesk_app import wiring
from orderdesk_app.context import now
from orderdesk_app.errors import OrderDeskAgentsError
from orderdesk_app.services.activity import StoreState
from orderdesk_app.services.callers import open_to
from orderdesk_app.services.flash_messages import message_of
from orderdesk_app.services.open_store import StoreRecord
from orderdesk_app.services.roles import Permission
from orderdesk_app.states.activity_text import is_store_at_fault
from orderdesk_app.states.signed_in import SignedInState, handler
from orderdesk_app.states.times import ago, changes_in, duration, stamp


class StoreCard(TypedDict):
    """A store for the screen; its key is not among it."""

    id: str
    name: str
    label: str
    store_id: str
    is_sandbox: bool
    folders: str
    timezone: str
    calls: str
    last: str
    last_at: str
    health: str
    tone: str
    free: int  # requests that Order Desk takes at once, of 20
    filled: str  # the same as a width


class StoresState(SignedInState):
    loaded: bool = False
    stores: list[StoreCard] = []
    has_sandbox: bool = False
    busy: list[str] = []  # the cards that are being tried, and "sandbox" while one is made
    answers: dict[str, str] = {}  # what Order Desk said to the last try, by card
    answers_tone: dict[str, str] = {}

    @rx.event
    @handler
    @open_to(Permission.SEE_ACCOUNT)
    async def load(self) -> None:
        self.busy = []
        self.answers = {}
        self.answers_tone = {}
        await self._read()

    @rx.event
    @handler
    @open_to(Permission.SEE_ACCOUNT)
    async def refresh(self) -> None:
        """Runs when something happens in the account; results of connection tests stay."""
        await self._read()

    async def _read(self) -> None:
        services, actor = wiring.current(), self._require_actor()
        records = await services.stores.list(actor)
        day = await services.activity.day(actor)
        free = await services.stores.free_requests(records)
        self.stores = [
            _card(record, day.stores.get(record.id), count)
            for record, count in zip(records, free, strict=True)
        ]
        self.has_sandbox = any(record.is_sandbox for record in records)
        self.loaded = True
        if seconds := changes_in(free, day.calls):
            self._look_again(seconds)

    @rx.event
    @handler
    @open_to(Permission.MANAGE_STORES)
    async def add_sandbox(self) -> AsyncGenerator[None, None]:
        self.busy = [*self.busy, "sandbox"]
        yield
        try:
            record = await wiring.current().stores.add_sandbox(self._require_actor())
            self._notify(
                f"{record.name} is ready: 500 believable orders, nothing real. Try them "
                "in the console."
            )
            await self._read()
            await self._load_stores()
            if len(self.store_choices) == 2:
                self._notify(
                    "You have two stores now. Assistants whose key has no default store have to "
                    "name the store in each call. Settings shows the default of each key.",
                    "amber",
                )
        finally:
            self._free("sandbox")

    @rx.event(background=True)
    @handler
    @open_to(Permission.RUN_READING_TOOLS)
    async def test(self, row_id: str) -> None:
        """Order Desk may take its time, so it is asked without the state's lock."""
        async with self:
            actor = self._require_actor()
            self.busy = [*self.busy, row_id]
        try:
            tried = await wiring.current().stores.test(actor, row_id)
            words, tone = (
                (
                    f"Order Desk answered in {duration(tried.milliseconds)}: the key works, "
                    f"{len(tried.record.folders)} folders, times in {tried.record.timezone}."
                ),
                "green",
            )
        except OrderDeskAgentsError as error:
            words, tone = message_of(error), "red"
        except Exception:
            async with self:
                self._free(row_id)
            raise
        async with self:
            if not await self._is_still_signed_in():
                return
            self._free(row_id)
            self.answers = {**self.answers, row_id: words}
            self.answers_tone = {**self.answers_tone, row_id: tone}
            await self._read()

    def _free(self, what: str) -> None:
        self.busy = [other for other in self.busy if other != what]


def _card(record: StoreRecord, state: StoreState | None, free: int) -> StoreCard:
    health, tone = ("No calls in 24 h", "gray")
    if state is not None and state.last_outcome is not None:
        health, tone = (
            ("Last call failed", "red")
            if is_store_at_fault(state.last_outcome)
            else ("Answers", "green")
        )
    calls = state.calls if state else 0
    errors = state.errors if state else 0
    last = state.last_at if state else None
    return StoreCard(
        id=record.id,
        name=record.name,
        label=record.label,
        store_id=record.store_id,
        is_sandbox=record.is_sandbox,
        folders=", ".join(name for _, name in record.folders) or "None",
        timezone=record.timezone,
        calls=f"{calls:,}" + (f", {errors:,} failed" if errors else ""),
        last=ago(last, now()) or "Never",
        last_at=stamp(last),
        health=health,
        tone=tone,
        free=free,
        filled=f"{free * 5}%",
    )
