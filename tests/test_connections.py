"""What strangers can do with bare connections: nothing, half of a request, or too much of one.

One server process of its own, with few descriptors and short time limits.
"""

import contextlib
import resource
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from orderdesk_app import connections
from orderdesk_app.db.migrate import upgrade
from orderdesk_app.frontend import ROOT
from orderdesk_app.serving import MAX_HEADER_BYTES
from tests.mcp_server import exchange
from tests.worlds import KMS_KEY, MASTER_KEY, Server, free_port, own_environment, wait_until_ready

pytestmark = pytest.mark.slow

HEADER_SECONDS, STALLED_SECONDS = 1, 2
SOFT, HARD = 64, 256
SERVE = f"""
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, ({SOFT}, {HARD}))
from orderdesk_app import connections, serving
from orderdesk_app.settings_reader import load_settings
serving.HEADER_SECONDS = {HEADER_SECONDS}
connections.STALLED_SECONDS = {STALLED_SECONDS}
serving.server(load_settings()).serve()
"""
GET = b"GET /health/live HTTP/1.1\r\nhost: localhost\r\n"


@dataclass(frozen=True)
class Served:
    server: Server

    @property
    def port(self) -> int:
        return self.server.port

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def is_live(self, seconds: float) -> bool:
        return httpx.get(f"{self.server.url}/health/live", timeout=seconds).status_code == 200


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder, port = tmp_path_factory.mktemp("connections"), free_port()
    url = f"sqlite:///{folder / 'app.db'}"
    upgrade(url)
    environment = {
        **own_environment(),
        "HOME": str(folder),
        "DATABASE_URL": url,
        "PORT": str(port),
        "ENABLE_WEBUI": "false",
        "ADMIN_MASTER_KEY": MASTER_KEY,
        "MCP_KMS_KEY": KMS_KEY,
    }
    with (folder / "log").open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-c", SERVE], cwd=ROOT, env=environment, stdout=out, stderr=out
        )
    server = Server(port, process, folder / "log", folder)
    try:
        wait_until_ready(server)
        yield Served(server)
    finally:
        server.stop()


def seconds_until_closed(connection: socket.socket, *, at_most: float = 10) -> float:
    """How long the server keeps the connection; what it sends meanwhile is read and dropped."""
    started = time.monotonic()
    connection.settimeout(at_most)
    with contextlib.suppress(ConnectionResetError):
        while connection.recv(65536):
            pass
    return time.monotonic() - started


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(GET + b"x-half: ", id="half a head"),
        pytest.param(GET + b"\r\n", id="a request, then nothing"),
        pytest.param(GET + b"\r\n" + GET, id="a request, then half a head"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", id="HTTP/2 without TLS"),
    ],
)
def test_a_connection_without_a_request_is_closed(served: Served, said: bytes) -> None:
    with served.connect() as connection:
        connection.sendall(said)

        assert seconds_until_closed(connection) < HEADER_SECONDS + 4


def test_a_head_that_comes_byte_by_byte_is_cut_off(served: Served) -> None:
    with served.connect() as connection:
        started = time.monotonic()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            while time.monotonic() - started < 10:
                connection.sendall(b"G")
                time.sleep(0.1)

        assert time.monotonic() - started < HEADER_SECONDS + 4


def test_a_head_has_at_most_sixteen_kib(served: Served) -> None:
    fits = exchange(served.port, GET + b"x: " + b"x" * (MAX_HEADER_BYTES - 200) + b"\r\n\r\n")
    too_long = exchange(served.port, GET + b"x: " + b"x" * MAX_HEADER_BYTES + b"\r\n\r\n")

    assert fits.split()[1] == b"200"
    assert too_long.split()[1] == b"431"


def test_an_offer_of_http_2_is_answered_in_http_1(served: Served) -> None:
    """Java's own client offers it with every request to a plain address."""
    answer = exchange(
        served.port,
        GET + b"connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\n"
        b"http2-settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\n\r\n",
    )

    assert answer.startswith(b"HTTP/1.1 200")


def test_who_takes_no_answer_is_disconnected(served: Served) -> None:
    with served.connect() as connection:
        connection.settimeout(0.5)
        with contextlib.suppress(OSError):
            while True:  # until the kernel takes no more, as the server reads no more
                connection.sendall((GET + b"\r\n") * 1_000)
        poll = select.poll()
        poll.register(connection, 0)  # errors alone: what was answered stays unread

        assert poll.poll((STALLED_SECONDS + 10) * 1000)


def test_descriptors_are_raised_to_what_the_system_allows(served: Served) -> None:
    limits = Path(f"/proc/{served.server.pids()[-1]}/limits").read_text().splitlines()
    (line,) = [line for line in limits if line.startswith("Max open files")]

    assert line.split()[3:5] == [str(HARD), str(HARD)]


def test_silent_connections_do_not_stop_the_others(served: Served) -> None:
    """400 of them once used up 256 descriptors, and nobody was answered any more."""
    with contextlib.ExitStack() as closing:
        for _ in range(400):
            closing.enter_context(served.connect())
        assert served.is_live(20)
        descriptors = list(Path(f"/proc/{served.server.pids()[-1]}/fd").iterdir())

        assert len(descriptors) < HARD * 3 // 4
    assert served.is_live(20)
    assert "Too many open files" not in served.server.log.read_text()


# ------------------------------------------------------------------ the sums


@pytest.mark.parametrize(
    ("descriptors", "of_connections", "of_websockets"),
    [(256, 128, 32), (1024, 512, 128), (8192, 4096, 500), (resource.RLIM_INFINITY, 4096, 500)],
)
def test_connections_and_websockets_leave_descriptors_for_files(
    monkeypatch: pytest.MonkeyPatch, descriptors: int, of_connections: int, of_websockets: int
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (descriptors, descriptors))

    assert connections.most_connections() == of_connections
    assert connections.most_websockets() == of_websockets


@pytest.mark.parametrize(
    ("soft", "hard", "becomes"),
    [
        (256, 1024, 1024),
        (1024, 1_048_576, 8192),
        (1024, resource.RLIM_INFINITY, 8192),
        (20_000, 20_000, None),  # it is not lowered
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, None),
    ],
)
def test_the_limit_is_raised_and_never_lowered(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, becomes: int | None
) -> None:
    given: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: given.append(limits))

    connections.raise_descriptor_limit()

    assert given == ([] if becomes is None else [(becomes, hard)])
