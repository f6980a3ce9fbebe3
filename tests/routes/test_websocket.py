"""The websocket that we speak ourselves, over a pair of real sockets."""

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from starlette.types import Message
from wsproto import ConnectionType
from wsproto.connection import Connection
from wsproto.events import (
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    Pong,
    TextMessage,
)

from orderdesk_app.connections import own_connection
from orderdesk_app.routes.websocket import WebSocket

MAX = 600_000  # longer than a read, and than a frame of a browser


@dataclass
class Browser:
    """The other end."""

    connection: socket.socket
    wire: Connection

    async def say(self, *events: Event) -> None:
        for event in events:
            await self.send(self.wire.send(event))

    async def send(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self.connection, data)

    async def hear(self) -> list[Event]:
        data = await asyncio.get_running_loop().sock_recv(self.connection, 65536)
        self.wire.receive_data(data or None)
        return list(self.wire.events())


@pytest.fixture
async def pair() -> AsyncIterator[tuple[WebSocket, Browser]]:
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    websocket = WebSocket(ours, max_message=MAX)
    yield websocket, Browser(theirs, Connection(ConnectionType.CLIENT))
    websocket.release()
    theirs.close()


Pair = tuple[WebSocket, Browser]


def text(message: Message) -> str:
    assert message["type"] == "websocket.receive", message
    return str(message["text"])


async def test_messages_go_both_ways(pair: Pair) -> None:
    ours, browser = pair
    await browser.say(TextMessage("Grüße"), BytesMessage(b"\0\1"))
    await ours.send({"type": "websocket.send", "text": "Ça va", "bytes": None})
    await ours.send({"type": "websocket.send", "bytes": b"\2"})

    assert text(await ours.receive()) == "Grüße"
    assert await ours.receive() == {"type": "websocket.receive", "bytes": b"\0\1"}
    heard = await browser.hear()
    assert [event.data for event in heard if isinstance(event, TextMessage | BytesMessage)] == [
        "Ça va",
        b"\2",
    ]


async def test_a_message_may_come_in_parts_with_a_ping_between(pair: Pair) -> None:
    ours, browser = pair
    await browser.say(
        TextMessage("one, ", message_finished=False), Ping(b"there?"), TextMessage("two")
    )

    assert text(await ours.receive()) == "one, two"
    [pong] = await browser.hear()
    assert isinstance(pong, Pong)
    assert pong.payload == b"there?"


@pytest.mark.parametrize("letter", ["x", "é"])
async def test_a_message_has_so_many_bytes(pair: Pair, letter: str) -> None:
    ours, browser = pair
    fits = letter * (MAX // len(letter.encode()))
    saying = asyncio.create_task(browser.say(TextMessage(fits), TextMessage(f"{fits}x")))

    assert text(await ours.receive()) == fits
    assert await ours.receive() == {"type": "websocket.disconnect", "code": 1009}
    saying.cancel()


async def test_a_frame_that_announces_gigabytes_holds_nothing(pair: Pair) -> None:
    ours, browser = pair
    receiving = asyncio.create_task(ours.receive())
    await browser.send(bytes([0x81, 0xFF]) + (1 << 40).to_bytes(8, "big") + bytes(4) + b"x" * MAX)
    await asyncio.sleep(0.05)
    assert not receiving.done()  # it fits so far
    await browser.send(b"x")

    assert (await receiving)["code"] == 1009


@pytest.mark.parametrize("event", [TextMessage("", message_finished=False), Ping()])
async def test_a_message_has_so_many_frames(pair: Pair, event: Event) -> None:
    ours, browser = pair
    await browser.say(*[event] * 150)

    assert (await ours.receive())["code"] == 1009


@pytest.mark.parametrize(
    "data", [b"\xff\xff\xff", bytes([0x81, 0x01]) + b"x", bytes([0x81, 0x81, 0, 0, 0, 0, 0xFF])]
)
async def test_what_is_no_websocket_is_a_disconnect(pair: Pair, data: bytes) -> None:
    ours, browser = pair
    await browser.send(data)

    assert (await ours.receive())["type"] == "websocket.disconnect"


async def test_who_leaves_is_a_disconnect(pair: Pair) -> None:
    ours, browser = pair
    await browser.say(CloseConnection(1001))
    assert await ours.receive() == {"type": "websocket.disconnect", "code": 1001}
    await ours.close(1000)
    with pytest.raises(OSError, match="closed"):
        await ours.send({"text": "too late"})


async def test_a_connection_that_ends_is_a_disconnect(pair: Pair) -> None:
    ours, browser = pair
    browser.connection.close()

    assert (await ours.receive())["type"] == "websocket.disconnect"


async def test_a_close_says_why(pair: Pair) -> None:
    ours, browser = pair
    await ours.close(1008)

    [event] = await browser.hear()
    assert isinstance(event, CloseConnection)
    assert event.code == 1008


@pytest.mark.parametrize(
    ("listens", "connects"),
    [("127.0.0.1", "127.0.0.1"), ("::1", "::1"), ("::", "127.0.0.1"), ("::", "::1")],
)
def test_a_connection_is_found_by_its_other_end(listens: str, connects: str) -> None:
    is_ipv6 = ":" in listens
    with (
        socket.create_server(
            (listens, 0),
            family=socket.AF_INET6 if is_ipv6 else socket.AF_INET,
            dualstack_ipv6=listens == "::",
        ) as listener,
        socket.create_connection((connects, listener.getsockname()[1])) as theirs,
    ):
        ours, (host, port, *_) = listener.accept()
        with ours:
            found = own_connection((host, str(port)))  # as granian gives it
            assert found is not None
            with found:
                assert found.fileno() != ours.fileno()
                found.sendall(b"by another descriptor")
            assert theirs.recv(100) == b"by another descriptor"
            assert own_connection((host, 1)) is None
            assert own_connection(None) is None
            assert own_connection(("testclient", 50000)) is None
        assert own_connection((host, port)) is None
