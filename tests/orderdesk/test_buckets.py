"""Twenty at once, then three a second, in order of arrival, and never longer than the budget
lasts.
"""

import asyncio

import pytest

from orderdesk_app.errors import RateLimited, Unexpected
from orderdesk_app.orderdesk.buckets import BucketQueue, MemoryBuckets
from orderdesk_app.orderdesk.wait_budget import WaitBudget
from tests.orderdesk.conftest import budget, clock


async def test_twenty_tokens_are_there_at_once_and_then_three_a_second() -> None:
    line, began, at = BucketQueue(MemoryBuckets(clock)), clock(), list[float]()

    for _ in range(26):
        await line.token("store", budget(), line.ticket())
        at.append(clock() - began)

    assert at[:20] == [0.0] * 20
    assert at[22] == pytest.approx(1.0, abs=0.05)
    assert at[25] == pytest.approx(2.0, abs=0.05)


async def test_a_hundred_waiters_are_served_in_order_of_arrival() -> None:
    line, began, served = BucketQueue(MemoryBuckets(clock)), clock(), list[int]()

    async def call(who: int) -> None:
        await line.token("store", budget(60), line.ticket())
        served.append(who)

    await asyncio.gather(*(call(who) for who in range(100)))

    assert served == list(range(100))
    assert clock() - began == pytest.approx(80 / 3, abs=0.1)


async def test_wait_budget_ends_the_wait_with_a_time_to_come_back_and_nothing_done() -> None:
    line, began = BucketQueue(MemoryBuckets(clock)), clock()

    results = await asyncio.gather(
        *(line.token("store", budget(2), line.ticket()) for _ in range(100)),
        return_exceptions=True,
    )

    refused = [result for result in results if isinstance(result, RateLimited)]
    assert len(results) - len(refused) == 26  # 20 at once, 6 more in two seconds
    assert clock() - began <= 2.05
    assert all(
        error.outcome == "not_done" and error.retry_after and error.retry_after >= 1
        for error in refused
    )


async def test_a_wait_that_is_known_to_be_too_long_is_refused_at_once() -> None:
    buckets = MemoryBuckets(clock)
    line, began = BucketQueue(buckets), clock()
    await buckets.drain("store", 60)

    with pytest.raises(RateLimited) as refused:
        await line.token("store", budget(30), line.ticket())

    assert refused.value.retry_after == 60
    assert clock() == began


async def test_order_desk_may_lower_the_count_and_never_raises_it() -> None:
    buckets = MemoryBuckets(clock)

    await buckets.correct("store", 1)
    await buckets.correct("store", 15)

    assert await buckets.take("store") == 0.0
    assert await buckets.take("store") == pytest.approx(1 / 3)


async def test_a_drained_bucket_gives_one_token_when_the_time_is_over() -> None:
    buckets = MemoryBuckets(clock)

    await buckets.drain("store", 5)
    wait = await buckets.take("store")
    await asyncio.sleep(5)

    assert wait == pytest.approx(5)
    assert await buckets.take("store") == 0.0
    assert await buckets.take("store") > 0


async def test_one_store_does_not_wait_for_another() -> None:
    buckets = MemoryBuckets(clock)
    line, began = BucketQueue(buckets), clock()
    await buckets.drain("busy", 20)

    waiting = asyncio.create_task(line.token("busy", budget(), line.ticket()))
    await line.token("idle", budget(), line.ticket())

    assert clock() == began
    waiting.cancel()


async def test_somebody_cancelled_at_the_head_lets_the_next_one_in() -> None:
    buckets = MemoryBuckets(clock)
    line, began = BucketQueue(buckets), clock()
    await buckets.drain("store", 3)

    head = asyncio.create_task(line.token("store", budget(), line.ticket()))
    following = asyncio.create_task(line.token("store", budget(), line.ticket()))
    await asyncio.sleep(1)
    head.cancel()
    await following

    assert clock() - began == pytest.approx(3, abs=0.05)


async def test_two_waits_of_one_call_share_its_wait_budget() -> None:
    buckets = MemoryBuckets(clock)
    line, shared = BucketQueue(buckets), budget(5)

    await buckets.drain("store", 3)
    await line.token("store", shared, line.ticket())
    await buckets.drain("store", 3)

    with pytest.raises(RateLimited):
        await line.token("store", shared, line.ticket())


async def test_full_buckets_are_forgotten_when_there_are_very_many() -> None:
    buckets = MemoryBuckets(clock)
    for number in range(10_000):
        await buckets.take(f"store {number}")
    await asyncio.sleep(10)

    await buckets.take("one more")

    assert len(buckets) == 1


async def test_a_bucket_that_cannot_be_asked_sends_nothing_and_says_so() -> None:
    class FailingBuckets(MemoryBuckets):
        async def take(self, key: str) -> float:
            raise ConnectionError("password=hunter2")

    line = BucketQueue(FailingBuckets(clock))

    for _ in range(2):  # the line moves on
        with pytest.raises(Unexpected, match="nothing was sent") as met:
            await line.token("store", budget(), line.ticket())
        assert met.value.outcome == "not_done"
        assert "hunter2" not in met.value.message


def test_a_wait_budget_of_nothing_is_nothing() -> None:
    assert WaitBudget(0).remaining() == 0
