"""A loop in which time passes only when everybody waits, and an Order Desk that says what it is
told to say.
"""

import asyncio
import json
import selectors
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from orderdesk_app.context import Secret, StoreId
from orderdesk_app.orderdesk.access import StoreAccess
from orderdesk_app.orderdesk.buckets import MemoryBuckets
from orderdesk_app.orderdesk.client import OrderDeskClient
from orderdesk_app.orderdesk.transport import Transport
from orderdesk_app.orderdesk.wait_budget import WaitBudget

KEY = "a-key-that-nobody-else-may-see"


class _Jumping(selectors.SelectSelector):
    """Instead of waiting, moves the loop's clock to where the next thing happens."""

    loop: "VirtualTimeLoop"

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = super().select(0)
        if events:
            return events
        if timeout is None:
            raise RuntimeError("everybody waits, and nothing will ever happen")
        self.loop.now += max(0.0, timeout)
        return []


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        selector = _Jumping()
        selector.loop = self
        self.now = 1000.0
        super().__init__(selector)

    def time(self) -> float:
        return self.now


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"virtual": VirtualTimeLoop}


def clock() -> float:
    return asyncio.get_running_loop().time()


@dataclass(frozen=True)
class Said:
    """An answer that has not been read yet: bytes as they come over the wire."""

    status: int
    headers: dict[str, str]
    content: bytes

    def response(self) -> httpx.Response:
        return httpx.Response(
            self.status, headers=self.headers, stream=httpx.ByteStream(self.content)
        )


Answer = Said | Exception | Callable[[httpx.Request], Awaitable[httpx.Response]]


def answer(body: Any, status: int = 200, **headers: str) -> Said:
    """An envelope, or a text that is none; `X_Retry_After="2"` becomes a header."""
    content = (
        body
        if isinstance(body, bytes)
        else body.encode()
        if isinstance(body, str)
        else json.dumps({"status": "success"} | body).encode()
    )
    return Said(status, {name.replace("_", "-"): value for name, value in headers.items()}, content)


def an_order(**fields: Any) -> Said:
    return answer({"execution_time": "0.0208 seconds", "order": {"id": "100000001"} | fields})


@dataclass
class Upstream:
    """Says the next answer of its script, and the last one from then on."""

    script: list[Answer] = field(default_factory=lambda: [an_order()])
    requests: list[httpx.Request] = field(default_factory=list)
    at: list[float] = field(default_factory=list)

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        self.at.append(clock())
        said = self.script[min(len(self.requests), len(self.script)) - 1]
        if isinstance(said, Exception):
            raise said
        if isinstance(said, Said):
            return said.response()
        return await said(request)


def client_of(upstream: Upstream, **changes: Any) -> OrderDeskClient:
    settings: dict[str, Any] = {
        "timeout": 30,
        "max_retries": 3,
        "clock": clock,
        "random": lambda: 1.0,
    } | changes
    buckets = settings.pop("buckets", None) or MemoryBuckets(clock)
    return OrderDeskClient(
        Transport(httpx.AsyncClient(transport=httpx.MockTransport(upstream)), buckets, **settings)
    )


def budget(seconds: float = 30) -> WaitBudget:
    return WaitBudget(seconds, clock)


@pytest.fixture
def store() -> StoreAccess:
    return StoreAccess("https://orderdesk.example/api/v2", StoreId("4711"), Secret(KEY))
