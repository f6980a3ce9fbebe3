"""The apps that people have connected. Every change is a plain form (routes/apps.py)."""

from collections.abc import Mapping
from typing import TypedDict

import reflex as rx

from orderdesk_app import wiring
from orderdesk_app.context import READING_SCOPES, UserId, now
from orderdesk_app.services.apps import AppView
from orderdesk_app.services.callers import open_to
from orderdesk_app.services.roles import Permission
from orderdesk_app.states.lists import first_few
from orderdesk_app.states.signed_in import SignedInState, handler
from orderdesk_app.states.times import ago, stamp


class AppChoice(TypedDict):
    """A permission or a store that the app has, and that can be taken from it."""

    value: str
    words: str


class AppRow(TypedDict):
    """A connected app for the screen."""

    id: str
    name: str
    host: str  # where its answers go
    by: str  # who connected it; empty for the one who looks
    may: str
    stores: str  # the first of them
    every_store: str
    connected: str
    connected_at: str
    used: str
    used_at: str
    client: str  # the program that called last, as it names itself
    calls: str
    is_read_only: bool
    has_writes: bool  # among what was approved
    has_all_stores: bool
    scope_choices: list[AppChoice]
    store_choices: list[AppChoice]


class AppsState(SignedInState):
    loaded: bool = False
    apps: list[AppRow] = []
    has_others: bool = False  # apps that somebody else connected

    @rx.event
    @handler
    @open_to(Permission.SEE_ACCOUNT)
    async def load(self) -> None:
        await self._read()

    @rx.event
    @handler
    @open_to(Permission.SEE_ACCOUNT)
    async def refresh(self) -> None:
        """Runs when something happens in the account."""
        await self._read()

    async def _read(self) -> None:
        services, actor = wiring.current(), self._require_actor()
        apps = await services.connected_apps.list(actor)
        stores: dict[str, str] = {
            record.id: record.name for record in await services.stores.list(actor)
        }
        people = await services.activity_log.people(actor)
        self.has_others = any(app.user_id != actor.user_id for app in apps)
        self.apps = [_row(app, stores, people, actor.user_id) for app in apps]
        self.loaded = True


def _row(
    app: AppView, stores: Mapping[str, str], people: Mapping[str, str], me: UserId | None
) -> AppRow:
    reached = stores if app.store_ids is None else app.store_ids
    named = [(store_id, stores[store_id]) for store_id in reached if store_id in stores]
    names = [name for _, name in named]
    is_mine = app.user_id is not None and app.user_id == me
    return AppRow(
        id=app.id,
        name=app.name,
        host=app.host,
        by="" if is_mine else people.get(app.user_id or "", "Somebody who has left"),
        may=", ".join(scope.words for scope in app.scopes) or "Nothing any more",
        stores="All" if app.store_ids is None else first_few(names) or "None",
        every_store="" if app.store_ids is None else ", ".join(names),
        connected=ago(app.connected_at, now()),
        connected_at=stamp(app.connected_at),
        used=ago(app.last_used_at, now()) or "Never",
        used_at=stamp(app.last_used_at),
        client=app.last_client,
        calls=f"{app.calls:,}",
        is_read_only=app.is_read_only,
        has_writes=app.is_read_only or not set(app.granted) <= READING_SCOPES,
        has_all_stores=app.store_ids is None,
        scope_choices=[AppChoice(value=one.value, words=one.words) for one in app.granted],
        store_choices=[AppChoice(value=store_id, words=name) for store_id, name in named],
    )
