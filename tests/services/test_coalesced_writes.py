"""Many write one row at once: each is answered when its value, or a later one, is committed."""

import asyncio

import pytest

from orderdesk_app.services.coalesced_writes import CoalescedWrites


class Rows:
    """Rows that take until `let_go` to be committed."""

    def __init__(self) -> None:
        self.committed: list[tuple[str, int]] = []
        self.begun: list[tuple[str, int]] = []
        self.bad = 99  # what cannot be committed
        self.gate = asyncio.Event()
        self.writes = CoalescedWrites(self.commit)

    async def commit(self, name: str, value: int) -> None:
        self.begun.append((name, value))
        await self.gate.wait()
        if value == self.bad:
            raise OSError("this cannot be committed")
        self.committed.append((name, value))

    def write(self, *values: int, name: str = "key") -> list[asyncio.Task[None]]:
        return [asyncio.create_task(self.writes.write(name, value)) for value in values]


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_what_arrives_during_a_write_is_written_once_with_the_last_value():
    rows = Rows()
    first = rows.write(1)
    await turns()
    others = rows.write(2, 3, 4)
    await turns()
    begun = list(rows.begun)
    is_answered = any(task.done() for task in first + others)

    rows.gate.set()
    await asyncio.gather(*first, *others)

    assert (begun, is_answered) == ([("key", 1)], False)
    assert rows.committed == [("key", 1), ("key", 4)]


async def test_other_rows_do_not_wait():
    rows = Rows()
    tasks = rows.write(1, name="one") + rows.write(2, name="two")
    await turns()

    assert rows.begun == [("one", 1), ("two", 2)]
    rows.gate.set()
    await asyncio.gather(*tasks)


async def test_a_value_that_cannot_be_written_is_the_error_of_its_own_caller_alone():
    rows = Rows()
    first = rows.write(1)
    await turns()
    others = rows.write(2, 3, rows.bad, 4, rows.bad)
    await turns()

    rows.gate.set()
    ended = await asyncio.gather(*first, *others, return_exceptions=True)

    assert [type(end) for end in ended[1:]] == [
        type(None),
        type(None),
        OSError,
        type(None),
        OSError,
    ]
    assert rows.committed == [("key", number) for number in (1, 2, 3, 4)]


@pytest.mark.parametrize("place", [0, 1])
async def test_one_that_is_cancelled_takes_no_other_along(place: int):
    rows = Rows()
    tasks = rows.write(1)
    await turns()
    tasks += rows.write(2, 3)
    await turns()

    tasks[place].cancel()
    await turns()
    rows.gate.set()
    await asyncio.gather(*tasks, return_exceptions=True)

    assert rows.committed[-1] == ("key", 3)
    assert [task.cancelled() for task in tasks] == [place == 0, place == 1, False]
