"""Strangers' websockets are small and few; those of people are left alone."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from orderdesk_app.routes.request_middleware import ADDRESS
from orderdesk_app.routes.sockets import (
    MAX_MESSAGE,
    MAX_NEW_PER_MINUTE_PER_NETWORK,
    MAX_OPEN,
    MAX_OPEN_PER_NETWORK,
    SocketLimits,
)
from tests.worlds import eventually

COOKIE = b"signed-in"


@dataclass
class Listener:
    """An app that accepts every socket and keeps it until it closes; `heard` is what was said on
    all of them.
    """

    heard: list[str] = field(default_factory=list)
    open: int = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        self.open += 1
        while (message := await receive())["type"] == "websocket.receive":
            self.heard.append(message["text"])
        self.open -= 1


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture
def closed() -> list[int]:
    return []


@pytest.fixture
async def sockets(listener: Listener, closed: list[int]) -> AsyncIterator[SocketLimits]:
    async def is_signed_in(connection: Any) -> bool:
        return (b"cookie", COOKIE) in connection.scope["headers"]

    yield SocketLimits(listener, is_signed_in=is_signed_in, on_close=lambda: closed.append(1))
    for task in OPEN:
        task.cancel()
    await asyncio.gather(*OPEN, return_exceptions=True)
    OPEN.clear()


OPEN: list["asyncio.Task[None]"] = []  # the loop itself would let go of them
Say = Callable[[str], None]


async def opened(
    sockets: SocketLimits, address: str = "192.0.2.1", *, signed_in: bool = False
) -> tuple[bool, Say]:
    """Whether the socket was accepted, and how to speak on it: an empty text closes it."""
    said: asyncio.Queue[Message] = asyncio.Queue()
    answers: asyncio.Queue[Message] = asyncio.Queue()
    said.put_nowait({"type": "websocket.connect"})
    scope = {
        "type": "websocket",
        "headers": [(b"cookie", COOKIE)] if signed_in else [],
        ADDRESS: address,
    }
    task = asyncio.create_task(sockets(scope, said.get, answers.put))  # type: ignore[arg-type]
    OPEN.append(task)
    answer = await answers.get()
    if answer["type"] != "websocket.accept":
        await task
    return answer["type"] == "websocket.accept", lambda text: said.put_nowait(
        {"type": "websocket.receive", "text": text}
        if text
        else {"type": "websocket.disconnect", "code": 1000}
    )


async def test_a_stranger_says_little_at_once(sockets: SocketLimits, listener: Listener) -> None:
    _, say = await opened(sockets)
    say("x" * MAX_MESSAGE)
    say("x" * (MAX_MESSAGE + 1))
    say("after it")
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    assert [len(text) for text in listener.heard] == [MAX_MESSAGE]
    assert listener.open == 0


async def test_who_is_signed_in_may_say_more_and_open_more(
    sockets: SocketLimits, listener: Listener
) -> None:
    for _ in range(MAX_OPEN_PER_NETWORK + 1):
        is_open, say = await opened(sockets, signed_in=True)
        assert is_open
    say("x" * 100_000)
    await asyncio.sleep(0)

    assert [len(text) for text in listener.heard] == [100_000]


@pytest.mark.parametrize("of_one", ["192.0.2.{}", "2001:db8:0:1::{}"])
async def test_one_line_holds_so_many_sockets_and_others_still_get_theirs(
    sockets: SocketLimits, of_one: str
) -> None:
    one = [
        of_one.format(number % 50 + 1 if ":" in of_one else 1)
        for number in range(MAX_OPEN_PER_NETWORK)
    ]
    says = [(await opened(sockets, address))[1] for address in one]

    assert not (await opened(sockets, one[0]))[0]
    assert (await opened(sockets, "2001:db8:0:2::1"))[0]
    says[0]("")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert (await opened(sockets, one[0]))[0]


async def test_one_line_opens_so_many_in_a_minute(sockets: SocketLimits) -> None:
    accepted = 0
    for _ in range(MAX_NEW_PER_MINUTE_PER_NETWORK * 2):
        is_open, say = await opened(sockets)
        accepted += is_open
        say("")
        await asyncio.sleep(0)

    # a little time passes meanwhile
    assert MAX_NEW_PER_MINUTE_PER_NETWORK <= accepted < MAX_NEW_PER_MINUTE_PER_NETWORK * 1.5
    assert (await opened(sockets, "192.0.2.2"))[0]


async def test_all_strangers_together_hold_so_many(sockets: SocketLimits) -> None:
    accepted = [
        (await opened(sockets, f"10.0.{number // 200}.{number % 200}"))[0]
        for number in range(MAX_OPEN + 1)
    ]

    assert accepted == [True] * MAX_OPEN + [False]


async def test_a_stranger_who_leaves_is_told_of_a_moment_later(
    sockets: SocketLimits, closed: list[int]
) -> None:
    _, say = await opened(sockets)
    say("")

    async def is_told() -> bool:
        return bool(closed)

    await eventually(is_told, 10)
    assert closed == [1]
