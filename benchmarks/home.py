"""What the questions of Home and of the page "All activity" take for an account with 100,000 calls
a day, on SQLite and on Postgres.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from statistics import median
from time import perf_counter

from benchmarks import world
from benchmarks.figures import Figure, at_most
from benchmarks.postgres import postgres
from benchmarks.processes import free_port
from orderdesk_app import wiring
from orderdesk_app.context import Actor, TenantId, Via, now
from orderdesk_app.db.activity_slots import (
    SLOT_MINUTES,
    SLOTS,
    ActivitySlot,
    slot_of,
    slot_start,
)
from orderdesk_app.db.migrate import upgrade
from orderdesk_app.services.activity_filter import read_filter
from orderdesk_app.services.audit import Entry
from orderdesk_app.settings_reader import load_settings
from orderdesk_app.tools.catalogue import every_tool
from orderdesk_app.wiring import Services

ROWS = 200_000  # of two days
ROUNDS = 9
AT_MOST_MS = 50.0
READS = tuple(tool.name for tool in every_tool() if tool.reads)
WRITES = tuple(tool.name for tool in every_tool() if not tool.reads)
FILTERS: dict[str, dict[str, str]] = {
    "no filter": {},
    "a tool": {"tool": "orders_update"},
    "a program": {"client": "Zed"},
    "not found": {"outcome": "NOT_FOUND"},
    "done": {"outcome": "ok"},
    "changes": {"writes": "1"},
    "a store": {"store": "01RARE"},
    "a request": {"request": "request77"},
    "a program and not found": {"client": "Claude", "outcome": "NOT_FOUND"},
    "changes of a program": {"writes": "1", "client": "Zed"},
}
_NUMBERS = (
    "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :rows) "
    "INSERT INTO audit_log (id, at, tenant_id, role, via, client_name, client_version, address, "
    "action, tool, store_row_id, outcome, duration_ms, cached, upstream_requests, request_id, "
    "times) SELECT 'row' || n, {at}, :tenant, '', 'mcp', "
    "CASE WHEN n % 500 = 1 THEN 'Zed' ELSE 'Claude' END, '', '', 'tool', "
    "CASE WHEN n % 500 = 2 THEN 'orders_update' ELSE 'orders_get' END, "
    "CASE WHEN n % 500 = 3 THEN '01RARE' ELSE '01STORE' END, "
    "CASE WHEN n % 500 = 4 THEN 'NOT_FOUND' ELSE 'ok' END, n % 300, {false}, 1, 'request' || n, 1 "
    "FROM numbers"
)
_SQLITE = {
    "at": "strftime('%Y-%m-%d %H:%M:%f000', 'now', '-' || (n * 0.864) || ' seconds')",
    "false": "0",
}
_POSTGRES = {"at": "now() - n * interval '0.864 second'", "false": "false"}


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
        _, key = await services.tenants.make_tenant("Benchmark")
        actor = (await services.access.by_token(key.reveal(), via=Via.MCP)).actor
        form = _SQLITE if services.database.is_sqlite else _POSTGRES
        statement = _NUMBERS.format(**form)
        await services.database.execute(statement, {"rows": ROWS, "tenant": actor.tenant_id})
        async with services.database.write() as session:
            session.add_all(_slots_of_a_day(actor.tenant_id))
        if not services.database.is_sqlite:  # its autovacuum does so within a minute
            await services.database.execute("ANALYZE", {})
        return [
            at_most(
                f"{name}, {engine}", await _milliseconds(services, actor, ask), AT_MOST_MS, "ms"
            )
            for name, ask in _questions(services, actor).items()
        ]


def _slots_of_a_day(tenant_id: TenantId) -> Iterator[ActivitySlot]:
    """The counts of the rows, as the audit log would have added them."""
    for number in range(SLOTS):
        begins_at = slot_start(now() - timedelta(minutes=SLOT_MINUTES * number))
        yield ActivitySlot(
            tenant_id=tenant_id,
            slot=slot_of(begins_at),
            store_row_id="01STORE",
            begins_at=begins_at,
            calls=ROWS // SLOTS,
            errors=0,
            saved=0,
            upstream_requests=ROWS // SLOTS,
            last_call_at=begins_at,
            answered_at=begins_at,
            answered="ok",
        )


def _questions(services: Services, actor: Actor) -> dict[str, Callable[[], Awaitable[object]]]:
    activity, pages = services.activity, services.activity_log
    questions: dict[str, Callable[[], Awaitable[object]]] = {
        "Home: the day": lambda: activity.day(actor),
        "Home: first steps": lambda: activity.first_steps(actor),
        "Home: changes and failures": lambda: activity.notable(actor, reads=READS, count=15),
        "Home: reads": lambda: activity.quiet(actor, reads=READS),
        "All activity: programs to choose": lambda: pages.clients(actor),
    }
    for name, query in FILTERS.items():
        wanted = read_filter(query)
        questions[f"All activity: {name}"] = lambda wanted=wanted: pages.page(
            actor, wanted, writes=WRITES
        )
    return questions


async def _milliseconds(
    services: Services, actor: Actor, ask: Callable[[], Awaitable[object]]
) -> float:
    """The median, each time after another call, so that nothing is kept from the time before."""
    seconds = []
    for _ in range(1 + ROUNDS):
        await services.audit.write(Entry(actor, "tool", tool="orders_get"))
        begun = perf_counter()
        await ask()
        seconds.append(perf_counter() - begun)
    return median(seconds[1:]) * 1000
