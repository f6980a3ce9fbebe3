"""A name is held by one holder, for some seconds, whichever process asks."""

import asyncio
import time

import pytest

from orderdesk_app.db.leases import Leases
from tests.worlds import eventually


class Clock:
    def __init__(self) -> None:
        self.seconds = 1_000_000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def leases(database, clock):
    return Leases(database, clock)


async def test_one_holds_it_and_the_other_waits(leases):
    assert await leases.acquire("order 1", "ada", 15)

    assert not await leases.acquire("order 1", "bert", 15)
    assert await leases.acquire("order 1", "ada", 15)
    assert await leases.acquire("order 2", "bert", 15)


async def test_who_releases_makes_room_and_nobody_else_can(leases):
    await leases.acquire("order 1", "ada", 15)

    await leases.release("order 1", "bert")
    assert not await leases.acquire("order 1", "bert", 15)
    await leases.release("order 1", "ada")
    assert await leases.acquire("order 1", "bert", 15)


async def test_a_lease_of_the_dead_ends_by_itself(leases, clock):
    await leases.acquire("order 1", "ada", 15)

    clock.seconds += 14.9
    assert not await leases.acquire("order 1", "bert", 15)
    clock.seconds += 0.2
    assert await leases.acquire("order 1", "bert", 15)
    assert not await leases.renew("order 1", "ada", 15)


async def test_renewing_keeps_it(leases, clock):
    await leases.acquire("order 1", "ada", 15)

    clock.seconds += 10
    assert await leases.renew("order 1", "ada", 15)
    clock.seconds += 10

    assert not await leases.acquire("order 1", "bert", 15)


async def test_what_ran_out_is_not_renewed(leases, clock):
    await leases.acquire("order 1", "ada", 15)

    clock.seconds += 16

    assert not await leases.renew("order 1", "ada", 15)
    assert not await leases.renew("never held", "ada", 15)


async def test_of_many_at_once_one_gets_it(leases):
    got = await asyncio.gather(
        *(leases.acquire("order 1", f"holder {number}", 15) for number in range(32))
    )

    assert got.count(True) == 1


async def test_by_real_clocks(database):
    leases = Leases(database)
    asked = time.monotonic()
    assert await leases.acquire("order 1", "ada", 0.5)

    async def acquired() -> bool:
        return await leases.acquire("order 1", "bert", 5)

    await eventually(acquired, 10)

    assert time.monotonic() - asked > 0.49, "it was hers until then"
