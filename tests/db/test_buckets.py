"""Order Desk's bucket, mirrored in one row: 20 tokens and 3 more a second, whoever takes them."""

import asyncio
import subprocess
import sys
import time

import pytest

from orderdesk_app.db.buckets import Buckets
from orderdesk_app.db.engine import Database

KEY = "https://app.example/api/v2|77"


class Clock:
    def __init__(self) -> None:
        self.seconds = 1_000_000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def buckets(database, clock):
    return Buckets(database, clock=clock)


def noting(asked, name, function):
    def noted(*arguments):
        asked.append(name)
        return function(*arguments)

    return noted


async def take_all(buckets: Buckets) -> int:
    taken = 0
    while await buckets.take(KEY) == 0.0:
        taken += 1
    return taken


async def test_a_full_bucket_has_twenty_and_then_tells_how_long_to_wait(buckets):
    assert await take_all(buckets) == 20

    assert await buckets.take(KEY) == pytest.approx(1 / 3)


async def test_three_tokens_come_each_second_and_never_more_than_twenty(buckets, clock):
    await take_all(buckets)

    clock.seconds += 2
    assert await take_all(buckets) == 6
    clock.seconds += 3600
    assert await take_all(buckets) == 20


async def test_after_the_wait_that_was_told_there_is_a_token(buckets, clock):
    await take_all(buckets)
    for _ in range(50):
        clock.seconds += await buckets.take(KEY)

        assert await buckets.take(KEY) == 0.0


async def test_each_store_has_its_own(buckets):
    await take_all(buckets)

    assert await buckets.take("another") == 0.0


async def test_of_many_at_once_just_so_many_get_one(database, clock):
    several = [Buckets(database, clock=clock) for _ in range(4)]

    waits = await asyncio.gather(*(several[number % 4].take(KEY) for number in range(60)))

    assert waits.count(0.0) == 20


async def test_order_desks_own_count_lowers_ours(buckets):
    await buckets.take(KEY)

    await buckets.correct(KEY, 5)

    assert await take_all(buckets) == 5


async def test_order_desks_own_count_never_raises_ours(buckets):
    for _ in range(15):
        await buckets.take(KEY)

    await buckets.correct(KEY, 19)

    assert await take_all(buckets) == 5


async def test_the_first_that_is_heard_of_a_bucket_may_be_its_count(buckets):
    await buckets.correct(KEY, 3)

    assert await take_all(buckets) == 3


async def test_a_refusal_leaves_nothing_for_so_many_seconds(buckets, clock):
    await buckets.drain(KEY, 5)

    assert await buckets.take(KEY) == pytest.approx(5)
    clock.seconds += 4.9
    assert await buckets.take(KEY) == pytest.approx(0.1)
    clock.seconds += 0.11
    assert await buckets.take(KEY) == 0.0


async def test_a_shorter_refusal_does_not_shorten_a_longer_one(buckets):
    await buckets.drain(KEY, 30)
    await buckets.drain(KEY, 1)
    await buckets.correct(KEY, 12)

    assert await buckets.take(KEY) == pytest.approx(30)


async def test_a_clock_that_was_set_back_does_not_stop_the_bucket(buckets, clock):
    await take_all(buckets)

    clock.seconds -= 3600
    await buckets.take(KEY)
    clock.seconds += 1

    assert await take_all(buckets) == 3


@pytest.mark.slow
async def test_processes_share_one_bucket(database_url, database):
    code = """
import asyncio, sys
from orderdesk_app.db.buckets import Buckets
from orderdesk_app.db.engine import Database
async def main():
    buckets = Buckets(Database(sys.argv[1]), per_second=0.001)
    print([await buckets.take("k") for _ in range(12)].count(0.0))
asyncio.run(main())
"""

    def run(_number: int) -> int:
        return int(
            subprocess.run(
                [sys.executable, "-c", code, database_url],
                capture_output=True,
                check=True,
                text=True,
            ).stdout
        )

    taken = await asyncio.gather(*(asyncio.to_thread(run, number) for number in range(3)))

    assert sum(taken) == 20


async def test_real_clocks_fill_the_bucket(database):
    buckets = Buckets(database, capacity=2, per_second=2)
    for _ in range(2):
        assert await buckets.take(KEY) == 0.0
    while (wait := await buckets.take(KEY)) == 0.0:
        pass  # on a slow machine another token has come meanwhile

    await asyncio.sleep(wait + 0.02)

    assert 0 < wait <= 0.5
    assert await buckets.take(KEY) == 0.0


async def test_taking_is_cheap_enough_for_every_request(sqlite_url):
    """An uncached read may add 6 ms in all; this is one of its steps."""
    database = Database(sqlite_url)
    buckets = Buckets(database, capacity=100_000)
    await buckets.take(KEY)
    seconds = []
    for _ in range(200):
        started = time.perf_counter()
        await buckets.take(KEY)
        seconds.append(time.perf_counter() - started)
    await database.close()

    assert sorted(seconds)[100] < 0.0015


async def test_the_level_is_seen_without_taking_anything(buckets, clock):
    async def level():
        return (await buckets.levels([KEY]))[KEY]

    untouched = await level()
    for _ in range(5):
        await buckets.take(KEY)

    assert untouched == 20
    assert await level() == pytest.approx(15)
    assert await level() == pytest.approx(15)
    await buckets.drain(KEY, 60)
    assert await level() == 0


async def test_the_levels_of_many_stores_are_one_question_and_no_write(
    buckets, database, monkeypatch
):
    await buckets.take(KEY)
    keys = [KEY, *(f"store {number}" for number in range(200))]
    asked = []
    for name in ("read", "execute", "write"):
        monkeypatch.setattr(database, name, noting(asked, name, getattr(database, name)))

    levels = await buckets.levels(keys)

    assert list(levels) == keys
    assert levels[KEY] == pytest.approx(19)
    assert set(levels.values()) - {levels[KEY]} == {20}
    assert asked == ["read"]
    assert await buckets.levels([]) == {}
