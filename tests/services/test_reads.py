"""The cache between services and Order Desk: nothing is told that a write may have changed, and
what is kept is bounded.
"""

import asyncio
from typing import Any

import pytest

from orderdesk_app.cache.store import MemoryCache
from orderdesk_app.db.signals import EVERYTHING, Signals
from orderdesk_app.security.sealing import Sealer
from orderdesk_app.services import reads as reads_service
from orderdesk_app.services.reads import Reads
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
    world: OrderWorld, signals: Signals, sealer: Sealer, error: BaseException, topic: str
) -> None:
    record, told = world.store.record, iter("ab")
    reads = Reads(FailingCache(error), signals, sealer, seal=True)

    async def fetch() -> Any:
        return next(told)

    await reads.get(record, "order", "1", 60, fetch)
    signals.deliver(f"store:{record.upstream_id}" if topic == "store" else topic)
    with pytest.raises(type(error)):
        await reads.get(record, "order", "1", 60, fetch)

    assert await reads.get(record, "order", "1", 60, fetch) == ("b", False)


async def test_news_heard_while_entries_go_is_not_forgotten(
    world: OrderWorld, signals: Signals, sealer: Sealer
) -> None:
    record, told, drops = world.store.record, iter("abc"), 0

    class HearingCache(MemoryCache):
        """Hears of another change while it drops for the first time."""

        async def drop(self, tag: str) -> None:
            nonlocal drops
            drops += 1
            await super().drop(tag)
            if drops == 1:
                signals.deliver(f"store:{record.upstream_id}")

    reads = Reads(HearingCache(), signals, sealer, seal=True)

    async def fetch() -> Any:
        return next(told)

    await reads.get(record, "order", "1", 60, fetch)
    await reads.drop(record.upstream_id)

    assert drops == 2
    assert await reads.get(record, "order", "1", 60, fetch) == ("b", False)
    assert drops == 2, "nothing was left to drop"


async def test_what_was_read_takes_bounded_memory(
    world: OrderWorld, signals: Signals, sealer: Sealer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is held is told again as the same object; the rest is read from the cache's text."""
    monkeypatch.setattr(reads_service, "MOST_PARSED_BYTES", 100_000)
    reads = Reads(MemoryCache(), signals, sealer, seal=True)

    async def fetch() -> Any:
        return ["x" * 10_000]

    async def read(number: int) -> Any:
        value, _ = await reads.get(world.store.record, "order", str(number), 60, fetch)
        return value

    told = [await read(number % 30) for number in range(60)][-30:]
    held = [number for number in reversed(range(30)) if await read(number) is told[number]]

    assert 5 < len(held) < 10, "a text is some 10,000 bytes"
    assert held == list(reversed(range(30)))[: len(held)], "the newest"
