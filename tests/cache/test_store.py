"""One table of tests over every cache that keeps."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from orderdesk_app.cache.sqlite import SqliteCache
from orderdesk_app.cache.store import Cache, MemoryCache

MakeCache = Callable[..., Cache]


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory", "sqlite"])
async def make_cache(
    request: pytest.FixtureRequest, tmp_path: Path, clock: Clock
) -> AsyncIterator[MakeCache]:
    made: list[Cache] = []

    def make(limit: int = 1_000_000) -> Cache:
        made.append(
            MemoryCache(limit, clock)
            if request.param == "memory"
            else SqliteCache(tmp_path / "cache.db", limit=limit, clock=clock)
        )
        return made[-1]

    yield make
    for cache in made:
        await cache.close()


@pytest.fixture
def cache(make_cache: MakeCache) -> Cache:
    return make_cache()


async def test_what_was_put_is_told(cache):
    await cache.put("a", b"one", 10, ("s1",))

    assert await cache.get("a") == b"one"
    assert await cache.get("b") is None


async def test_a_second_value_takes_the_place_of_the_first(cache):
    await cache.put("a", b"one", 10, ("s1",))

    await cache.put("a", b"two", 10, ("s2",))
    await cache.drop("s1")

    assert await cache.get("a") == b"two"


async def test_an_answer_ends_with_its_time(cache, clock):
    await cache.put("a", b"one", 10, ())

    clock.seconds += 9.9
    assert await cache.get("a") == b"one"
    clock.seconds += 0.2
    assert await cache.get("a") is None


@pytest.mark.parametrize("seconds", [0, -1])
async def test_no_time_means_not_kept(cache, seconds):
    await cache.put("a", b"one", 10, ())

    await cache.put("a", b"two", seconds, ())

    assert await cache.get("a") != b"two"


async def test_a_tag_drops_its_own_and_nothing_else(cache):
    await cache.put("a", b"one", 10, ("s1", "orders"))
    await cache.put("b", b"two", 10, ("s1",))
    await cache.put("c", b"three", 10, ("s2", "orders"))

    await cache.drop("s1")

    assert [await cache.get(key) for key in "abc"] == [None, None, b"three"]


async def test_it_stays_within_its_bytes_and_the_newest_stay(make_cache):
    cache = make_cache(limit=100_000)

    for number in range(2_000):
        await cache.put(f"k{number}", b"x" * 600, 100, ("s",))
    await cache.ping()

    kept = [number for number in range(2_000) if await cache.get(f"k{number}")]
    assert 1999 in kept
    assert 0 not in kept
    assert len(kept) <= 100 + 200  # sqlite sweeps every 200 puts


async def test_a_value_too_large_for_it_pushes_nothing_out(make_cache):
    cache = make_cache(limit=100_000)
    await cache.put("small", b"x", 100, ())

    await cache.put("large", b"x" * 50_000, 100, ())

    assert await cache.get("small") == b"x"
    assert await cache.get("large") is None


async def test_many_at_once_disturb_no_one(cache):
    async def use(number: int) -> bytes | None:
        await cache.put(f"k{number}", str(number).encode(), 10, (f"t{number % 3}",))
        return await cache.get(f"k{number}")

    assert await asyncio.gather(*(use(number) for number in range(100))) == [
        str(number).encode() for number in range(100)
    ]


async def test_any_text_is_a_key(cache):
    key = "list|email=jürgen@example.com|'; DROP TABLE entries;--|\x00"

    await cache.put(key, b"\x00\xff", 10, (key,))

    assert await cache.get(key) == b"\x00\xff"


async def test_a_cache_that_works_answers_ping(cache):
    await cache.ping()
