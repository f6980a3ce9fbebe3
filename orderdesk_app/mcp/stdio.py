"""The same tools over stdin and stdout, for clients that start us as a child process."""

import json
import sys
from collections.abc import AsyncIterable, Awaitable, Callable
from io import StringIO

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

from orderdesk_app.context import Json, Secret, Via
from orderdesk_app.errors import AuthFailed, ConfigurationError
from orderdesk_app.mcp.batch import BATCH_REVISION, MAX_MESSAGES
from orderdesk_app.mcp.body import InvalidRequest, is_message, is_response, not_a_message, parse
from orderdesk_app.mcp.server import McpHandlers
from orderdesk_app.services.access import Access, Principal
from orderdesk_app.services.sign_in import SignIn
from orderdesk_app.tools.runner import Runner

_MAX_DIGITS = 20  # of an id; no client counts further
Frame = SessionMessage | Exception


class StdioCaller:
    """The one caller of a stdio session.

    Its key is looked up for each call, so that a revoked key stops at once.
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
    """Serve until stdin ends, then wait for open requests for `grace_seconds` at most.

    With an empty `key` the client signs in by tenant_use_master_key. Raises ConfigurationError for
    a wrong ORDERDESK_MCP_KEY.
    """
    caller = StdioCaller(access)
    if key:
        caller.sign_in(Secret(key))
        try:
            principal = await access.by_token(key, via=Via.STDIO)
        except AuthFailed as error:
            await sign_in.record_failed_sign_in(via=Via.STDIO)
            raise ConfigurationError(
                "ORDERDESK_MCP_KEY: this key is not known here, or it has expired or was revoked. "
                "Example: ORDERDESK_MCP_KEY=<a key from Settings>"
            ) from error
        await sign_in.record_sign_in(principal.actor)

    def caller_of(_: ServerRequestContext) -> StdioCaller:
        return caller

    server = McpHandlers(runner, caller_of).server()
    # We read the lines: of a line that the SDK cannot read, it does not even keep the request's id.
    lines = anyio.wrap_file(sys.stdin.buffer)
    try:
        async with (
            stdio_server(anyio.wrap_file(StringIO())) as (unread, stdout),
            unread,
            stdout,
            anyio.create_task_group() as group,
        ):
            bridge = _Bridge(lines, stdout.send, grace_seconds)
            group.start_soon(bridge.read)
            group.start_soon(bridge.write)
            await server.run(
                bridge.incoming, bridge.outgoing, server.create_initialization_options()
            )
    except* BrokenPipeError:
        pass  # the client has closed its end


class _Bridge:
    """Reads stdin in place of the SDK, which drops lines that it cannot read and cancels open
    requests as soon as stdin ends.
    """

    def __init__(
        self,
        lines: AsyncIterable[bytes],
        send: Callable[[SessionMessage], Awaitable[None]],
        grace_seconds: float,
    ) -> None:
        self._lines = lines
        self._send = send
        self._grace_seconds = grace_seconds
        self._to_server: MemoryObjectSendStream[Frame]
        self._from_server: MemoryObjectReceiveStream[SessionMessage]
        self._to_server, self.incoming = anyio.create_memory_object_stream[Frame]()
        self.outgoing, self._from_server = anyio.create_memory_object_stream[SessionMessage]()
        self._open: set[str] = set()  # ids of requests without an answer
        self._revision: Json = ""  # that `initialize` asked for
        self._answered = anyio.Event()

    async def read(self) -> None:
        async with self._to_server:
            async for line in self._lines:
                if not line.strip():
                    continue  # clients show every error, and a blank line is no message
                try:
                    value = parse(line)
                except InvalidRequest as error:
                    await self._refuse(error, _id_in(line))
                    continue
                for part in self._messages_in(value):
                    await self._forward(part)
            with anyio.move_on_after(self._grace_seconds):
                while self._open:
                    self._answered = anyio.Event()
                    await self._answered.wait()

    def _messages_in(self, value: Json) -> list[Json]:
        """The messages of a batch, in the one revision that has batches; else the value itself.

        Each message is answered on a line of its own."""
        is_batch = (
            isinstance(value, list)
            and 1 <= len(value) <= MAX_MESSAGES
            and self._revision == BATCH_REVISION
        )
        return value if isinstance(value, list) and is_batch else [value]

    async def _forward(self, value: Json) -> None:
        try:
            frame = SessionMessage(_message(value))
        except InvalidRequest as error:
            await self._refuse(error, _id_of(value))
            return
        if isinstance(frame.message, JSONRPCRequest) and frame.message.method == "initialize":
            self._revision = (frame.message.params or {}).get("protocolVersion")
        self._track(frame)
        await self._to_server.send(frame)

    async def write(self) -> None:
        async with self._from_server:
            async for frame in self._from_server:
                await self._send(frame)
                if isinstance(frame.message, (JSONRPCResponse, JSONRPCError)):
                    self._close(frame.message.id)

    def _track(self, frame: SessionMessage) -> None:
        if isinstance(frame.message, JSONRPCRequest):
            self._open.add(str(frame.message.id))
        elif (
            isinstance(frame.message, JSONRPCNotification)
            and frame.message.method == "notifications/cancelled"
        ):
            self._close((frame.message.params or {}).get("requestId"))  # it gets no answer

    def _close(self, message_id: Json) -> None:
        self._open.discard(str(message_id))
        self._answered.set()

    async def _refuse(self, error: InvalidRequest, message_id: str | int | None) -> None:
        words = (
            error.message
            if error.reason == "too_many_values"
            else "The line is not a JSON-RPC 2.0 message in UTF-8. Send one message a line."
        )
        await self._send(
            SessionMessage(
                JSONRPCError(
                    jsonrpc="2.0", id=message_id, error=ErrorData(code=error.code, message=words)
                )
            )
        )


def _message(value: Json) -> JSONRPCMessage:
    """The message, by the same rules as over HTTP. Raises InvalidRequest."""
    if not is_message(value) and not is_response(value):
        raise not_a_message()
    try:
        return jsonrpc_message_adapter.validate_python(value, by_name=False)
    except ValidationError:
        raise not_a_message() from None


def _id_in(line: bytes) -> str | int | None:
    """The id in a line that was refused, where one can be found: an answer without it would leave
    the client waiting for ever.
    """
    try:
        return _id_of(
            json.loads(
                line.decode(errors="replace"),
                parse_int=lambda digits: int(digits) if len(digits) < _MAX_DIGITS else None,
            )
        )
    except (ValueError, RecursionError):
        return None


def _id_of(value: Json) -> str | int | None:
    found = value.get("id") if isinstance(value, dict) else None
    if isinstance(found, str):
        # half a character could not be written back
        return found if found == found.encode(errors="ignore").decode() else None
    return found if isinstance(found, int) and not isinstance(found, bool) else None
