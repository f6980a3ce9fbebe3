"""First come, first served, whoever gives up."""

import asyncio

import pytest

from orderdesk_app.orderdesk.fair_queue import FairQueue


async def stand(
    lines: FairQueue, who: int, served: list[int], *, seconds: float = 60, ticket: int | None = None
) -> bool:
    if not await lines.enter("store", seconds, lines.ticket() if ticket is None else ticket):
        return False
    try:
        await asyncio.sleep(1)
        served.append(who)
    finally:
        lines.leave("store")
    return True


async def test_a_hundred_are_served_in_order_of_arrival() -> None:
    lines, served = FairQueue(), list[int]()

    await asyncio.gather(*(stand(lines, who, served, seconds=1000) for who in range(100)))

    assert served == list(range(100))
    assert lines.behind("store") == 0


async def test_who_runs_out_of_wait_budget_leaves_and_the_others_move_up() -> None:
    lines, served = FairQueue(), list[int]()

    came = await asyncio.gather(
        stand(lines, 0, served), stand(lines, 1, served, seconds=0.5), stand(lines, 2, served)
    )

    assert came == [True, False, True]
    assert served == [0, 2]


async def test_a_turn_that_comes_in_the_moment_of_giving_up_is_not_lost() -> None:
    lines, served = FairQueue(), list[int]()

    came = await asyncio.gather(
        stand(lines, 0, served), stand(lines, 1, served, seconds=1.0), stand(lines, 2, served)
    )

    assert came[2]
    assert served[-1] == 2


@pytest.mark.parametrize("steps", range(8))
async def test_somebody_cancelled_never_stops_the_line(steps: int) -> None:
    lines, served = FairQueue(), list[int]()
    people = [asyncio.create_task(stand(lines, who, served)) for who in range(4)]
    await asyncio.sleep(1)  # the second turn begins about now

    for _ in range(steps):
        await asyncio.sleep(0)
    people[1].cancel()
    await asyncio.wait(people)

    assert served in ([0, 2, 3], [0, 1, 2, 3])


async def test_nobody_is_served_without_wait_budget_behind_another() -> None:
    lines, served = FairQueue(), list[int]()

    came = await asyncio.gather(
        stand(lines, 0, served, seconds=0), stand(lines, 1, served, seconds=0)
    )

    assert came == [True, False]


async def test_an_older_ticket_goes_ahead_of_those_who_came_later() -> None:
    lines, served = FairQueue(), list[int]()
    old = lines.ticket()

    await asyncio.gather(
        stand(lines, 0, served), stand(lines, 1, served), stand(lines, 2, served, ticket=old)
    )

    assert served == [0, 2, 1]


async def test_lines_of_different_names_do_not_wait_for_each_other() -> None:
    lines = FairQueue()

    assert await lines.enter("one", 0, lines.ticket())
    assert await lines.enter("other", 0, lines.ticket())
