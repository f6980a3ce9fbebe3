"""Orders as services see them: a store in the in-process sandbox, a neighbour who has the same
store, and time that passes only when asked.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from orderdesk_app import wiring
from orderdesk_app.cache.store import MemoryCache
from orderdesk_app.context import Actor, OrderId, Sealed, Secret, StoreId, StoreRowId
from orderdesk_app.db.changes import Change
from orderdesk_app.db.engine import Database
from orderdesk_app.db.owned import owned
from orderdesk_app.db.signals import Signals
from orderdesk_app.db.stores import Store
from orderdesk_app.demo.app import BASE, SANDBOX_URL, SandboxApp, sandbox_app
from orderdesk_app.demo.faults import Fault, Faults, Served
from orderdesk_app.demo.rows import MemoryRows
from orderdesk_app.demo.seed import Seed
from orderdesk_app.demo.switches import Switches
from orderdesk_app.orderdesk.access import StoreAccess
from orderdesk_app.orderdesk.buckets import MemoryBuckets
from orderdesk_app.orderdesk.locks import WriteLocks
from orderdesk_app.orderdesk.transport import open_http
from orderdesk_app.orderdesk.wait_budget import WaitBudget
from orderdesk_app.security.keyring import Keyring
from orderdesk_app.security.passwords import Passwords
from orderdesk_app.services.journal import Journal
from orderdesk_app.services.open_store import OpenStore, StoreRecord
from orderdesk_app.services.orders import Orders
from orderdesk_app.services.reads import Reads
from orderdesk_app.services.unfinished import UnfinishedWork
from orderdesk_app.settings_reader import load_settings

KEY = "the-key-of-the-store"
API_URL = f"{SANDBOX_URL}{BASE}"
FOLDERS = (
    ("21654", "New"),
    ("21655", "Prepared"),
    ("21658", "Shipped"),
    ("21656", "Closed"),
    ("21657", "Canceled"),
)
SEED = Seed()
# seconds of the client in tests: answers of the in-process sandbox take milliseconds, a busy
# machine may stop for longer
TIMEOUT = 10.0
SHORT_TIMEOUT = 0.5  # where a test waits until the client gives up
A_NEW_ORDER = {
    "shipping": {"first_name": "Ada", "last_name": "Byron"},
    "order_items": [{"name": "Mug", "code": "MUG-9", "price": "12.50", "quantity": 2}],
}


@dataclass
class Time:
    """Seconds that pass when somebody sleeps."""

    seconds: float = 1000.0

    def __call__(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.seconds += seconds


class RecordingCache(MemoryCache):
    """Remembers all that it ever held."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(clock=clock)
        self.held: list[bytes] = []

    async def put(self, key: str, value: bytes, seconds: float, tags: tuple[str, ...]) -> None:
        self.held.append(value)
        await super().put(key, value, seconds, tags)


@dataclass
class OrderWorld:
    """One process with its services.

    `actor` and `store` are one tenant's; what they see of Order Desk is `app`.
    """

    orders: Orders
    locks: WriteLocks
    unfinished: UnfinishedWork
    reads: Reads
    cache: RecordingCache
    journal: Journal
    database: Database
    app: SandboxApp
    faults: Faults
    time: Time
    actor: Actor
    store: OpenStore
    extra: dict[str, Any] = field(default_factory=dict)

    def budget(self, seconds: float = 30) -> WaitBudget:
        return WaitBudget(seconds, self.time)

    async def get(self, order_id: str = "100000001") -> Any:
        return (
            await self.orders.get(self.actor, self.store, OrderId(order_id), self.budget())
        ).order

    async def update(self, changes: Any, order_id: str = "100000001", **options: Any) -> Any:
        return await self.orders.update(
            self.actor, self.store, OrderId(order_id), changes, self.budget(), **options
        )

    async def create(self, order: Any) -> Any:
        return await self.orders.create(self.actor, self.store, order, self.budget())

    async def delete(self, order_id: str = "100000001") -> Any:
        return await self.orders.delete(self.actor, self.store, OrderId(order_id), self.budget())

    async def upstream(self, order_id: str = "100000001") -> Any:
        """The order as it stands in Order Desk, seen without us; None if there is none."""
        row = await self.app.rows.get("4711", "order", order_id)
        if row is not None:
            return None if row.body is None else json.loads(row.body)["order"]
        view = SEED.view("order", order_id)
        return view["order"] if view else None

    async def upstream_ids(self) -> list[str]:
        rows = await self.app.rows.all("4711", "order")
        return sorted(
            ({*SEED.ids("order"), *rows})
            - {order_id for order_id, row in rows.items() if row.body is None}
        )

    def fault(self, kind: Any, **values: Any) -> None:
        self.faults.add(Fault(kind, **values))

    def requests(self, method: str = "*", path: str = "*") -> list[Served]:
        return self.faults.requests(method, path)

    async def rows(self) -> list[Change]:
        async with self.database.read() as session:
            return list((await session.exec(owned(self.actor, Change))).all())


async def connect(database: Database, actor: Actor, api_url: str = API_URL) -> OpenStore:
    row = Store(
        tenant_id=actor.tenant_id,
        store_id=StoreId("4711"),
        name="Teas",
        api_url=api_url,
        api_key=Sealed(b"x"),
        folders=[list(pair) for pair in FOLDERS],
    )
    async with database.write() as session:
        session.add(row)
    record = StoreRecord(
        StoreRowId(row.id),
        actor.tenant_id,
        row.store_id,
        row.name,
        "",
        api_url,
        row.api_key,
        FOLDERS,
        "UTC",
        True,
    )
    return OpenStore(record, StoreAccess(api_url, row.store_id, Secret(KEY)))


def sandbox() -> SandboxApp:
    async def accounts(store_id: str) -> str | None:
        return KEY if store_id == "4711" else None

    return sandbox_app(
        accounts, MemoryRows(), switches=Switches(rate_limited=False), faults=Faults(), seed=SEED
    )


async def a_process(
    database: Database,
    keyring: Keyring,
    actor: Actor,
    store: OpenStore,
    app: SandboxApp,
    *,
    repeats: int = 5,
    signals: Signals | None = None,
    client_timeout: float = TIMEOUT,
) -> OrderWorld:
    """The services of one process over that database and Order Desk, as wiring builds them."""
    time = Time()
    settings = load_settings({"CACHE_BACKEND": "sqlite"}, None).model_copy(
        update={"http_timeout": client_timeout, "mutation_max_retries": repeats}
    )
    services = wiring.Services(
        settings,
        database,
        keyring,
        http=open_http(mounts={SANDBOX_URL: httpx.ASGITransport(app)}),
        passwords=Passwords(rounds=4),
        clock=time,
        sleep=time.sleep,
        random=lambda: 1.0,
    )
    services.buckets = MemoryBuckets(time)
    services.cache = cache = RecordingCache(time)  # sealed, as what a file keeps is
    if signals is not None:
        services.signals = signals
    assert app.faults is not None
    return OrderWorld(
        services.orders,
        services.locks,
        services.unfinished,
        services.reads,
        cache,
        services.journal,
        database,
        app,
        app.faults,
        time,
        actor,
        store,
    )


@pytest.fixture
def client_timeout() -> float:
    """Of the world's client.

    A test that needs it short says so: `@pytest.mark.parametrize("client_timeout",
    [SHORT_TIMEOUT])`.
    """
    return TIMEOUT


@pytest.fixture
async def world(
    database: Database, keyring: Keyring, tenant: Any, client_timeout: float
) -> OrderWorld:
    return await a_process(
        database,
        keyring,
        tenant.actor,
        await connect(database, tenant.actor),
        sandbox(),
        client_timeout=client_timeout,
    )
