"""What 400 hostile sockets leave behind in the memory of the server, and how much they take while
they are open.
"""

import asyncio
import contextlib
import socket
import time
from collections.abc import Mapping
from uuid import uuid4

from benchmarks.figures import Figure, at_most, told
from benchmarks.processes import Server
from benchmarks.world import World
from orderdesk_app import wiring
from orderdesk_app.connections import raise_descriptor_limit
from orderdesk_app.context import Via
from orderdesk_app.services.sessions import COOKIE
from orderdesk_app.settings_reader import load_settings

SOCKETS = 400
AT_MOST_MIB = 10.0
_MIB = 1024 * 1024
_FRAME_BYTES = 15 * _MIB  # granian takes frames of 16 MiB
_FLOODS = 6  # of these sockets say 60 MiB
_SETTLE_SECONDS = 5


def measure(ours: Server, made: World) -> list[Figure]:
    raise_descriptor_limit()
    cookie = asyncio.run(_sign_in(made.environment, made.token))
    _attack(ours, cookie, count=20)  # what is loaded or filled once is there afterwards
    time.sleep(_SETTLE_SECONDS)
    before = ours.resident_mb()
    most = _attack(ours, cookie, count=SOCKETS)
    time.sleep(_SETTLE_SECONDS)
    after = ours.resident_mb()
    return [
        at_most(
            f"memory after {SOCKETS} hostile sockets, above that before",
            max(0.0, after - before),
            AT_MOST_MIB,
            "MiB",
        ),
        told("  while they were open", f"{most - before:.1f} MiB"),
    ]


async def _sign_in(given: Mapping[str, str], token: str) -> str:
    """The cookie of a member's session."""
    async with wiring.open_services(load_settings(given)) as services:
        actor = (await services.access.by_token(token, via=Via.SYSTEM)).actor
        if actor.user_id is None:
            raise RuntimeError("A key without a user cannot sign in.")
        return await services.sessions.start(
            actor.tenant_id,
            actor.user_id,
            credential_id=None,
            address="127.0.0.1",
            user_agent="benchmarks",
        )


def _attack(ours: Server, cookie: str, *, count: int) -> float:
    """A quarter each: connections that say nothing, and half of a head; strangers' websockets, and
    a member's, with an unfinished message. Returns the memory of the server while all are open.
    """
    most = 0.0
    with contextlib.ExitStack() as closing:
        for number in range(count):
            connection = socket.create_connection(("127.0.0.1", ours.port), timeout=5)
            closing.callback(connection.close)
            with contextlib.suppress(OSError):  # it is refused, or cut off
                _harm(ours, connection, cookie, number)
            if number < 4 * _FLOODS:
                most = max(most, ours.resident_mb())
        return max(most, ours.resident_mb())


def _harm(ours: Server, connection: socket.socket, cookie: str, number: int) -> None:
    kind, is_flood = number % 4, number < 4 * _FLOODS
    if kind == 0:
        return
    if kind == 1:
        connection.sendall(b"GET / HTTP/1.1\r\nx-half: " + b"x" * 8_000)
        return
    given = cookie if kind == 2 else ""
    connection.sendall(
        f"GET /_event/?EIO=4&transport=websocket&token={uuid4()} HTTP/1.1\r\n"
        f"Host: localhost:{ours.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        f"Cookie: {COOKIE}={given}\r\n\r\n".encode()
    )
    if connection.recv(4096).split()[1] == b"101":
        join = b"40/_event,"
        connection.sendall(bytes([0x81, 0x80 | len(join)]) + bytes(4) + join)
    for part in range(4 if is_flood else 1):
        # a text that is never finished; of the frame of one that is no flood only a little comes
        first = bytes([0x00 if part else 0x01, 0x80 | 127])
        text = b"x" * (_FRAME_BYTES if is_flood else 8_000)
        connection.sendall(first + _FRAME_BYTES.to_bytes(8, "big") + bytes(4) + text)
