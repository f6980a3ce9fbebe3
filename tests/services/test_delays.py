"""Growing delays, with a clock that moves when told."""

import pytest

from orderdesk_app.errors import RateLimited
from orderdesk_app.services.delays import GrowingDelays
from orderdesk_app.services.limit_store import DelayRules, MemoryLimitTries
from tests.services.test_limits import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def delays(clock: Clock) -> GrowingDelays:
    return GrowingDelays("sign_in", DelayRules(3, 2, 60), words="Too many tries.", clock=clock)


async def wait(delays: GrowingDelays, key: str = "ada") -> float:
    """How long the next try has to wait, without being one."""
    try:
        await delays.check(key)
    except RateLimited as error:
        return error.retry_after or 0
    await delays.give_back(key)
    return 0


async def test_the_first_tries_wait_for_nothing_and_each_further_one_twice_as_long(
    delays: GrowingDelays, clock: Clock
) -> None:
    waits = []
    for _ in range(9):
        await delays.check("ada")
        waits.append(await wait(delays))
        clock.seconds += waits[-1]

    assert waits == [0, 0, 2, 4, 8, 16, 32, 60, 60]


async def test_a_try_that_has_to_wait_is_refused_and_makes_it_no_longer(
    delays: GrowingDelays, clock: Clock
) -> None:
    for _ in range(4):
        clock.seconds += await wait(delays)
        await delays.check("ada")

    for _ in range(100):
        with pytest.raises(RateLimited, match=r"Too many tries\. Try again in 4 s\."):
            await delays.check("ada")

    clock.seconds += 4
    await delays.check("ada")


async def test_who_was_quiet_for_long_begins_anew(delays: GrowingDelays, clock: Clock) -> None:
    for _ in range(6):
        clock.seconds += await wait(delays)
        await delays.check("ada")
    clock.seconds += await wait(delays) + 60

    for _ in range(3):
        await delays.check("ada")
    assert await wait(delays) == 2


async def test_one_key_takes_nothing_from_another(delays: GrowingDelays) -> None:
    for _ in range(3):
        await delays.check("ada")

    assert await wait(delays, "ada") == 2
    assert await wait(delays, "bert") == 0


async def test_a_try_that_should_not_have_counted_takes_its_delay_along(
    delays: GrowingDelays,
) -> None:
    for _ in range(3):
        await delays.check("ada")

    await delays.give_back("ada")
    await delays.give_back("nobody")

    assert await wait(delays) == 0


async def test_tries_that_are_forgotten_are_free_again(delays: GrowingDelays) -> None:
    for _ in range(3):
        await delays.check("ada")

    await delays.forget("ada")
    await delays.forget("nobody")

    for _ in range(3):
        await delays.check("ada")


async def test_a_long_wait_is_said_in_minutes(clock: Clock) -> None:
    delays = GrowingDelays("sign_in", DelayRules(1, 900, 900), words="Too many.", clock=clock)
    await delays.check("ada")

    with pytest.raises(RateLimited, match=r"Try again in 15 minutes\."):
        await delays.check("ada")


async def test_memory_is_bounded(clock: Clock) -> None:
    store = MemoryLimitTries(clock, most_keys=100)
    delays = GrowingDelays("sign_in", DelayRules(1, 2, 60), words="Too many.", store=store)

    for number in range(1000):
        await delays.check(f"address {number}")

    assert await wait(delays, "address 0") == 0
    assert await wait(delays, "address 999") == 2


def test_very_many_tries_wait_no_longer_than_the_longest() -> None:
    assert DelayRules(1, 2, 60).delay(10**9) == 60
