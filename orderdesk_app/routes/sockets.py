"""Websockets of people who are not signed in: the sign-in page needs one, and each costs memory, so
they are small and few.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orderdesk_app.errors import RateLimited
from orderdesk_app.routes.request_middleware import ADDRESS
from orderdesk_app.services.limits import Limit, network_of

LONGEST = 16 * 1024  # characters or bytes of a message; the sign-in page says a few hundred
MOST_OPEN, MOST_OPEN_OF_ONE = 500, 50
NEW_A_MINUTE, NEW_A_MINUTE_OF_ONE = 1_200, 120
_WORDS = "Too many pages were opened."
EVERYBODY = "everybody"


class Sockets:
    """In front of Reflex.

    `on_close` hears of each stranger's socket that closed, a moment later.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        is_signed_in: Callable[[HTTPConnection], Awaitable[bool]],
        on_close: Callable[[], None],
    ) -> None:
        self._app, self._is_signed_in, self._on_close = app, is_signed_in, on_close
        self._open: Counter[str] = Counter()
        self._new_of_one = Limit(
            "sockets", per_minute=NEW_A_MINUTE_OF_ONE, burst=NEW_A_MINUTE_OF_ONE, words=_WORDS
        )
        self._new = Limit("sockets", per_minute=NEW_A_MINUTE, burst=NEW_A_MINUTE, words=_WORDS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket" or await self._is_signed_in(HTTPConnection(scope)):
            return await self._app(scope, receive, send)
        who = network_of(scope.get(ADDRESS, ""))
        if not self._may_open(who):
            await receive()
            return await send({"type": "websocket.close", "code": 1013})
        self._open.update((who, EVERYBODY))
        try:
            await self._app(scope, _short(receive), send)
        finally:
            self._open.subtract((who, EVERYBODY))
            self._open += Counter()  # forgets whoever has none
            # Reflex takes its leave of a socket in tasks of its own, and events that are under way
            # still find its state.
            asyncio.get_running_loop().call_later(1, self._on_close)

    def _may_open(self, who: str) -> bool:
        if self._open[EVERYBODY] >= MOST_OPEN or self._open[who] >= MOST_OPEN_OF_ONE:
            return False
        try:
            self._new_of_one.spend(who)
            self._new.spend(EVERYBODY)
        except RateLimited:
            return False
        return True


def _short(receive: Receive) -> Receive:
    """The same messages, until one is too long: then the other side has gone."""

    async def heard() -> Message:
        message = await receive()
        if (
            message["type"] == "websocket.receive"
            and len(message.get("text") or message.get("bytes") or "") > LONGEST
        ):
            return {"type": "websocket.disconnect", "code": 1009}
        return message

    return heard
