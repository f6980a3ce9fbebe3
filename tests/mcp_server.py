"""A real server process with people in it, and three ways to knock: the SDK's client, plain HTTP,
and bare sockets.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import httpx2
import pytest
from mcp.client import Client
from mcp.client import session as client_session
from mcp.client.streamable_http import streamable_http_client
from starlette.types import ASGIApp

from orderdesk_app import wiring
from orderdesk_app.config import Settings
from orderdesk_app.context import Scope, Secret, Via
from orderdesk_app.server import create_app
from tests.worlds import (
    KMS_KEY,
    MASTER_KEY,
    SandboxServer,
    Server,
    open_services,
    open_world,
    serving,
    settings_for,
)

LEGACY = ("2025-03-26", "2025-06-18", "2025-11-25")
MODERN = "2026-07-28"
REVISIONS = (*LEGACY, MODERN)


@dataclass(frozen=True)
class McpServer:
    """The server, and who lives there: each has a master key; the reader's key is for reading
    alone.
    """

    server: Server
    database_url: str
    key: str
    reading_key: str
    neighbours_key: str
    store_id: str
    neighbours_store_id: str
    sandbox_url: str

    @property
    def settings(self) -> Settings:
        """Of a second process on the same database."""
        return settings_for(
            self.database_url, MCP_KMS_KEY=KMS_KEY, ORDERDESK_API_URL=self.sandbox_url
        )

    @contextlib.asynccontextmanager
    async def client(
        self,
        revision: str = MODERN,
        key: str | None = None,
        headers: dict[str, str] | None = None,
        **options: Any,
    ) -> AsyncIterator[Client]:
        """The SDK's client in that revision."""
        async with (
            httpx2.AsyncClient(
                headers={"Authorization": f"Bearer {key or self.key}", **(headers or {})},
                timeout=60,
            ) as http,
            speaking(
                streamable_http_client(f"{self.server.url}/mcp", http_client=http),
                revision,
                **options,
            ) as client,
        ):
            yield client

    def http(self, key: str | None = None) -> httpx.Client:
        """Plain HTTP with what every request of an agent has; `key=""` for none."""
        headers = {
            "accept": "application/json, text/event-stream",
            "content-type": "application/json",
        }
        if key != "":
            headers["authorization"] = f"Bearer {key or self.key}"
        return httpx.Client(base_url=self.server.url, headers=headers, timeout=60)

    def raw(self, data: bytes, *, seconds: float = 20, quiet: float = 0.7) -> bytes:
        """What comes back over a bare socket until the server closes it, or says nothing more for a
        while.
        """
        return exchange(self.server.port, data, seconds=seconds, quiet=quiet)


@contextlib.asynccontextmanager
async def speaking(transport: Any, revision: str, **options: Any) -> AsyncIterator[Client]:
    """The SDK's client over any transport; its handshake offers the newest revision, so for an
    older one it is told that this is the newest.
    """
    newest = client_session.LATEST_HANDSHAKE_VERSION
    client_session.LATEST_HANDSHAKE_VERSION = revision if revision in LEGACY else newest
    try:
        async with Client(
            transport, mode="legacy" if revision in LEGACY else revision, **options
        ) as client:
            yield client
    finally:
        client_session.LATEST_HANDSHAKE_VERSION = newest


def exchange(port: int, data: bytes, *, seconds: float = 20, quiet: float = 0.7) -> bytes:
    """Send, and read until the other side closes or falls silent."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(data)
        heard = b""
        with contextlib.suppress(TimeoutError, ConnectionResetError):
            while part := connection.recv(65536):
                heard += part
                connection.settimeout(quiet)
        return heard


@contextlib.contextmanager
def run_mcp_server(
    folder: Path, database_url: str, sandbox: SandboxServer, **values: str
) -> Iterator[McpServer]:
    """A server with two tenants, each with a store at the sandbox server."""
    with serving(folder, database_url, ORDERDESK_API_URL=sandbox.url, **values) as (server,):
        settings = settings_for(database_url, MCP_KMS_KEY=KMS_KEY, ORDERDESK_API_URL=sandbox.url)
        yield asyncio.run(_people(server, settings, sandbox))


async def _people(server: Server, settings: Settings, sandbox: SandboxServer) -> McpServer:
    async with open_world(settings, sandbox) as world:
        actor = (await world.services.access.of_actor((await world.owner.principal()).actor)).actor
        person = type(actor)(tenant_id=actor.tenant_id, user_id=actor.user_id, via=Via.WEB)
        reading_key = (await world.services.keys.create(person, "reads", [Scope.ORDERS_READ]))[1]
        return McpServer(
            server=server,
            database_url=settings.database_url.get_secret_value(),
            key=world.owner.key.reveal(),
            reading_key=reading_key.reveal(),
            neighbours_key=world.neighbour.key.reveal(),
            store_id=world.store_id,
            neighbours_store_id=world.neighbours_store_id,
            sandbox_url=sandbox.url,
        )


@pytest.fixture(scope="session")
def mcp_server(
    tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path, sandbox_server: SandboxServer
) -> Iterator[McpServer]:
    """One for all tests that change nothing that others see."""
    folder = tmp_path_factory.mktemp("mcp_server")
    (folder / "app.db").write_bytes(sqlite_template.read_bytes())
    with run_mcp_server(
        folder,
        f"sqlite:///{folder / 'app.db'}",
        sandbox_server,
        LOG_LEVEL="DEBUG",
        WEBUI_RATE_LIMIT_LOGIN="10000",
    ) as opened:
        yield opened


def call(tool: str, arguments: Any = None, *, message_id: Any = 1, **meta: Any) -> dict[str, Any]:
    """A tools/call as it stands in a body."""
    params: dict[str, Any] = {"name": tool, "arguments": arguments if arguments is not None else {}}
    if meta:
        params["_meta"] = meta
    return {"jsonrpc": "2.0", "id": message_id, "method": "tools/call", "params": params}


def modern(
    method: str, params: dict[str, Any] | None = None, *, message_id: Any = 1, **meta: Any
) -> tuple[dict[str, str], dict[str, Any]]:
    """Headers and body of a request of revision 2026-07-28."""
    about = {
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientInfo": {"name": "tests", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
        **meta,
    }
    headers = {"mcp-protocol-version": MODERN, "mcp-method": method}
    if params and "name" in params:
        headers["mcp-name"] = params["name"]
    return headers, {
        "jsonrpc": "2.0",
        "id": message_id,
        "method": method,
        "params": {**(params or {}), "_meta": about},
    }


# ------------------------------------------------------------------ the app in this process, where


class InProcessClient(httpx.AsyncClient):
    """A client of an app in this process."""

    def __init__(self, app: ASGIApp, url: str) -> None:
        super().__init__(transport=httpx.ASGITransport(app), base_url=url)
        self.app = app


InProcessApp = Callable[..., AbstractAsyncContextManager[InProcessClient]]


@contextlib.asynccontextmanager
async def living(app: ASGIApp) -> AsyncIterator[None]:
    """The app between its lifespan's start and stop, as a server would have it."""
    heard: asyncio.Queue[Any] = asyncio.Queue()
    told: asyncio.Queue[Any] = asyncio.Queue()
    task = asyncio.create_task(
        app({"type": "lifespan", "asgi": {"version": "3.0"}}, heard.get, told.put)
    )  # type: ignore[arg-type]
    await heard.put({"type": "lifespan.startup"})
    assert (await told.get())["type"] == "lifespan.startup.complete"
    try:
        yield
    finally:
        await heard.put({"type": "lifespan.shutdown"})
        await told.get()
        await task


@pytest.fixture
def inside(database_url: str) -> InProcessApp:
    """`async with inside(SETTING=…) as http`: the whole app in this process, on both databases
    unless the test is marked `on_sqlite`.
    """

    @contextlib.asynccontextmanager
    async def open_app(**values: str) -> AsyncIterator[InProcessClient]:
        settings = settings_for(
            database_url, **{"ENABLE_WEBUI": "false", "ADMIN_MASTER_KEY": MASTER_KEY, **values}
        )
        app = create_app(settings, open_services=open_services)
        async with (
            living(app),
            InProcessClient(app, settings.public_url) as http,
        ):
            await wiring.current().tenants.ensure_admin(
                master_key=Secret(MASTER_KEY), has_webui=False
            )
            yield http

    return open_app
