"""The account's keys as people may see them, and what runs here."""

import platform
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, TypedDict
from urllib.parse import urlencode

import reflex as rx

from orderdesk_app import __version__, wiring
from orderdesk_app.config import Settings
from orderdesk_app.context import ALL_SCOPES, UserId, now
from orderdesk_app.services.callers import open_to
from orderdesk_app.services.key_views import MASTER, KeyView
from orderdesk_app.services.roles import Permission
from orderdesk_app.states.signed_in import SignedInState, handler
from orderdesk_app.states.times import ago, span, stamp

_COLUMNS: Final[dict[str, Callable[[KeyView], Any]]] = {
    "name": lambda key: key.name.casefold(),
    "made": lambda key: key.created_at,
    "used": lambda key: key.last_used_at,
}


class KeyRow(TypedDict):
    """A key without its secret."""

    id: str
    name: str
    kind: str
    hint: str
    scopes: str
    by: str  # who made it; empty for the one who looks
    is_mine: bool
    default_store: str  # empty for none
    made: str
    made_at: str
    used: str
    used_at: str


class Fact(TypedDict):
    name: str
    value: str


class SettingsState(SignedInState):
    loaded: bool = False
    keys: list[KeyRow] = []  # those that were looked for
    total: int = 0
    has_others: bool = False  # keys that somebody else made
    offered: list[str] = []  # the scopes that a new key of this person may have
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
        """The keys whose name or last characters have that text in them."""
        self._arrange(self.sorted_by, is_descending=self.is_descending, search=text)
        await self._read_keys()

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
        stores: dict[str, str] = {
            record.id: record.name for record in await services.stores.list(actor)
        }
        people = await services.activity_log.people(actor)
        master = next((key for key in keys if key.kind == MASTER), None)
        self.master_hint = master.hint if master else ""
        self.master_default_store = stores.get((master and master.default_store_id) or "", "")
        keys = [key for key in keys if key.kind != MASTER]
        self.total = len(keys)
        wanted = self.search.strip().casefold()
        found = [
            key for key in keys if wanted in key.name.casefold() or wanted in key.hint.casefold()
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
    return KeyRow(
        id=key.id,
        name=key.name,
        kind=key.kind,
        hint=f"…{key.hint}",
        scopes="Everything"
        if set(key.scopes) >= ALL_SCOPES
        else ", ".join(
            [*(scope.words for scope in key.scopes), *(half.words for half in key.legacy_scopes)]
        ),
        by="" if is_mine else people.get(key.user_id or "", "Somebody who has left"),
        is_mine=is_mine,
        default_store=stores.get(key.default_store_id or "", ""),
        made=ago(key.created_at, moment),
        made_at=stamp(key.created_at),
        used=ago(key.last_used_at, moment) or "Never",
        used_at=stamp(key.last_used_at),
    )


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
