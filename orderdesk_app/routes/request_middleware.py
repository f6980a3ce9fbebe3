"""The middleware of every request: its id, its caller's address, its Host and Origin, its count in
the metrics.
"""

import asyncio
import logging
import re
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import lru_cache
from ipaddress import ip_address
from typing import Literal
from urllib.parse import urlsplit

from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orderdesk_app.context import RequestContext, new_id, serving
from orderdesk_app.db.engine import NO_ANSWER
from orderdesk_app.errors import in_message
from orderdesk_app.graceful_stop import ServerStopping
from orderdesk_app.observability import ERRORS, HTTP_REQUESTS, HTTP_SECONDS, log
from orderdesk_app.routes.html_pages import error_page, is_for_a_person
from orderdesk_app.routes.oauth import is_for_programs
from orderdesk_app.setting_rules import Host, is_loopback, read_host

_LOG = log(__name__)
_LEVEL = logging.getLogger(__name__)  # its level is asked first: to make a log line costs more
# As proxies make them (UUIDs, hexadecimal). It stands in the log and in the audit log, so it is
# shorter than any key of ours, and no network address.
_ID = re.compile(r"[A-Za-z0-9_-]{8,40}")
_RETRY_SECONDS = 10
# called by machines that do not know PUBLIC_URL's host
_ALWAYS_OPEN = frozenset({"/health/live", "/health/ready"})
_BY_ANY_HOST = frozenset({"/health", "/health/detailed"})
_METRICS = "/metrics"
MCP_PATHS = frozenset({"/mcp", "/mcp/"})
_INVALID_REQUEST = -32600  # of JSON-RPC
_INTERNAL_ERROR = -32603
_Reach = Literal["everything", "agents", "nothing"]
ADDRESS = "orderdesk.address"  # keys of the ASGI scope
_READ = frozenset({b"host", b"origin", b"x-request-id", b"x-forwarded-for"})
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_ROUTES = (
    "/mcp",
    "/health/live",
    "/health/ready",
    "/health/detailed",
    "/health",
    "/metrics",
    "/assets/",
    "/_event",
    "/.well-known",
    "/authorize",
    "/register",
    "/token",
    "/revoke",
)


class RequestMiddleware:
    """The outermost ASGI app: Host and Origin by PUBLIC_URL, X-Request-ID in and out,
    X-Forwarded-For as far as it is trusted.

    By one of the `allowed_hosts` only what agents need is reached; no Origin is added by them. Any
    Origin may read what OAuth clients need (routes/oauth.py).
    Health is reached by any host, and so are metrics where a token guards them: what discovers pods
    and containers calls them by their address.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        public_url: str,
        port: int,
        is_production: bool,
        trusted_proxies: int,
        allowed_hosts: Collection[Host] = (),
        have_metrics_token: bool = False,
        note_refused: Callable[[int, str], None] = lambda status, address: None,
    ) -> None:
        """`note_refused` hears of each message for `/mcp` that Host or Origin kept out: its status,
        421 or 403, and the network address that it came from.
        """
        self._app = app
        self._note_refused = note_refused
        self._proxies = trusted_proxies
        public = urlsplit(public_url)
        self._host = read_host(public.netloc).name
        self._scheme = public.scheme
        self._ports = {public.port or (443 if public.scheme == "https" else 80)}
        self._any_loopback = not is_production and is_loopback(self._host)
        if self._any_loopback:
            self._ports.add(port)
        self._allowed = frozenset(allowed_hosts)
        self._by_any_host = _BY_ANY_HOST | ({_METRICS} if have_metrics_token else set())
        self._reach = lru_cache(256)(self._reach_of)  # most requests name the same few hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            return await self._app(scope, receive, send)
        headers = _read(scope)
        given = headers.get(b"x-request-id", ("",))[0]
        request = RequestContext(given if _ID.fullmatch(given) else new_id())
        scope[ADDRESS] = self._address(scope, headers.get(b"x-forwarded-for", ()))
        with serving(request):
            refusal = self._refusal(scope["path"], headers)
            if scope["type"] == "websocket":
                if refusal is not None:
                    await receive()
                    return await send({"type": "websocket.close", "code": 1008})
                return await self._app(scope, receive, send)
            await self._serve(scope, receive, send, request, refusal)

    async def _serve(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        request: RequestContext,
        refusal: tuple[int, str] | None,
    ) -> None:
        exchange = _Exchange(receive, send, request.request_id)
        route = route_of(scope["path"])
        try:
            if refusal is not None:
                if _is_json_rpc(scope):
                    self._note_refused(refusal[0], scope[ADDRESS])
                await _refused(scope, *refusal)(scope, receive, exchange.send)
            else:
                await self._app(scope, exchange.receive, exchange.send)
        except asyncio.CancelledError:
            exchange.is_disconnected = True  # nothing waits for the answer
            raise
        except ClientDisconnect:
            exchange.is_disconnected = True
            if exchange.status is None:
                # The server takes chunks that are none for a hang-up, and where nothing is said to
                # such a client, it says 500.
                headers = {"X-Request-ID": request.request_id}
                await Response(status_code=400, headers=headers)(scope, receive, send)
        except ServerStopping:
            if exchange.status is None:
                await _stopping(scope)(scope, receive, exchange.send)
        except Exception as error:
            ERRORS.labels("http").inc()
            _LOG.error("a request failed", exc_info=error, route=route, method=_method_of(scope))
            if exchange.status is not None:
                raise
            await _failure(error, scope, request.request_id)(scope, receive, exchange.send)
        finally:
            exchange.count(route, _method_of(scope))

    def _refusal(self, path: str, headers: Mapping[bytes, Sequence[str]]) -> tuple[int, str] | None:
        if path in _ALWAYS_OPEN:
            return None
        misdirected = self._host_refusal(path, headers.get(b"host", ()))
        if misdirected:
            return 421, misdirected
        if is_for_programs(path):
            return None
        if not all(self._is_our_origin(origin) for origin in headers.get(b"origin", ())):
            return 403, "Pages of other sites may not use this server."
        return None

    def _host_refusal(self, path: str, hosts: Sequence[str]) -> str:
        """Why this path is not reached by that Host; empty where it is."""
        if path in self._by_any_host and len(hosts) < 2:
            return ""
        if len(hosts) != 1:
            return f"The request names {len(hosts)} hosts. Send one Host, that of PUBLIC_URL."
        host = hosts[0].strip(" \t")  # RFC 9110 5.5; the HTTP parser keeps what trails
        reach = self._reach(host)
        is_for_agents = path in MCP_PATHS or path == _METRICS or is_for_programs(path)
        if reach == "everything" or (reach == "agents" and is_for_agents):
            return ""
        if reach == "agents":
            return (
                f"By the host {in_message(host)}, which is one of ALLOWED_HOSTS, only /mcp, health "
                "and metrics are reached. Open the web app by the address in PUBLIC_URL."
            )
        return (
            f"This server does not answer for the host {in_message(host)}. Use the address in "
            "PUBLIC_URL. Programs may call /mcp by another name too, once the server's operator "
            "has added it to ALLOWED_HOSTS."
        )

    def _reach_of(self, text: str) -> _Reach:
        """What is reached by that Host."""
        try:
            host = read_host(text)
        except ValueError:
            return "nothing"
        if self._is_our_name(host.name) and (
            self._any_loopback or host.port in (None, *self._ports)
        ):
            return "everything"
        if host in self._allowed or host._replace(port=None) in self._allowed:
            return "agents"
        # Clients leave out the port that their scheme implies.
        implied = (host._replace(port=80), host._replace(port=443))
        if host.port is None and not self._allowed.isdisjoint(implied):
            return "agents"
        return "nothing"

    def _is_our_name(self, name: str) -> bool:
        return is_loopback(name) if self._any_loopback else name == self._host

    def _is_our_origin(self, origin: str) -> bool:
        scheme, _, authority = origin.strip(" \t").partition("://")
        try:
            host = read_host(authority)
        except ValueError:
            return False
        port = host.port or (443 if scheme == "https" else 80)
        return scheme == self._scheme and self._is_our_name(host.name) and port in self._ports

    def _address(self, scope: Scope, forwarded: Sequence[str]) -> str:
        """The caller's address: the connection's, or as many proxies back as are trusted."""
        client = scope.get("client")
        peer = str(client[0]) if client else ""
        if not self._proxies:
            return peer
        chain = [entry.strip() for line in forwarded for entry in line.split(",") if entry.strip()]
        if not chain:
            return peer
        address = chain[-self._proxies] if len(chain) >= self._proxies else chain[0]
        if address.startswith("["):
            address = address[1:].partition("]")[0]  # [address]:port
        elif address.count(":") == 1:
            address = address.partition(":")[0]
        try:
            return str(ip_address(address))
        except ValueError:
            return peer


class _Exchange:
    """One request and its answer: puts the id on the answer, and counts how it ended."""

    def __init__(self, receive: Receive, send: Send, request_id: str) -> None:
        self._receive = receive
        self._send = send
        self._request_id = request_id.encode()
        self._started = time.perf_counter()
        self.status: int | None = None  # None: no answer has begun
        self.is_disconnected = False

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self.is_disconnected = True
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            others = [pair for pair in message.get("headers", ()) if pair[0] != b"x-request-id"]
            message["headers"] = [*others, (b"x-request-id", self._request_id)]
        await self._send(message)

    def count(self, route: str, method: str) -> None:
        """Count the request in the metrics, and log it where the level asks for it."""
        seconds = time.perf_counter() - self._started
        if self.status is not None:
            outcome = f"{self.status // 100}xx"
        else:
            outcome = "gone" if self.is_disconnected else "5xx"
        HTTP_REQUESTS.labels(route, outcome).inc()
        HTTP_SECONDS.labels(route).observe(seconds)
        if _LEVEL.isEnabledFor(logging.DEBUG):
            _LOG.debug(
                "request",
                route=route,
                method=method,
                status=self.status or outcome,
                seconds=round(seconds, 4),
            )


def _method_of(scope: Scope) -> str:
    """For the log: a caller may send any word as its method."""
    return scope["method"] if scope["method"] in _METHODS else "other"


def _refused(scope: Scope, status: int, words: str) -> Response:
    name = "misdirected_request" if status == 421 else "forbidden_origin"
    if _is_json_rpc(scope):
        return _rpc_error(status, _INVALID_REQUEST, words)
    return JSONResponse({"error": name, "message": words}, status)


def _is_json_rpc(scope: Scope) -> bool:
    return scope["path"] in MCP_PATHS and scope["method"] == "POST"


def _rpc_error(status: int, code: int, words: str) -> Response:
    """As the endpoint of `/mcp` refuses: clients of MCP show the message of such an error alone."""
    error = {"code": code, "message": words}
    return JSONResponse({"jsonrpc": "2.0", "id": None, "error": error}, status)


def _stopping(scope: Scope) -> Response:
    words = f"This server is stopping, so nothing was done. Try again in {_RETRY_SECONDS} s."
    response = (
        _rpc_error(503, _INTERNAL_ERROR, words)
        if _is_json_rpc(scope)
        else JSONResponse({"error": "unavailable", "message": words}, 503)
    )
    response.headers["Retry-After"] = str(_RETRY_SECONDS)
    return response


def _failure(error: Exception, scope: Scope, reference: str) -> Response:
    """A page for a browser, JSON for a program.

    A database that is away passes; all else is a fault of ours.
    """
    if isinstance(error, NO_ANSWER):
        status, name, title, label = 503, "unavailable", "Not available right now", "Try again"
        words = (
            f"Our own records cannot be reached. Try again in {_RETRY_SECONDS} s; if it "
            "stays, tell your administrator the reference."
        )
    else:
        status, name, title, label = 500, "internal", "Something went wrong", "Home"
        words = "Something went wrong on our side."
    if is_for_a_person(scope):
        response: Response = error_page(status, title, words, label=label, reference=reference)
    elif _is_json_rpc(scope):
        response = _rpc_error(status, _INTERNAL_ERROR, f"{words} Reference: {reference}.")
    else:
        response = JSONResponse({"error": name, "message": words, "reference": reference}, status)
    if status == 503:
        response.headers["Retry-After"] = str(_RETRY_SECONDS)
    return response


def _read(scope: Scope) -> Mapping[bytes, Sequence[str]]:
    """The few headers that matter here, each with all its values."""
    found: dict[bytes, list[str]] = {}
    for name, value in scope["headers"]:
        if name in _READ:
            found.setdefault(name, []).append(value.decode("latin-1"))
    return found


@lru_cache(1024)
def route_of(path: str) -> str:
    """A path as a metric's label: one of a fixed set."""
    for route in _ROUTES:
        if (
            path == route
            or (route.endswith("/") and path.startswith(route))
            or path.startswith(route + "/")
        ):
            return route.rstrip("/")
    return "web"
