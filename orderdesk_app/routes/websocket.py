"""A websocket that granian has opened, spoken by us: RFC 6455 by wsproto, with an upper limit for a
message.

granian reads from a connection only while an app waits for a message, and then takes 64 MiB. So
nothing is asked of it after the handshake: docs/decisions/0016-connections.md.
"""

import asyncio
import contextlib
import socket

from starlette.types import Message
from wsproto import ConnectionType
from wsproto.connection import Connection
from wsproto.events import BytesMessage, CloseConnection, Event, Ping, TextMessage
from wsproto.utilities import LocalProtocolError

_READ_BYTES = 4096
# of one message, and around it; a browser splits a long one at 64 KiB
_MAX_FRAMES = 100
_GONE, _TOO_LONG = 1006, 1009  # RFC 6455, 7.4.1


class WebSocket:
    """One connection, from the end of the handshake on. Never holds more than `max_message` bytes
    of what comes in, and what one read has brought.
    """

    def __init__(self, connection: socket.socket, *, max_message: int) -> None:
        connection.setblocking(False)
        self._connection = connection
        self._max_message = max_message
        self._wire = Connection(ConnectionType.SERVER)
        self._writing = asyncio.Lock()

    async def receive(self) -> Message:
        """The next message, or a disconnect, as ASGI has them."""
        parts: list[str | bytes] = []
        size = frames = 0
        loop = asyncio.get_running_loop()
        while True:
            for event in self._wire.events():
                frames += getattr(event, "frame_finished", True)  # else a part of one
                if isinstance(event, TextMessage | BytesMessage):
                    part = event.data if isinstance(event.data, str) else bytes(event.data)
                    size += len(part.encode() if isinstance(part, str) else part)
                    parts.append(part)
                if frames > _MAX_FRAMES or size > self._max_message:
                    return _disconnect(_TOO_LONG)
                if isinstance(event, TextMessage | BytesMessage) and event.message_finished:
                    return _message(parts)
                if isinstance(event, Ping):
                    await self._write(event.response())
                if isinstance(event, CloseConnection):
                    return _disconnect(int(event.code))
            try:
                data = await loop.sock_recv(self._connection, _READ_BYTES)
            except OSError:
                data = b""
            if not data:
                return _disconnect(_GONE)
            self._wire.receive_data(data)

    async def send(self, message: Message) -> None:
        """Raises OSError where the peer has gone."""
        text = message.get("text")
        await self._write(
            TextMessage(text) if text is not None else BytesMessage(message.get("bytes") or b"")
        )

    async def close(self, code: int) -> None:
        with contextlib.suppress(OSError):
            await self._write(CloseConnection(code))
        self.disconnect()

    def disconnect(self) -> None:
        """End the connection at once."""
        with contextlib.suppress(OSError):  # it has ended already
            self._connection.shutdown(socket.SHUT_RDWR)

    def release(self) -> None:
        """End it, and give the descriptor back."""
        self.disconnect()
        self._connection.close()

    async def _write(self, event: Event) -> None:
        async with self._writing:  # frames do not mix
            try:
                data = self._wire.send(event)
            except LocalProtocolError as error:  # the peer has closed it
                raise OSError("the websocket is closed") from error
            await asyncio.get_running_loop().sock_sendall(self._connection, data)


def _message(parts: list[str | bytes]) -> Message:
    texts = [part for part in parts if isinstance(part, str)]
    if len(texts) == len(parts):
        return {"type": "websocket.receive", "text": "".join(texts)}
    return {
        "type": "websocket.receive",
        "bytes": b"".join(p for p in parts if isinstance(p, bytes)),
    }


def _disconnect(code: int) -> Message:
    return {"type": "websocket.disconnect", "code": code}
