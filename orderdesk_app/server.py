"""The ASGI factory: one port for agents, people and operators.

`/mcp`, health, metrics and plain routes are answered here; all else by Reflex.
"""

import asyncio
import contextlib
import gc
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, contextmanager
from functools import partial

from starlette.requests import HTTPConnection
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orderdesk_app import wiring
from orderdesk_app.config import Settings
from orderdesk_app.frontend import Frontend
from orderdesk_app.graceful_stop import GracefulStop
from orderdesk_app.mcp.endpoint import McpEndpoint
from orderdesk_app.observability import OPEN_SOCKETS, configure_logging
from orderdesk_app.routes import all_routes, machine_routes
from orderdesk_app.routes.forms import signed_in_user
from orderdesk_app.routes.headers import SecurityHeaders
from orderdesk_app.routes.not_found import methods_at, not_found, wrong_method
from orderdesk_app.routes.oauth import is_oauth, no_oauth
from orderdesk_app.routes.pages import PageGate
from orderdesk_app.routes.request_middleware import MCP_PATHS, RequestMiddleware
from orderdesk_app.routes.sockets import SocketLimits
from orderdesk_app.services.connections import Why
from orderdesk_app.serving import NOTICE_SECONDS, STOP_NOTICE
from orderdesk_app.setting_rules import host_list
from orderdesk_app.settings_reader import load_settings
from orderdesk_app.states.live import LIVE

OpenServices = Callable[[Settings], AbstractAsyncContextManager[wiring.Services]]


def create_worker_app() -> ASGIApp:
    """The app of a worker of `orderdesk serve`. Its main process has checked the database's file
    before, so a worker does not wait for that.
    """
    return create_app(open_services=partial(wiring.open_services, waits_for_check=False))


def create_app(
    settings: Settings | None = None, *, open_services: OpenServices = wiring.open_services
) -> ASGIApp:
    """One app per process, ready for a server's lifespan. Raises ConfigurationError."""
    settings = settings or load_settings()
    configure_logging(settings.log_level)
    routes: list[Route] = machine_routes()
    web: ASGIApp | None = None
    hashes: tuple[str, ...] = ()
    if settings.enable_webui:
        frontend = Frontend()
        frontend.make_ready(settings)
        # The web framework is loaded only where it is served; building its app twice in a process
        # fails.
        with _collector_paused():
            from orderdesk_app.orderdesk_app import OPERATORS_PAGES
            from orderdesk_app.orderdesk_app import app as reflex_app
            from orderdesk_app.states.guard import forget_closed_tabs

        hashes = frontend.script_hashes()
        routes += all_routes()
        sockets = SocketLimits(
            reflex_app(),
            who_is_it=signed_in_user,
            on_close=lambda: forget_closed_tabs(reflex_app),
        )
        web = PageGate(
            sockets,
            pages=frontend.pages(),
            is_signed_in=_is_signed_in,
            is_operator=_is_operator,
            for_operators=OPERATORS_PAGES,
        )
        # Reflex added log handlers, which would write what browsers send.
        configure_logging(settings.log_level)
    guarded = RequestMiddleware(
        App(settings, routes, web, open_services),
        public_url=settings.public_url,
        port=settings.port,
        is_production=settings.is_production,
        trusted_proxies=settings.trust_proxy,
        allowed_hosts=host_list(settings.allowed_hosts),
        have_metrics_token=bool(settings.metrics_token.get_secret_value()),
        note_refused=_tell_connect if settings.enable_webui else lambda status, address: None,
    )
    return SecurityHeaders(
        guarded,
        script_hashes=hashes,
        is_https=settings.public_url.startswith("https://"),
        is_production=settings.is_production,
    )


def _tell_connect(status: int, address: str) -> None:
    """The page Connect says why a client of the person's network does not get in."""
    why = Why.WRONG_HOST if status == 421 else Why.FOREIGN_PAGE
    wiring.current().connections.note_refused(why, address)


async def _is_signed_in(connection: HTTPConnection) -> bool:
    return await signed_in_user(connection) is not None


async def _is_operator(connection: HTTPConnection) -> bool:
    user = await signed_in_user(connection)
    return user is not None and user.actor.is_operator


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Imports free nothing: the garbage collector need not walk what they make, now or later."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


class App:
    """Opens the services with the server's lifespan and sends each request to its entry point."""

    def __init__(
        self,
        settings: Settings,
        routes: list[Route],
        web: ASGIApp | None,
        open_services: OpenServices,
    ) -> None:
        self._settings = settings
        self._web = web
        self._routes = routes
        self._router = Router(routes, redirect_slashes=False)
        self._open_services = open_services
        self._mcp: McpEndpoint | None = None
        self._open = AsyncExitStack()
        self._stop = GracefulStop(notice_seconds=NOTICE_SECONDS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self._live(scope, receive, send)
        if scope["type"] == "http":
            if scope["path"] in MCP_PATHS:
                assert self._mcp is not None, "requests come after lifespan.startup"
                return await self._stop.serve(self._mcp(scope, receive, send))
            if taken := methods_at(scope, self._routes):
                app = self._router if scope["method"] in taken else wrong_method(scope, taken)
                answer = app(scope, receive, send)
                is_health = scope["path"].startswith("/health")
                return await self._stop.serve(answer, is_waited_for=not is_health)
            if is_oauth(scope["path"]):
                oauth = no_oauth(scope, is_elsewhere=self._web is not None)
                return await oauth(scope, receive, send)
        if self._web is not None:
            return await self._answer_page(self._web, scope, receive, send)
        if scope["type"] == "websocket":
            await receive()
            return await send({"type": "websocket.close", "code": 1008})
        await not_found(scope)(scope, receive, send)

    async def _answer_page(self, web: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            # A long poll lasts as long as its page is open: a stop does not wait for it.
            is_poll = scope["path"].startswith("/_event")
            answer = web(scope, receive, send)
            return await (answer if is_poll else self._stop.serve(answer))
        with OPEN_SOCKETS.labels("websocket").track_inprogress():
            await web(scope, receive, send)

    async def _start(self) -> None:
        services = await self._open.enter_async_context(self._open_services(self._settings))
        # Servers alone run jobs: a command ends too soon, and stdio's output is the protocol's.
        await services.jobs.start()
        self._open.push_async_callback(services.jobs.stop)
        self._mcp = McpEndpoint(
            services.runner,
            services.key_check,
            allow_query_token=self._settings.allow_query_token,
            # without the web app nobody can approve anything
            oauth=services.oauth_resource if self._web is not None else None,
        )
        await self._open.enter_async_context(self._mcp.running())
        OPEN_SOCKETS.labels("request").set_function(lambda: self._stop.running)
        if self._web is not None:
            services.signals.subscribe(LIVE.hear)
            self._open.callback(LIVE.stop)
        if STOP_NOTICE is not None:
            with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
                # not in a thread of a test's client: only a main thread gets signals
                asyncio.get_running_loop().add_signal_handler(
                    STOP_NOTICE, self._begin_stop, services
                )
        # These objects live until the end. Without this the collector would walk them all again and
        # again while requests wait.
        gc.collect()
        gc.freeze()

    def _begin_stop(self, services: wiring.Services) -> None:
        services.health.stop()
        self._stop.begin(services.unfinished.drain)

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Start before the web app and stop after it, in the one task that runs the lifespan."""

        async def receive_and_start() -> Message:
            message = await self._stop.receive(receive)
            if message["type"] == "lifespan.startup":
                await self._start()
            return message

        async def stop_and_send(message: Message) -> None:
            if message["type"] in (
                "lifespan.shutdown.complete",
                "lifespan.shutdown.failed",
                "lifespan.startup.failed",
            ):
                await self._open.aclose()
                self._stop.closed()
            await send(message)

        if self._web is not None:
            return await self._web(scope, receive_and_start, stop_and_send)
        await receive_and_start()
        await send({"type": "lifespan.startup.complete"})
        await receive_and_start()
        await stop_and_send({"type": "lifespan.shutdown.complete"})
