"""The account's keys as people may see them, and what runs here."""

import platform
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, TypedDict
from urllib.parse import urlencode

import reflex as rx

from orderdesk_app import __version__, wiring
from orderdesk_app.config import Settings
from orderdesk_app.context import ALL_SCOPES, UserId, now
from orderdesk_app.errors import NotFound
from orderdesk_app.services.callers import open_to
from orderdesk_app.services.key_views import MASTER, KeyView
from orderdesk_app.services.roles import Permission
from orderdesk_app.states.key_forms import KeyForm, edited_key_form, new_key_form
from orderdesk_app.states.lists import first_few
from orderdesk_app.states.signed_in import SignedInState, handler
from orderdesk_app.states.times import ago, span, stamp

_COLUMNS: Final[dict[str, Callable[[KeyView], Any]]] = {
    "name": lambda key: key.name.casefold(),
    "made": lambda key: key.created_at,
    "used": lambda key: key.last_used_at,
}


REPLACED: Final = "Replaced"  # the state of a key that still works beside its successor


class KeyRow(TypedDict):
    """A key without its secret."""

    id: str
    name: str
    kind: str
    prefix: str
    hint: str
    scopes: str
    stores: str  # the first of the chosen ones; empty for all
    every_store: str  # the names of all chosen ones
    is_read_only: bool
    state: str  # empty for a key that works until somebody stops it
    tone: str
    ends: str  # when it expires; empty for never
    ends_at: str
    ends_exactly: str
    by: str  # who made it; empty for the one who looks
    is_mine: bool
    default_store: str  # empty for none
    made: str
    made_at: str
    used: str
    used_at: str
    used_by: str  # the program and its address


class Fact(TypedDict):
    name: str
    value: str


class SettingsState(SignedInState):
    loaded: bool = False
    keys: list[KeyRow] = []  # those that were looked for
    total: int = 0
    has_others: bool = False  # keys that somebody else made
    offered: list[str] = []  # the scopes that a new key of this person may have
    new_key: KeyForm = new_key_form(frozenset(), {}, None)
    edited: KeyForm = new_key_form(frozenset(), {}, None)  # its `id` is empty for none
    forms_drawn: int = 0  # another number draws the forms again
    reopens: str = ""  # the form that was refused, once it has what was typed
    former_masters: list[KeyRow] = []  # replaced, and working for assistants
    search: str = ""
    sorted_by: str = "made"
    is_descending: bool = True
    view: str = ""  # the same as the address says it; empty until somebody sorts or searches
    master_hint: str = ""
    master_default_store: str = ""  # empty for none
    facts: list[Fact] = []

    @rx.event
    @handler
    @open_to(Permission.SEE_ACCOUNT)
    async def load(self) -> None:
        settings = wiring.current().settings
        self.facts = _facts(settings) if self._require_actor().is_operator else []
        query = self.router.url.query_parameters
        if (
            "sort" in query or "q" in query
        ):  # an address that says nothing leaves the table as it was
            order = str(query.get("sort") or "-made")
            self._arrange(
                order.removeprefix("-"),
                is_descending=order.startswith("-"),
                search=str(query.get("q") or ""),
            )
        self.offered = sorted(self._require_actor().scopes)
        await self._read_keys()
        await self._prepare_forms()
        self.loaded = True

    @rx.event
    @handler
    @open_to(Permission.SEE_ACCOUNT)
    async def sort(self, column: str) -> None:
        """The keys by that column, times with the latest first; the same column again turns them
        round. Keys that were never used stand last.
        """
        is_descending = not self.is_descending if column == self.sorted_by else column != "name"
        self._arrange(column, is_descending=is_descending, search=self.search)
        await self._read_keys()

    @rx.event
    @handler
    @open_to(Permission.SEE_ACCOUNT)
    async def find(self, text: str) -> None:
        """The keys whose name or first or last characters have that text in them."""
        self._arrange(self.sorted_by, is_descending=self.is_descending, search=text)
        await self._read_keys()

    @rx.event
    @handler
    @open_to(Permission.SEE_ACCOUNT)
    async def choose(self, key_id: str) -> None:
        """The key that is edited or rotated next."""
        if not await self._edit(str(key_id)):
            raise NotFound("You have no such key any more. Reload the list of keys.")

    async def _prepare_forms(self) -> None:
        """The forms as they are now; the one that was refused with what was typed."""
        form, _, key_id = self.problem_form.partition("-")
        typed = dict(self.typed) if form == "key" else None
        stores = await self._store_names()
        self.new_key = new_key_form(self._require_actor().scopes, stores, typed)
        self.forms_drawn += 1
        if key_id and form in ("edit", "rotate"):
            await self._edit(key_id, dict(self.typed) if form == "edit" else None)
        self.reopens = self.problem_form

    async def _edit(self, key_id: str, typed: Mapping[str, str] | None = None) -> bool:
        """Whether it is a key of this person."""
        actor = self._require_actor()
        mine = [key for key in await wiring.current().keys.list(actor) if key.id == key_id]
        if not mine or mine[0].user_id != actor.user_id or mine[0].is_master:
            return False
        stores = await self._store_names()
        self.edited = edited_key_form(mine[0], actor.scopes, stores, typed)
        self.forms_drawn += 1
        return True

    async def _store_names(self) -> dict[str, str]:
        records = await wiring.current().stores.list(self._require_actor())
        return {record.id: record.name for record in records}

    def _arrange(self, column: object, *, is_descending: bool, search: object) -> None:
        is_known = str(column) in _COLUMNS
        self.sorted_by = str(column) if is_known else "made"
        self.is_descending = is_descending if is_known else True
        # half a character has no address
        self.search = str(search)[:80].encode(errors="replace").decode()
        asked = {
            "sort": ("-" if self.is_descending else "") + self.sorted_by,
            **({"q": self.search} if self.search else {}),
        }
        self.view = f"?{urlencode(asked)}"

    @rx.event
    @handler
    @open_to(Permission.SEE_ACCOUNT)
    async def refresh(self) -> None:
        """Runs when something happens in the account: a key was used, made or revoked."""
        await self._read_keys()

    async def _read_keys(self) -> None:
        services, actor = wiring.current(), self._require_actor()
        keys = await services.keys.list(actor)
        stores = await self._store_names()
        people = await services.activity_log.people(actor)
        masters = [key for key in keys if key.kind == MASTER]
        master = next((key for key in masters if key.replaced_at is None), None)
        self.former_masters = [
            _row(key, now(), stores, people, actor.user_id)
            for key in masters
            if key.replaced_at is not None
        ]
        self.master_hint = master.hint if master else ""
        self.master_default_store = stores.get((master and master.default_store_id) or "", "")
        keys = [key for key in keys if key.kind != MASTER]
        self.total = len(keys)
        wanted = self.search.strip().casefold()
        found = [
            key
            for key in keys
            if any(wanted in text.casefold() for text in (key.name, key.prefix, key.hint))
        ]
        self.has_others = any(key.user_id != actor.user_id for key in keys)
        self.keys = [
            _row(key, now(), stores, people, actor.user_id)
            for key in _in_order(found, self.sorted_by, is_descending=self.is_descending)
        ]


def _in_order(keys: Sequence[KeyView], column: str, *, is_descending: bool) -> list[KeyView]:
    of = _COLUMNS[column]
    return [
        *sorted((key for key in keys if of(key) is not None), key=of, reverse=is_descending),
        *(key for key in keys if of(key) is None),
    ]


def _row(
    key: KeyView,
    moment: datetime,
    stores: Mapping[str, str],
    people: Mapping[str, str],
    me: UserId | None,
) -> KeyRow:
    is_mine = key.user_id is not None and key.user_id == me
    is_over = key.expires_at is not None and key.expires_at <= moment
    chosen = [stores[id_] for id_ in key.store_ids or () if id_ in stores]
    state = REPLACED if key.replaced_at is not None else "Expired" if is_over else ""
    return KeyRow(
        id=key.id,
        name=key.name,
        kind=key.kind,
        prefix=key.prefix,
        hint=f"…{key.hint}",
        scopes="Everything"
        if set(key.scopes) >= ALL_SCOPES
        else ", ".join(
            [*(scope.words for scope in key.scopes), *(half.words for half in key.legacy_scopes)]
        ),
        stores="" if key.store_ids is None else first_few(chosen) or "no store",
        every_store=", ".join(chosen),
        is_read_only=key.is_read_only,
        state=state,
        tone="amber" if state == REPLACED else "red",
        ends=_end(key.expires_at, moment),
        ends_exactly=f"{key.expires_at:%-d %b %Y, %H:%M} UTC" if key.expires_at else "",
        ends_at=stamp(key.expires_at),
        by="" if is_mine else people.get(key.user_id or "", "Somebody who has left"),
        is_mine=is_mine,
        default_store=stores.get(key.default_store_id or "", ""),
        made=ago(key.created_at, moment),
        made_at=stamp(key.created_at),
        used=ago(key.last_used_at, moment) or "Never",
        used_at=stamp(key.last_used_at),
        used_by=" · ".join(part for part in (key.last_client, key.last_address) if part),
    )


def _end(ends: datetime | None, moment: datetime) -> str:
    """A day; within a day from now its time too."""
    if ends is None:
        return ""
    is_soon = moment < ends < moment + timedelta(days=1)
    return f"{ends:%-d %b, %H:%M} UTC" if is_soon else f"{ends:%-d %b %Y}"


def _facts(settings: Settings) -> list[Fact]:
    """For admins: what runs, on what, with which limits; no secret among it."""
    database = (
        "SQLite" if settings.database_url.get_secret_value().startswith("sqlite") else "Postgres"
    )
    pairs = {
        "Version": __version__,
        "Python": platform.python_version(),
        "Environment": settings.app_env,
        "Address": settings.public_url,
        "Database": database,
        "Cache": (
            f"{settings.cache_backend} (orders {settings.cache_ttl_orders} s, products "
            f"{settings.cache_ttl_products} s)"
        ),
        "Workers": str(settings.workers),
        "Calls a minute": f"{settings.rate_limit_rpm} for each account",
        "Session": (
            f"{span(settings.session_timeout)}, {span(settings.session_timeout / 4)} when idle"
        ),
        "Order Desk": settings.orderdesk_api_url,
        "Audit": "on" if settings.enable_audit_log else "off",
    }
    return [Fact(name=name, value=value) for name, value in pairs.items()]
