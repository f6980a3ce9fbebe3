"""Limits on the websockets of the web app: strangers get none, and those of people are few, say
little at once, and never keep the server waiting.

Why, with figures: docs/decisions/0016-connections.md.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Protocol

from cachetools import LRUCache
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orderdesk_app.connections import most_websockets, own_connection
from orderdesk_app.errors import RateLimited
from orderdesk_app.observability import WEB_SOCKETS_REFUSED, log
from orderdesk_app.routes.websocket import WebSocket
from orderdesk_app.services.limits import Limit
from orderdesk_app.services.sessions import WebUser
from orderdesk_app.token_bucket import Level, TokenBucket

_LOG = log(__name__)
MAX_MESSAGE = 512 * 1024  # bytes; a form has at most half of that
MAX_PER_SESSION = 25
MAX_PER_ACCOUNT = 100
MAX_NEW_PER_MINUTE = 120  # of a session: each page that is loaded opens one
JOIN_SECONDS = 20.0  # a page joins within a second
QUIET_SECONDS = 60.0  # Reflex asks every 25 seconds, and a page answers
SEND_SECONDS = 30.0
CHECK_SECONDS = 30.0  # how often the session of an open socket is looked up
# What the sockets of one session may say, counted together. More is read later.
MESSAGES_AT_ONCE = 300.0
MESSAGES_PER_SECOND = 50.0
_BYTES_OF_A_MESSAGE = 8192.0  # a longer message counts as several
_EVERYBODY = "everybody"
_WORDS = "Too many pages were opened."
_JOIN = "40"  # the packet by which a page joins, of engine.io and socket.io
# RFC 6455, 7.4.1, and IANA's list
_NORMAL, _REFUSED, _TOO_LONG, _TOO_MANY = 1000, 1008, 1009, 1013


class WhoIsIt(Protocol):
    """Who is signed in on a connection; None for a stranger. `is_use` False leaves the session as
    idle as it was.
    """

    def __call__(
        self, connection: HTTPConnection, *, is_use: bool = True
    ) -> Awaitable[WebUser | None]: ...


class SocketLimits:
    """The ASGI app in front of Reflex.

    A socket is accepted when its app accepts it, and the server reads from it only while we wait
    for a message: one that is refused here has never held anything. `on_close` is called one second
    after a socket has closed.
    """

    def __init__(self, app: ASGIApp, *, who_is_it: WhoIsIt, on_close: Callable[[], None]) -> None:
        self._app = app
        self._who_is_it = who_is_it
        self._on_close = on_close
        self._most = most_websockets()
        self._open: Counter[str] = Counter()
        self._new = Limit(
            "sockets", per_minute=MAX_NEW_PER_MINUTE, burst=MAX_NEW_PER_MINUTE, words=_WORDS
        )
        self._pace = _Pace()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket":
            return await self._app(scope, receive, send)
        connection = HTTPConnection(scope)
        user = await self._who_is_it(connection)
        if user is None or not await self._may_open(user):
            is_stranger = user is None
            WEB_SOCKETS_REFUSED.labels("stranger" if is_stranger else "too_many").inc()
            await receive()
            code = _REFUSED if is_stranger else _TOO_MANY
            return await send({"type": "websocket.close", "code": code})

        async def is_signed_in() -> bool:
            still = await self._who_is_it(connection, is_use=False)
            return still is not None and still.session_id == user.session_id

        held_by = (user.session_id, user.actor.tenant_id, _EVERYBODY)
        self._open.update(held_by)
        try:
            pace = self._pace.of(user.session_id)
            socket = _Socket(receive, send, scope.get("client"), pace, is_signed_in)
            try:
                await self._app(scope, socket.receive, socket.send)
            finally:
                socket.release()
        finally:
            self._open.subtract(held_by)
            self._open += Counter()  # drops those without an open socket
            # Reflex closes a socket in tasks of its own, and running events still use its state.
            asyncio.get_running_loop().call_later(1, self._on_close)

    async def _may_open(self, user: WebUser) -> bool:
        if (
            self._open[user.session_id] >= MAX_PER_SESSION
            or self._open[user.actor.tenant_id] >= MAX_PER_ACCOUNT
            or self._open[_EVERYBODY] >= self._most
        ):
            return False
        try:
            # in this process' memory, which never waits: the counts above still hold
            await self._new.spend(user.session_id)
        except RateLimited:
            return False
        return True


class _Pace:
    """How fast each session may say something, over all of its sockets."""

    def __init__(self) -> None:
        self._rules = TokenBucket(MESSAGES_AT_ONCE, MESSAGES_PER_SECOND)
        self._levels: LRUCache[str, Level] = LRUCache(10_000)

    def of(self, session_id: str) -> Callable[[int], Awaitable[None]]:
        """Waits until that session may say a message of so many bytes."""

        async def wait(size: int) -> None:
            cost = 1 + size / _BYTES_OF_A_MESSAGE
            while True:
                now = time.monotonic()
                level = self._levels.get(session_id)
                taken = self._rules.take(level, now, cost)
                if taken is not None:
                    self._levels[session_id] = taken
                    return
                await asyncio.sleep(self._rules.wait(level, now, cost))

        return wait


class _Socket:
    """`receive` and `send` of one socket, each within its time. What breaks a rule is a disconnect
    for Reflex.

    Once the server has opened the websocket, we speak it ourselves on a descriptor of our own.
    Where there is none (Windows, and tests without a server), the server's own messages are taken.
    """

    def __init__(
        self,
        receive: Receive,
        send: Send,
        client: tuple[str, int | str] | None,
        pace: Callable[[int], Awaitable[None]],
        is_signed_in: Callable[[], Awaitable[bool]],
    ) -> None:
        self._receive = receive
        self._send = send
        self._client = client
        self._pace = pace
        self._is_signed_in = is_signed_in
        self._websocket: WebSocket | None = None
        self._opened_at = time.monotonic()
        self._checked_at = self._opened_at
        self._is_connected = False
        self._has_joined = False
        self._is_over = False
        self._may_read = asyncio.Event()  # not while an answer waits to be taken
        self._may_read.set()

    def release(self) -> None:
        """End it, and give its descriptor back."""
        if self._websocket is not None:
            self._websocket.release()

    async def receive(self) -> Message:
        if not self._is_connected:
            self._is_connected = True
            return await self._receive()  # the handshake itself
        try:
            async with asyncio.timeout(self._seconds_left()):
                await self._may_read.wait()
                message = await (self._websocket.receive if self._websocket else self._receive)()
        except TimeoutError:
            return self._end(_REFUSED, "silent")
        if message["type"] != "websocket.receive":
            return self._end(_TOO_LONG, "too_long") if message.get("code") == _TOO_LONG else message
        text = message.get("text")
        size = len(message.get("bytes") or b"") if text is None else len(text.encode())
        if size > MAX_MESSAGE:
            return self._end(_TOO_LONG, "too_long")
        if text is not None and text.startswith(_JOIN):
            if self._has_joined:  # each time Reflex would make a state
                return self._end(_REFUSED, "joined_twice")
            self._has_joined = True
        if not await self._is_of_a_session():
            return self._end(_REFUSED, "session_ended")
        await self._pace(size)
        return message

    async def send(self, message: Message) -> None:
        if self._is_over and message["type"] != "websocket.close":
            raise OSError("the socket was disconnected")
        self._may_read.clear()
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await self._deliver(message)
        except TimeoutError:
            self._end(_REFUSED, "takes_nothing")
            raise OSError("the peer takes no message") from None
        finally:
            self._may_read.set()

    async def _deliver(self, message: Message) -> None:
        if self._websocket is None:
            await self._send(message)
            if message["type"] == "websocket.accept":
                connection = own_connection(self._client)
                if connection is not None:
                    self._websocket = WebSocket(connection, max_message=MAX_MESSAGE)
        elif message["type"] == "websocket.close":
            await self._websocket.close(message.get("code") or _NORMAL)
        else:
            await self._websocket.send(message)

    def _seconds_left(self) -> float:
        """To wait for a message: all the time together until the page joins, then anew for each."""
        if self._has_joined:
            return QUIET_SECONDS
        return max(0.0, self._opened_at + JOIN_SECONDS - time.monotonic())

    async def _is_of_a_session(self) -> bool:
        """A person who has signed out is a stranger; looked up now and then."""
        now = time.monotonic()
        if now - self._checked_at < CHECK_SECONDS:
            return True
        self._checked_at = now
        try:
            return await self._is_signed_in()
        except Exception as error:  # the database is away: no event runs then (states/guard.py)
            _LOG.warning("the session of a socket could not be looked up", exc_info=error)
            return True

    def _end(self, code: int, reason: str) -> Message:
        if not self._is_over:
            self._is_over = True
            WEB_SOCKETS_REFUSED.labels(reason).inc()
            if self._websocket is not None:
                self._websocket.disconnect()
        return {"type": "websocket.disconnect", "code": code}
