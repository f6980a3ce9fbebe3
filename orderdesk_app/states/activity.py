"""All activity: every row, narrowed by the filters of the address, page by page."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypedDict

import reflex as rx
from reflex.event import EventSpec

from orderdesk_app import wiring
from orderdesk_app.context import now
from orderdesk_app.errors import ValidationFailed
from orderdesk_app.services.activity_filter import (
    OUTCOMES,
    REFUSED,
    ActivityFilter,
    Place,
    read_filter,
    read_place,
)
from orderdesk_app.services.activity_log import ActivityPage
from orderdesk_app.services.callers import open_to
from orderdesk_app.services.roles import Permission
from orderdesk_app.states.activity_rows import WRITES, ActivityRow, OpenedRow, activity_rows
from orderdesk_app.states.activity_text import action_labels, outcome_label
from orderdesk_app.states.signed_in import SignedInState, handler
from orderdesk_app.states.times import minute, stamp
from orderdesk_app.tools.catalogue import every_tool

ADDRESS = "/activity"
EXPORT = f"{ADDRESS}/export"


class Choice(TypedDict):
    """What a filter can be set to."""

    value: str
    label: str


class Chip(TypedDict):
    """A filter that is set: in words, and the address without it."""

    name: str
    words: str
    without: str


class ActivityState(OpenedRow, SignedInState):
    loaded: bool = False
    fault: str = ""  # what is wrong with the address
    form_fault: str = ""  # what is wrong with the form, and at which filter
    form_field: str = ""
    rows: list[ActivityRow] = []
    # the filters as the address names them
    query: str = ""
    tool: str = ""
    client: str = ""
    outcome: str = ""
    writes: bool = False
    store: str = ""
    person: str = ""
    since: str = ""
    until: str = ""
    request: str = ""
    zone: str = ""
    chips: list[Chip] = []
    # what they can be set to
    tools: list[Choice] = []
    outcomes: list[Choice] = []
    clients: list[Choice] = []
    stores: list[Choice] = []
    people: list[Choice] = []
    # addresses of other pages, empty where there is none
    newest: str = ""
    newer: str = ""
    older: str = ""
    looked_minute: str = ""  # how far this page looked, when it did not look at everything
    looked_at: str = ""
    looked_on: bool = False  # towards newer rows
    as_csv: str = ""
    as_json_lines: str = ""

    @rx.event
    @handler
    @open_to(Permission.SEE_ACCOUNT)
    async def load(self) -> None:
        await self._load()

    async def _load(self) -> None:
        query = {name: str(value) for name, value in self.router.url.query_parameters.items()}
        self.fault = self.form_fault = self.form_field = ""
        try:
            wanted = read_filter(query)
            before, after = read_place(query, "before"), read_place(query, "after")
        except ValidationFailed as error:
            self.fault = error.message
            self.rows, self.chips = [], []
            self.newest = self.newer = self.older = self.as_csv = self.as_json_lines = ""
            self.looked_minute = self.looked_at = ""
            wanted, before, after = ActivityFilter(), None, None
        services, actor = wiring.current(), self._require_actor()
        people = await services.activity_log.people(actor)
        records = await services.stores.list(actor)
        self.people = _choices(people)
        self.stores = _choices({record.id: record.name for record in records})
        self.clients = _choices({name: name for name in await services.activity_log.clients(actor)})
        self.tools = _choices(
            {tool.name: f"{tool.title} ({tool.name})" for tool in every_tool()}
            | {name: words.capitalize() for name, words in action_labels().items()}
        )
        self.outcomes = _choices({code: _outcome_words(code) for code in OUTCOMES})
        if not self.fault:
            page = await services.activity_log.page(
                actor, wanted, writes=WRITES, before=before, after=after
            )
            self._show_filters(wanted)
            self._show_places(wanted, page, is_newest=before is None and page.newer is None)
            self.rows = activity_rows(page.entries, actor, records)
        self.loaded = True

    @rx.event
    @handler
    @open_to(Permission.SEE_ACCOUNT)
    async def refresh(self) -> None:
        """What happened meanwhile, on the first page: the others stay as they are."""
        if not self.newest and not self.fault:
            await self._load()

    @rx.event
    @handler
    @open_to(Permission.SEE_ACCOUNT)
    async def apply(self, form: dict[str, Any]) -> EventSpec | None:
        """Goes to the address of what was chosen."""
        query = {name: str(value) for name, value in form.items() if value}
        try:
            wanted = read_filter({**query, "writes": "1" if form.get("writes") else ""})
        except ValidationFailed as error:
            self.form_fault, self.form_field = error.message, error.field or ""
            return None
        return rx.redirect(_address(wanted))

    def _show_filters(self, wanted: ActivityFilter) -> None:
        self.query = wanted.query()
        self.tool, self.client, self.outcome = wanted.tool, wanted.client, wanted.outcome
        self.writes, self.store, self.person = wanted.writes, wanted.store, wanted.person
        self.since = wanted.since.isoformat() if wanted.since else ""
        self.until = wanted.until.isoformat() if wanted.until else ""
        self.request, self.zone = wanted.request, wanted.zone
        # a filter from an older address stays what it is, also where the list does not have it
        self.tools = _with(self.tools, wanted.tool)
        self.clients = _with(self.clients, wanted.client)
        self.stores = _with(self.stores, wanted.store, "A store that is gone")
        self.people = _with(self.people, wanted.person, "Somebody who has left")
        self.chips = self._chips(wanted)

    def _chips(self, wanted: ActivityFilter) -> list[Chip]:
        zone = f" ({wanted.zone or 'UTC'})"
        words = {
            "tool": _label(self.tools, wanted.tool),
            "client": _label(self.clients, wanted.client),
            "outcome": _label(self.outcomes, wanted.outcome),
            "writes": "Changes only" if wanted.writes else "",
            "store": _label(self.stores, wanted.store),
            "person": _label(self.people, wanted.person),
            "since": f"From {self.since}{zone}" if self.since else "",
            "until": f"To {self.until}{zone}" if self.until else "",
            "request": f"Request {wanted.request}" if wanted.request else "",
        }
        return [
            Chip(name=name, words=text, without=_address(_without(wanted, name)))
            for name, text in words.items()
            if text
        ]

    def _show_places(self, wanted: ActivityFilter, page: ActivityPage, *, is_newest: bool) -> None:
        self.newest = "" if is_newest else _address(wanted)
        self.newer = _address(wanted, after=page.newer) if page.newer else ""
        self.older = _address(wanted, before=page.older) if page.older else ""
        self.looked_at = stamp(page.looked_to)
        self.looked_minute = minute(page.looked_to, now())
        self.looked_on = page.newer is not None and page.newer.at == page.looked_to
        self.as_csv = f"{EXPORT}?{wanted.query(format='csv')}"
        self.as_json_lines = f"{EXPORT}?{wanted.query(format='jsonl')}"


def _address(wanted: ActivityFilter, **places: Place) -> str:
    query = wanted.query(**{name: str(place) for name, place in places.items()})
    return f"{ADDRESS}?{query}" if query else ADDRESS


def _without(wanted: ActivityFilter, name: str) -> ActivityFilter:
    return replace(wanted, **{name: getattr(ActivityFilter(), name)})


def _choices(labels: Mapping[str, str]) -> list[Choice]:
    return [Choice(value=value, label=label) for value, label in labels.items()]


def _with(choices: list[Choice], value: str, label: str = "") -> list[Choice]:
    if not value or any(choice["value"] == value for choice in choices):
        return choices
    return [*choices, Choice(value=value, label=label or value)]


def _label(choices: list[Choice], value: str) -> str:
    return next((choice["label"] for choice in choices if value and choice["value"] == value), "")


def _outcome_words(code: str) -> str:
    return "Refused here, whatever the reason" if code == REFUSED else outcome_label(code)
