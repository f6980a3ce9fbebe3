"""Where a sandbox keeps what was changed: rows over the seeded set, safe when two workers write the
same sandbox.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

ORDER = "order"
INVENTORY = "inventory"
COUNTER = "counter"  # object ids "order" and "inventory": the last number given out


@dataclass(frozen=True, slots=True)
class Row:
    """What replaces the seeded object of that id; a body of None says that it was deleted."""

    body: bytes | None  # JSON
    version: int  # 1 when first written, one more with every write


@dataclass(frozen=True, slots=True)
class Change:
    """One row to write, if its version still is `seen`; 0 means that there was no row."""

    kind: str
    object_id: str
    body: bytes | None
    seen: int


class SandboxRows(Protocol):
    """Rows by Order Desk's store id (each sandbox store has its own), kind and object id."""

    async def get(self, store_id: str, kind: str, object_id: str) -> Row | None: ...

    async def all(self, store_id: str, kind: str) -> Mapping[str, Row]:
        """Every row of one kind, the deleted ones included, by object id."""
        ...

    async def write(self, store_id: str, changes: Sequence[Change]) -> bool:
        """Write all changes in one transaction, each version becoming `seen + 1`; False, and
        nothing written, when any row was not as seen.
        """
        ...


class MemoryRows:
    """Rows of one process. The check and the write stand in one step of the event loop."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], dict[str, Row]] = {}

    async def get(self, store_id: str, kind: str, object_id: str) -> Row | None:
        return self._rows.get((store_id, kind), {}).get(object_id)

    async def all(self, store_id: str, kind: str) -> Mapping[str, Row]:
        return dict(self._rows.get((store_id, kind), {}))

    async def write(self, store_id: str, changes: Sequence[Change]) -> bool:
        shelves = [self._rows.setdefault((store_id, change.kind), {}) for change in changes]
        for change, shelf in zip(changes, shelves, strict=True):
            row = shelf.get(change.object_id)
            if (row.version if row else 0) != change.seen:
                return False
        for change, shelf in zip(changes, shelves, strict=True):
            shelf[change.object_id] = Row(change.body, change.seen + 1)
        return True

    def clear(self) -> None:
        self._rows.clear()
