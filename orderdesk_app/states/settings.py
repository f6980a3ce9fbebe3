"""The account's keys as people may see them, and what runs here."""

import platform
from typing import TypedDict

import reflex as rx

from orderdesk_app import __version__, wiring
from orderdesk_app.config import Settings
from orderdesk_app.context import ALL_SCOPES, Scope, now
from orderdesk_app.services.snippets import claude_code, claude_desktop
from orderdesk_app.states.person import Person, act
from orderdesk_app.states.times import ago, exact, span


class KeyRow(TypedDict):
    """A key without its secret."""

    id: str
    name: str
    kind: str
    hint: str
    scopes: str
    made: str
    made_exact: str
    used: str
    used_exact: str


class Fact(TypedDict):
    name: str
    value: str


class SettingsState(Person):
    loaded: bool = False
    keys: list[KeyRow] = []
    master_hint: str = ""
    facts: list[Fact] = []
    address: str = ""
    claude_desktop: str = ""  # to paste, with a placeholder for the key: a state holds none
    claude_code: str = ""

    @rx.event
    @act
    async def load(self) -> None:
        settings = wiring.current().settings
        self.address = f"{settings.public_url}/mcp"
        self.claude_desktop, self.claude_code = claude_desktop(settings.public_url), claude_code(settings.public_url)
        self.facts = _facts(settings) if self._who().is_admin else []
        await self._read_keys()
        self.loaded = True

    @rx.event
    @act
    async def refresh(self) -> None:
        """Asked every five seconds while somebody looks."""
        await self._read_keys()

    async def _read_keys(self) -> None:
        moment = now()
        rows = []
        for key in await wiring.current().keys.list(self._who()):
            if key.kind == "master":
                self.master_hint = key.hint
                continue
            rows.append(
                KeyRow(
                    id=key.id,
                    name=key.name,
                    kind=key.kind,
                    hint=f"…{key.hint}",
                    scopes="Everything" if set(key.scopes) >= ALL_SCOPES else ", ".join(scope.words for scope in Scope if scope in key.scopes),
                    made=ago(key.created_at, moment),
                    made_exact=exact(key.created_at),
                    used=ago(key.last_used_at, moment) or "Never",
                    used_exact=exact(key.last_used_at),
                )
            )
        self.keys = rows


def _facts(settings: Settings) -> list[Fact]:
    """For admins: what runs, on what, with which limits; no secret among it."""
    database = "SQLite" if settings.database_url.get_secret_value().startswith("sqlite") else "Postgres"
    pairs = {
        "Version": __version__,
        "Python": platform.python_version(),
        "Environment": settings.app_env,
        "Address": settings.public_url,
        "Database": database,
        "Cache": f"{settings.cache_backend} (orders {settings.cache_ttl_orders} s, products {settings.cache_ttl_products} s)",
        "Workers": str(settings.workers),
        "Calls a minute": f"{settings.rate_limit_rpm} for each account",
        "Session": f"{span(settings.session_timeout)}, {span(settings.session_timeout / 4)} when idle",
        "Order Desk": settings.orderdesk_api_url,
        "Audit": "on" if settings.enable_audit_log else "off",
    }
    return [Fact(name=name, value=value) for name, value in pairs.items()]
