"""Built pages: they need a session, and no slash at the end of their address. The sign-in page is
no built page (routes/sign_in.py). A page for operators is not there for anybody else.
"""

import re
from collections.abc import Awaitable, Callable, Collection, Mapping

from starlette.requests import HTTPConnection
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orderdesk_app.routes.not_found import not_found, wrong_method
from orderdesk_app.security.web import sign_in_address
from orderdesk_app.services.sessions import COOKIE, SECURE_COOKIE

# the end of a built page's file name, and of its compressed copies
_OTHER_NAME = re.compile(r"(?:/index)?\.html(?:\.gz|\.br)?/*$")
SIGN_IN = "/sign-in"
_READ = ("GET", "HEAD")
# what the browser makes any page of, by the address; there is no file for each user
_ANY_PAGE = "/__spa-fallback.html"
_PLACEHOLDER = re.compile(r"\\\[\w+\\\]")


async def _nobody(_: HTTPConnection) -> bool:
    return False


class PageGate:
    """The ASGI app in front of Reflex: 303 to the sign-in page without a session; else the built
    file, without Starlette's 307 to an absolute address.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        pages: Mapping[str, str],
        is_signed_in: Callable[[HTTPConnection], Awaitable[bool]],
        is_operator: Callable[[HTTPConnection], Awaitable[bool]] = _nobody,
        for_operators: Collection[str] = (),
    ) -> None:
        """`for_operators` are routes of pages; `[user_id]` in one stands for any id."""
        self._app = app
        self._pages = pages
        self._is_signed_in = is_signed_in
        self._is_operator = is_operator
        self._for_operators = frozenset(for_operators)
        self._patterns = {
            route: re.compile(_PLACEHOLDER.sub("[0-9A-Za-z]{1,64}", re.escape(route)))
            for route in for_operators
            if "[" in route
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        address = "/" + _OTHER_NAME.sub("", scope["path"]).strip("/")
        route, built = self._built(address)
        if built is not None:
            if scope["method"] in _READ:
                connection = HTTPConnection(scope)
                if await self._is_hidden(route, connection):
                    return await not_found(scope)(scope, receive, send)
                target = await self._redirect_target(connection, address)
                if target:
                    return await RedirectResponse(target, 303)(scope, receive, send)
                scope = {**scope, "path": built, "raw_path": built.encode()}
            elif scope["method"] != "OPTIONS":
                return await wrong_method(scope, _READ)(scope, receive, send)
        await self._app(scope, receive, self._replacing_refusals(scope, receive, send))

    async def _is_hidden(self, route: str, connection: HTTPConnection) -> bool:
        """Whether this person must not learn of the page. A stranger learns that by signing in."""
        return (
            route in self._for_operators
            and await self._is_signed_in(connection)
            and not await self._is_operator(connection)
        )

    def _built(self, address: str) -> tuple[str, str | None]:
        """The route of the page at this address, and its built file; None where there is none."""
        for route, pattern in self._patterns.items():
            if pattern.fullmatch(address):
                return route, _ANY_PAGE
        return address, self._pages.get(address)

    async def _redirect_target(self, connection: HTTPConnection, address: str) -> str:
        """The address to go to instead of this page; empty to show it."""
        query = connection.url.query
        wanted = f"{address}?{query}" if query else address
        if address == SIGN_IN:  # by another name
            return wanted
        if await self._is_signed_in(connection):
            # The router in the browser knows a page only by its address.
            return address if _OTHER_NAME.search(connection.scope["path"]) else ""
        return sign_in_address(
            wanted,
            error="ended" if {COOKIE, SECURE_COOKIE} & connection.cookies.keys() else "",
        )

    def _replacing_refusals(self, scope: Scope, receive: Receive, send: Send) -> Send:
        """A `send` that answers a 404 or 405 of the framework in our own words: its page is a fixed
        file that can hold no reference, and its text is no JSON.
        """
        is_replaced = False

        async def send_or_replace(message: Message) -> None:
            nonlocal is_replaced
            if is_replaced:
                return
            if message["type"] == "http.response.start" and message["status"] in (404, 405):
                is_replaced = True
                taken = await self._methods_at(scope) if message["status"] == 405 else ()
                answer = wrong_method(scope, taken) if taken else not_found(scope)
                await answer(scope, receive, send)
            else:
                await send(message)

        return send_or_replace

    async def _methods_at(self, scope: Scope) -> tuple[str, ...]:
        """GET and HEAD where the framework serves this address, else nothing: it refuses a POST to
        any address alike.
        """
        status = 0

        async def no_body() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def note_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]

        await self._app({**scope, "method": "HEAD"}, no_body, note_status)
        return _READ if 200 <= status < 400 else ()
