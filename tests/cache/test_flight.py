"""Identical questions at the same time share one answer, and nobody's leaving takes it from the
others.
"""

import asyncio

import pytest

from orderdesk_app.cache.flight import SingleFlight


class Upstream:
    """Answers when told to, and counts."""

    def __init__(self) -> None:
        self.asked = 0
        self.cancelled = 0
        self.may_answer = asyncio.Event()

    async def __call__(self) -> str:
        self.asked += 1
        try:
            await self.may_answer.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return "answer"


async def test_a_hundred_at_once_ask_once():
    flight, upstream = SingleFlight(), Upstream()
    callers = [asyncio.create_task(flight.do("k", upstream)) for _ in range(100)]
    await asyncio.sleep(0)

    upstream.may_answer.set()

    assert await asyncio.gather(*callers) == ["answer"] * 100
    assert upstream.asked == 1


async def test_different_questions_do_not_share():
    flight, upstream = SingleFlight(), Upstream()
    upstream.may_answer.set()

    await asyncio.gather(flight.do("a", upstream), flight.do("b", upstream))

    assert upstream.asked == 2


async def test_a_later_question_is_asked_anew():
    flight, upstream = SingleFlight(), Upstream()
    upstream.may_answer.set()

    await flight.do("k", upstream)
    await flight.do("k", upstream)

    assert upstream.asked == 2


async def test_the_first_caller_may_leave():
    flight, upstream = SingleFlight(), Upstream()
    first, second = (
        asyncio.create_task(flight.do("k", upstream)),
        asyncio.create_task(flight.do("k", upstream)),
    )
    await asyncio.sleep(0)

    first.cancel()
    await asyncio.sleep(0)
    upstream.may_answer.set()

    assert await second == "answer"
    assert (upstream.asked, upstream.cancelled) == (1, 0)
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_when_all_have_left_the_question_is_given_up_and_the_next_asks_anew():
    flight, upstream = SingleFlight(), Upstream()
    callers = [asyncio.create_task(flight.do("k", upstream)) for _ in range(3)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    for caller in callers:
        caller.cancel()
    await asyncio.gather(*callers, return_exceptions=True)
    upstream.may_answer.set()

    assert await flight.do("k", upstream) == "answer"
    assert (upstream.asked, upstream.cancelled) == (2, 1)


async def test_a_failure_is_everybodys_and_is_not_kept():
    flight = SingleFlight()

    async def fail() -> str:
        await asyncio.sleep(0)
        raise ValueError("no")

    results = await asyncio.gather(
        *(flight.do("k", fail) for _ in range(5)), return_exceptions=True
    )
    assert [type(result) for result in results] == [ValueError] * 5

    async def work() -> str:
        return "yes"

    assert await flight.do("k", work) == "yes"
