"""One writer per order: in order of arrival here, by lease elsewhere, and always given back."""

import asyncio
from typing import Any

import pytest

from orderdesk_app.context import OrderId
from orderdesk_app.errors import RateLimited
from orderdesk_app.orderdesk.access import StoreAccess
from orderdesk_app.orderdesk.locks import Lock, MemoryLeases, WriteLocks
from tests.orderdesk.conftest import budget, clock

ORDER = OrderId("100000001")


class SlowLeases(MemoryLeases):
    """Leases behind a database: every question takes its time."""

    async def acquire(self, name: str, holder: str, seconds: float) -> bool:
        await asyncio.sleep(0.002)
        got = await super().acquire(name, holder, seconds)
        await asyncio.sleep(0.002)
        return got

    async def release(self, name: str, holder: str) -> None:
        await asyncio.sleep(0.002)
        await super().release(name, holder)


class RecordingLeases(MemoryLeases):
    """Knows who holds a lease."""

    holder = ""

    async def acquire(self, name: str, holder: str, seconds: float) -> bool:
        self.holder = holder
        return await super().acquire(name, holder, seconds)


class FailingLeases(MemoryLeases):
    """A database that went away after the lock was taken."""

    async def renew(self, name: str, holder: str, seconds: float) -> bool:
        raise ConnectionError("gone")

    async def release(self, name: str, holder: str) -> None:
        raise ConnectionError("gone")


def name_of(store: StoreAccess) -> str:
    """How the lease of the order is called."""
    return f"order|{store.upstream_id}|{ORDER}"


def process(leases: MemoryLeases, **changes: Any) -> WriteLocks:
    """The locks of one process; several share the leases."""
    return WriteLocks(leases, clock=clock, **changes)


async def test_a_hundred_writers_come_one_by_one_in_order_of_arrival(store: StoreAccess) -> None:
    locks, inside, served = process(MemoryLeases(clock)), 0, list[int]()

    async def write(who: int) -> None:
        nonlocal inside
        async with locks.holding(store, ORDER, budget(60)):
            inside += 1
            assert inside == 1
            await asyncio.sleep(0.1)
            served.append(who)
            inside -= 1

    await asyncio.gather(*(write(who) for who in range(100)))

    assert served == list(range(100))


async def test_writers_of_several_processes_never_meet_and_none_starves(store: StoreAccess) -> None:
    leases, inside, served = SlowLeases(clock), 0, list[int]()

    async def write(number: int, locks: WriteLocks) -> None:
        nonlocal inside
        async with locks.holding(store, ORDER, budget(60)) as lock:
            inside += 1
            assert inside == 1
            assert lock.still_held()
            await asyncio.sleep(0.02)
            served.append(number)
            inside -= 1

    processes = [process(leases) for _ in range(3)]
    await asyncio.gather(
        *(write(number, locks) for _ in range(20) for number, locks in enumerate(processes))
    )

    assert sorted(served) == sorted(list(range(3)) * 20)
    assert {served[:30].count(number) for number in range(3)} & {0} == set()


async def test_a_lock_given_back_is_taken_by_another_process_within_a_tenth_of_a_second(
    store: StoreAccess,
) -> None:
    leases, given_back = SlowLeases(clock), 0.0
    one, other = process(leases), process(leases)

    async def first() -> None:
        nonlocal given_back
        async with one.holding(store, ORDER, budget()):
            await asyncio.sleep(1.01)
        given_back = clock()

    async def second() -> float:
        await asyncio.sleep(0.1)
        async with other.holding(store, ORDER, budget()):
            return clock() - given_back

    _, late = await asyncio.gather(first(), second())

    assert late <= 0.1


async def test_a_busy_order_ends_the_wait_budget_with_nothing_written(store: StoreAccess) -> None:
    leases = MemoryLeases(clock)
    one, other = process(leases), process(leases)

    async with one.holding(store, ORDER, budget()):
        began = clock()
        for locks in (one, other):
            with pytest.raises(RateLimited) as refused:
                async with locks.holding(store, ORDER, budget(2)):
                    raise AssertionError("two writers")
            assert refused.value.outcome == "not_done"
            assert refused.value.retry_after

    assert clock() - began == pytest.approx(4, abs=0.1)


async def test_orders_and_stores_do_not_wait_for_each_other(store: StoreAccess) -> None:
    locks, began = process(MemoryLeases(clock)), clock()
    elsewhere = StoreAccess("https://other.example/api/v2", store.store_id, store.api_key)

    async with (
        locks.holding(store, ORDER, budget()),
        locks.holding(store, OrderId("2"), budget()),
        locks.holding(elsewhere, ORDER, budget()),
    ):
        assert clock() == began


async def test_an_order_written_with_zeros_in_front_is_the_same_order(store: StoreAccess) -> None:
    locks = process(MemoryLeases(clock))

    async with locks.holding(store, OrderId("17"), budget()):
        with pytest.raises(RateLimited):
            async with locks.holding(store, OrderId("017"), budget(0.1)):
                pass


async def test_a_long_write_keeps_its_lock_by_renewing(store: StoreAccess) -> None:
    leases = MemoryLeases(clock)
    one, other = process(leases), process(leases)

    async with one.holding(store, ORDER, budget()) as lock:
        await asyncio.sleep(200)
        assert lock.still_held()
        with pytest.raises(RateLimited):
            async with other.holding(store, ORDER, budget(1)):
                pass


async def test_a_process_that_died_is_waited_for_until_its_lease_is_over(
    store: StoreAccess,
) -> None:
    leases, began = MemoryLeases(clock), clock()
    await leases.acquire(name_of(store), "who died", 15)

    async with process(leases).holding(store, ORDER, budget()):
        assert clock() - began == pytest.approx(15, abs=0.1)


async def test_a_lease_lost_to_another_is_noticed(store: StoreAccess) -> None:
    leases = RecordingLeases(clock)

    async with process(leases).holding(store, ORDER, budget()) as lock:
        await leases.release(name_of(store), leases.holder)
        assert await leases.acquire(name_of(store), "another", 100)
        await asyncio.sleep(6)
        assert not lock.still_held()


async def test_without_a_heartbeat_the_lock_is_held_no_longer_than_its_lease(
    store: StoreAccess,
) -> None:
    async with process(FailingLeases(clock)).holding(store, ORDER, budget()) as lock:
        await asyncio.sleep(14)
        before = lock.still_held()
        await asyncio.sleep(2)
        assert (before, lock.still_held()) == (True, False)


async def test_a_broken_release_does_not_spoil_a_write_that_is_done(store: StoreAccess) -> None:
    locks = process(FailingLeases(clock))

    async with locks.holding(store, ORDER, budget()):
        pass
    began = clock()
    async with locks.holding(store, ORDER, budget()):
        assert clock() - began <= 15.1  # the lease ended by itself


@pytest.mark.parametrize("after", [0.0, 0.001, 0.003, 0.005, 0.5, 1.003])
async def test_a_cancelled_writer_leaves_the_order_free(store: StoreAccess, after: float) -> None:
    leases = SlowLeases(clock)
    one, other = process(leases), process(leases)

    async def write() -> None:
        async with one.holding(store, ORDER, budget()):
            await asyncio.sleep(1)

    writer = asyncio.create_task(write())
    await asyncio.sleep(after)
    writer.cancel()
    writer.cancel()
    await asyncio.wait([writer])
    began = clock()

    for locks in (one, other):
        async with locks.holding(store, ORDER, budget()):
            assert clock() - began < 0.1


async def test_a_cancellation_during_the_release_does_not_stop_it(store: StoreAccess) -> None:
    leases = SlowLeases(clock)
    locks = process(leases)

    async def write() -> None:
        async with locks.holding(store, ORDER, budget()):
            pass

    writer = asyncio.create_task(write())
    await asyncio.sleep(0.005)
    writer.cancel()
    await asyncio.wait([writer])
    await asyncio.sleep(0.1)

    assert await leases.acquire(name_of(store), "the next", 1), "it is free at once"


async def test_an_error_inside_gives_the_lock_back_and_rises(store: StoreAccess) -> None:
    leases = MemoryLeases(clock)

    with pytest.raises(KeyError):
        async with process(leases).holding(store, ORDER, budget()):
            raise KeyError

    assert await leases.acquire(name_of(store), "the next", 1), "it is free at once"


async def test_a_lock_is_held_until_its_second() -> None:
    lock = Lock(clock() + 5, clock)

    await asyncio.sleep(4.9)
    before = lock.still_held()
    await asyncio.sleep(0.2)

    assert (before, lock.still_held()) == (True, False)
