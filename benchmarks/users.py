"""What each page of the list of users takes for an operator of 100,000 users, on SQLite and on
Postgres: with any one filter, any sort, and at the first, a middle and the last page. And what
another request waits meanwhile.
"""

import asyncio
import itertools
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median
from time import perf_counter

from benchmarks import world
from benchmarks.figures import Figure, at_most, told
from benchmarks.postgres import postgres
from benchmarks.processes import free_port
from orderdesk_app import wiring
from orderdesk_app.context import Actor, Via, now
from orderdesk_app.db.engine import Database
from orderdesk_app.db.migrate import upgrade
from orderdesk_app.services.user_filter import SORTS, UserFilter, UserPlace
from orderdesk_app.settings_reader import load_settings
from orderdesk_app.wiring import Services

ROWS = 100_000
ROUNDS = 5
AT_MOST_MS = 50.0
OTHERS_WAIT_MS = 20.0  # on a machine that does nothing else
_PAUSE = 0.005
FILTERS: dict[str, dict[str, str]] = {
    "everybody": {},
    "active": {"state": "active"},
    "disabled": {"state": "disabled"},
    "operators": {"state": "operator"},
    "owners": {"role": "owner"},
    "members": {"role": "member"},
    "viewers": {"role": "viewer"},
    "a search that finds nobody": {"search": "zz"},
    "a search that finds one": {"search": "user77@"},
    "a search that finds 1,000": {"search": "ka"},
    "a search that finds 10,000": {"search": "b"},
    "a search that finds all": {"search": "user"},
}
# As alphabets of names are: a to l, each with 1 of 12 users, "ka" with 1 of 100.
_NAME = (
    "substr('abcdefghijkl', 1 + n * 7 % 12, 1) || substr('eaiou', 1 + n % 5, 1) || ' user ' || n"
)
_NUMBERS = (
    "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :rows) "
)
_USERS = (
    "INSERT INTO users (id, name, email, is_operator, created_at, disabled_at, last_sign_in_at, "
    "last_active_at) SELECT 'u' || n, {name}, "
    "CASE WHEN n % 10 > 0 THEN 'user' || n || '@example.com' END, n % 1000 = 1, {at}, "
    "CASE WHEN n % 20 = 3 THEN {at} END, CASE WHEN n % 3 > 0 THEN {later} END, "
    "CASE WHEN n % 2 > 0 THEN {later} END FROM numbers"
)
_TENANTS = "INSERT INTO tenants (id, name, created_at) SELECT 't' || n, {name}, {at} FROM numbers"
_MEMBERSHIPS = (
    "INSERT INTO memberships (tenant_id, user_id, role, created_at) SELECT 't' || n, 'u' || n, "
    "CASE WHEN n % 50 = 7 THEN 'viewer' WHEN n % 10 = 6 THEN 'member' ELSE 'owner' END, {at} "
    "FROM numbers"
)
_STORES = (
    "INSERT INTO stores (id, tenant_id, store_id, name, label, api_url, api_key, is_sandbox, "
    "timezone, folders, settings, created_at, updated_at) SELECT 's' || n, 't' || n, '1', 'Shop', "
    "'', '', {key}, {false}, 'UTC', '[]', '{{}}', {at}, {at} FROM numbers"
)
_DAYS = (
    "INSERT INTO user_days (user_id, day, calls) SELECT 'u' || n, {day}, n % 100 "
    "FROM numbers, (SELECT 1 AS back UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 UNION SELECT 5) "
    "AS days WHERE n % 4 = 0"
)
_SQLITE = {
    "name": _NAME,
    "at": "strftime('%Y-%m-%d %H:%M:%f000', 'now', '-' || (n * 600) || ' seconds')",
    "later": "strftime('%Y-%m-%d %H:%M:%f000', 'now', '-' || (n * 7919 % 100000) || ' seconds')",
    "day": "date('now', '-' || back || ' days')",
    "key": "x'00'",
    "false": "0",
}
_POSTGRES = {
    "name": _NAME,
    "at": "now() - n * interval '600 second'",
    "later": "now() - (n * 7919 % 100000) * interval '1 second'",
    "day": "current_date - back",
    "key": "'\\x00'::bytea",
    "false": "false",
}


async def fill(database: Database, *, rows: int = ROWS) -> None:
    """As many users as there are rows, each with an account, a store, and calls of some days."""
    form = _SQLITE if database.is_sqlite else _POSTGRES
    for statement in (_TENANTS, _USERS, _MEMBERSHIPS, _STORES, _DAYS):
        await database.execute(_NUMBERS + statement.format(**form), {"rows": rows})
    await database.execute("ANALYZE", {})  # Postgres' autovacuum does so within a minute


def measure(folder: Path, *, has_webui: bool) -> list[Figure]:
    figures = asyncio.run(_on("SQLite", None, folder, has_webui=has_webui))
    with postgres() as url:
        return figures + asyncio.run(_on("Postgres", url, folder, has_webui=has_webui))


async def _on(engine: str, url: str | None, folder: Path, *, has_webui: bool) -> list[Figure]:
    given = world.environment(
        folder, port=free_port(), upstream_port=free_port(), database_url=url, has_webui=has_webui
    )
    settings = load_settings(given)
    upgrade(settings.database_url.get_secret_value())
    async with wiring.open_services(settings) as services:
        account, _ = await services.tenants.make_tenant("Operator", is_operator=True)
        actor = account.owner(Via.WEB)
        await fill(services.database)
        figures: list[Figure] = []
        waits = Waits()
        waiting = asyncio.create_task(waits.measure())
        for name, given_filter in FILTERS.items():
            took: list[tuple[float, str]] = []
            for sort, is_descending in itertools.product(SORTS, (False, True)):
                wanted = UserFilter(**given_filter, sort=sort, is_descending=is_descending)
                order = "falling" if is_descending else "rising"
                for place, seconds in await _pages(services, actor, wanted):
                    took.append((seconds * 1000, f"{sort} {order}, {place}"))
            slowest, where = max(took)
            middle = median(milliseconds for milliseconds, _ in took)
            figures.append(told(f"Users: {name}, median, {engine}", f"{middle:.1f} ms"))
            figures.append(
                at_most(f"Users: {name}, slowest ({where}), {engine}", slowest, AT_MOST_MS, "ms")
            )
        waiting.cancel()
        figures.append(
            at_most(
                f"Users: what another request waits meanwhile, 99 of 100, {engine}",
                waits.of_hundred(99),
                OTHERS_WAIT_MS,
                "ms",
            )
        )
        return figures


class Waits:
    """How long the event loop keeps somebody else waiting, every few milliseconds."""

    def __init__(self) -> None:
        self._milliseconds: list[float] = []

    async def measure(self) -> None:
        while True:
            due = perf_counter() + _PAUSE
            await asyncio.sleep(_PAUSE)
            self._milliseconds.append((perf_counter() - due) * 1000)

    def of_hundred(self, share: int) -> float:
        """The longest wait of that share of all."""
        in_order = sorted(self._milliseconds)
        return in_order[len(in_order) * share // 100]


async def _pages(services: Services, actor: Actor, wanted: UserFilter) -> list[tuple[str, float]]:
    """How long the first, a middle and the last page take: the median of each."""
    middle, end = _places(wanted)
    ways: dict[str, dict[str, UserPlace]] = {
        "first page": {},
        "middle page": {"after": middle},
        "page before the middle": {"before": middle},
        "last page": {"before": end},
    }
    took = []
    for name, way in ways.items():
        seconds = []
        for _ in range(1 + ROUNDS):
            begun = perf_counter()
            await services.users.page(actor, wanted, **way)
            seconds.append(perf_counter() - begun)
        took.append((name, median(seconds[1:])))
    return took


def _places(wanted: UserFilter) -> tuple[UserPlace, UserPlace]:
    """About the middle of the list, and behind its end."""
    ago = {"created": timedelta(seconds=ROWS * 300), "signed_in": timedelta(seconds=50_000)}
    middle: str | datetime = {"name": "f", "email": "user5"}.get(
        wanted.sort, now() - ago.get(wanted.sort, ago["signed_in"])
    )
    key = "" if wanted.is_descending else "~"
    if wanted.sort == "name":
        return UserPlace(middle, key), UserPlace("" if wanted.is_descending else "~", key)
    if wanted.sort == "created":
        end = now() - timedelta(days=9999) if wanted.is_descending else now()
        return UserPlace(middle, key), UserPlace(end, key)
    return UserPlace(middle, key), UserPlace(None, key)
