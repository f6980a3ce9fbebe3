"""A complete app in this process, with a neighbour in it, over the sandbox in both of its forms;
and servers as processes of their own.
"""

import asyncio
import contextlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlmodel import col, select

from orderdesk_app import wiring
from orderdesk_app.config import Settings
from orderdesk_app.context import Actor, Secret, Via
from orderdesk_app.db.audit import AuditEntry
from orderdesk_app.db.buckets import Buckets
from orderdesk_app.db.engine import Database
from orderdesk_app.db.sessions import Session
from orderdesk_app.errors import OrderDeskAgentsError
from orderdesk_app.observability import REGISTRY
from orderdesk_app.security.passwords import Passwords
from orderdesk_app.services.access import Principal
from orderdesk_app.services.open_store import StoreRecord
from orderdesk_app.services.reauthentication import Reauthentication
from orderdesk_app.services.sandbox import SandboxKeys
from orderdesk_app.settings_reader import load_settings
from orderdesk_app.tools.catalogue import Tool
from orderdesk_app.tools.runner import Outcome

ROOT = Path(__file__).resolve().parent.parent
FIRST_ORDER = "100000001"
API_KEY = "sandbox-api-key-of-the-tests"
# chance, made once: words would be refused
MASTER_KEY = "PtYgjmUhBel31iEl2hpChYgCfrL1spNxnyVmihA_2O76UMFxFkM_R5Kjp1vRt-1f"
KMS_KEY = "dGhlLWttcy1rZXktb2YtdGhlLXRlc3RzLWlzLW5vLWtleS1hdC1hbGwhIQ=="
PROMISED = 1.0  # seconds until another process has heard, and until a read is written down
SLACK = 1.0  # of a busy machine
MINIMAL_ORDER = {
    "shipping": {"first_name": "Ada", "last_name": "Okafor"},
    "order_items": [{"name": "Mug", "price": 12.5, "quantity": 2}],
}

# For tests of which neither storage nor locks are the subject: one engine is enough.
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


# ------------------------------------------------------------------ the sandbox as a server


@dataclass
class SandboxServer:
    """demo/server.py as a process on loopback, and its address for tests."""

    url: str
    process: subprocess.Popen[bytes]
    http: httpx.Client

    def control(self, method: str, path: str, body: Any = None) -> Any:
        return (
            self.http.request(
                method, f"{self.url.removesuffix('/api/v2')}/_control/{path}", json=body
            )
            .raise_for_status()
            .json()
        )

    def reset(self) -> None:
        self.control("POST", "reset")

    def requests(
        self, method: str = "*", path: str = "*", store_id: str = "*"
    ) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.control(
            "GET", f"requests?method={method}&path={path}&store_id={store_id}"
        )
        return found

    def forget(self) -> None:
        self.control("DELETE", "requests")

    def fault(self, kind: str, **values: Any) -> None:
        self.control("POST", "faults", {"kind": kind, **values})

    def switch(self, **values: Any) -> None:
        self.control("POST", "switches", values)

    def order(self, store_id: str, order_id: str = FIRST_ORDER) -> Any:
        """The order as it stands, seen without us; None for none."""
        view = self.control("GET", f"orders/{store_id}/{order_id}")
        return view["order"] if view else None

    def edit(self, store_id: str, patch: Mapping[str, Any], order_id: str = FIRST_ORDER) -> None:
        """Somebody else changes the order."""
        self.control("POST", f"orders/{store_id}/{order_id}", dict(patch))


@contextlib.contextmanager
def sandbox_process(stores: str = "10001-10099") -> Iterator[SandboxServer]:
    command = [
        sys.executable,
        "-m",
        "orderdesk_app.demo.server",
        "--control",
        "--store",
        f"{stores}:{API_KEY}",
    ]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        url = process.stdout.readline().decode().split()[-1]
        with httpx.Client(timeout=30) as http:
            yield SandboxServer(url, process, http)
    finally:
        process.terminate()
        process.wait(20)


# ------------------------------------------------------------------ an app in this process


@dataclass
class TenantClient:
    """A tenant who calls tools with a key, as an agent does."""

    services: wiring.Services
    name: str
    key: Secret
    via: Via = Via.MCP

    async def principal(self) -> Principal:
        return await self.services.access.by_token(self.key.reveal(), via=self.via)

    async def call(self, tool: str, arguments: Any = None) -> Outcome:
        return await self.services.runner.run(await self.principal(), tool, arguments)

    async def get(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """The result of a call that goes well."""
        outcome = await self.call(tool, arguments)
        assert outcome.error is None, f"{tool}: {outcome.error.code} {outcome.error.message}"
        assert outcome.result is not None
        return outcome.result

    async def refused(self, tool: str, **arguments: Any) -> OrderDeskAgentsError:
        """The error of a call that does not."""
        outcome = await self.call(tool, arguments)
        assert outcome.error is not None, f"{tool} was not refused: {outcome.result}"
        return outcome.error

    async def stores(self) -> tuple[StoreRecord, ...]:
        return (await self.principal()).account.stores


@dataclass
class World:
    """An app, somebody with a store in it, and the neighbour, who has one too."""

    services: wiring.Services
    owner: TenantClient
    neighbour: TenantClient
    form: str
    store_id: str
    neighbours_store_id: str
    extra: dict[str, Any] = field(default_factory=dict)

    def api_key_of(self, store_id: str) -> str:
        """What Order Desk would show under Store Settings."""
        if self.form == "over_http":
            return API_KEY
        return SandboxKeys(self.services.keyring.purpose("sandbox")).key_of(store_id).reveal()

    def example_of(self, tool: Tool) -> dict[str, Any]:
        """The tool's example with this world's real values in the places of those that are a
        person's own.
        """
        arguments: dict[str, Any] = tool.example.model_dump(mode="json", exclude_unset=True)
        if tool.name == "stores_register":
            return {
                **arguments,
                "store_id": "10077",
                "api_key": self.api_key_of("10077"),
                "label": "us",
            }
        if tool.name == "tenant_use_master_key":
            return {"master_key": self.owner.key.reveal()}
        own = {"10001": self.store_id}
        return {
            name: own.get(value, value)
            if name in ("identifier", "store_id", "store_identifier")
            else value
            for name, value in arguments.items()
        }

    async def audit_rows(self) -> list[AuditEntry]:
        """What is committed now, the oldest first, of all tenants."""
        async with self.services.database.read() as session:
            return list(
                (
                    await session.exec(
                        select(AuditEntry).order_by(col(AuditEntry.at), col(AuditEntry.id))
                    )
                ).all()
            )


def counted(name: str, **labels: str) -> float:
    """The value of one of our metrics, summed over the labels that are not named."""
    total = 0.0
    for family in REGISTRY.collect():
        for sample in family.samples:
            if (
                sample.name
                in (f"orderdesk_{name}", f"orderdesk_{name}_total", f"orderdesk_{name}_count")
                and labels.items() <= sample.labels.items()
            ):
                total += sample.value
    return total


@lru_cache(maxsize=64)  # they cannot be changed, and a world asks for the same ones twice
def settings_for(database_url: str, **values: str) -> Settings:
    return load_settings(
        {
            "DATABASE_URL": database_url,
            "RATE_LIMIT_RPM": "100000",
            "WEBUI_RATE_LIMIT_LOGIN": "10000",
            **values,
        }
    )


class FullBuckets(Buckets):
    """They are never empty: nobody waits for Order Desk's rate limit."""

    async def take(self, key: str) -> float:
        return 0.0

    async def correct(self, key: str, remaining: int) -> None:
        pass

    async def drain(self, key: str, seconds: float) -> None:
        pass


class MadeUpActors(Reauthentication):
    """An actor that a test makes up has no row in `sessions`, and counts as one who has just signed
    in. A session that has a row is asked, as everywhere.
    """

    async def proved_at(self, actor: Actor) -> datetime | None:
        async with self._database.read() as session:
            row = await session.get(Session, actor.session_id) if actor.session_id else None
        return await super().proved_at(actor) if row else self._clock()


def open_services(
    settings: Settings, *, buckets: Callable[[Database], Buckets] = Buckets
) -> AbstractAsyncContextManager[wiring.Services]:
    """All services as wiring builds them, with the fewest rounds that bcrypt knows."""
    return wiring.open_services(
        settings,
        passwords=Passwords(rounds=4),
        buckets=buckets,
        reauthentication=MadeUpActors,
    )


@contextlib.asynccontextmanager
async def open_world(
    settings: Settings, server: SandboxServer | None, *, is_rate_limited: bool = False
) -> AsyncIterator[World]:
    """`server` None: the sandbox in process, stores by the one click; else stores registered at the
    server.

    Only `is_rate_limited` has Order Desk's rate limit, which costs seconds.
    """
    if server is None:
        # What people cannot set: stores_register reaches the sandbox in process too.
        settings = settings.model_copy(update={"orderdesk_api_url": wiring.SANDBOX_API})
    ready = await _ready_made(settings, server)
    async with open_services(
        settings, buckets=Buckets if is_rate_limited else FullBuckets
    ) as services:
        if server is None:
            sandbox = services.sandbox
            sandbox.switches = sandbox.switches.changed({"rate_limited": is_rate_limited})
        else:
            server.switch(rate_limited=is_rate_limited)
        people = ready or await _make_people(services, server)
        owner, neighbour = people.keys
        yield World(
            services,
            TenantClient(services, NAMES[0], Secret(owner)),
            TenantClient(services, NAMES[1], Secret(neighbour)),
            "in_process" if server is None else "over_http",
            *people.store_ids,
        )


NAMES = ("Ada's Teas", "Bert's Bikes")


@dataclass(frozen=True)
class People:
    """Two tenants with a store each: their master keys, and Order Desk's ids of the stores."""

    keys: tuple[str, str]
    store_ids: tuple[str, str]


async def _make_people(services: wiring.Services, server: SandboxServer | None) -> People:
    keys = []
    store_ids = []
    for name, store_id in zip(NAMES, ("10001", "10002"), strict=True):
        client = TenantClient(services, name, (await services.tenants.make_tenant(name))[1])
        if server is None:
            actor = (await client.principal()).actor
            record = await services.stores.add_sandbox(actor)
            await services.stores.edit(actor, record.id, name=record.name, label="eu", api_key=None)
            store_id = record.store_id
        else:
            await client.get("stores_register", store_id=store_id, api_key=API_KEY, label="eu")
        keys.append(client.key.reveal())
        store_ids.append(store_id)
    return People((keys[0], keys[1]), (store_ids[0], store_ids[1]))


# By the address of Order Desk: a folder with the database and its key, and who is in it.
_READY: dict[str, tuple[tempfile.TemporaryDirectory[str], People]] = {}


async def _ready_made(settings: Settings, server: SandboxServer | None) -> People | None:
    """Copies two tenants that were made once into a SQLite database that has only its tables:
    most of what a world costs. None for any other database, or for settings of its own.
    """
    url = settings.database_url.get_secret_value()
    file = Path(url.removeprefix("sqlite:///"))
    plain = settings_for(url).model_copy(update={"orderdesk_api_url": settings.orderdesk_api_url})
    if not url.startswith("sqlite:///") or list(file.parent.iterdir()) != [file]:
        return None
    if (settings.mcp_kms_key, settings.enable_audit_log) != (
        plain.mcp_kms_key,
        plain.enable_audit_log,
    ):
        return None
    if settings.orderdesk_api_url not in _READY:
        folder = tempfile.TemporaryDirectory(prefix="odw-")
        elsewhere = copy_of(file, Path(folder.name))
        made_there = plain.model_copy(update={"database_url": settings_for(elsewhere).database_url})
        async with open_services(made_there, buckets=FullBuckets) as services:
            if server is None:
                services.sandbox.switches = services.sandbox.switches.changed(
                    {"rate_limited": False}
                )
            _READY[settings.orderdesk_api_url] = (folder, await _make_people(services, server))
    folder, people = _READY[settings.orderdesk_api_url]
    shutil.copytree(folder.name, file.parent, dirs_exist_ok=True)
    return people


# ------------------------------------------------------------------ our server as a process


def own_environment() -> dict[str, str]:
    """What every process of the app gets: our code, the programs it may start, what `make coverage`
    measures by, and none of the developer's own settings.
    """
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name == "PATH" or name.startswith("COVERAGE_")
    }
    return {**inherited, "PYTHONPATH": str(ROOT)}


_GIVEN: set[int] = set()


def free_port() -> int:
    """A port at which nobody listens.

    Not one of those that the kernel deals out: it would give it to the next connection that starts
    before our server does. Each worker of pytest-xdist chooses among ports of its own.
    """
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    first_dealt_out = 32_768  # Linux's own choice, where it is not told
    with contextlib.suppress(OSError):
        first_dealt_out = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        # browsers refuse 10080 and some lower ones
        port = random.randrange(11_000 + worker, max(first_dealt_out, 20_000), workers)
        with contextlib.suppress(OSError), socket.socket() as connection:
            connection.bind(("127.0.0.1", port))
            if port not in _GIVEN:
                _GIVEN.add(port)
                return port


@dataclass
class Server:
    """`orderdesk serve` on a port of its own, without the web app."""

    port: int
    process: subprocess.Popen[bytes]
    log: Path
    folder: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self, key: str = MASTER_KEY, **options: Any) -> "AgentClient":
        return AgentClient(
            httpx.AsyncClient(
                base_url=self.url, timeout=60, limits=httpx.Limits(max_connections=200), **options
            ),
            key,
        )

    def pids(self) -> list[int]:
        """The process and its worker; the innermost last."""
        children = (
            Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        )
        return [self.process.pid, *(int(pid) for pid in children)]

    def kill(self) -> None:
        """kill -9 of all that serves: nobody gets to say goodbye."""
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(10)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.kill()


def start_server(folder: Path, database_url: str, *options: str, **values: str) -> Server:
    """Starts and returns at once; `wait_until_ready` comes next."""
    port = free_port()
    log = folder / f"server-{port}.log"
    environment = {
        **own_environment(),
        "HOME": str(folder),
        "ENABLE_WEBUI": "false",
        "ADMIN_MASTER_KEY": MASTER_KEY,
        "DATABASE_URL": database_url,
        "MCP_KMS_KEY": KMS_KEY,
        "PORT": str(port),
        "PUBLIC_URL": f"http://127.0.0.1:{port}",
        "RATE_LIMIT_RPM": "100000",
        "HTTP_TIMEOUT": "60",
        **values,
    }
    with log.open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "orderdesk_app", "serve", *options],
            cwd=ROOT,
            env=environment,
            stdout=out,
            stderr=out,
        )
    return Server(port, process, log, folder)


def wait_until_ready(*servers: Server, seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    for server in servers:
        while True:
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{server.url}/health/ready", timeout=5).status_code == 200:
                    break
            assert server.process.poll() is None, (
                f"the server ended: {server.log.read_text()[-3000:]}"
            )
            assert time.monotonic() < until, (
                f"the server is not ready: {server.log.read_text()[-3000:]}"
            )
            time.sleep(0.05)


@contextlib.contextmanager
def serving(
    folder: Path, database_url: str, *, count: int = 1, **values: str
) -> Iterator[list[Server]]:
    """So many server processes on one database, ready."""
    servers: list[Server] = []
    try:
        for _ in range(count):
            servers.append(start_server(folder, database_url, **values))
            # one after the other: the first migrates and makes the admin account
            wait_until_ready(servers[-1])
        yield servers
    finally:
        for server in servers:
            server.stop()


@dataclass
class AgentClient:
    """A plain client of `/mcp`, revision 2025-11-25: one POST a call."""

    http: httpx.AsyncClient
    key: str
    heard: list[bytes] = field(default_factory=list)

    async def post(self, method: str, params: Any) -> httpx.Response:
        headers = {
            "authorization": f"Bearer {self.key}",
            "accept": "application/json, text/event-stream",
            "mcp-protocol-version": "2025-11-25",
        }
        answer = await self.http.post(
            "/mcp",
            json={"jsonrpc": "2.0", "id": 1, "method": method, "params": params},
            headers=headers,
        )
        self.heard.append(str(answer.headers).encode() + answer.content)
        return answer

    async def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """The CallToolResult."""
        answer = await self.post("tools/call", {"name": tool, "arguments": arguments})
        assert answer.status_code == 200, f"{answer.status_code} {answer.text[:300]}"
        result: dict[str, Any] = answer.json()["result"]
        return result

    async def get(self, tool: str, **arguments: Any) -> dict[str, Any]:
        result = await self.call(tool, **arguments)
        assert not result.get("isError"), result
        found: dict[str, Any] = result["structuredContent"]
        return found

    async def metrics(self) -> dict[str, float]:
        """Every sample of `/metrics` by its name and labels."""
        text = (await self.http.get("/metrics")).text
        return {
            line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1])
            for line in text.splitlines()
            if line and not line.startswith("#")
        }


async def eventually(question: Any, seconds: float, *, every: float = 0.03) -> Any:
    """The first truthy answer of an async question, within so many seconds."""
    until = time.monotonic() + seconds
    while not (found := await question()):
        assert time.monotonic() < until, f"not within {seconds} s"
        await asyncio.sleep(every)
    return found


def copy_of(template: Path, folder: Path) -> str:
    """A migrated SQLite database of one's own; its address."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(template, folder / "app.db")
    return f"sqlite:///{folder / 'app.db'}"


@pytest.fixture(scope="session")
def sandbox_server() -> Iterator[SandboxServer]:
    with sandbox_process() as server:
        yield server


def pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True) + "\n"
