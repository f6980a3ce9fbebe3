"""The same catalogue over stdin and stdout, for clients that start us as a child process."""

import json
import sys
from collections.abc import AsyncIterable, Awaitable, Callable
from io import StringIO
from typing import Any

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.server.context import ServerRequestContext
from mcp.server.stdio import stdio_server
from mcp.shared.message import SessionMessage
from mcp_types import (
    ErrorData,
    JSONRPCError,
    JSONRPCMessage,
    JSONRPCNotification,
    JSONRPCRequest,
    JSONRPCResponse,
    jsonrpc_message_adapter,
)
from pydantic import ValidationError

from orderdesk_app.context import Secret, Via
from orderdesk_app.errors import AuthFailed, ConfigurationError
from orderdesk_app.mcp.batch import MOST_MESSAGES, WITH_BATCHES
from orderdesk_app.mcp.body import Unfit, is_answer, is_message, not_a_message, parse
from orderdesk_app.mcp.server import AgentDoor
from orderdesk_app.services.access import Access, Principal
from orderdesk_app.services.sign_in import SignIn
from orderdesk_app.tools.runner import Runner

_MOST_DIGITS = 20  # of an id; a longer number is none that a client counted up to
Frame = SessionMessage | Exception


class StdioCaller:
    """The one caller of a stdio session.

    Its key is looked up anew for each call, so that a revoked one stops at once.
    """

    may_sign_in = True
    session = "stdio"

    def __init__(self, access: Access) -> None:
        self._access = access
        self._key: Secret | None = None

    async def principal(self) -> Principal | None:
        return await self._access.by_token(self._key.reveal(), via=Via.STDIO) if self._key else None

    def sign_in(self, key: Secret) -> None:
        self._key = key


async def serve_stdio(
    runner: Runner, access: Access, sign_in: SignIn, key: str, *, grace_seconds: float
) -> None:
    """Serve until stdin ends and what was asked before is answered (for `grace_seconds` at most).

    `key` may be empty: then tenant_use_master_key signs in.

    Raises ConfigurationError for a wrong ORDERDESK_MCP_KEY.
    """
    caller = StdioCaller(access)
    if key:
        caller.sign_in(Secret(key))
        try:
            principal = await access.by_token(key, via=Via.STDIO)
        except AuthFailed as error:
            await sign_in.write_down_bad_key(via=Via.STDIO)
            raise ConfigurationError(
                "ORDERDESK_MCP_KEY: this key is not known here. Example: "
                "ORDERDESK_MCP_KEY=<a key from Settings>"
            ) from error
        await sign_in.write_down_key(principal.actor)

    def who_calls(_: ServerRequestContext[Any, Any]) -> StdioCaller:
        return caller

    server = AgentDoor(runner, who_calls).server()
    lines = anyio.wrap_file(
        sys.stdin.buffer
        # read here: the SDK keeps nothing of a line that it cannot read, not even whose question it
        # was
    )
    try:
        async with (
            stdio_server(anyio.wrap_file(StringIO())) as (unread, stdout),
            unread,
            stdout,
            anyio.create_task_group() as group,
        ):
            pipe = _Pipe(lines, stdout.send, grace_seconds)
            group.start_soon(pipe.read)
            group.start_soon(pipe.write)
            await server.run(pipe.incoming, pipe.outgoing, server.create_initialization_options())
    except* BrokenPipeError:
        pass  # the client has closed its end: nobody is left to be told anything


class _Pipe:
    """Between the lines and the SDK, which drops what it cannot read and forgets what it was asked
    as soon as stdin ends.
    """

    def __init__(
        self,
        lines: AsyncIterable[bytes],
        say: Callable[[SessionMessage], Awaitable[None]],
        grace_seconds: float,
    ) -> None:
        self._lines, self._say, self._grace_seconds = lines, say, grace_seconds
        self._to_server: MemoryObjectSendStream[Frame]
        self._from_server: MemoryObjectReceiveStream[SessionMessage]
        self._to_server, self.incoming = anyio.create_memory_object_stream[Frame]()
        self.outgoing, self._from_server = anyio.create_memory_object_stream[SessionMessage]()
        self._asked: set[str] = set()
        self._revision: Any = ""  # that `initialize` asked for; the one with batches is spoken
        self._answered = anyio.Event()

    async def read(self) -> None:
        async with self._to_server:
            async for line in self._lines:
                try:
                    value = parse(line)
                except Unfit as error:
                    await self._refuse(error, _id_in(line))
                    continue
                for part in value if self._is_batch(value) else [value]:
                    await self._take(part)
            with anyio.move_on_after(self._grace_seconds):
                while self._asked:
                    self._answered = anyio.Event()
                    await self._answered.wait()

    def _is_batch(self, value: Any) -> bool:
        """In the one revision that has them; its messages are then answered one a line, each by its
        id.
        """
        return (
            isinstance(value, list)
            and 1 <= len(value) <= MOST_MESSAGES
            and self._revision == WITH_BATCHES
        )

    async def _take(self, value: Any) -> None:
        try:
            frame = SessionMessage(_message(value))
        except Unfit as error:
            await self._refuse(error, _id_of(value))
            return
        if value.get("method") == "initialize":
            self._revision = (value.get("params") or {}).get("protocolVersion")
        self._remember(frame)
        await self._to_server.send(frame)

    async def write(self) -> None:
        async with self._from_server:
            async for frame in self._from_server:
                await self._say(frame)
                if isinstance(frame.message, (JSONRPCResponse, JSONRPCError)):
                    self._settle(frame.message.id)

    def _remember(self, frame: SessionMessage) -> None:
        if isinstance(frame.message, JSONRPCRequest):
            self._asked.add(str(frame.message.id))
        elif (
            isinstance(frame.message, JSONRPCNotification)
            and frame.message.method == "notifications/cancelled"
        ):
            self._settle((frame.message.params or {}).get("requestId"))  # it gets no answer

    def _settle(self, message_id: Any) -> None:
        self._asked.discard(str(message_id))
        self._answered.set()

    async def _refuse(self, error: Unfit, message_id: str | int | None) -> None:
        words = "The line is not a JSON-RPC 2.0 message in UTF-8. Send one message a line."
        await self._say(
            SessionMessage(
                JSONRPCError(
                    jsonrpc="2.0", id=message_id, error=ErrorData(code=error.code, message=words)
                )
            )
        )


def _message(value: Any) -> JSONRPCMessage:
    """The message, by the same rules as over HTTP. Raises Unfit."""
    if not is_message(value) and not is_answer(value):
        raise not_a_message()
    try:
        return jsonrpc_message_adapter.validate_python(value, by_name=False)
    except ValidationError:
        raise not_a_message() from None


def _id_in(line: bytes) -> str | int | None:
    """The id of a line that is unfit, if it can be made out at all: whoever asked would wait for
    ever for an answer without it.
    """
    try:
        return _id_of(
            json.loads(
                line.decode(errors="replace"),
                parse_int=lambda digits: int(digits) if len(digits) < _MOST_DIGITS else None,
            )
        )
    except (ValueError, RecursionError):
        return None


def _id_of(value: Any) -> str | int | None:
    found = value.get("id") if isinstance(value, dict) else None
    if isinstance(found, str):
        # half a character could not be written back
        return found if found == found.encode(errors="ignore").decode() else None
    return found if isinstance(found, int) and not isinstance(found, bool) else None
