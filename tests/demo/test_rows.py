"""Rows over the seeded set, written by two workers at once."""

import asyncio

from orderdesk_app.demo import shelf
from orderdesk_app.demo.rows import Change, MemoryRows, Row


class SlowRows(MemoryRows):
    """Rows behind a database: others have their turn before every answer."""

    async def get(self, store_id, kind, object_id):
        await asyncio.sleep(0.001)
        found = await super().get(store_id, kind, object_id)
        await asyncio.sleep(0.001)
        return found


async def test_a_row_is_written_only_as_it_was_seen():
    rows = MemoryRows()

    assert await rows.write("1", [Change("order", "5", b"a", 0)])
    assert not await rows.write("1", [Change("order", "5", b"b", 0)])
    assert await rows.write("1", [Change("order", "5", b"b", 1)])
    assert await rows.get("1", "order", "5") == Row(b"b", 2)


async def test_one_stale_row_stops_the_whole_write():
    rows = MemoryRows()
    await rows.write("1", [Change("order", "5", b"a", 0)])

    assert not await rows.write("1", [Change("order", "6", b"x", 0), Change("order", "5", b"x", 0)])
    assert await rows.get("1", "order", "6") is None


async def test_stores_and_kinds_are_apart():
    rows = MemoryRows()
    await rows.write("1", [Change("order", "5", None, 0)])

    assert await rows.all("1", "order") == {"5": Row(None, 1)}
    assert await rows.all("1", "inventory") == {}
    assert await rows.all("2", "order") == {}


class StaleRows(MemoryRows):
    """A store that is gone: nothing is ever written."""

    async def write(self, store_id, changes):
        return False


async def test_a_write_that_never_succeeds_is_given_up(make_world, monkeypatch):
    monkeypatch.setattr(shelf, "TRIES", 3)

    status, body = await make_world(StaleRows()).ask(
        "POST", "/orders/100000001/order-history", {"note": "x"}
    )

    assert (status, body["status"]) == (503, "error")


async def test_two_workers_lose_no_write_of_each_other(make_world):
    rows = SlowRows()
    workers = [make_world(rows), make_world(rows)]

    await asyncio.gather(
        *(
            workers[n % 2].ask("POST", "/orders/100000001/order-history", {"note": str(n)})
            for n in range(24)
        )
    )

    _, body = await workers[0].ask("POST", "/orders/100000001/order-history", {"note": "last"})
    assert {line["note"] for line in body["order"]["order_history"]} == {
        *map(str, range(24)),
        "last",
    }


async def test_two_workers_make_no_duplicate_and_share_no_id(make_world):
    rows = SlowRows()
    workers = [make_world(rows), make_world(rows)]
    body = {"shipping": {"company": "x"}, "order_items": [{"name": "a"}]}

    answers = await asyncio.gather(
        *(
            workers[n % 2].ask("POST", "/orders", body | {"source_id": str(n // 2)})
            for n in range(16)
        )
    )

    ids = [answer["order"]["id"] for status, answer in answers if status == 201]
    assert len(ids) == len(set(ids)) == 8
