"""`/mcp` over HTTP: finds the caller, checks the request, and gives it to one of two transports."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import ceil
from urllib.parse import parse_qsl, urlencode

from mcp.server.context import ServerRequestContext
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, MODERN_PROTOCOL_VERSIONS
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, Response
from starlette.types import Message, Receive, Scope, Send

from orderdesk_app.context import Json, JsonObject, Secret, current_request
from orderdesk_app.db.engine import NO_ANSWER
from orderdesk_app.errors import AuthFailed, RateLimited
from orderdesk_app.mcp.batch import answer_batch, takes_batches
from orderdesk_app.mcp.body import (
    INVALID_REQUEST,
    ClientDisconnected,
    InvalidRequest,
    accepts_event_stream,
    drain_body,
    is_message,
    is_response,
    names_revision,
    not_a_message,
    parse,
    read_body,
    replay,
    wants_progress,
)
from orderdesk_app.mcp.challenge import Challenges
from orderdesk_app.mcp.disconnect import cancel_on_disconnect
from orderdesk_app.mcp.prebuilt_result import complete_prebuilt
from orderdesk_app.mcp.server import INTERNAL_ERROR, MAX_NAME, McpHandlers
from orderdesk_app.mcp.text import program_name
from orderdesk_app.observability import CREDENTIALS_REFUSED, ERRORS, MCP_REFUSED, log
from orderdesk_app.security.web import (
    EXPOSED_HEADERS,
    IndexedHeaders,
    rate_limit_pairs,
    wait_headers,
)
from orderdesk_app.services.access import Principal
from orderdesk_app.services.key_check import KeyCheck
from orderdesk_app.services.oauth_resource import OAuthResource
from orderdesk_app.tools.runner import Runner

_LOG = log(__name__)
_NEEDS_KEY = (
    "This address needs a key: send the account's master key, or one from Settings in the web app, "
    "as Authorization: Bearer."
)
_RETRY_SECONDS = 5  # Retry-After while the database does not answer
PRINCIPAL = "orderdesk.principal"  # key of the ASGI scope
_ASK_AGAIN = "orderdesk.ask_again"  # key of the ASGI scope: who the caller is by now


@dataclass(slots=True)
class HttpCaller:
    """The caller of one HTTP request. No tool can change whose request it is."""

    signed_in: Principal | None
    user_agent: str = ""
    ask_again: Callable[[], Awaitable[Principal]] | None = None
    may_sign_in: bool = False

    @property
    def session(self) -> str:
        """Requests are independent: those of one program with one key count as one session."""
        return f"{self.signed_in.actor.credential_id} {self.user_agent}" if self.signed_in else ""

    async def principal(self) -> Principal | None:
        """As the key is now: it may have been revoked or narrowed, or have expired, while the body
        arrived or an earlier message of its batch ran. Raises AuthFailed.
        """
        if self.signed_in is None or self.ask_again is None:
            return self.signed_in
        actor = self.signed_in.actor
        return (await self.ask_again()).with_client(actor.client_name, "", actor.address)

    def sign_in(self, key: Secret) -> None:
        raise AssertionError("over HTTP no tool signs in")


def caller_of(ctx: ServerRequestContext) -> HttpCaller:
    """The caller that the endpoint put into the request's ASGI scope."""
    request = ctx.request
    if request is None:
        return HttpCaller(None)
    principal: Principal = request.scope[PRINCIPAL]
    return HttpCaller(principal, principal.actor.client_name, request.scope[_ASK_AGAIN])


class McpEndpoint:
    """The ASGI app of `/mcp`: an event stream for requests that ask for progress, else JSON."""

    def __init__(
        self,
        runner: Runner,
        keys: KeyCheck,
        *,
        allow_query_token: bool,
        oauth: OAuthResource | None = None,
    ) -> None:
        self._keys = keys
        self._runner = runner
        self._allow_query_token = allow_query_token
        self._challenges = Challenges(oauth)
        server = McpHandlers(runner, caller_of).server()
        # RequestMiddleware has checked Host and Origin before this endpoint.
        self._json = StreamableHTTPSessionManager(server, json_response=True, stateless=True)
        self._stream = StreamableHTTPSessionManager(server, json_response=False, stateless=True)
        # `read_body` keeps its own limit: behind it nobody has to collect and count the body again.
        self._serve_json = self._json.asgi_app.app
        self._serve_stream = self._stream.asgi_app.app

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Hold this open while requests are served."""
        async with self._json.run(), self._stream.run():
            yield

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # RFC 9110 5.5: white space around a field's value is not part of it, and the HTTP parser
        # keeps what trails.
        scope["headers"] = [(name, value.strip(b" \t")) for name, value in scope["headers"]]
        headers = IndexedHeaders(scope["headers"])
        origin = headers.get("origin")  # our own: RequestMiddleware has refused all others
        if origin is not None:
            send = _allowing_origin(origin, send)
        token, is_in_query = self._take_token(scope, headers)
        if scope["method"] == "OPTIONS":
            return await Response(status_code=204, headers=_PREFLIGHT)(scope, receive, send)
        look = self._keys.look()
        try:
            if token is None:
                raise AuthFailed(_NEEDS_KEY)
            principal = await self._keys.principal(
                token,
                address=scope.get("orderdesk.address", ""),
                kind="master" if is_in_query else None,
                opens_accounts=True,
            )
        except RateLimited as error:
            CREDENTIALS_REFUSED.labels("mcp").inc()
            await _too_many_wrong_keys(error)(scope, receive, send)
            return await drain_body(receive)
        except AuthFailed as error:
            CREDENTIALS_REFUSED.labels("mcp").inc()
            is_post = scope["method"] == "POST"
            refused = self._challenges.unauthorized(
                error, had_token=token is not None, is_post=is_post
            )
            await refused(scope, receive, send)
            return await drain_body(receive)
        except NO_ANSWER as error:
            _LOG.error("a key could not be looked up", exc_info=error)
            MCP_REFUSED.labels("database").inc()
            ERRORS.labels("mcp").inc()
            return await _database_unavailable()(scope, receive, send)
        send = self._with_rate_limit(principal, send)
        principal = principal.with_client(
            program_name(headers.get("user-agent", ""), MAX_NAME),
            "",
            scope.get("orderdesk.address", ""),
        )
        if scope["method"] != "POST":
            MCP_REFUSED.labels("method").inc()
            self._runner.note_use(principal)
            return await _method_not_allowed()(scope, receive, send)
        scope[_ASK_AGAIN] = partial(self._keys.principal_now, token, principal, look)
        scope[PRINCIPAL] = principal
        try:
            await self._serve(headers, scope, receive, send)
        except InvalidRequest as error:
            MCP_REFUSED.labels(error.reason).inc()
            self._runner.note_use(principal)
            await _rpc_error(error)(scope, receive, send)
            if error.has_unread_body:
                await drain_body(receive)
        except ClientDisconnected:
            MCP_REFUSED.labels("hung_up").inc()

    async def _serve(self, headers: Headers, scope: Scope, receive: Receive, send: Send) -> None:
        """Read and check the body, and hand it to the transport that fits.

        Raises InvalidRequest or ClientDisconnected.
        """
        takes_streams = accepts_event_stream(headers)
        scope["headers"] = [
            *[pair for pair in scope["headers"] if pair[0].startswith(b"mcp-")],
            *_ACCEPTABLE,
        ]
        body = await read_body(headers, receive)
        message = parse(body)
        revision = headers.get("mcp-protocol-version")
        if isinstance(message, list) and takes_batches(revision):
            if (challenge := await self._challenge(scope, message)) is not None:
                return await challenge(scope, receive, send)
            return await cancel_on_disconnect(
                receive, answer_batch(message, self._serve_json, scope, receive, send)
            )
        if not is_message(message):
            if is_response(message) and revision in (None, *HANDSHAKE_PROTOCOL_VERSIONS):
                # a response to no request of ours
                return await Response(status_code=202)(scope, receive, send)
            raise not_a_message()
        if revision is not None and revision not in _REVISIONS and not names_revision(message):
            words = (
                f"Revision {revision[:40]!r} of MCP is not spoken here. Send one of these as "
                f"MCP-Protocol-Version: {', '.join(_REVISIONS)}."
            )
            raise InvalidRequest(400, INVALID_REQUEST, words, "revision")
        if (challenge := await self._challenge(scope, [message])) is not None:
            return await challenge(scope, receive, send)
        if takes_streams and wants_progress(message):
            return await self._serve_stream(scope, replay(body, receive), send)
        await cancel_on_disconnect(
            receive,
            self._serve_json(scope, replay(body, receive), complete_prebuilt(scope, send)),
        )

    async def _challenge(self, scope: Scope, messages: Sequence[Json]) -> Response | None:
        """What a caller is answered who lacks a permission for one of the messages: then none of
        them is served, as the status of the answer is that of all.
        """
        principal: Principal = scope[PRINCIPAL]
        tools = self._challenges.lacking(principal, messages)
        if not tools:
            return None
        MCP_REFUSED.labels("scope").inc()
        for tool in tools:
            # refused there too: so it is counted, limited and written down as any refused call
            await self._runner.run(principal, tool.name, {})
        return self._challenges.insufficient(principal, tools)

    def _with_rate_limit(self, principal: Principal, send: Send) -> Send:
        """A `send` that says what the caller has left after the call; before it, where an event
        stream begins earlier.
        """
        request = current_request()

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                limit = request.rate_limit or await self._runner.rate_limit(principal)
                headers = _own_headers(message)
                headers += rate_limit_pairs(limit)
                if request.retry_after is not None:
                    headers.append((b"retry-after", str(ceil(request.retry_after)).encode()))
            await send(message)

        return with_headers

    def _take_token(self, scope: Scope, headers: Headers) -> tuple[str | None, bool]:
        """The bearer token, else that of `?token=` with True.

        The query is redacted in place before a log or a page can see it."""
        scheme, _, given = headers.get("authorization", "").partition(" ")
        token = given.strip() if scheme.lower() == "bearer" and given.strip() else None
        if scope["query_string"]:
            pairs = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
            in_query = next((value for name, value in pairs if name == "token"), None)
            scope["query_string"] = urlencode(
                [(name, "REDACTED" if name == "token" else value) for name, value in pairs]
            ).encode()
            if token is None and self._allow_query_token and in_query:
                return in_query, True
        return token, False


# The SDK gets the headers of the protocol alone, as it reads all that it gets several times. These
# two it checks again, by other rules and with answers that do not help: it gets values that no rule
# refuses.
_ACCEPTABLE = (
    (b"content-type", b"application/json"),
    (b"accept", b"application/json, text/event-stream"),
)
_REVISIONS = (*HANDSHAKE_PROTOCOL_VERSIONS, *MODERN_PROTOCOL_VERSIONS)
_ALLOW = {"Allow": "POST, OPTIONS"}
# In development a page on localhost may ask 127.0.0.1; browsers ask first whether it may send
# these.
_PREFLIGHT = {
    **_ALLOW,
    "Access-Control-Allow-Methods": "POST",
    "Access-Control-Allow-Headers": (
        "Authorization, Content-Type, Accept, MCP-Protocol-Version, Mcp-Method, Mcp-Name, "
        "Mcp-Session-Id, Last-Event-ID, X-Request-ID"
    ),
    "Access-Control-Max-Age": "600",
}


def _own_headers(message: Message) -> list[tuple[bytes, bytes]]:
    """The headers of this answer, to be changed: the SDK begins all its streams with one list."""
    headers: list[tuple[bytes, bytes]] = list(message.get("headers", ()))
    message["headers"] = headers
    return headers


def _allowing_origin(origin: str, send: Send) -> Send:
    """A `send` that lets a page of this origin read the answer (CORS)."""

    async def with_origin(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(raw=_own_headers(message))
            headers["Access-Control-Allow-Origin"] = origin
            headers["Access-Control-Expose-Headers"] = EXPOSED_HEADERS
            headers.add_vary_header("Origin")
        await send(message)

    return with_origin


def _method_not_allowed() -> Response:
    words = "Send JSON-RPC with POST."
    return JSONResponse({"error": "method_not_allowed", "message": words}, 405, _ALLOW)


def _rpc_error(error: InvalidRequest) -> Response:
    # RFC 9110 12.5.3: a 415 for a packed body names what is taken
    headers = {"Accept-Encoding": "identity"} if error.status == 415 else None
    return _rpc_response(error.status, error.code, error.message, headers)


def _too_many_wrong_keys(error: RateLimited) -> Response:
    headers = wait_headers(error) | {"Cache-Control": "no-store"}
    return _rpc_response(error.http_status, INVALID_REQUEST, error.message, headers)


def _database_unavailable() -> Response:
    words = (
        "Our database does not answer, so keys cannot be checked. Nothing was done. Try "
        f"again in {_RETRY_SECONDS} s; if it stays, tell your administrator this reference"
    )
    return _rpc_response(
        503,
        INTERNAL_ERROR,
        f"{words}: {current_request().request_id}.",
        {"Retry-After": str(_RETRY_SECONDS), "Cache-Control": "no-store"},
    )


def _rpc_response(
    status: int, code: int, message: str, headers: Mapping[str, str] | None = None
) -> Response:
    return JSONResponse(_rpc_body(code, message), status, headers)


def _rpc_body(code: int, message: str) -> JsonObject:
    return {"jsonrpc": "2.0", "id": None, "error": {"code": code, "message": message}}
