"""What many tenants cost: a call among 10,000 of them beside one alone, and finding a key or a
session among 100,000, on SQLite and on Postgres.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from statistics import median
from time import perf_counter

from benchmarks import world
from benchmarks.calls import Connection, call, percentile
from benchmarks.figures import Figure, at_most, told
from benchmarks.many_tenants import fill
from benchmarks.postgres import databases
from benchmarks.processes import cores, free_port, granian, orderdesk_serve, serving
from benchmarks.world import FIRST_STORE
from orderdesk_app import wiring
from orderdesk_app.config import Settings
from orderdesk_app.context import Secret, Via, now
from orderdesk_app.db.migrate import upgrade
from orderdesk_app.orderdesk.wait_budget import WaitBudget
from orderdesk_app.security.passwords import Passwords
from orderdesk_app.security.web import SessionCookies
from orderdesk_app.settings_reader import load_settings
from orderdesk_app.wiring import Services

FEW, MANY, VERY_MANY = 300, 10_000, 100_000
STORES, READS = 50, 400
LOOKUPS = 1500
MOST_RATIO = 1.10
MOST_ADDED_MS = 1.0
MOST_ADDED_WAIT_MS = 50.0
_FIRST_ORDER = 300_000_000


def measure(folder: Path, *, has_webui: bool) -> list[Figure]:
    figures: list[Figure] = []
    with databases() as new_database:
        for engine in ("SQLite", "Postgres"):
            urls = [new_database() if engine == "Postgres" else None for _ in range(4)]
            places = [folder / f"{engine}{number}" for number in range(4)]
            for place in places:
                place.mkdir()
            both = [*zip(places, urls, strict=True)]
            figures += _calls(engine, both[:2], has_webui=has_webui)
            figures += asyncio.run(_lookups(engine, both[2:]))
    return figures


# ------------------------------------------------------------------ a call


@dataclass(frozen=True, slots=True)
class Shop:
    """A server, and the key of each store whose orders are read there."""

    environment: dict[str, str]
    tokens: tuple[str, ...]
    port: int


def _calls(engine: str, places: list[tuple[Path, str | None]], *, has_webui: bool) -> list[Figure]:
    """Reads of one tenant with 50 stores, and beside them reads of 50 tenants among 10,000."""
    core, other_core = cores()
    upstream_port = free_port()
    log = places[0][0] / "servers.log"
    with ExitStack() as running:
        upstream = granian("benchmarks.upstream:create_app", upstream_port)
        running.enter_context(
            serving("upstream", upstream, upstream_port, core=other_core, log=log)
        )
        shops = []
        for (folder, url), count in zip(places, (0, MANY), strict=True):
            port = free_port()
            given = world.environment(
                folder,
                port=port,
                upstream_port=upstream_port,
                database_url=url,
                has_webui=has_webui,
            )
            shop = asyncio.run(_shop(given, port, count))
            running.enter_context(
                serving(
                    "orderdesk",
                    orderdesk_serve(),
                    port,
                    core=core,
                    log=log,
                    environment=shop.environment,
                )
            )
            shops.append(shop)
        return asyncio.run(_beside_each_other(engine, shops))


async def _shop(given: dict[str, str], port: int, count: int) -> Shop:
    settings = load_settings(given)
    upgrade(settings.database_url.get_secret_value())
    tokens: list[str] = []
    async with wiring.open_services(settings, passwords=Passwords(rounds=4)) as services:
        await services.tenants.ensure_admin(
            master_key=Secret(given["ADMIN_MASTER_KEY"]), has_webui=settings.enable_webui
        )
        if count:
            await fill(services, count)
        for number in range(STORES):
            if count or not tokens:
                _, key = await services.tenants.make_tenant(f"Benchmark {number}")
            actor = (await services.access.by_token(key.reveal(), via=Via.SYSTEM)).actor
            await services.registration.add_store(
                actor,
                str(FIRST_STORE + number),
                Secret("the-key-of-a-store"),
                name=f"Shop {number}",
                label=None,
                budget=WaitBudget(30),
            )
            tokens.append(key.reveal())
    return Shop(given, tuple(tokens), port)


async def _beside_each_other(engine: str, shops: list[Shop]) -> list[Figure]:
    connections = [await Connection.open(shop.port) for shop in shops]
    taken: dict[tuple[int, bool], list[float]] = {
        (place, cached): [] for place in (0, 1) for cached in (False, True)
    }
    for number in range(STORES + READS):
        for place in (0, 1) if number % 2 else (1, 0):
            for cached in (False, True):
                arguments = {
                    "order_id": str(_FIRST_ORDER + number),
                    "store_identifier": str(FIRST_STORE + number % STORES),
                }
                token = shops[place].tokens[number % STORES]
                answer = await connections[place].post(call("orders_get", arguments, token=token))
                content = answer.told["result"]["structuredContent"] if answer.is_ok else {}
                if content.get("cached") is not cached:
                    raise RuntimeError(f"orders_get said {answer.status}: {answer.body[:300]!r}")
                if number >= STORES:  # before that each key was met for the first time
                    taken[place, cached].append(answer.seconds * 1000)
    for connection in connections:
        connection.close()
    figures = []
    for cached, name in ((True, "from cache"), (False, "uncached")):
        one, many = (percentile(taken[place, cached], 50) for place in (0, 1))
        figures += [
            at_most(
                f"p50 of orders_get {name}, {MANY:,} tenants beside one, {engine}",
                many / one,
                MOST_RATIO,
                "times",
                digits=3,
            ),
            told("  of one, and of many", f"{one:.2f} ms, {many:.2f} ms"),
        ]
    return figures


# ------------------------------------------------------------------ keys and sessions


@dataclass(frozen=True, slots=True)
class Town:
    """An installation in this process, with keys and session cookies that work."""

    services: Services
    keys: list[Secret]
    cookies: list[str]


async def _lookups(engine: str, places: list[tuple[Path, str | None]]) -> list[Figure]:
    figures = []
    settings = [_settings(folder, url) for folder, url in places]
    async with AsyncExitStack() as running:
        few, many = [
            await _town(running, of_one, count)
            for of_one, count in zip(settings, (FEW, VERY_MANY), strict=True)
        ]
        for name, ask in (("key", _find_key), ("session", _resume)):
            in_few, in_many = await _in_turn((few, many), ask)
            figures += [
                at_most(
                    f"time that {VERY_MANY:,} tenants add to finding a {name}, p50, {engine}",
                    in_many - in_few,
                    MOST_ADDED_MS,
                    "ms",
                    digits=3,
                ),
                told(f"  among {FEW}, and among them", f"{in_few:.2f} ms, {in_many:.2f} ms"),
            ]
        # the quietest round of each: what else the machine does makes the others longer
        waits = [min([await _longest_wait(town) for _ in range(9)]) for town in (few, many)]
        figures += [
            at_most(
                f"what {VERY_MANY:,} tenants add to the longest wait of others, {engine}",
                max(0.0, waits[1] - waits[0]),
                MOST_ADDED_WAIT_MS,
                "ms",
            ),
            told(f"  among {FEW}, and among them", f"{waits[0]:.1f} ms, {waits[1]:.1f} ms"),
        ]
    seconds = [median([await _opening(of_one) for _ in range(3)]) for of_one in settings]
    words = f"{seconds[0]:.2f} s, {seconds[1]:.2f} s"
    return [*figures, told(f"services open: {FEW} and {VERY_MANY:,} tenants, {engine}", words)]


def _settings(folder: Path, url: str | None) -> Settings:
    return load_settings(
        world.environment(
            folder, port=free_port(), upstream_port=free_port(), database_url=url, has_webui=False
        )
    )


async def _town(running: AsyncExitStack, settings: Settings, count: int) -> Town:
    upgrade(settings.database_url.get_secret_value())
    services = await running.enter_async_context(wiring.open_services(settings))
    keys = await fill(services, count, keys=FEW)
    cookies = SessionCookies(services.keyring.purpose("jwt"))
    until = (now() + timedelta(hours=1)).timestamp()
    town = Town(
        services,
        keys,
        [
            cookies.sign(f"session{1 + number * (count // FEW)}", expires_at=until)
            for number in range(FEW)
        ],
    )
    for number in range(FEW):  # makes the data key of each tenant, and notes the first use
        await _find_key(town, number)
        await _resume(town, number)
    return town


async def _find_key(town: Town, number: int) -> None:
    if await town.services.keys.find(town.keys[number].reveal()) is None:
        raise RuntimeError("A key was not found: the figures say nothing.")


async def _resume(town: Town, number: int) -> None:
    if await town.services.sessions.resume(town.cookies[number]) is None:
        raise RuntimeError("A session was not found: the figures say nothing.")


async def _in_turn(
    towns: tuple[Town, Town], ask: Callable[[Town, int], Awaitable[None]]
) -> tuple[float, float]:
    """The medians in milliseconds. One after the other and in turn: what the machine does
    meanwhile, it does to both.
    """
    taken: tuple[list[float], list[float]] = ([], [])
    for turn in range(LOOKUPS):
        for place in (0, 1) if turn % 2 else (1, 0):
            begun = perf_counter()
            await ask(towns[place], turn % FEW)
            taken[place].append((perf_counter() - begun) * 1000)
    return median(taken[0]), median(taken[1])


async def _longest_wait(town: Town) -> float:
    """Milliseconds that the loop was late at most, while four callers find every key."""
    work = [asyncio.create_task(_find_keys(town, range(first, FEW, 4))) for first in range(4)]
    longest = 0.0
    while not all(task.done() for task in work):
        begun = perf_counter()
        await asyncio.sleep(0.001)
        longest = max(longest, (perf_counter() - begun - 0.001) * 1000)
    await asyncio.gather(*work)
    return longest


async def _find_keys(town: Town, numbers: range) -> None:
    for number in numbers:
        await _find_key(town, number)


async def _opening(settings: Settings) -> float:
    begun = perf_counter()
    async with wiring.open_services(settings):
        return perf_counter() - begun
