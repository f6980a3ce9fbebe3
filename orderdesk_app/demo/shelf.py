"""One sandbox store's objects: the seeded set with the store's own rows laid over it. A write never
loses a concurrent write.
"""

import asyncio
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from orderdesk_app.demo.body import Body
from orderdesk_app.demo.rows import COUNTER, INVENTORY, ORDER, Change, Row, SandboxRows
from orderdesk_app.demo.seed import CREATED_INVENTORY, CREATED_ORDERS, Seed

T = TypeVar("T")
TRIES = 60  # some two seconds
_FIRST_CREATED = {ORDER: CREATED_ORDERS, INVENTORY: CREATED_INVENTORY}


class WriteContention(Exception):
    """Another writer changed the same row before every attempt."""


@dataclass(frozen=True, slots=True)
class Shelf:
    """The objects of one store: the seed, with `rows` in place of what was changed."""

    rows: SandboxRows
    seed: Seed
    store_id: str

    async def answer(self, kind: str, object_id: str) -> bytes | None:
        """The JSON of one object as replies carry it; None when there is none."""
        row = await self.rows.get(self.store_id, kind, object_id)
        if row is None:
            seeded = self.seed.answer(kind, object_id)
            # Seeded shipments are shared by all stores and name none.
            return (
                seeded.replace(b'"store_id": ""', f'"store_id": "{self.store_id}"'.encode())
                if seeded and kind == ORDER
                else seeded
            )
        if row.body is None:
            return None
        return json.dumps(json.loads(row.body)["order"]).encode() if kind == ORDER else row.body

    async def view(self, kind: str, object_id: str) -> Body | None:
        """One document to read, never to change."""
        row = await self.rows.get(self.store_id, kind, object_id)
        return self._seeded(kind, object_id) if row is None else _parsed(row)

    async def views(self, kind: str) -> list[Body]:
        """All documents of a kind to read, never to change."""
        rows = await self.rows.all(self.store_id, kind)
        seeded: list[Body | None] = []
        for place, object_id in enumerate(self.seed.ids(kind)):
            if object_id not in rows:
                seeded.append(self._seeded(kind, object_id))
            if (
                place % 50 == 49
            ):  # the first time all of them are made: others have their turn in between
                await asyncio.sleep(0)
        return [
            document for document in [*seeded, *map(_parsed, rows.values())] if document is not None
        ]

    async def change(
        self, kind: str, object_id: str, edit: Callable[[Body], T]
    ) -> tuple[T, Body] | None:
        """Edit a fresh copy and write it; the edit runs again when another writer was first.

        None when there is no such object.
        """
        for turn in range(TRIES):
            row = await self.rows.get(self.store_id, kind, object_id)
            found = self._seeded(kind, object_id) if row is None else _parsed(row)
            if found is None:
                return None
            # The seeded documents are shared: only a copy may be changed.
            document = json.loads(json.dumps(found)) if row is None else found
            result = edit(document)
            if await self.rows.write(
                self.store_id, [Change(kind, object_id, _body(document), row.version if row else 0)]
            ):
                return result, document
            await _step_aside(turn)
        raise WriteContention

    async def delete(self, kind: str, object_id: str) -> bool:
        """True when it was there."""
        for turn in range(TRIES):
            row = await self.rows.get(self.store_id, kind, object_id)
            if (row is None and self.seed.view(kind, object_id) is None) or (
                row is not None and row.body is None
            ):
                return False
            if await self.rows.write(
                self.store_id, [Change(kind, object_id, None, row.version if row else 0)]
            ):
                return True
            await _step_aside(turn)
        raise WriteContention

    async def create(self, kind: str, make: Callable[[str, list[Body]], Body]) -> Body:
        """Make an object from its new id and all that there are.

        Creates of a kind pass one counter row: no duplicate slips between look and write.
        """
        for turn in range(TRIES):
            counter = await self.rows.get(self.store_id, COUNTER, kind)
            last = json.loads(counter.body) if counter and counter.body else _FIRST_CREATED[kind]
            document = make(str(last + 1), await self.views(kind))
            changes = [
                Change(COUNTER, kind, _body(last + 1), counter.version if counter else 0),
                Change(kind, str(last + 1), _body(document), 0),
            ]
            if await self.rows.write(self.store_id, changes):
                return document
            await _step_aside(turn)
        raise WriteContention

    def _seeded(self, kind: str, object_id: str) -> Body | None:
        found = self.seed.view(kind, object_id)
        if found is None or kind != ORDER or not found["order"]["order_shipments"]:
            return found
        sent = [
            shipment | {"store_id": self.store_id} for shipment in found["order"]["order_shipments"]
        ]
        return found | {"order": found["order"] | {"order_shipments": sent}}


def _body(value: object) -> bytes:
    return json.dumps(value).encode()


def _parsed(row: Row) -> Body | None:
    if row.body is None:
        return None
    document: Body = json.loads(row.body)
    return document


async def _step_aside(turn: int) -> None:
    # a spread, not a secret
    await asyncio.sleep(random.random() * min(0.002 * (turn + 1), 0.05))  # noqa: S311
