"""One server for all clients, which run at the same time; each has an order of its own."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.clients.clients import CLIENTS, Client, steps_for
from tests.mcp_server import McpServer, run_mcp_server
from tests.node_clients import NodeClients, node_clients
from tests.worlds import FIRST_ORDER, SandboxServer, sandbox_server

__all__ = ["node_clients", "sandbox_server"]


@dataclass(frozen=True)
class Heard:
    """What a client gave to its program, and its order before and after."""

    tools: list[str]
    version: str
    read: dict[str, Any]
    written: dict[str, Any]
    mistake: str
    refusal: str
    seconds: float
    schemas: str  # what the client finds wrong with them, if it looks
    before: dict[str, Any]
    after: dict[str, Any]
    city: str


@pytest.fixture(scope="module")
def shop(
    tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path, sandbox_server: SandboxServer
) -> Iterator[McpServer]:
    folder = tmp_path_factory.mktemp("clients")
    (folder / "app.db").write_bytes(sqlite_template.read_bytes())
    url = f"sqlite:///{folder / 'app.db'}"
    with run_mcp_server(folder, url, sandbox_server) as opened:
        yield opened


@pytest.fixture(scope="module")
def heard(
    shop: McpServer,
    sandbox_server: SandboxServer,
    node_clients: NodeClients,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[Client, Heard | str]:
    """What each client heard, or why it failed."""
    folder = tmp_path_factory.mktemp("home")
    orders = {
        client: str(int(FIRST_ORDER) + number) for number, client in enumerate(CLIENTS, start=1)
    }
    before = {
        client: sandbox_server.order(shop.store_id, order_id) for client, order_id in orders.items()
    }
    running: dict[Client, subprocess.Popen[str]] = {}
    failed: dict[Client, str] = {}
    for client, order_id in orders.items():
        steps = steps_for(f"{shop.server.url}/mcp", shop.key, order_id, _city(client))
        try:
            running[client] = subprocess.Popen(
                client.command(node_clients.node(), steps),
                env={**node_clients.environment, "HOME": str(folder), "BROWSER": "true"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=(folder / f"{client.id}.err").open("w"),
                text=True,
            )
        except RuntimeError as error:
            failed[client] = str(error)
    try:
        printed = {client: _printed(process) for client, process in running.items()}
    finally:
        for process in running.values():
            process.kill()
    return {
        client: failed.get(client)
        or _heard(
            printed[client],
            (folder / f"{client.id}.err").read_text(),
            before[client],
            sandbox_server.order(shop.store_id, orders[client]),
            _city(client),
        )
        for client in CLIENTS
    }


def _city(client: Client) -> str:
    return f"City of {client.id}"


def _printed(process: subprocess.Popen[str]) -> str:
    return process.communicate(timeout=120)[0]


def _heard(printed: str, errors: str, before: Any, after: Any, city: str) -> Heard | str:
    try:
        told = json.loads(printed.splitlines()[-1])
    except (IndexError, json.JSONDecodeError):
        return f"it printed no JSON: {printed[-1000:]}\n{errors[-3000:]}"
    read, written, mistake = told.pop("results")
    return Heard(
        read=read,
        written=written,
        mistake=mistake,
        before=before,
        after=after,
        city=city,
        schemas=told.pop("schemas", ""),
        **told,
    )
