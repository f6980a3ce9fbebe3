"""Strangers get no websocket; those of people are few and small, and none is waited for long."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from starlette.requests import HTTPConnection
from starlette.types import Message, Receive, Scope, Send

from orderdesk_app.context import Actor, TenantId, UserId, Via
from orderdesk_app.routes import sockets as limits
from orderdesk_app.routes.sockets import MAX_MESSAGE, SocketLimits
from orderdesk_app.services.sessions import WebUser
from tests.worlds import counted, eventually

JOIN = "40/_event,"


@dataclass
class Listener:
    """An app that accepts every socket and keeps it until it closes; `heard` is what was said on
    all of them. It answers as it is told.
    """

    heard: list[str] = field(default_factory=list)
    open: int = 0
    answers: list[str] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        self.open += 1
        try:
            while (message := await receive())["type"] == "websocket.receive":
                self.heard.append(message["text"])
                for answer in self.answers:
                    await send({"type": "websocket.send", "text": answer})
        finally:
            self.open -= 1


@dataclass
class Sessions:
    """Who is signed in: the cookie is the session's id, as `<account>.<number>`."""

    ended: set[str] = field(default_factory=set)
    is_away: bool = False
    uses: list[bool] = field(default_factory=list)

    async def __call__(self, connection: HTTPConnection, *, is_use: bool = True) -> WebUser | None:
        self.uses.append(is_use)
        if self.is_away:
            raise ConnectionRefusedError
        session = connection.headers.get("cookie", "")
        if not session or session in self.ended:
            return None
        actor = Actor(
            tenant_id=TenantId(session.partition(".")[0]), user_id=UserId("u"), via=Via.WEB
        )
        return WebUser(actor, "Ada", session)


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture
def sessions() -> Sessions:
    return Sessions()


@pytest.fixture
def closed() -> list[int]:
    return []


@pytest.fixture
def sockets(listener: Listener, sessions: Sessions, closed: list[int]) -> SocketLimits:
    return SocketLimits(listener, who_is_it=sessions, on_close=lambda: closed.append(1))


@pytest.fixture(autouse=True)
async def tasks() -> AsyncIterator[None]:
    yield
    for task in OPEN:
        task.cancel()
    await asyncio.gather(*OPEN, return_exceptions=True)
    OPEN.clear()


OPEN: list["asyncio.Task[None]"] = []  # the loop itself would let go of them


@dataclass
class Browser:
    """The other end of a socket."""

    said: "asyncio.Queue[Message]"
    answers: "asyncio.Queue[Message]"
    task: "asyncio.Task[None]"
    is_open: bool

    def say(self, text: str) -> None:
        self.said.put_nowait({"type": "websocket.receive", "text": text})

    def leave(self) -> None:
        self.said.put_nowait({"type": "websocket.disconnect", "code": 1000})

    async def is_ended(self, seconds: float = 5) -> bool:
        done, _ = await asyncio.wait({self.task}, timeout=seconds)
        return bool(done)


async def opened(
    sockets: SocketLimits, session: str = "ada.1", *, most_answers: int = 0
) -> Browser:
    """A socket of that session; the empty one is a stranger's. With `most_answers` the browser
    takes so many messages and no more.
    """
    said: asyncio.Queue[Message] = asyncio.Queue()
    answers: asyncio.Queue[Message] = asyncio.Queue(most_answers)
    said.put_nowait({"type": "websocket.connect"})
    headers = [(b"cookie", session.encode())] if session else []
    scope: dict[str, Any] = {"type": "websocket", "path": "/_event", "headers": headers}
    task = asyncio.create_task(sockets(scope, said.get, answers.put))
    OPEN.append(task)
    answer = await answers.get()
    if answer["type"] != "websocket.accept":
        await task
    return Browser(said, answers, task, answer["type"] == "websocket.accept")


async def heard(listener: Listener, count: int) -> None:
    async def is_so() -> bool:
        return len(listener.heard) >= count

    await eventually(is_so, 10)


# ------------------------------------------------------------------ strangers


async def test_a_stranger_gets_no_socket(sockets: SocketLimits, listener: Listener) -> None:
    before = counted("web_sockets_refused", reason="stranger")

    stranger = await opened(sockets, "")

    assert not stranger.is_open
    assert listener.open == 0
    assert counted("web_sockets_refused", reason="stranger") == before + 1


async def test_who_has_signed_out_is_a_stranger(
    sockets: SocketLimits,
    listener: Listener,
    sessions: Sessions,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "CHECK_SECONDS", 0.0)
    browser = await opened(sockets)
    browser.say(JOIN)
    await heard(listener, 1)

    sessions.ended.add("ada.1")
    browser.say("after it")

    assert await browser.is_ended()
    assert listener.heard == [JOIN]
    # an open page alone keeps no session alive
    assert sessions.uses[0] is True
    assert set(sessions.uses[1:]) == {False}


async def test_a_database_that_is_away_ends_no_socket(
    sockets: SocketLimits,
    listener: Listener,
    sessions: Sessions,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "CHECK_SECONDS", 0.0)
    browser = await opened(sockets)

    sessions.is_away = True
    browser.say(JOIN)

    await heard(listener, 1)


# ------------------------------------------------------------------ how many


async def test_a_session_has_so_many_sockets(sockets: SocketLimits) -> None:
    browsers = [await opened(sockets) for _ in range(limits.MAX_PER_SESSION)]

    assert all(browser.is_open for browser in browsers)
    assert not (await opened(sockets)).is_open
    assert (await opened(sockets, "ada.2")).is_open
    browsers[0].leave()
    await browsers[0].is_ended()
    assert (await opened(sockets)).is_open


async def test_an_account_has_so_many_sockets_over_all_its_sessions(
    sockets: SocketLimits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_PER_ACCOUNT", 6)
    for number in range(6):
        assert (await opened(sockets, f"ada.{number}")).is_open

    assert not (await opened(sockets, "ada.7")).is_open
    assert (await opened(sockets, "bert.1")).is_open


async def test_all_accounts_together_have_so_many_sockets(
    listener: Listener, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "most_websockets", lambda: 5)
    sockets = SocketLimits(listener, who_is_it=sessions, on_close=lambda: None)
    for number in range(5):
        assert (await opened(sockets, f"account-{number}.1")).is_open

    assert not (await opened(sockets, "account-6.1")).is_open


async def test_a_session_opens_so_many_in_a_minute(sockets: SocketLimits) -> None:
    accepted = 0
    for _ in range(limits.MAX_NEW_PER_MINUTE * 2):
        browser = await opened(sockets)
        accepted += browser.is_open
        browser.leave()
        await browser.is_ended()

    # a little time passes meanwhile
    assert limits.MAX_NEW_PER_MINUTE <= accepted < limits.MAX_NEW_PER_MINUTE * 1.5
    assert (await opened(sockets, "bert.1")).is_open


async def test_when_a_socket_has_closed_its_state_is_looked_at_a_moment_later(
    sockets: SocketLimits, closed: list[int]
) -> None:
    browser = await opened(sockets)
    browser.leave()

    async def is_called() -> bool:
        return bool(closed)

    await eventually(is_called, 10)
    assert closed == [1]


# ------------------------------------------------------------------ how much


@pytest.mark.parametrize("letter", ["x", "é"])
async def test_a_message_has_so_many_bytes(
    sockets: SocketLimits, listener: Listener, letter: str
) -> None:
    fits = letter * (MAX_MESSAGE // len(letter.encode()))
    browser = await opened(sockets)
    browser.say(fits)
    await heard(listener, 1)
    browser.say(f"{fits}x")
    browser.say("after it")

    assert await browser.is_ended()
    assert listener.heard == [fits]


async def test_a_page_joins_once(sockets: SocketLimits, listener: Listener) -> None:
    """Each time Reflex makes a state, which it keeps for an hour."""
    browser = await opened(sockets)
    browser.say(JOIN)
    browser.say(JOIN)

    assert await browser.is_ended()
    assert listener.heard == [JOIN]


async def test_what_a_session_says_too_fast_is_read_later(
    sockets: SocketLimits, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once = int(limits.MESSAGES_AT_ONCE)
    browsers = [await opened(sockets) for _ in range(2)]
    neighbour = await opened(sockets, "bert.1")
    for browser in browsers:
        for _ in range(at_once):
            browser.say("2")
    await heard(listener, at_once)
    neighbour.say("of the neighbour")
    await asyncio.sleep(0.2)

    assert "of the neighbour" in listener.heard
    assert at_once <= len(listener.heard) < at_once * 1.5


# ------------------------------------------------------------------ how long


@pytest.mark.parametrize("chatter", [0, 3])
async def test_a_socket_that_does_not_join_is_closed(
    sockets: SocketLimits, listener: Listener, monkeypatch: pytest.MonkeyPatch, chatter: int
) -> None:
    monkeypatch.setattr(limits, "JOIN_SECONDS", 0.3)
    browser = await opened(sockets)
    for _ in range(chatter):
        browser.say("3")
        await asyncio.sleep(0.2)

    assert await browser.is_ended()
    assert listener.open == 0


async def test_a_socket_that_falls_silent_is_closed(
    sockets: SocketLimits, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One with an unfinished message says nothing either."""
    monkeypatch.setattr(limits, "QUIET_SECONDS", 0.3)
    browser = await opened(sockets)
    browser.say(JOIN)

    assert not await browser.is_ended(0.1)
    assert await browser.is_ended()


async def test_who_takes_no_answer_is_not_read_and_then_disconnected(
    sockets: SocketLimits, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "SEND_SECONDS", 0.3)
    listener.answers = ["one", "two"]
    browser = await opened(sockets, most_answers=1)
    browser.say(JOIN)
    for _ in range(10):
        browser.say("more")

    with pytest.raises(OSError, match="takes no message"):
        await browser.task
    assert listener.heard == [JOIN]
