"""What is packed is unpacked within its limit, and only as it was asked for."""

import gzip
import tracemalloc
import zlib
from collections.abc import AsyncIterator

import pytest

from orderdesk_app.orderdesk.unpacking import unpack

LIMIT = 1024 * 1024
BODY = b'{"status":"success"}'
PACKED = gzip.compress(BODY, mtime=0)  # without the time, as it names tests


async def in_pieces(body: bytes, size: int = 16 * 1024) -> AsyncIterator[bytes]:
    for at in range(0, len(body), size):
        yield body[at : at + size]


@pytest.mark.parametrize("size", [1, 7, 1000, 100_000])
@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", " GZIP "])
async def test_a_packed_body_is_unpacked(encoding: str, size: int) -> None:
    body = BODY * 5_000

    assert await unpack(in_pieces(gzip.compress(body), size), encoding, limit=LIMIT) == body


@pytest.mark.parametrize("encoding", ["", "identity"])
async def test_a_body_that_is_not_packed_is_itself(encoding: str) -> None:
    assert await unpack(in_pieces(BODY), encoding, limit=LIMIT) == BODY
    assert await unpack(in_pieces(b""), encoding, limit=LIMIT) == b""


@pytest.mark.parametrize(
    "encoding",
    ["br", "deflate", "zstd", "compress", "gzip, gzip", "br, gzip", "gzip, identity", "*", "x"],
)
async def test_an_encoding_that_was_not_asked_for_is_not_unpacked(encoding: str) -> None:
    async def never() -> AsyncIterator[bytes]:
        raise AssertionError("the body was read")
        yield b""

    assert await unpack(never(), encoding, limit=LIMIT) is None


async def test_what_unpacks_to_more_than_the_limit_is_given_up_without_its_memory() -> None:
    bomb = gzip.compress(b"\0" * (256 * LIMIT))

    tracemalloc.start()
    try:
        found = await unpack(in_pieces(bomb, len(bomb)), "gzip", limit=LIMIT)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert found is None
    assert most < 4 * LIMIT


async def test_exactly_the_limit_is_taken_and_one_more_is_not() -> None:
    for packed in (False, True):
        for size, is_taken in ((LIMIT, True), (LIMIT + 1, False)):
            body = b"x" * size
            sent = gzip.compress(body) if packed else body
            found = await unpack(in_pieces(sent), "gzip" if packed else "", limit=LIMIT)
            assert (found == body) is is_taken


async def test_a_doubly_packed_body_is_unpacked_once() -> None:
    once = gzip.compress(BODY)

    assert await unpack(in_pieces(gzip.compress(once)), "gzip", limit=LIMIT) == once


@pytest.mark.parametrize(
    "body",
    [b"no gzip", zlib.compress(BODY), PACKED[:-3], PACKED[:9]],
)
async def test_what_is_not_packed_as_it_says_is_none(body: bytes) -> None:
    assert await unpack(in_pieces(body), "gzip", limit=LIMIT) is None


async def test_what_follows_the_packed_body_is_not_read() -> None:
    sent = gzip.compress(BODY) + b"\0" * 100 + gzip.compress(b"x" * LIMIT)

    assert await unpack(in_pieces(sent, 50), "gzip", limit=LIMIT) == BODY
