"""An Order Desk that has nothing to do but wait: every answer takes 20 ms, every order is a
believable one, every store has its bucket.

Counts what it was asked.
"""

import asyncio
import gzip
import json
import time
import zlib
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import cache
from typing import Any

from orderdesk_app.demo.rows import ORDER
from orderdesk_app.demo.seed import FIRST_ORDER, Seed

SECONDS = 0.020
CAPACITY, PER_SECOND = 20.0, 3.0  # docs/orderdesk-api.md section 10
FOLDERS = {"1": "New", "2": "Prepared", "3": "Closed"}

# Orders whose answer is an attack: half a gigabyte in some kilobytes.
PACKED_ORDER, DOUBLY_PACKED_ORDER, UNASKED_ORDER = 666_000_001, 666_000_002, 666_000_003
_LARGE = 512 * 1024 * 1024

_SEED = Seed()
_asked: Counter[str] = Counter()
_buckets: dict[bytes, tuple[float, float]] = {}

Message = dict[str, Any]


def create_app() -> Callable[..., Awaitable[None]]:
    return answer


async def answer(
    scope: Message,
    receive: Callable[[], Awaitable[Message]],
    send: Callable[[Message], Awaitable[None]],
) -> None:
    if scope["type"] == "lifespan":
        return await _live(receive, send)
    path = scope["path"]
    if path == "/asked":
        return await _say(send, json.dumps(_asked).encode())
    if path.startswith("/api/v2/orders/"):
        _asked[path.rpartition("/")[2]] += 1
    await asyncio.sleep(SECONDS)
    if attack := _attack(path.rpartition("/")[2]):
        return await _say(send, attack[0], encoding=attack[1])
    headers = dict(scope["headers"])
    await _say(send, _body(path, headers), _tokens_left(headers.get(b"orderdesk-store-id", b"")))


def _body(path: str, headers: dict[bytes, bytes]) -> bytes:
    if path == "/api/v2/test":
        return b'{"status":"success","message":"Connection Successful"}'
    if path == "/api/v2/store":
        store_id = headers.get(b"orderdesk-store-id", b"1").decode()
        store = {
            "id": store_id,
            "name": f"Store {store_id}",
            "folders": FOLDERS,
            "settings": {"timezone": "Europe/Berlin"},
        }
        return json.dumps(
            {"status": "success", "execution_time": "0.0100 seconds", "store": store}
        ).encode()
    return (
        b'{"status":"success","execution_time":"0.0100 seconds","order":'
        + order(path.rpartition("/")[2])
        + b"}"
    )


@cache
def _attack(order_id: str) -> tuple[bytes, bytes] | None:
    """A packed body and the encoding that it claims; None for an ordinary order."""
    if order_id not in map(str, (PACKED_ORDER, DOUBLY_PACKED_ORDER, UNASKED_ORDER)):
        return None
    packer = zlib.compressobj(1, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    piece = b"[]," * (1024 * 1024 // 3)
    once = b"".join(
        [*(packer.compress(piece) for _ in range(_LARGE // len(piece))), packer.flush()]
    )
    if order_id == str(PACKED_ORDER):
        return once, b"gzip"
    twice = gzip.compress(once)
    return (twice, b"gzip, gzip") if order_id == str(DOUBLY_PACKED_ORDER) else (twice, b"br")


def order(order_id: str) -> bytes:
    """Any id has an order: one of the 500 of the sandbox under that id."""
    number = FIRST_ORDER + int(order_id) % 500
    text = _SEED.answer(ORDER, str(number))
    assert text is not None
    return text.replace(str(number).encode(), order_id.encode(), 1)


def _tokens_left(store_id: bytes) -> int:
    tokens, at = _buckets.get(store_id, (CAPACITY, 0.0))
    left = max(0.0, min(CAPACITY, tokens + (time.monotonic() - at) * PER_SECOND) - 1)
    _buckets[store_id] = (left, time.monotonic())
    return int(left)


async def _say(
    send: Callable[[Message], Awaitable[None]],
    body: bytes,
    tokens: int = 0,
    encoding: bytes = b"identity",
) -> None:
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"content-encoding", encoding),
        (b"x-tokens-remaining", str(tokens).encode()),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _live(
    receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    while (await receive())["type"] != "lifespan.shutdown":
        await send({"type": "lifespan.startup.complete"})
    await send({"type": "lifespan.shutdown.complete"})
