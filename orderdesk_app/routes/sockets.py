"""Limits on websockets without a session.

The sign-in page needs one, and each costs memory, so their size and number are limited.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orderdesk_app.errors import RateLimited
from orderdesk_app.routes.request_middleware import ADDRESS
from orderdesk_app.services.limits import Limit, network_of

MAX_MESSAGE = 16 * 1024  # characters or bytes; the sign-in page sends a few hundred
MAX_OPEN = 500
MAX_OPEN_PER_NETWORK = 50
MAX_NEW_PER_MINUTE = 1_200
MAX_NEW_PER_MINUTE_PER_NETWORK = 120
_WORDS = "Too many pages were opened."
EVERYWHERE = "everybody"  # the key that counts all networks together


class SocketLimits:
    """The ASGI app in front of Reflex.

    `on_close` is called one second after a socket without a session has closed.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        is_signed_in: Callable[[HTTPConnection], Awaitable[bool]],
        on_close: Callable[[], None],
    ) -> None:
        self._app = app
        self._is_signed_in = is_signed_in
        self._on_close = on_close
        self._open: Counter[str] = Counter()
        self._new_per_network = Limit(
            "sockets",
            per_minute=MAX_NEW_PER_MINUTE_PER_NETWORK,
            burst=MAX_NEW_PER_MINUTE_PER_NETWORK,
            words=_WORDS,
        )
        self._new = Limit(
            "sockets", per_minute=MAX_NEW_PER_MINUTE, burst=MAX_NEW_PER_MINUTE, words=_WORDS
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket" or await self._is_signed_in(HTTPConnection(scope)):
            return await self._app(scope, receive, send)
        network = network_of(scope.get(ADDRESS, ""))
        if not self._may_open(network):
            await receive()
            return await send({"type": "websocket.close", "code": 1013})
        self._open.update((network, EVERYWHERE))
        try:
            await self._app(scope, _limiting_messages(receive), send)
        finally:
            self._open.subtract((network, EVERYWHERE))
            self._open += Counter()  # drops networks without an open socket
            # Reflex closes a socket in tasks of its own, and running events still use its state.
            asyncio.get_running_loop().call_later(1, self._on_close)

    def _may_open(self, network: str) -> bool:
        if self._open[EVERYWHERE] >= MAX_OPEN or self._open[network] >= MAX_OPEN_PER_NETWORK:
            return False
        try:
            self._new_per_network.spend(network)
            self._new.spend(EVERYWHERE)
        except RateLimited:
            return False
        return True


def _limiting_messages(receive: Receive) -> Receive:
    """A `receive` that turns a message that is too long into a disconnect."""

    async def limited() -> Message:
        message = await receive()
        if (
            message["type"] == "websocket.receive"
            and len(message.get("text") or message.get("bytes") or "") > MAX_MESSAGE
        ):
            return {"type": "websocket.disconnect", "code": 1009}
        return message

    return limited
