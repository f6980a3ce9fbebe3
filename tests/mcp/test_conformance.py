"""The official conformance runner against the real app: what any server must pass stays green, and
what needs the runner's own fixtures is listed by name.
"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mcp_server import McpServer
from tests.node_clients import NodeClients
from tests.worlds import KMS_KEY, ROOT, Server, free_port, own_environment, wait_until_ready

BASELINES = Path(__file__).parent / "conformance"


@pytest.fixture(scope="module")
def open_address(mcp_server: McpServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A second server on the endpoint's database, in which every request has a key."""
    folder, port = tmp_path_factory.mktemp("conformance"), free_port()
    environment = {
        **own_environment(),
        "ENABLE_WEBUI": "false",
        "DATABASE_URL": mcp_server.database_url,
        "MCP_KMS_KEY": KMS_KEY,
        "PORT": str(port),
        "RATE_LIMIT_RPM": "100000",
        "CONFORMANCE_KEY": mcp_server.key,
    }
    app = "tests.mcp.conformance_app:create_conformance_app"
    command = [
        sys.executable,
        "-m",
        "granian",
        "--interface",
        "asgi",
        "--factory",
        "--loop",
        "uvloop",
        "--no-access-log",
        "--port",
        str(port),
        app,
    ]
    log = folder / "server.log"
    with log.open("wb") as out:
        server = Server(
            port,
            subprocess.Popen(command, cwd=ROOT, env=environment, stdout=out, stderr=out),
            log,
            folder,
        )
    try:
        wait_until_ready(server)
        yield f"{server.url}/mcp"
    finally:
        server.stop()


@pytest.mark.parametrize(
    ("revision", "chosen", "least"),
    [
        ("2025-06-18", "--spec-version", 33),
        ("2025-11-25", "--spec-version", 38),
        ("2026-07-28", "--requirements", 110),
    ],
)
def test_the_official_suite_finds_no_fault(
    node_clients: NodeClients,
    open_address: str,
    tmp_path: Path,
    revision: str,
    chosen: str,
    least: int,
) -> None:
    baseline = str(BASELINES / f"{revision}.yml")
    command = node_clients.command(
        "conformance",
        "server",
        "--url",
        open_address,
        chosen,
        revision,
        "--expected-failures",
        baseline,
        "-o",
        str(tmp_path),
    )

    done = subprocess.run(
        command,
        env=node_clients.environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    told = done.stdout + done.stderr
    assert done.returncode == 0, told[-6000:]
    total = next(line for line in told.splitlines() if line.startswith("Total: "))
    assert int(total.split()[1]) >= least, "checks that passed before are not run any more"
