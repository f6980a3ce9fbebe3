"""Built pages: nobody who is not signed in loads one, and none needs a slash at its end."""

import re
from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import HTTPConnection
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orderdesk_app.routes.not_found import not_found
from orderdesk_app.security.web import own_page, sign_in_address
from orderdesk_app.services.sessions import COOKIE

# of a built page: its file and the packed twins
_OTHER_NAME = re.compile(r"(?:/index)?\.html(?:\.gz|\.br)?/*$")
PUBLIC = frozenset({"/sign-in"})


class PageGate:
    """In front of Reflex: 303 to the sign-in page without a session, and past it with one; else the
    built file, without Starlette's absolute 307.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        pages: Mapping[str, str],
        is_signed_in: Callable[[HTTPConnection], Awaitable[bool]],
    ) -> None:
        self._app, self._pages, self._is_signed_in = app, pages, is_signed_in

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] in ("GET", "HEAD"):
            address = "/" + _OTHER_NAME.sub("", scope["path"]).strip("/")
            built = self._pages.get(address)
            if built is not None:
                detour = await self._detour(HTTPConnection(scope), address)
                if detour:
                    await RedirectResponse(detour, 303)(scope, receive, send)
                    return
                scope = {**scope, "path": built, "raw_path": built.encode()}
        await self._app(scope, receive, _with_our_404(scope, receive, send))

    async def _detour(self, connection: HTTPConnection, address: str) -> str:
        """Where else than to this page; empty for nowhere."""
        is_signed_in = await self._is_signed_in(connection)
        if address in PUBLIC and is_signed_in:
            return own_page(connection.query_params.get("next", ""))
        if address in PUBLIC or is_signed_in:
            # in the browser the router knows pages by their address alone
            return address if _OTHER_NAME.search(connection.scope["path"]) else ""
        query = connection.url.query
        return sign_in_address(
            f"{address}?{query}" if query else address,
            error="ended" if COOKIE in connection.cookies else "",
        )


def _with_our_404(scope: Scope, receive: Receive, send: Send) -> Send:
    """The same, but what the framework does not find is told in our words: the built 404 page is
    the same for everybody and can hold no reference.
    """
    is_missing = False

    async def send_or_tell(message: Message) -> None:
        nonlocal is_missing
        if message["type"] == "http.response.start" and message["status"] == 404:
            is_missing = True
            await not_found(scope)(scope, receive, send)
        elif not is_missing:
            await send(message)

    return send_or_tell
