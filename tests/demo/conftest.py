"""A sandbox in process, with a clock that stands still, and a neighbour store."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from orderdesk_app.demo.app import BASE, SANDBOX_URL, SandboxApp, sandbox_app
from orderdesk_app.demo.faults import Faults
from orderdesk_app.demo.rows import MemoryRows, SandboxRows
from orderdesk_app.demo.seed import Seed
from orderdesk_app.demo.switches import Switches

KEYS = {"10001": "the-key", "10002": "the-neighbours-key"}
NOON = 1_795_348_800.0  # 2026-11-22 12:00:00 UTC
SEED = Seed()


@dataclass
class Clock:
    seconds: float = NOON

    def __call__(self) -> float:
        return self.seconds


async def key_of(store_id: str) -> str | None:
    return KEYS.get(store_id)


@dataclass
class World:
    """The app, what it stands on, and requests of store 10001 that give status and body."""

    app: SandboxApp
    faults: Faults
    clock: Clock
    http: httpx.AsyncClient
    last: httpx.Response | None = field(default=None)

    def switch(self, **values: Any) -> None:
        self.app.switches = self.app.switches.changed(values)

    async def ask(
        self, method: str, path: str, body: Any = None, *, store_id: str = "10001", **options: Any
    ) -> tuple[int, Any]:
        headers = {
            "ORDERDESK-STORE-ID": store_id,
            "ORDERDESK-API-KEY": KEYS[store_id],
        } | options.pop("headers", {})
        if body is not None:
            options["json"] = body
        self.last = await self.http.request(
            method, f"{SANDBOX_URL}{BASE}{path}", headers=headers, **options
        )
        return self.last.status_code, self.last.json()

    async def order(self, order_id: str = "100000001", **options: Any) -> Any:
        return (await self.ask("GET", f"/orders/{order_id}", **options))[1]["order"]

    async def search(self, **parameters: Any) -> Any:
        return (await self.ask("GET", "/orders", params=parameters))[1]


MakeWorld = Callable[..., World]


@pytest.fixture
async def make_world() -> AsyncIterator[MakeWorld]:
    clients: list[httpx.AsyncClient] = []

    def make(rows: SandboxRows | None = None, **switches: Any) -> World:
        faults, clock = Faults(), Clock()
        app = sandbox_app(
            key_of,
            rows or MemoryRows(),
            switches=Switches(rate_limited=False).changed(switches),
            faults=faults,
            clock=clock,
            seed=SEED,
        )
        http = httpx.AsyncClient(mounts={SANDBOX_URL: httpx.ASGITransport(app)})
        clients.append(http)
        return World(app, faults, clock, http)

    yield make
    for http in clients:
        await http.aclose()


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    return make_world()
