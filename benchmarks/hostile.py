"""What one hostile request costs the others: how long it delays `/health/live`, what hostile
sockets leave in memory, how long rotations of a master key delay another account, and how many
bytes refused calls leave on the disk.
"""

import asyncio
import contextlib
import json
import secrets
import sqlite3
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from statistics import median

from benchmarks import hostile_sockets, world
from benchmarks.calls import Call, Connection, call
from benchmarks.figures import Figure, at_most
from benchmarks.processes import Server, cores, free_port, granian, orderdesk_serve, serving
from benchmarks.upstream import DOUBLY_PACKED_ORDER, PACKED_ORDER, UNASKED_ORDER
from benchmarks.world import World
from orderdesk_app import wiring
from orderdesk_app.context import Secret, Via
from orderdesk_app.settings_reader import load_settings

PROBES, RUNS = 200, 3
PAUSE_SECONDS = 0.001  # between two probes
AT_MOST_MS = 50.0
REFUSED_CALLS = 10_000
AT_MOST_KB = 50.0
ROTATIONS = 60
AT_MOST_ROTATION_MS = 500.0  # one hash of another account may be under way, and two have two cores
_SETTLE_SECONDS = 2

Hostile = Callable[[Connection], Awaitable[object]]


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
    ):
        made = asyncio.run(world.build(given, stores=1))
        with serving(
            "orderdesk", orderdesk_serve(), port, core=core, log=log, environment=made.environment
        ) as ours:
            memory = hostile_sockets.measure(ours, made) if has_webui else []
            delays = asyncio.run(_delays(ours, made))
        # A new server knows no refusal yet: in a minute with earlier ones, refusals would be
        # counted instead of written down.
        before = _bytes_on_disk(folder)
        with serving(
            "orderdesk", orderdesk_serve(), port, core=core, log=log, environment=made.environment
        ) as ours:
            asyncio.run(_refused_calls(ours, made))
            time.sleep(_SETTLE_SECONDS)
        # the server has stopped: every count has its row
        kb = (_bytes_on_disk(folder) - before) / REFUSED_CALLS
    return [
        *delays,
        asyncio.run(_rotations(given)),
        *memory,
        at_most("bytes on disk per 1,000 refused calls", kb, AT_MOST_KB, "kB"),
    ]


# ------------------------------------------------------------------ delays


def _kinds(made: World) -> dict[str, Hostile]:
    """Each kind of request that once stopped the service for others."""

    def of(call_: Call) -> Hostile:
        return lambda connection: connection.post(call_)

    def tool(name: str, **arguments: object) -> Hostile:
        return of(call(name, arguments, token=made.token))

    def update(**changes: object) -> Hostile:
        return tool("orders_update", order_id="1", changes=changes)

    def raw(body: bytes) -> Hostile:
        return of(Call(call("stores_list", {}, token=made.token).headers, body))

    def read(order_id: int) -> Hostile:
        return tool("orders_get", order_id=str(order_id))

    most = 19_000  # values just below the limit of a body
    return {
        "900,000 notes": update(order_notes=["x"] * 900_000),
        f"{most:,} notes": update(order_notes=["x"] * most),
        f"{most:,} discounts": update(discount_list=[5] * most),
        "4 MiB of [],": raw(b"[" + b"[]," * (4 * 1024 * 1024 // 3 - 10) + b"[]]"),
        "4 MiB of one text": update(email="x" * (4 * 1024 * 1024 - 2_000)),
        "4 MiB of one name": update(**{"x" * (4 * 1024 * 1024 - 2_000): 1}),
        "4 MiB of escapes": raw(b'["' + b"\\u00e9" * (4 * 1024 * 1024 // 6 - 10) + b'"]'),
        "500 items of 38 unknown fields": update(order_items=[_names(38)] * 490),
        "480 new items of 37 values": update(order_items=[_item(34)] * 480),
        "250,000 unknown arguments": tool("stores_list", **_names(250_000)),
        f"{most:,} unknown arguments": tool("stores_list", **_names(most)),
        "JSON in quotes": tool("orders_update", order_id="1", changes=json.dumps([["x"]] * 9_000)),
        "an unknown tool": tool("x" * 100_000),
        "a wrong key": of(call("stores_list", {}, token="odk_" + "x" * 43)),
        "an answer that unpacks to 512 MiB": read(PACKED_ORDER),
        "an answer that was packed twice": read(DOUBLY_PACKED_ORDER),
        "an answer in an encoding that was not asked for": read(UNASKED_ORDER),
    }


def _names(count: int) -> dict[str, int]:
    return {f"n{number}": 1 for number in range(count)}


def _item(options: int) -> dict[str, object]:
    return {"name": "Mug", "code": "MUG", "price": 1, "variation_list": _names(options)}


async def _delays(ours: Server, made: World) -> list[Figure]:
    figures: list[Figure] = []
    await _worst_probe(ours, None)
    for name, hostile in _kinds(made).items():
        delays: list[float] = []
        for _ in range(RUNS):
            idle = await _worst_probe(ours, None)
            delays.append(max(0.0, await _worst_probe(ours, hostile) - idle))
        figures.append(at_most(f"delay of others by {name}", median(delays), AT_MOST_MS, "ms"))
    return figures


async def _worst_probe(ours: Server, hostile: Hostile | None) -> float:
    """Milliseconds of the slowest of 200 probes and more, as long as the hostile request takes."""
    probing, attacking = await Connection.open(ours.port), await Connection.open(ours.port)
    attack: asyncio.Task[None] | None = None
    worst = 0.0
    count = 0
    while count < PROBES or (attack is not None and not attack.done()):
        if count == PROBES // 10 and hostile is not None:
            attack = asyncio.create_task(_attack(hostile, attacking))
        answer = await probing.get("/health/live")
        if answer.status != 200:
            raise RuntimeError(f"/health/live said {answer.status}")
        worst = max(worst, answer.seconds)
        count += 1
        await asyncio.sleep(PAUSE_SECONDS)
    if attack is not None:
        await attack
    probing.close()
    attacking.close()
    return worst * 1000


async def _attack(hostile: Hostile, connection: Connection) -> None:
    # the server may hang up on it
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        await hostile(connection)


# ------------------------------------------------------------------ rotations


async def _rotations(given: Mapping[str, str]) -> Figure:
    """How much longer the first call of an account takes, which checks its key by bcrypt, while
    another account rotates its master key sixty times. In this process, on the server's database.
    """
    delays: list[float] = []
    async with wiring.open_services(load_settings(given)) as services:
        for _ in range(RUNS):
            quiet, other, rotating = [
                (await services.tenants.make_tenant(f"Account {secrets.token_hex(4)}"))[1]
                for _ in range(3)
            ]
            actor = (await services.access.by_token(rotating.reveal(), via=Via.SYSTEM)).actor
            idle = await _first_call(services, quiet)
            rotations = [
                asyncio.ensure_future(services.keys.rotate_master(actor)) for _ in range(ROTATIONS)
            ]
            await asyncio.sleep(PAUSE_SECONDS)
            delays.append(max(0.0, await _first_call(services, other) - idle))
            await asyncio.gather(*rotations, return_exceptions=True)  # most are over the limit
    return at_most(
        f"delay of another's first call by {ROTATIONS} rotations of a master key",
        median(delays) * 1000,
        AT_MOST_ROTATION_MS,
        "ms",
    )


async def _first_call(services: wiring.Services, key: Secret) -> float:
    begun = time.perf_counter()
    await services.access.by_token(key.reveal(), via=Via.MCP)
    return time.perf_counter() - begun


# ------------------------------------------------------------------ refused calls


async def _refused_calls(ours: Server, made: World) -> None:
    """Wrong arguments, an unknown tool and a wrong key, in turn."""
    connection = await Connection.open(ours.port)
    kinds = (
        call("orders_get", {"order_id": "no digits", "fields": ["x" * 1_000]}, token=made.token),
        call("orders_update", {"order_id": "1", "changes": {"no": "x" * 5_000}}, token=made.token),
        call("orders_eat", {}, token=made.token),
        call("stores_list", {}, token="odk_" + "y" * 43),
    )
    for number in range(REFUSED_CALLS):
        answer = await connection.post(kinds[number % len(kinds)])
        if answer.is_ok:
            raise RuntimeError("A call was not refused: the figure says nothing.")
    connection.close()


def _bytes_on_disk(folder: Path) -> int:
    """Of the database whose server has stopped, with the WAL put into the file: a WAL that was left
    behind and emptied later would hide what grew.
    """
    path = folder / "app.db"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path.stat().st_size
