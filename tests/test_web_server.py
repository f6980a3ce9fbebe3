"""A server process with the web app, but without built pages: what strangers and members can do to
it over its websocket.
"""

import asyncio
import contextlib
import json
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from simple_websocket import Client, ConnectionClosed

from orderdesk_app.config import Settings
from orderdesk_app.context import Via
from orderdesk_app.db.migrate import upgrade
from orderdesk_app.frontend import MOUNTS, ROOT
from orderdesk_app.routes.sockets import MAX_MESSAGE, MAX_PER_SESSION
from orderdesk_app.services.sessions import COOKIE
from tests.worlds import (
    KMS_KEY,
    Server,
    free_port,
    open_services,
    own_environment,
    settings_for,
    wait_until_ready,
)

pytestmark = pytest.mark.slow

MIB = 1024 * 1024
JOIN = "40/_event,"


@dataclass
class WebServer:
    server: Server
    settings: Settings
    cookie: str = ""

    @property
    def port(self) -> int:
        return self.server.port

    def lines(self) -> list[str]:
        """What the log holds, but for a line that is still being written."""
        return self.server.log.read_text().split("\n")[:-1]

    def resident_mib(self) -> float:
        """Memory of the worker."""
        lines = Path(f"/proc/{self.server.pids()[-1]}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1024

    def sign_in(self) -> str:
        """The cookie of a new account's session."""
        return asyncio.run(self._sign_in())

    async def _sign_in(self) -> str:
        async with open_services(self.settings) as services:
            view, _ = await services.tenants.make_tenant("Ada")
            await services.keyring.tenant(view.id)
            actor = view.owner(Via.WEB)
            assert actor.user_id is not None
            return await services.sessions.start(
                view.id, actor.user_id, credential_id=None, address="127.0.0.1", user_agent=""
            )

    def say(self, *frames: str, lines: int = 1) -> None:
        """A member's websocket that says these frames, and leaves when so many lines have been
        written about them.
        """
        before = len(self.lines())
        with contextlib.closing(
            Client(
                f"ws://localhost:{self.port}/_event/?EIO=4&transport=websocket&token={uuid4()}",
                headers={"cookie": f"{COOKIE}={self.cookie}"},
            )
        ) as client:
            client.receive(10)
            client.send(JOIN)
            client.receive(10)
            for frame in frames:
                with contextlib.suppress(ConnectionClosed):
                    client.send(frame)
            _until(lambda: len(self.lines()) >= before + lines)

    def upgrade(self, cookie: str = "") -> tuple[socket.socket, bool]:
        """A bare connection that has asked for a websocket, and whether it got one."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        connection.sendall(
            f"GET /_event/?EIO=4&transport=websocket&token={uuid4()} HTTP/1.1\r\n"
            f"Host: localhost:{self.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            f"Cookie: {COOKIE}={cookie}\r\n\r\n".encode()
        )
        return connection, connection.recv(4096).split()[1] == b"101"


def frame(size: int, *, is_first: bool = True, is_last: bool = True) -> bytes:
    """A frame of a text message, which engine.io takes for the answer to a ping."""
    head = bytes([0x80 * is_last + 0x01 * is_first, 0x80 | 127])
    return head + size.to_bytes(8, "big") + b"\0\0\0\0" + b"3".ljust(size, b"x")


def flood(connection: socket.socket) -> None:
    """60 MiB of a message that is never finished, as far as they are taken."""
    with contextlib.suppress(OSError):
        for number in range(4):
            connection.sendall(frame(15 * MIB, is_first=number == 0, is_last=False))


def joined(web_server: WebServer, cookie: str) -> socket.socket:
    connection, is_open = web_server.upgrade(cookie)
    assert is_open
    text = JOIN.encode()
    connection.sendall(bytes([0x81, 0x80 | len(text)]) + b"\0\0\0\0" + text)
    return connection


def is_disconnected(connection: socket.socket, seconds: float = 10) -> bool:
    """Whether the server ends it, whatever it still sends."""
    connection.settimeout(seconds)
    try:
        while connection.recv(65536):
            pass
    except TimeoutError:
        return False
    except ConnectionError:
        pass
    return True


@pytest.fixture(scope="module")
def web_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebServer]:
    folder, port = tmp_path_factory.mktemp("web-server"), free_port()
    values = {
        "DATABASE_URL": f"sqlite:///{folder / 'app.db'}",
        "MCP_KMS_KEY": KMS_KEY,
        "PORT": str(port),
    }
    upgrade(values["DATABASE_URL"])
    environment = {
        **own_environment(),
        "HOME": str(folder),
        MOUNTS: "false",
        **values,
    }
    log = folder / "log"
    with log.open("wb") as out:
        code = (
            "from orderdesk_app.settings_reader import load_settings; from orderdesk_app.serving "
            "import server; server(load_settings()).serve()"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", code], cwd=ROOT, env=environment, stdout=out, stderr=out
        )
    served = WebServer(
        Server(port, process, log, folder),
        settings_for(values["DATABASE_URL"], MCP_KMS_KEY=KMS_KEY),
    )
    try:
        wait_until_ready(served.server)
        served.cookie = served.sign_in()
        yield served
    finally:
        process.terminate()
        process.wait(20)


def _until(question: Callable[[], object], seconds: float = 15) -> None:
    until = time.monotonic() + seconds
    while not question():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.03)


# ------------------------------------------------------------------ what is said


def test_members_write_nothing_of_theirs_into_the_log(web_server: WebServer) -> None:
    forged = json.dumps({"event": "FORGED sign-in of admin", "level": "info"})
    for data in (
        {"foo": "Jane Doe 5 High Street"},
        "Jane Doe 5 High Street",
        f"z\n{forged}\n",
        None,
        {"name": {"a": "Jane Doe"}, "payload": {}},
    ):
        web_server.say("42/_event," + json.dumps(["event", data]))
    web_server.say('42/_event,["event"', '42/_event,["nosuch","Jane Doe"]', "4zzz", lines=2)
    httpx.get(f"http://localhost:{web_server.port}/_event/?EIO=4&transport=polling")

    text = "\n".join(web_server.lines())
    assert all(json.loads(line)["logger"] for line in web_server.lines())
    assert "the web framework wrote a line" in text
    assert "Jane" not in text
    assert "FORGED" not in text


# ------------------------------------------------------------------ what is held


def test_six_strangers_with_a_message_of_60_mib_hold_nothing(web_server: WebServer) -> None:
    before = web_server.resident_mib()
    with contextlib.ExitStack() as closing:
        for _ in range(6):
            connection, is_open = web_server.upgrade()
            closing.callback(connection.close)
            flood(connection)

            assert not is_open
        assert web_server.resident_mib() - before < 2


@pytest.mark.parametrize("frames", [1, 4])
def test_a_member_whose_message_is_too_long_is_disconnected_while_it_comes(
    web_server: WebServer, frames: int
) -> None:
    cookie = web_server.sign_in()
    before = web_server.resident_mib()
    most = 0.0
    for _ in range(6):
        with joined(web_server, cookie) as connection:
            if frames == 1:
                with contextlib.suppress(OSError):  # its last byte does not come
                    connection.sendall(frame(15 * MIB)[:-1])
            else:
                flood(connection)
            assert is_disconnected(connection)
        most = max(most, web_server.resident_mib() - before)

    assert most < 10  # the states of these pages are among it


def test_a_message_that_fits_is_read_whole(web_server: WebServer) -> None:
    with joined(web_server, web_server.sign_in()) as connection:
        connection.sendall(frame(MAX_MESSAGE))

        assert not is_disconnected(connection, 1)


def test_400_sockets_of_a_member_are_few_and_leave_nothing_behind(web_server: WebServer) -> None:
    warm = web_server.sign_in()
    for _ in range(MAX_PER_SESSION):
        joined(web_server, warm).close()
    cookie = web_server.sign_in()
    before = web_server.resident_mib()
    with contextlib.ExitStack() as closing:
        accepted = 0
        for _ in range(400):
            connection, is_open = web_server.upgrade(cookie)
            closing.enter_context(connection)
            accepted += is_open

        assert accepted <= MAX_PER_SESSION
    # those that are gone are no longer counted
    _until(lambda: _is_open(web_server, cookie), 30)
    time.sleep(1.5)

    assert web_server.resident_mib() - before < 10


def _is_open(web_server: WebServer, cookie: str) -> bool:
    connection, is_open = web_server.upgrade(cookie)
    connection.close()
    return is_open


def test_others_are_served_meanwhile(web_server: WebServer) -> None:
    cookie = web_server.sign_in()
    with joined(web_server, cookie) as hostile, joined(web_server, cookie) as other:
        flood(hostile)
        assert select.select([other], [], [], 10)[0]  # it gets its answer to the join
        assert httpx.get(f"{web_server.server.url}/health/live", timeout=5).status_code == 200
