"""`/mcp` over HTTP: who calls, is the request fit to be read, and which of the two transports answers it."""

import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl, urlencode

from mcp.server.context import ServerRequestContext
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response
from starlette.types import Message, Receive, Scope, Send

from orderdesk_app.context import Secret
from orderdesk_app.errors import AuthFailed, OrderDeskAgentsError
from orderdesk_app.mcp.server import AgentDoor
from orderdesk_app.observability import CREDENTIALS_REFUSED, MCP_REFUSED
from orderdesk_app.services.access import Access, Principal
from orderdesk_app.tools.runner import Runner

MOST_BODY_BYTES = 4 * 1024 * 1024
PRINCIPAL = "orderdesk.principal"  # key of the ASGI scope


@dataclass(slots=True)
class HttpCaller:
    """The caller of one HTTP request: its credential stays in force, whatever tools say."""

    found: Principal | None
    may_sign_in: bool = False

    async def principal(self) -> Principal | None:
        return self.found

    def sign_in(self, key: Secret) -> None:
        raise AssertionError("over HTTP nobody signs in by a tool")


def caller_of(ctx: ServerRequestContext[Any, Any]) -> HttpCaller:
    """The caller that the endpoint put into the request's scope."""
    request = ctx.request
    return HttpCaller(request.scope[PRINCIPAL] if request is not None else None)


class McpEndpoint:
    """The ASGI app of `/mcp`. JSON for all requests but those that ask for progress, which get an event stream."""

    def __init__(self, runner: Runner, access: Access, *, allow_query_token: bool, resource_metadata: str | None = None) -> None:
        self._access, self._allow_query_token, self._resource_metadata = access, allow_query_token, resource_metadata
        server = AgentDoor(runner, caller_of).server()
        # Host and Origin are checked for the whole app, in front of this endpoint.
        self._json = StreamableHTTPSessionManager(server, json_response=True, stateless=True, max_request_body_size=MOST_BODY_BYTES)
        self._stream = StreamableHTTPSessionManager(server, json_response=False, stateless=True, max_request_body_size=MOST_BODY_BYTES)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Hold this open while requests are served."""
        async with self._json.run(), self._stream.run():
            yield

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # RFC 9110 5.5: white space around a field's value is not part of it, and the HTTP parser keeps what trails.
        scope["headers"] = [(name, value.strip(b" \t")) for name, value in scope["headers"]]
        headers = Headers(scope=scope)
        token, is_in_query = self._take_token(scope, headers)
        if scope["method"] == "OPTIONS":
            return await Response(status_code=204, headers={"Allow": "POST, OPTIONS"})(scope, receive, send)
        try:
            if token is None:
                raise AuthFailed("This address needs a key: send it as Authorization: Bearer. Keys are made under Settings.")
            principal = await self._access.by_token(token, kind="master" if is_in_query else None)
        except AuthFailed as error:
            CREDENTIALS_REFUSED.labels("mcp").inc()
            return await self._refuse(error, had_token=token is not None)(scope, receive, send)
        if scope["method"] != "POST":
            MCP_REFUSED.labels("method").inc()
            return await JSONResponse({"error": "method_not_allowed", "message": "Send JSON-RPC with POST."}, 405, {"Allow": "POST, OPTIONS"})(
                scope, receive, send
            )
        body = await _whole_body(headers, receive)
        if body is None:
            MCP_REFUSED.labels("too_large").inc()
            return await _rpc_error(-32600, f"The request is larger than {MOST_BODY_BYTES} bytes.", 413)(scope, receive, send)
        scope[PRINCIPAL] = replace(
            principal,
            actor=replace(principal.actor, client_name=headers.get("user-agent", "")[:80], address=scope.get("orderdesk.address", "")),
        )
        manager = self._stream if _wants_progress(body) and "text/event-stream" in headers.get("accept", "") else self._json
        return await manager.handle_request(scope, _replay(body, receive), send)

    def _take_token(self, scope: Scope, headers: Headers) -> tuple[str | None, bool]:
        """The bearer token, else `?token=` (and True), which is redacted in place before a log or a page could see it."""
        scheme, _, given = headers.get("authorization", "").partition(" ")
        token = given.strip() if scheme.lower() == "bearer" and given.strip() else None
        if scope["query_string"]:
            pairs = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
            in_query = next((value for name, value in pairs if name == "token"), None)
            scope["query_string"] = urlencode([(name, "REDACTED" if name == "token" else value) for name, value in pairs]).encode()
            if token is None and self._allow_query_token and in_query:
                return in_query, True
        return token, False

    def _refuse(self, error: OrderDeskAgentsError, *, had_token: bool) -> Response:
        parts = ['realm="orderdesk"']
        if had_token:  # RFC 6750 3.1: no error code where no credentials were sent
            parts += ['error="invalid_token"', 'error_description="The key is unknown, revoked or expired"']
        if self._resource_metadata:
            parts.append(f'resource_metadata="{self._resource_metadata}"')
        return JSONResponse(
            {"error": "invalid_token" if had_token else "unauthorized", "code": error.code, "message": error.message},
            401,
            {"WWW-Authenticate": "Bearer " + ", ".join(parts), "Cache-Control": "no-store"},
        )


async def _whole_body(headers: Headers, receive: Receive) -> bytes | None:
    """The body, or None when it is larger than allowed."""
    declared = headers.get("content-length", "")
    if declared.isdigit() and int(declared) > MOST_BODY_BYTES:
        return None
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return b""
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > MOST_BODY_BYTES:
            return None
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)


def _replay(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body again, then what really comes (a disconnect)."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def _wants_progress(body: bytes) -> bool:
    if b'"progressToken"' not in body:
        return False
    try:
        meta = json.loads(body)["params"]["_meta"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return False
    return isinstance(meta, dict) and meta.get("progressToken") is not None


def _rpc_error(code: int, message: str, status: int) -> Response:
    return JSONResponse({"jsonrpc": "2.0", "id": None, "error": {"code": code, "message": message}}, status)
