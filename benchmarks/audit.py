"""What each page of the audit log takes among 1,000,000 rows, on SQLite and on Postgres: with any
one filter, with every combination of filters within seven days, and what another request waits
meanwhile. And what a link in the chain costs when rows are committed.
"""

import asyncio
import itertools
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from statistics import median
from time import perf_counter, process_time

from benchmarks import world
from benchmarks.figures import Figure, at_most, told
from benchmarks.home import WRITES
from benchmarks.postgres import postgres
from benchmarks.processes import free_port
from benchmarks.users import Waits
from orderdesk_app import wiring
from orderdesk_app.context import Actor, Via, now
from orderdesk_app.db.engine import Database
from orderdesk_app.db.migrate import upgrade
from orderdesk_app.services.activity_filter import ActivityFilter, Place, read_filter
from orderdesk_app.services.audit import MOST_QUEUED, Entry
from orderdesk_app.settings_reader import load_settings
from orderdesk_app.wiring import Services

ROWS = 1_000_000  # of 90 days, of one account
DAYS = 90
ROUNDS = 3
_TRIES = 2  # of a page beyond the target
AT_MOST_MS = 50.0
OTHERS_WAIT_MS = 20.0  # on a machine that does nothing else
# For each filter a value that many rows have, one that few have, and one that none has.
FILTERS: dict[str, dict[str, str]] = {
    "tool": {"many": "orders_get", "few": "orders_update", "none": "orders_delete"},
    "client": {"many": "Claude", "few": "Zed", "none": "Nobody"},
    "outcome": {"many": "ok", "few": "NOT_FOUND", "none": "UNKNOWN"},
    "writes": {"few": "1"},
    "store": {"many": "01STORE", "few": "01RARE", "none": "01NONE"},
    "person": {"few": "{person}", "none": "01NOBODY"},
    "request": {"few": "request77", "none": "nothing"},
}
_BATCHES = 10
# An agent's calls; of 500 rows one of each other kind. Numbers go on from batch to batch.
_NUMBERS = (
    "WITH RECURSIVE numbers(n) AS (SELECT CAST(:first AS INTEGER) UNION ALL "
    "SELECT n + 1 FROM numbers WHERE n < :last) "
    "INSERT INTO audit_log (id, at, tenant_id, user_id, role, via, client_name, client_version, "
    "address, action, tool, store_row_id, outcome, duration_ms, cached, upstream_requests, "
    "request_id, times) SELECT 'row' || n, {at}, :tenant, :person, '', "
    "CASE WHEN n % 500 = 5 THEN 'web' WHEN n % 500 = 6 THEN 'console' ELSE 'mcp' END, "
    "CASE WHEN n % 500 = 1 THEN 'Zed' ELSE 'Claude' END, '', '', "
    "CASE WHEN n % 500 = 5 THEN 'key.create' ELSE 'tool' END, "
    "CASE WHEN n % 500 = 5 THEN NULL WHEN n % 500 = 2 THEN 'orders_update' ELSE 'orders_get' END, "
    "CASE WHEN n % 500 = 3 THEN '01RARE' ELSE '01STORE' END, "
    "CASE WHEN n % 500 = 4 THEN 'NOT_FOUND' ELSE 'ok' END, n % 300, {false}, 1, 'request' || n, 1 "
    "FROM numbers"
)
_SECONDS = DAYS * 86_400 / ROWS
_SQLITE = {
    "at": f"strftime('%Y-%m-%d %H:%M:%f000', 'now', '-' || (n * {_SECONDS}) || ' seconds')",
    "false": "0",
}
_POSTGRES = {"at": f"now() - n * interval '{_SECONDS} second'", "false": "false"}


async def fill(database: Database, actor: Actor, *, rows: int = ROWS) -> None:
    form = _SQLITE if database.is_sqlite else _POSTGRES
    size = rows // _BATCHES
    for number in range(_BATCHES):
        given = {"first": number * size + 1, "last": (number + 1) * size}
        owner = {"tenant": actor.tenant_id, "person": actor.user_id}
        await database.execute(_NUMBERS.format(**form), {**given, **owner})
    await database.execute("ANALYZE", {})  # Postgres' autovacuum does so within a minute


def measure(folder: Path, *, has_webui: bool) -> list[Figure]:
    figures = asyncio.run(_on("SQLite", None, folder, has_webui=has_webui))
    with postgres() as url:
        return figures + asyncio.run(_on("Postgres", url, folder, has_webui=has_webui))


async def _on(engine: str, url: str | None, folder: Path, *, has_webui: bool) -> list[Figure]:
    given = world.environment(
        folder, port=free_port(), upstream_port=free_port(), database_url=url, has_webui=has_webui
    )
    settings = load_settings({**given, "DATABASE_STATEMENT_TIMEOUT": "600"})
    upgrade(settings.database_url.get_secret_value())
    async with wiring.open_services(settings) as services:
        account, _ = await services.tenants.make_tenant("Benchmark")
        actor = account.owner(Via.WEB)
        await fill(services.database, actor)
        waits = Waits()
        waiting = asyncio.create_task(waits.measure())
        figures = [
            *await _slowest(services, actor, "one filter", engine, _single(actor)),
            *await _slowest(services, actor, "filters of 7 days", engine, _combined(actor)),
        ]
        waiting.cancel()
        figures.append(
            at_most(
                f"Audit: what another request waits meanwhile, 99 of 100, {engine}",
                waits.of_hundred(99),
                OTHERS_WAIT_MS,
                "ms",
            )
        )
        return [*figures, *await _links(services, actor, engine)]


def _single(actor: Actor) -> list[tuple[str, dict[str, str]]]:
    """No filter, and each value of each one alone, over all of the time."""
    found: list[tuple[str, dict[str, str]]] = [("none", {})]
    for name, values in FILTERS.items():
        for kind, value in values.items():
            found.append((f"{name} of {kind}", {name: value.format(person=actor.user_id)}))
    return found


def _combined(actor: Actor) -> list[tuple[str, dict[str, str]]]:
    """Every combination of filters, each of them set or not, within seven days: the latest ones and
    some of a month ago. Which values are set goes round.
    """
    found = []
    kinds = itertools.cycle(["many", "few", "none", "few", "many"])
    for chosen in itertools.product((False, True), repeat=len(FILTERS)):
        names = [name for name, is_set in zip(FILTERS, chosen, strict=True) if is_set]
        for until in (0, 30):
            days = [now().date() - timedelta(days=days) for days in (until + 6, until)]
            query = {"from": days[0].isoformat(), "to": days[1].isoformat()}
            for name in names:
                values = FILTERS[name]
                value = values.get(next(kinds)) or next(iter(values.values()))
                query[name] = value.format(person=actor.user_id)
            words = " ".join(f"{name}={value}" for name, value in query.items() if name in names)
            found.append((f"{words or 'none'}, {until} days ago", query))
    return found


async def _slowest(
    services: Services,
    actor: Actor,
    name: str,
    engine: str,
    queries: Sequence[tuple[str, dict[str, str]]],
) -> list[Figure]:
    """The median and the slowest of all pages of these queries: the first, one from the middle on,
    the one before that, and the last.
    """
    middle = Place(now() - timedelta(days=DAYS // 2), "row")
    end = Place(now() - timedelta(days=DAYS + 1), "row")
    took: list[tuple[float, str]] = []
    for words, query in queries:
        wanted = read_filter(query)
        if "from" in query:
            day = (wanted.begin or now()) + timedelta(days=3)
            middle, end = Place(day, "row"), Place(wanted.begin or day, "row")
        ways: dict[str, dict[str, Place]] = {
            "first page": {},
            "middle page": {"before": middle},
            "page before the middle": {"after": middle},
            "last page": {"after": end},
        }
        for where, way in ways.items():
            milliseconds = await _milliseconds(services, actor, wanted, way)
            for _ in range(_TRIES):  # what else the machine does hits one of a thousand pages
                if milliseconds <= AT_MOST_MS:
                    break
                again = await _milliseconds(services, actor, wanted, way)
                milliseconds = min(milliseconds, again)
            took.append((milliseconds, f"{words}, {where}"))
    slowest, where = max(took)
    middle_ms = median(milliseconds for milliseconds, _ in took)
    return [
        told(f"Audit: {len(took)} pages, {name}, median, {engine}", f"{middle_ms:.1f} ms"),
        at_most(f"Audit: {name}, slowest ({where}), {engine}", slowest, AT_MOST_MS, "ms"),
    ]


async def _milliseconds(
    services: Services, actor: Actor, wanted: ActivityFilter, way: Mapping[str, Place]
) -> float:
    seconds = []
    for _ in range(1 + ROUNDS):
        begun = perf_counter()
        await services.activity_log.page(actor, wanted, writes=WRITES, **way)
        seconds.append(perf_counter() - begun)
    return median(seconds[1:]) * 1000


async def _links(services: Services, actor: Actor, engine: str) -> list[Figure]:
    """What a queued row costs when it is committed with others, its link included; and how fast a
    chain is verified.
    """
    costs = []
    for _ in range(5):
        for _ in range(MOST_QUEUED - 1):
            await services.audit.queue(Entry(actor, "tool", tool="orders_get"))
        begun = process_time()
        await services.audit.flush()
        costs.append((process_time() - begun) / (MOST_QUEUED - 1) * 1_000_000)
    begun = perf_counter()
    async for report in services.audit_verification.verify(tenant_id=actor.tenant_id):
        rows = report.whole
    speed = rows / (perf_counter() - begun)
    return [
        told(f"Audit: CPU a row when 1,999 are committed, {engine}", f"{min(costs):.0f} µs"),
        told(f"Audit: rows a second that are verified, {engine}", f"{speed:,.0f}"),
    ]
