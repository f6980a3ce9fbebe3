"""Built pages: they need a session, and no slash at the end of their address."""

import re
from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import HTTPConnection
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orderdesk_app.routes.not_found import not_found
from orderdesk_app.security.web import own_page, sign_in_address
from orderdesk_app.services.sessions import COOKIE

# the end of a built page's file name, and of its compressed copies
_OTHER_NAME = re.compile(r"(?:/index)?\.html(?:\.gz|\.br)?/*$")
PUBLIC = frozenset({"/sign-in"})


class PageGate:
    """The ASGI app in front of Reflex: 303 to the sign-in page without a session, and away from it
    with one; else the built file, without Starlette's 307 to an absolute address.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        pages: Mapping[str, str],
        is_signed_in: Callable[[HTTPConnection], Awaitable[bool]],
    ) -> None:
        self._app = app
        self._pages = pages
        self._is_signed_in = is_signed_in

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] in ("GET", "HEAD"):
            address = "/" + _OTHER_NAME.sub("", scope["path"]).strip("/")
            built = self._pages.get(address)
            if built is not None:
                target = await self._redirect_target(HTTPConnection(scope), address)
                if target:
                    await RedirectResponse(target, 303)(scope, receive, send)
                    return
                scope = {**scope, "path": built, "raw_path": built.encode()}
        await self._app(scope, receive, _replacing_404(scope, receive, send))

    async def _redirect_target(self, connection: HTTPConnection, address: str) -> str:
        """The address to go to instead of this page; empty to show it."""
        is_signed_in = await self._is_signed_in(connection)
        if address in PUBLIC and is_signed_in:
            return own_page(connection.query_params.get("next", ""))
        if address in PUBLIC or is_signed_in:
            # The router in the browser knows a page only by its address.
            return address if _OTHER_NAME.search(connection.scope["path"]) else ""
        query = connection.url.query
        return sign_in_address(
            f"{address}?{query}" if query else address,
            error="ended" if COOKIE in connection.cookies else "",
        )


def _replacing_404(scope: Scope, receive: Receive, send: Send) -> Send:
    """A `send` that answers a 404 of the framework with our own page: the built one is a fixed file
    and can hold no reference.
    """
    is_missing = False

    async def send_or_replace(message: Message) -> None:
        nonlocal is_missing
        if message["type"] == "http.response.start" and message["status"] == 404:
            is_missing = True
            await not_found(scope)(scope, receive, send)
        elif not is_missing:
            await send(message)

    return send_or_replace
