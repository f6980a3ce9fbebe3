"""Many calls at the same moment, on SQLite and on Postgres: none fails, none waits long, identical
reads share one request; and the server's memory.
"""

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import world
from benchmarks.calls import Call, Connection, call, percentile
from benchmarks.figures import Figure, at_most, told
from benchmarks.postgres import postgres
from benchmarks.processes import Server, cores, free_port, granian, orderdesk_serve, serving
from benchmarks.world import World

AT_ONCE, ROUNDS, STORES = 64, 5, 5
IDENTICAL = 100
AT_MOST_MS, AT_MOST_MB = 1000.0, 250.0
REST_SECONDS = 5


def measure(folder: Path, *, has_webui: bool) -> list[Figure]:
    figures = _on("SQLite", None, folder, has_webui=has_webui)
    with postgres() as url:
        (folder / "postgres").mkdir()
        return figures + _on("Postgres", url, folder / "postgres", has_webui=has_webui)


def _on(engine: str, database_url: str | None, folder: Path, *, has_webui: bool) -> list[Figure]:
    core, other_core = cores()
    port, upstream_port = free_port(), free_port()
    log = folder / "servers.log"
    given = world.environment(
        folder,
        port=port,
        upstream_port=upstream_port,
        database_url=database_url,
        has_webui=has_webui,
    )
    with serving(
        "upstream",
        granian("benchmarks.upstream:create_app", upstream_port),
        upstream_port,
        core=other_core,
        log=log,
    ) as upstream:
        made = asyncio.run(world.build(given, stores=STORES))
        with serving(
            "orderdesk", orderdesk_serve(), port, core=core, log=log, environment=made.environment
        ) as ours:
            time.sleep(REST_SECONDS)
            fresh = ours.resident_mb()
            figures = asyncio.run(_all_at_once(engine, ours, upstream, made))
            time.sleep(REST_SECONDS)
            name = (
                f"memory of the server at rest, {engine}{'' if has_webui else ', without web app'}"
            )
            figures.append(
                at_most(name, max(fresh, ours.resident_mb()), AT_MOST_MB, "MB", digits=0)
            )
            figures.append(told("  after its start", f"{fresh:.0f} MB"))
            return figures


async def _all_at_once(engine: str, ours: Server, upstream: Server, made: World) -> list[Figure]:
    connections = [await Connection.open(ours.port) for _ in range(IDENTICAL)]
    stores = made.store_ids
    calls: dict[str, Callable[[int], Call]] = {
        "stores_list": lambda number: call("stores_list", {}, token=made.token),
        "stores_resolve": lambda number: call(
            "stores_resolve", {"identifier": f"Shop {stores[number % STORES]}"}, token=made.token
        ),
        "stores_use_store": lambda number: call(
            "stores_use_store", {"identifier": stores[number % STORES]}, token=made.token
        ),
        "orders_get from cache": lambda number: _order(made, 1),
    }
    figures: list[Figure] = []
    for name, make in calls.items():
        if name.startswith("orders_get"):
            await connections[0].post(_order(made, 1))
        seen = [
            answer
            for _ in range(ROUNDS)
            for answer in await _at_once(
                connections[:AT_ONCE], [make(number) for number in range(AT_ONCE)]
            )
        ]
        slowest = percentile([seconds for seconds, _ in seen], 99) * 1000
        failed = sum(not is_ok for _, is_ok in seen)
        value = f"p99 {slowest:.0f} ms, {failed} errors"
        figures.append(
            Figure(
                f"{AT_ONCE} at once: {name}, {engine}",
                value,
                f"p99 under {AT_MOST_MS:.0f} ms, 0 errors",
                slowest < AT_MOST_MS and not failed,
            )
        )
    seen = await _at_once(connections, [_order(made, 2)] * IDENTICAL)
    asked = json.loads((await (await Connection.open(upstream.port)).get("/asked")).body)["2"]
    failed = sum(not is_ok for _, is_ok in seen)
    value = f"{asked} upstream request{'' if asked == 1 else 's'}, {failed} errors"
    figures.append(
        Figure(
            f"{IDENTICAL} identical reads at once, {engine}",
            value,
            "1 upstream request, 0 errors",
            asked == 1 and not failed,
        )
    )
    for connection in connections:
        connection.close()
    return figures


async def _at_once(connections: list[Connection], calls: list[Call]) -> list[tuple[float, bool]]:
    answers = await asyncio.gather(
        *(connection.post(asked) for connection, asked in zip(connections, calls, strict=True))
    )
    return [(answer.seconds, answer.is_ok) for answer in answers]


def _order(made: World, number: int) -> Call:
    return call(
        "orders_get",
        {"order_id": str(number), "store_identifier": made.store_ids[0]},
        token=made.token,
    )
