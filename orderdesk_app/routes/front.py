"""What every request passes first: its id, its caller's address, whether it is meant for this host, and its count in the metrics."""

import re
import time
from collections.abc import Sequence
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orderdesk_app.config import is_loopback
from orderdesk_app.context import RequestContext, new_id, serving
from orderdesk_app.observability import ERRORS, HTTP_REQUESTS, HTTP_SECONDS, log

_LOG = log(__name__)
_ID = re.compile(r"[A-Za-z0-9_.\-]{8,64}")
_ALWAYS_OPEN = frozenset({"/health/live", "/health/ready"})  # asked by machines that know the address alone
ADDRESS = "orderdesk.address"  # keys of the ASGI scope
_ROUTES = ("/mcp", "/health/live", "/health/ready", "/health/detailed", "/health", "/metrics", "/assets/", "/_event")


class Front:
    """The outermost ASGI app: Host and Origin by PUBLIC_URL, X-Request-ID in and out, X-Forwarded-For as far as it is trusted."""

    def __init__(self, app: ASGIApp, *, public_url: str, port: int, is_production: bool, trusted_proxies: int) -> None:
        self._app, self._proxies = app, trusted_proxies
        public = urlsplit(public_url)
        self._host = (public.hostname or "").lower()
        self._scheme = public.scheme
        self._ports = {public.port or (443 if public.scheme == "https" else 80)}
        self._any_loopback = not is_production and is_loopback(self._host)
        if self._any_loopback:
            self._ports.add(port)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            return await self._app(scope, receive, send)
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        request = RequestContext(given if _ID.fullmatch(given) else new_id())
        scope[ADDRESS] = self._address(scope, headers.getlist("x-forwarded-for"))
        with serving(request):
            refusal = self._refusal(scope, headers)
            if scope["type"] == "websocket":
                if refusal is not None:
                    await receive()
                    return await send({"type": "websocket.close", "code": 1008})
                return await self._app(scope, receive, send)
            await self._serve(scope, receive, send, request, refusal)

    async def _serve(self, scope: Scope, receive: Receive, send: Send, request: RequestContext, refusal: tuple[int, str] | None) -> None:
        started = time.perf_counter()
        route = route_of(scope["path"])
        status = 500
        begun = False

        async def send_with_id(message: Message) -> None:
            nonlocal status, begun
            if message["type"] == "http.response.start":
                begun, status = True, message["status"]
                MutableHeaders(raw=message.setdefault("headers", []))["X-Request-ID"] = request.request_id
            await send(message)

        try:
            if refusal is not None:
                await JSONResponse({"error": "misdirected_request" if refusal[0] == 421 else "forbidden_origin", "message": refusal[1]}, refusal[0])(
                    scope, receive, send_with_id
                )
            else:
                await self._app(scope, receive, send_with_id)
        except Exception as error:
            ERRORS.labels("http").inc()
            _LOG.error("a request failed", exc_info=error, route=route, method=scope["method"])
            if begun:
                raise
            await JSONResponse({"error": "internal", "message": "Something went wrong on our side.", "reference": request.request_id}, 500)(
                scope, receive, send_with_id
            )
        finally:
            seconds = time.perf_counter() - started
            HTTP_REQUESTS.labels(route, f"{status // 100}xx").inc()
            HTTP_SECONDS.labels(route).observe(seconds)
            _LOG.debug("request", route=route, method=scope["method"], status=status, seconds=round(seconds, 4))

    def _refusal(self, scope: Scope, headers: Headers) -> tuple[int, str] | None:
        if scope["path"] in _ALWAYS_OPEN:
            return None
        if len(headers.getlist("host")) != 1 or not self._is_ours(headers["host"]):
            return 421, "This server does not answer for that host. Use the address in PUBLIC_URL."
        origin = headers.get("origin")
        if origin is not None and not self._is_our_origin(origin):
            return 403, "Pages of other sites may not use this server."
        return None

    def _is_ours(self, host: str) -> bool:
        try:
            parts = urlsplit(f"//{host}")
            name, port = (parts.hostname or "").rstrip("."), parts.port
        except ValueError:
            return False
        if parts.username is not None or parts.path:
            return False
        if self._any_loopback:
            return is_loopback(name)
        return name == self._host and port in (None, *self._ports)

    def _is_our_origin(self, origin: str) -> bool:
        try:
            parts = urlsplit(origin)
            port = parts.port or (443 if parts.scheme == "https" else 80)
        except ValueError:
            return False
        name = parts.hostname or ""
        is_host = is_loopback(name) if self._any_loopback else name == self._host
        return parts.scheme == self._scheme and is_host and port in self._ports

    def _address(self, scope: Scope, forwarded: Sequence[str]) -> str:
        """The caller's address: the connection's, or as many proxies back as are trusted."""
        client = scope.get("client")
        peer = str(client[0]) if client else ""
        if not self._proxies:
            return peer
        chain = [entry.strip() for line in forwarded for entry in line.split(",") if entry.strip()]
        if not chain:
            return peer
        told = chain[-self._proxies] if len(chain) >= self._proxies else chain[0]
        if told.startswith("["):
            told = told[1:].partition("]")[0]  # [address]:port
        elif told.count(":") == 1:
            told = told.partition(":")[0]
        try:
            return str(ip_address(told))
        except ValueError:
            return peer


def route_of(path: str) -> str:
    """A path as a metric's label: one of a fixed set."""
    for route in _ROUTES:
        if path == route or (route.endswith("/") and path.startswith(route)) or path.startswith(route + "/"):
            return route.rstrip("/")
    return "web"
