"""Reads of Order Desk through the cache: identical ones share a request, and a value that a write
may have changed is not kept.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar, cast

from cachetools import LRUCache

from orderdesk_app.cache.flight import SingleFlight
from orderdesk_app.cache.store import Cache
from orderdesk_app.context import Sealed
from orderdesk_app.db.signals import Signals
from orderdesk_app.observability import CACHE_READS
from orderdesk_app.orderdesk import json_text
from orderdesk_app.services.open_store import StoreRecord
from orderdesk_app.services.sealed import Seals

T = TypeVar("T")  # the result of a read: JSON, as the cache keeps nothing else
MOST_PARSED_BYTES = 16 * 1024 * 1024  # of text; its parsed value takes a few times as much


class Reads:
    """The way to every cached fact about a store.

    Values are JSON; callers do not change what they get.
    """

    def __init__(self, cache: Cache, signals: Signals, sealer: Seals, *, seal: bool) -> None:
        self._cache = cache
        self._sealer = sealer
        self._seal = seal
        self._flight = SingleFlight()
        # the parsed value of a cached text, so that it is parsed once
        self._parsed: LRUCache[str, tuple[bytes, object]] = LRUCache(
            MOST_PARSED_BYTES, getsizeof=lambda parsed: len(parsed[0])
        )
        self._writes: dict[
            str, int
        ] = {}  # how often each store was written, by the signals received
        self._heard_all = 0
        self._news = 0
        self._pending: dict[
            str, int
            # stores whose entries must be dropped before the next read, each with the number of the
            # signal that said so
        ] = {}
        signals.subscribe(self._hear)

    async def get(
        self,
        store: StoreRecord,
        kind: str,
        parameters: str,
        seconds: float,
        fetch: Callable[[], Awaitable[T]],
        *,
        is_fresh: bool = False,
    ) -> tuple[T, bool]:
        """What `fetch` returns, and whether it is from the cache.

        `parameters` names every parameter of the read; with 0 seconds Order Desk is asked
        (identical reads still share), and so it is with `is_fresh`, but the value is kept.
        """
        key = f"{store.tenant_id}|{store.id}|{store.upstream_id}|{kind}|{parameters}"
        if seconds > 0 and not is_fresh:
            await self._drop_pending()
            kept = await self._kept(store, key)
            if kept is not None:
                CACHE_READS.labels(kind, "hit").inc()
                return cast(T, kept[0]), True
        CACHE_READS.labels(kind, "miss").inc()
        seen = self._state(store.upstream_id)

        async def read_and_keep() -> T:
            value = await fetch()
            if seconds > 0 and seen == self._state(store.upstream_id):
                await self._keep(store, key, value, seconds)
                if seen != self._state(store.upstream_id):  # a write ended while it was put there
                    await self._cache.drop(store.upstream_id)
            return value

        # The state is part of the name: a read that begins after a write never shares one that
        # began before it.
        return await self._flight.do(f"{seen}|{key}", read_and_keep), False

    async def drop(self, store_key: str) -> None:
        """Forget everything about this Order Desk store, for every tenant that has it."""
        self._hear(f"store:{store_key}")
        await self._drop_pending()

    async def _drop_pending(self) -> None:
        while self._pending:
            store_key, news = next(iter(self._pending.items()))
            # if this fails or is cancelled, the next read tries again before it returns anything
            await self._cache.drop(store_key)
            if self._pending.get(store_key) == news:
                del self._pending[store_key]

    def _hear(self, topic: str) -> None:
        self._news += 1
        if topic == "*":
            self._heard_all += 1
            self._pending.update(dict.fromkeys(self._writes, self._news))
        elif topic.startswith("store:"):
            store_key = topic.removeprefix("store:")
            self._writes[store_key] = self._writes.get(store_key, 0) + 1
            self._pending[store_key] = self._news
        elif topic.startswith("tenant:"):
            # stores may be gone, and nobody asks again for what was read from them
            tenant_id = topic.removeprefix("tenant:")
            for key in [key for key in self._parsed if key.startswith(f"{tenant_id}|")]:
                del self._parsed[key]

    def _state(self, store_key: str) -> tuple[int, int]:
        return self._writes.get(store_key, 0), self._heard_all

    async def _kept(self, store: StoreRecord, key: str) -> tuple[object] | None:
        raw = await self._cache.get(key)
        if raw is None:
            return None
        remembered = self._parsed.get(key)
        if remembered is not None and remembered[0] == raw:
            return (remembered[1],)
        text = (
            await self._sealer.open_for(store.tenant_id, "cache", "value", key, Sealed(raw))
            if self._seal
            else raw
        )
        value = json_text.loads(text)
        self._remember(key, raw, value)
        return (value,)

    async def _keep(self, store: StoreRecord, key: str, value: object, seconds: float) -> None:
        text = json_text.dumps(value)
        raw: bytes = (
            await self._sealer.seal_for(store.tenant_id, "cache", "value", key, text)
            if self._seal
            else text
        )
        self._writes.setdefault(store.upstream_id, 0)
        await self._cache.put(key, raw, seconds, (store.upstream_id,))
        self._remember(key, raw, value)

    def _remember(self, key: str, raw: bytes, value: object) -> None:
        if len(raw) <= MOST_PARSED_BYTES:  # LRUCache raises ValueError for a larger one
            self._parsed[key] = (raw, value)
