"""orders_get from the cache over /mcp beside a bare SDK server: requests a second and CPU a
request, in both kinds of revision.
"""

import asyncio
import re
from pathlib import Path

from benchmarks import world
from benchmarks.bare_server import TOKEN
from benchmarks.calls import LEGACY, MODERN, Call, Connection, call
from benchmarks.figures import Figure, told
from benchmarks.load import Generator, Load
from benchmarks.processes import Server, cores, free_port, granian, orderdesk_serve, serving
from benchmarks.world import World

ROUNDS, SECONDS = 3, 4.0
AT_LEAST = 0.60
ORDER_ID = "100000001"


def measure(
    folder: Path, *, has_webui: bool, rounds: int = ROUNDS, seconds: float = SECONDS
) -> list[Figure]:
    core, load_core = cores()
    generator = Generator(load_core)
    ports = [free_port() for _ in range(4)]
    log = folder / "servers.log"
    given = world.environment(
        folder, port=ports[0], upstream_port=ports[1], database_url=None, has_webui=has_webui
    )
    with (
        serving(
            "upstream",
            granian("benchmarks.upstream:create_app", ports[1]),
            ports[1],
            core=load_core,
            log=log,
        ),
        serving(
            "a bare route",
            granian("benchmarks.bare_server:create_json_app", ports[2]),
            ports[2],
            core=core,
            log=log,
        ) as route,
        serving(
            "the bare SDK server",
            granian("benchmarks.bare_server:create_app", ports[3]),
            ports[3],
            core=core,
            log=log,
        ) as bare,
    ):
        made = asyncio.run(world.build(given, stores=1))
        with serving(
            "orderdesk",
            orderdesk_serve(),
            ports[0],
            core=core,
            log=log,
            environment=made.environment,
        ) as ours:
            return _compare(generator, route, bare, ours, made, rounds, seconds)


def _compare(
    generator: Generator,
    route: Server,
    bare: Server,
    ours: Server,
    made: World,
    rounds: int,
    seconds: float,
) -> list[Figure]:
    calls = {
        revision: (
            call("echo", {"text": "hello"}, token=TOKEN, revision=revision),
            call("orders_get", {"order_id": ORDER_ID}, token=made.token, revision=revision),
        )
        for revision in (MODERN, LEGACY)
    }
    for of_bare, of_ours in calls.values():
        asyncio.run(_must_work(bare, of_bare))
        asyncio.run(_must_work(ours, of_ours))
        generator.drive(bare, of_bare, seconds=1)
        generator.drive(ours, of_ours, seconds=1)
    counted, asked = asyncio.run(_ok_calls(ours)), 0
    figures: list[Figure] = []
    ceiling = 0.0
    seen: dict[str, tuple[list[Load], list[Load]]] = {revision: ([], []) for revision in calls}
    for _ in range(rounds):
        ceiling = max(
            ceiling,
            generator.drive(
                route, Call({"Content-Type": "application/json"}, b"{}"), seconds=seconds / 2
            ).per_second,
        )
        for revision, (of_bare, of_ours) in calls.items():
            seen[revision][0].append(generator.drive(bare, of_bare, seconds=seconds))
            seen[revision][1].append(generator.drive(ours, of_ours, seconds=seconds))
            asked += seen[revision][1][-1].requests
    # 16 requests are under way whenever the generator stops; it does not count those.
    if asyncio.run(_ok_calls(ours)) - counted < asked:
        raise RuntimeError("Some of our answers were errors: the figures say nothing.")
    fastest = max(load.per_second for pair in seen.values() for loads in pair for load in loads)
    is_void = ceiling < 2 * fastest
    figures.append(
        told(
            f"generator ({generator.name}) on a bare route",
            f"{ceiling:.0f}/s{' - too slow: VOID' if is_void else ''}",
        )
    )
    for revision, (bares, mine) in seen.items():
        best_bare, best_ours = (
            max(loads, key=lambda load: load.per_second) for loads in (bares, mine)
        )
        ratio = best_ours.per_second / best_bare.per_second
        name = f"orders_get from cache, {revision}"
        figures.append(
            Figure(
                name,
                f"{ratio:.0%} of bare",
                f"at least {AT_LEAST:.0%}",
                ratio >= AT_LEAST and not is_void,
            )
        )
        for who, best, loads in (("bare SDK", best_bare, bares), ("ours", best_ours, mine)):
            cpu = min(load.cpu_us for load in loads)
            figures.append(
                told(
                    f"  {who}",
                    (
                        f"{best.per_second:.0f}/s, p50 {best.p50_ms:.1f} ms, p99 "
                        f"{best.p99_ms:.1f} ms, CPU {cpu:.0f} us"
                    ),
                )
            )
    return figures


async def _must_work(server: Server, call: Call) -> None:
    connection = await Connection.open(server.port)
    answer = await connection.post(call)
    connection.close()
    if not answer.is_ok:
        raise RuntimeError(f"{server.name} said {answer.status}: {answer.body[:300]!r}")


async def _ok_calls(server: Server) -> int:
    """How many calls of orders_get our own metrics counted as good."""
    connection = await Connection.open(server.port)
    answer = await connection.get("/metrics")
    connection.close()
    lines = re.findall(
        r"^orderdesk_tool_calls_total\{(.*)\} (\S+)$", answer.body.decode(), re.MULTILINE
    )
    return int(
        sum(
            float(count)
            for labels, count in lines
            if 'outcome="ok"' in labels and 'tool="orders_get"' in labels
        )
    )
