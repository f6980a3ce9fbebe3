"""The cache between services and Order Desk: nothing is told that a write may have changed, and
what is kept is bounded.
"""

import asyncio
from typing import Any

import pytest

from orderdesk_app.cache.store import MemoryCache
from orderdesk_app.db.signals import EVERYTHING, Signals
from orderdesk_app.services import reads as reads_service
from tests.services.conftest import OrderWorld


class FailingCache(MemoryCache):
    """Its first `failures` drops come to nothing."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.errors = [error]

    async def drop(self, tag: str) -> None:
        if self.errors:
            raise self.errors.pop()
        await super().drop(tag)


@pytest.mark.parametrize("error", [OSError("disk full"), asyncio.CancelledError()])
@pytest.mark.parametrize("topic", ["store", EVERYTHING])
async def test_a_drop_that_came_to_nothing_is_tried_again_before_anything_is_told(
    world: OrderWorld, error: BaseException, topic: str
) -> None:
    reads, record, told = world.reads, world.store.record, iter("ab")
    reads._cache = FailingCache(error)

    async def fetch() -> Any:
        return next(told)

    await reads.get(record, "order", "1", 60, fetch)
    reads._hear(f"store:{record.upstream_id}" if topic == "store" else topic)
    with pytest.raises(type(error)):
        await reads.get(record, "order", "1", 60, fetch)

    assert await reads.get(record, "order", "1", 60, fetch) == ("b", False)


async def test_news_heard_while_entries_go_is_not_forgotten(world: OrderWorld) -> None:
    reads, record, told = world.reads, world.store.record, iter("abc")
    drop = reads._cache.drop

    async def fetch() -> Any:
        return next(told)

    async def drop_and_hear(tag: str) -> None:
        await drop(tag)
        reads._cache.drop = drop  # type: ignore[method-assign]
        reads._hear(f"store:{record.upstream_id}")

    await reads.get(record, "order", "1", 60, fetch)
    reads._cache.drop = drop_and_hear  # type: ignore[method-assign]
    await reads.drop(record.upstream_id)

    assert not reads._pending
    assert await reads.get(record, "order", "1", 60, fetch) == ("b", False)


async def test_what_was_read_takes_bounded_memory(
    world: OrderWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reads_service, "MOST_PARSED_BYTES", 100_000)
    reads = reads_service.Reads(
        MemoryCache(), Signals(world.database), world.reads._sealer, seal=True
    )

    async def fetch() -> Any:
        return "x" * 10_000

    for number in range(50):
        await reads.get(world.store.record, "order", str(number % 30), 60, fetch)

    held = [len(raw) for raw, _ in reads._parsed.values()]
    assert 50_000 < sum(held) <= 100_000
