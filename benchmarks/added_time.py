"""How much time we add to a read that the cache cannot answer, beside a bare call of the same
upstream in the same run.
"""

import asyncio
import json
from pathlib import Path

from benchmarks import world
from benchmarks.calls import Call, Connection, call, percentile
from benchmarks.figures import Figure, at_most, told
from benchmarks.processes import Server, cores, free_port, granian, orderdesk_serve, serving
from benchmarks.world import World

STORES, READS = 50, 500
AT_MOST_MS = 6.0
FIRST_ORDER = 300_000_000


def measure(folder: Path, *, has_webui: bool) -> list[Figure]:
    core, other_core = cores()
    port, upstream_port = free_port(), free_port()
    log = folder / "servers.log"
    given = world.environment(
        folder, port=port, upstream_port=upstream_port, database_url=None, has_webui=has_webui
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
            return asyncio.run(_read_all(ours, upstream, made))


async def _read_all(ours: Server, upstream: Server, made: World) -> list[Figure]:
    to_us, past_us = await Connection.open(ours.port), await Connection.open(upstream.port)
    asked_before = await _asked(past_us)
    for warm in range(STORES):
        await _read(to_us, _call(made, warm))
    bare_ms: list[float] = []
    our_ms: list[float] = []
    for number in range(STORES, STORES + READS):
        # One after the other and in turn: what the machine does meanwhile, it does to both.
        bare_ms.append((await past_us.get(f"/api/v2/orders/{FIRST_ORDER - number}")).seconds * 1000)
        our_ms.append(await _read(to_us, _call(made, number)))
    if await _asked(past_us) - asked_before != STORES + 2 * READS:
        raise RuntimeError("Not every read went upstream exactly once: the figures say nothing.")
    to_us.close()
    past_us.close()
    bare, mine = percentile(bare_ms, 50), percentile(our_ms, 50)
    return [
        at_most(
            "time added to an uncached orders_get, p50", mine - bare, AT_MOST_MS, "ms", digits=2
        ),
        told(
            "  bare call of the upstream",
            f"p50 {bare:.2f} ms, p99 {percentile(bare_ms, 99):.2f} ms",
        ),
        told("  orders_get over /mcp", f"p50 {mine:.2f} ms, p99 {percentile(our_ms, 99):.2f} ms"),
    ]


def _call(made: World, number: int) -> Call:
    arguments = {
        "order_id": str(FIRST_ORDER + number),
        "store_identifier": made.store_ids[number % STORES],
    }
    return call("orders_get", arguments, token=made.token)


async def _read(connection: Connection, asked: Call) -> float:
    answer = await connection.post(asked)
    if not answer.is_ok or answer.told["result"]["structuredContent"]["cached"]:
        raise RuntimeError(f"orders_get said {answer.status}: {answer.body[:300]!r}")
    return answer.seconds * 1000


async def _asked(upstream: Connection) -> int:
    told: dict[str, int] = json.loads((await upstream.get("/asked")).body)
    return sum(told.values())
