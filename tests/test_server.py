"""The ASGI factory without the web app: what is served, what is not even loaded, and what becomes
of calls when somebody leaves.
"""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from orderdesk_app.db.migrate import upgrade
from orderdesk_app.frontend import ROOT
from tests.mcp_server import McpServer, call, mcp_server, modern, run_mcp_server
from tests.worlds import (
    FIRST_ORDER,
    SandboxServer,
    Server,
    eventually,
    free_port,
    open_services,
    own_environment,
    sandbox_process,
    sandbox_server,
    serving,
    start_server,
    wait_until_ready,
)

__all__ = ["mcp_server", "sandbox_server"]

pytestmark = pytest.mark.slow


# ------------------------------------------------------------------ without the web app


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/sign-in",
        "/webui",
        "/stores",
        "/sign-in/link?token=x",
        "/mcp//",
        "/favicon.ico",
        "/_event",
        "/ping",
        "/health/",
        "/docs",
        "/.env",
        "/%2e%2e/data/app.db",
        "//mcp",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_nothing_but_the_agents_door_health_and_metrics_is_served(
    mcp_server: McpServer, path: str, method: str
) -> None:
    with mcp_server.http("") as http:
        answer = http.request(method, mcp_server.server.url + path)

    assert answer.status_code == 404
    assert answer.json()["error"] == "not_found"
    assert answer.headers["x-request-id"]


def test_a_websocket_is_closed_at_once(mcp_server: McpServer) -> None:
    answer = mcp_server.raw(
        b"GET /_event HTTP/1.1\r\nhost: localhost\r\nupgrade: websocket\r\nconnection: "
        b"upgrade\r\nsec-websocket-version: 13\r\nsec-websocket-key: "
        b"dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )

    assert int(answer.split()[1]) in (403, 404)


def test_the_web_framework_is_not_loaded_by_the_serving_process(tmp_path: Path) -> None:
    """Python itself writes down what it imports."""
    with serving(tmp_path, f"sqlite:///{tmp_path}/app.db", PYTHONVERBOSE="1") as (server,):
        httpx.get(f"{server.url}/health")
        log = server.log.read_text(errors="replace")

    assert "import 'orderdesk_app.mcp.endpoint'" in log
    assert "import 'reflex" not in log


def test_a_first_start_that_could_give_nobody_a_key_is_refused(tmp_path: Path) -> None:
    server = start_server(tmp_path, f"sqlite:///{tmp_path}/app.db", ADMIN_MASTER_KEY="")

    code = server.process.wait(30)

    assert code == 2
    assert "ADMIN_MASTER_KEY" in server.log.read_text()
    assert "Traceback" not in server.log.read_text()


# ------------------------------------------------------------------ started by hand, without `order

BY_HAND = """
import sys
from pathlib import Path
from starlette.testclient import TestClient
from orderdesk_app import server
from orderdesk_app.errors import ConfigurationError
from orderdesk_app.frontend import Frontend
server.Frontend = lambda: Frontend(Path(sys.argv[1]))
try:
    app = server.create_app()
except ConfigurationError as error:
    sys.exit(f"refused: {error}")
with TestClient(app, base_url="http://localhost:8080") as http:
    print("file:", http.get("/built.txt").text)
    print("page:", http.get("/", follow_redirects=False).headers["location"])
    answers = [http.get("/ping", headers={"origin": origin}) for origin in sys.argv[2:]]
    print("origins:", [answer.headers.get("access-control-allow-origin") for answer in answers])
"""


def by_hand(folder: Path, *origins: str) -> subprocess.CompletedProcess[str]:
    """The factory in a process that knows nothing but the settings, and whose frontend lies in that
    folder.
    """
    url = f"sqlite:///{folder / 'app.db'}"
    upgrade(url)
    clean = {name: value for name, value in os.environ.items() if "REFLEX" not in name}
    command = [sys.executable, "-c", BY_HAND, str(folder), *origins]
    return subprocess.run(
        command,
        cwd=ROOT,
        env={**clean, "DATABASE_URL": url},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_factory_serves_the_web_app_under_any_server(tmp_path: Path) -> None:
    client = tmp_path / ".web" / "build" / "client"
    client.mkdir(parents=True)
    (client / "index.html").write_text("<html>A built page.</html>")
    (client / "built.txt").write_text("A built file.")

    told = by_hand(tmp_path, "http://localhost:8080", "http://evil.example")

    assert "file: A built file." in told.stdout, told.stderr[-2000:]
    assert "page: /sign-in" in told.stdout
    assert "origins: ['http://localhost:8080', None]" in told.stdout


def test_a_web_app_that_was_never_built_is_refused_with_the_next_step(tmp_path: Path) -> None:
    told = by_hand(tmp_path)

    assert told.returncode != 0
    assert "refused: The web app has never been built. Run: orderdesk build" in told.stderr


# ------------------------------------------------------------------ who leaves in the middle


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[tuple[McpServer, SandboxServer]]:
    """A server and its own Order Desk, whose next answers a test makes slow."""
    with (
        sandbox_process() as sandbox,
        run_mcp_server(tmp_path, f"sqlite:///{tmp_path}/app.db", sandbox) as opened,
    ):
        yield opened, sandbox


@pytest.fixture(scope="module")
def one_server(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[McpServer, SandboxServer]]:
    folder = tmp_path_factory.mktemp("who-leaves")
    with (
        sandbox_process() as sandbox,
        run_mcp_server(folder, f"sqlite:///{folder}/app.db", sandbox) as opened,
    ):
        yield opened, sandbox


@pytest.fixture
def running(
    one_server: tuple[McpServer, SandboxServer],
) -> tuple[McpServer, SandboxServer]:
    """As `slow`, for tests that leave the server running: they share it."""
    one_server[1].reset()
    return one_server


UPDATE = {"order_id": FIRST_ORDER, "changes": {"shipping": {"city": "Lagos"}}}


def _sent(mcp_server: McpServer, body: Any, **headers: str) -> socket.socket:
    """A request that is out, and a socket on which nobody has listened yet."""
    text = json.dumps(body).encode()
    lines = {
        "host": "localhost",
        "authorization": f"Bearer {mcp_server.key}",
        "content-type": "application/json",
        "accept": "application/json, text/event-stream",
        **headers,
    }
    head = "\r\n".join(
        [
            "POST /mcp HTTP/1.1",
            *[f"{name}: {value}" for name, value in lines.items()],
            f"content-length: {len(text)}",
        ]
    )
    connection = socket.create_connection(("127.0.0.1", mcp_server.server.port), timeout=30)
    connection.sendall(head.encode() + b"\r\n\r\n" + text)
    return connection


@pytest.mark.parametrize("progress", [False, True])
@pytest.mark.parametrize("revision", ["2025-11-25", "2026-07-28"])
def test_a_write_goes_on_when_its_caller_hangs_up(
    running: tuple[McpServer, SandboxServer], revision: str, progress: bool
) -> None:
    mcp_server, sandbox = running
    before = _audited(mcp_server, "orders_update")
    meta = {"progressToken": "p"} if progress else {}
    headers, body = modern("tools/call", {"name": "orders_update", "arguments": UPDATE}, **meta)
    if revision == "2025-11-25":
        headers, body = {"mcp-protocol-version": revision}, call("orders_update", UPDATE, **meta)
    sandbox.fault("slow", method="PUT", seconds=1.0)

    connection = _sent(mcp_server, body, **headers)
    _until(lambda: sandbox.requests(method="PUT"))
    connection.close()

    _until(lambda: sandbox.order(mcp_server.store_id)["shipping"]["city"] == "Lagos")
    _until(lambda: _audited(mcp_server, "orders_update") == [*before, "ok"])


@pytest.mark.parametrize(
    ("revision", "order_id"), [("2025-11-25", "100000002"), ("2026-07-28", "100000003")]
)
def test_a_read_ends_when_its_stream_is_closed_and_leaves_its_row(
    running: tuple[McpServer, SandboxServer], revision: str, order_id: str
) -> None:
    mcp_server, sandbox = running
    before = _audited(mcp_server, "orders_get")
    read = {"order_id": order_id, "fields": ["id"]}
    headers, body = modern(
        "tools/call", {"name": "orders_get", "arguments": read}, progressToken="p"
    )
    if revision == "2025-11-25":
        headers, body = (
            {"mcp-protocol-version": revision},
            call("orders_get", read, progressToken="p"),
        )
    sandbox.fault("slow", method="GET", seconds=6.0)

    connection = _sent(mcp_server, body, **headers)
    _until(lambda: sandbox.requests(method="GET", path="/orders/*"))
    assert b"started" in connection.recv(65536)
    connection.close()

    _until(lambda: _audited(mcp_server, "orders_get") == [*before, "CANCELLED"])


def test_a_call_that_the_key_does_not_allow_leaves_its_row(
    running: tuple[McpServer, SandboxServer],
) -> None:
    mcp_server, _ = running
    with mcp_server.http(mcp_server.reading_key) as http:
        http.post("/mcp", json=call("orders_delete", {"order_id": FIRST_ORDER}))

    _until(lambda: _audited(mcp_server, "orders_delete") == ["PERMISSION_DENIED"])


def test_an_app_that_hears_no_notice_is_stopped_too(tmp_path: Path) -> None:
    port = free_port()
    code = (
        "from orderdesk_app.settings_reader import load_settings; from orderdesk_app.serving "
        "import server; server(load_settings(), 'starlette.applications:Starlette').serve()"
    )
    environment = {**own_environment(), "HOME": str(tmp_path), "PORT": str(port)}
    with (tmp_path / "log").open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-c", code], cwd=ROOT, env=environment, stdout=out, stderr=out
        )
    try:
        server = Server(port, process, tmp_path / "log", tmp_path)
        _until(lambda: is_listening(server))
        process.terminate()

        assert process.wait(10) == 0
    finally:
        process.kill()


def test_a_stop_waits_for_the_write_that_is_under_way_and_for_nobody_who_hangs(
    slow: tuple[McpServer, SandboxServer],
) -> None:
    mcp_server, sandbox = slow
    sandbox.fault("slow", method="PUT", seconds=2.0)
    port = mcp_server.server.port
    hanging = [socket.create_connection(("127.0.0.1", port)) for _ in range(30)]
    for connection in hanging[:10]:
        connection.sendall(b"POST /mcp HTTP/1.1\r\nhost: local")
    for connection in hanging[10:20]:
        connection.sendall(b"GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n")
        connection.recv(65536)

    connection = _sent(
        mcp_server,
        call("orders_update", UPDATE),
        **{"mcp-protocol-version": "2025-11-25", "connection": "close"},
    )
    _until(lambda: sandbox.requests(method="PUT"))
    began = time.monotonic()
    mcp_server.server.process.send_signal(signal.SIGTERM)
    _until(lambda: httpx.get(f"{mcp_server.server.url}/health/ready").status_code == 503)
    not_ready = time.monotonic()
    answer = b""
    with contextlib.suppress(OSError), connection:
        while part := connection.recv(65536):
            answer += part
    answered = time.monotonic()
    code = mcp_server.server.process.wait(30)

    assert time.monotonic() - began < 10
    assert not_ready < answered
    assert code == 0
    assert sandbox.order(mcp_server.store_id)["shipping"]["city"] == "Lagos"
    assert _audited(mcp_server, "orders_update") == ["ok"]
    assert b'"isError":false' in answer, answer[-300:]
    for connection in hanging:
        connection.close()


def test_a_write_that_is_killed_in_a_stop_stays_open_and_the_next_read_settles_it(
    slow: tuple[McpServer, SandboxServer],
) -> None:
    mcp_server, sandbox = slow
    sandbox.fault("slow", method="PUT", seconds=40.0, effect="done")
    connection = _sent(mcp_server, call("orders_update", UPDATE))
    _until(lambda: sandbox.order(mcp_server.store_id)["shipping"]["city"] == "Lagos")

    mcp_server.server.process.send_signal(signal.SIGTERM)
    _until(lambda: httpx.get(f"{mcp_server.server.url}/health/ready").status_code == 503)
    time.sleep(1)
    assert mcp_server.server.process.poll() is None, "it waits for the write"
    mcp_server.server.kill()
    connection.close()

    assert _changes(mcp_server) == ["open"]
    asyncio.run(_read_until_settled(mcp_server))
    assert _changes(mcp_server) == ["done"]
    sandbox.process.kill()  # it would go on with its answer, and a test's end would wait for it


async def _read_until_settled(mcp_server: McpServer) -> None:
    """Another process' reads; the lock of the one that died is over after 15 seconds."""
    async with open_services(mcp_server.settings) as services:
        principal = await services.access.by_token(mcp_server.key)

        async def settled() -> bool:
            given = {"order_id": FIRST_ORDER, "fields": ["shipping"]}
            outcome = await services.runner.run(principal, "orders_get", given)
            assert outcome.result is not None, outcome.error
            assert outcome.result["order"]["shipping"]["city"] == "Lagos"  # type: ignore[index]
            return _changes(mcp_server) == ["done"]

        await eventually(settled, 60, every=0.5)


def test_reads_of_the_last_second_are_written_down_at_a_stop(
    slow: tuple[McpServer, SandboxServer],
) -> None:
    mcp_server, _ = slow
    with mcp_server.http() as http:
        for _ in range(20):
            http.post("/mcp", json=call("stores_list"))
    mcp_server.server.process.send_signal(signal.SIGTERM)
    mcp_server.server.process.wait(30)

    assert len(_audited(mcp_server, "stores_list")) == 20


def _until(question: Any, seconds: float = 15) -> None:
    until = time.monotonic() + seconds
    while not question():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.03)


def _changes(mcp_server: McpServer) -> list[str]:
    """The states of all rows of the journal."""
    path = mcp_server.database_url.removeprefix("sqlite:///")
    with contextlib.closing(sqlite3.connect(path, timeout=10)) as database:
        return [row[0] for row in database.execute("SELECT state FROM changes ORDER BY at")]


def _audited(mcp_server: McpServer, tool: str) -> list[str]:
    """Outcomes of the calls of a tool, as they stand in the database."""
    path = mcp_server.database_url.removeprefix("sqlite:///")
    with contextlib.closing(sqlite3.connect(path, timeout=10)) as database:
        return [
            row[0]
            for row in database.execute(
                "SELECT outcome FROM audit_log WHERE tool = ? ORDER BY at", (tool,)
            )
        ]


# ------------------------------------------------------------------ processes that die


def workers_of(server: Server) -> list[int]:
    """The process ids of its workers."""
    found = subprocess.run(
        ["ps", "-o", "pid=,args=", "--ppid", str(server.process.pid)],
        capture_output=True,
        text=True,
        check=False,
    )
    return [int(line.split()[0]) for line in found.stdout.splitlines() if "defunct" not in line]


def is_running(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{process_id}/stat")
    return not stat.exists() or stat.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def is_listening(server: Server) -> bool:
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", server.port)) == 0


def test_a_worker_ends_with_its_main_process_and_the_port_is_free(tmp_path: Path) -> None:
    with serving(tmp_path, f"sqlite:///{tmp_path}/app.db") as (server,):
        [worker] = workers_of(server)
        hanging = socket.create_connection(("127.0.0.1", server.port))
        hanging.sendall(b"POST /mcp HTTP/1.1\r\nhost: local")

        server.process.kill()
        server.process.wait(10)

        _until(lambda: not is_running(worker))
        hanging.close()
        _until(lambda: not is_listening(server))


def test_a_worker_that_dies_is_started_again(tmp_path: Path) -> None:
    with serving(tmp_path, f"sqlite:///{tmp_path}/app.db") as (server,):
        [worker] = workers_of(server)

        os.kill(worker, signal.SIGKILL)

        _until(lambda: set(workers_of(server)) - {worker})
        wait_until_ready(server)
        assert not is_running(worker)
        server.process.terminate()
        assert server.process.wait(30) == 0


def test_workers_that_die_again_and_again_end_the_server(tmp_path: Path) -> None:
    with serving(tmp_path, f"sqlite:///{tmp_path}/app.db") as (server,):
        until = time.monotonic() + 60
        while server.process.poll() is None:
            assert time.monotonic() < until
            for worker in workers_of(server):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(worker, signal.SIGKILL)
            time.sleep(0.1)

        assert server.process.returncode == 1


@pytest.mark.parametrize("seconds", [0.0, 0.3, 0.6, 1.0, 1.5])
def test_a_stop_right_after_the_start_is_not_lost(tmp_path: Path, seconds: float) -> None:
    server = start_server(tmp_path, f"sqlite:///{tmp_path}/app.db")
    try:
        _until(lambda: workers_of(server), 60)
        time.sleep(seconds)
        server.process.terminate()

        server.process.wait(10)
    finally:
        server.process.kill()


def test_readiness_fails_before_the_server_takes_no_more_requests(tmp_path: Path) -> None:
    with serving(tmp_path, f"sqlite:///{tmp_path}/app.db") as (server,):
        answers = []
        server.process.terminate()
        with contextlib.suppress(httpx.TransportError):
            while True:
                answer = httpx.get(f"{server.url}/health/ready", timeout=5)
                answers.append((answer.status_code, answer.json()))
        server.process.wait(10)

    checks = [told["checks"].get("server") for _, told in answers if "checks" in told]
    assert {status for status, _ in answers} <= {200, 503}
    assert checks[-1] == "stopping"
