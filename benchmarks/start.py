"""How long the second start takes, from the command to the first answer of /health/ready; the
database is there and nothing is built.
"""

import asyncio
from pathlib import Path
from statistics import median
from time import perf_counter

from benchmarks import world
from benchmarks.calls import Connection
from benchmarks.figures import Figure, at_most, told
from benchmarks.processes import cores, free_port, orderdesk_serve, serving

STARTS = 5
AT_MOST_SECONDS = 5.0


def measure(folder: Path, *, has_webui: bool) -> list[Figure]:
    core, _ = cores()
    given = world.environment(
        folder, port=free_port(), upstream_port=free_port(), database_url=None, has_webui=has_webui
    )
    seconds = [_start(folder, given, core) for _ in range(1 + STARTS)][1:]
    return [
        at_most("second start, ready", median(seconds), AT_MOST_SECONDS, "s", digits=2),
        told("  shortest and longest", f"{min(seconds):.2f} s, {max(seconds):.2f} s"),
    ]


def _start(folder: Path, given: dict[str, str], core: int) -> float:
    begun, port = perf_counter(), int(given["PORT"])
    with serving(
        "orderdesk",
        orderdesk_serve(),
        port,
        core=core,
        log=folder / "servers.log",
        environment=given,
    ):
        ready = asyncio.run(_is_ready(port))
        took = perf_counter() - begun
    if not ready:
        raise RuntimeError("The server answers, and is not ready: the figure says nothing.")
    return took


async def _is_ready(port: int) -> bool:
    connection = await Connection.open(port)
    answer = await connection.get("/health/ready")
    connection.close()
    return answer.status == 200
