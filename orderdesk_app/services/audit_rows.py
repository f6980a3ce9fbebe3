"""Rows of the audit log, as they are written: their columns, their sealed arguments, and what they
add to the counts of their account.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from orderdesk_app.context import Actor, Sealed, Via, current_request, new_id, now
from orderdesk_app.db.activity_slots import SlotCounts, add_counts_statement, slot_of, slot_start
from orderdesk_app.db.audit import SEALED_AS, AuditEntry
from orderdesk_app.errors import NotFound
from orderdesk_app.security.audit_links import PURPOSE, AuditKey
from orderdesk_app.services.audit_chains import LINKED, AuditChains
from orderdesk_app.services.audit_links import PLAIN, moment_text
from orderdesk_app.services.nameless_rows import without_the_deleted
from orderdesk_app.services.sealed import Seals

MOST_REFUSAL_BYTES = 200
_MOST_ARGUMENT_BYTES = 16_384
_BY_KEY = (str(Via.MCP), str(Via.STDIO))


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened. `arguments` are without secrets; they are sealed in the row.

    A refusal has a short row without arguments, which may stand for `times` of them.
    """

    actor: Actor
    action: str
    outcome: str = "ok"
    tool: str | None = None
    store_row_id: str | None = None
    arguments: Mapping[str, Any] | None = None
    duration_ms: float = 0.0
    cached: bool = False
    upstream_requests: int = 0
    change_id: str | None = None
    is_refusal: bool = False
    times: int = 1
    id: str = field(default_factory=new_id)
    at: datetime = field(default_factory=now)
    request_id: str = field(default_factory=lambda: current_request().request_id)


_in_order_of_columns: Callable[[Mapping[str, Any]], tuple[Any, ...]] = itemgetter(*PLAIN)
# A row that waits, with its arguments as they are stored.
Pending = tuple[Entry, bytes | None]


class RowsThere(Exception):
    """Some of the rows were committed before, so that the chain would have holes: with all of them
    in `tried`, the others are inserted.
    """


class AuditRows:
    """Inserts rows with their links and their counts, in a transaction of the caller."""

    def __init__(self, sealer: Seals, *, is_sqlite: bool) -> None:
        self._sealer = sealer
        self._chains = AuditChains(AuditKey(sealer.purpose(PURPOSE)))
        self._is_sqlite = is_sqlite
        place = "?" if is_sqlite else "%s"
        self._insert = _insert(place)
        self._add_counts = add_counts_statement(place)

    async def rows(self, lines: Iterable[Pending]) -> list[tuple[Any, ...]]:
        """The rows with their arguments sealed, to be inserted."""
        return [self._row(entry, await self._sealed(entry, text)) for entry, text in lines]

    async def insert(
        self,
        session: AsyncSession,
        rows: list[tuple[Any, ...]],
        entries: Sequence[Entry],
        *,
        tried: Set[str],
        are_numbers_taken: bool = False,
    ) -> None:
        """Insert the rows of the entries. Those of `tried`, whose commit failed, may be there
        already and counted: a commit may happen although its answer was lost. Raises RowsThere for
        others that are there, and IntegrityError where somebody has taken their numbers; the caller
        has to roll back.
        """
        done = await _found(session, tried)
        if done:
            kept = [place for place, entry in enumerate(entries) if entry.id not in done]
            rows, entries = [rows[place] for place in kept], [entries[place] for place in kept]
            if not rows:
                return
        connection = await session.connection()
        actors = [entry.actor for entry in entries]
        rows = await without_the_deleted(connection, actors, PLAIN, rows)
        digests = self._chains.digests(rows)
        if counts := self._counts(entries):
            await connection.exec_driver_sql(self._add_counts, counts)
        linked = await self._chains.linked(
            connection, rows, digests, are_numbers_taken=are_numbers_taken
        )
        inserted = await connection.exec_driver_sql(self._insert, linked)
        if inserted.rowcount != len(linked):
            raise RowsThere

    async def _sealed(self, entry: Entry, text: bytes | None) -> Sealed | None:
        if text is None:
            return None
        place = (entry.actor.tenant_id, SEALED_AS, "arguments", entry.id)
        try:
            return self._sealer.seal(*place, text)
        except LookupError:  # this account's key was evicted, as very many are active
            pass
        try:
            return await self._sealer.seal_for(*place, text)
        except NotFound:  # the tenant was deleted, and its key with it
            return None

    def _row(self, entry: Entry, sealed: Sealed | None) -> tuple[Any, ...]:
        actor = entry.actor
        row = {
            "id": entry.id,
            "at": self._timestamp(entry.at),
            "tenant_id": actor.tenant_id or None,
            "user_id": actor.user_id or None,
            "role": str(actor.role or ""),
            "via": str(actor.via),
            "credential_id": actor.credential_id,
            "session_id": actor.session_id,
            "client_name": _storable(actor.client_name[:80]),
            "client_version": _storable(actor.client_version[:40]),
            "address": actor.address[:64],
            "action": entry.action,
            "tool": _storable(entry.tool) if entry.tool else None,
            "store_row_id": entry.store_row_id,
            "arguments": sealed,
            "outcome": entry.outcome,
            "duration_ms": float(entry.duration_ms),
            "cached": entry.cached,
            "upstream_requests": entry.upstream_requests,
            "request_id": entry.request_id,
            "change_id": entry.change_id,
            "times": entry.times,
        }
        if entry.is_refusal:
            row = _short(row)
        return _in_order_of_columns(row)

    def _counts(self, entries: Iterable[Entry]) -> list[tuple[Any, ...]]:
        """What the rows add to the accounts' counts. All processes lock these in the same order, so
        that none waits for another that waits for it.
        """
        counts: dict[tuple[str, str, datetime], SlotCounts] = {}
        for entry in entries:
            if _is_counted(entry):
                begins_at = slot_start(entry.at)
                place = (entry.actor.tenant_id, entry.store_row_id or "", begins_at)
                if (sums := counts.get(place)) is None:
                    sums = counts[place] = SlotCounts(begins_at, entry.at, entry.outcome)
                _count(entry, sums)
        return [
            (
                tenant_id,
                slot_of(begins_at),
                store_row_id,
                self._timestamp(begins_at),
                sums.calls,
                sums.errors,
                sums.saved,
                sums.upstream_requests,
                sums.last_call_at and self._timestamp(sums.last_call_at),
                self._timestamp(sums.answered_at),
                sums.answered,
                tenant_id,
            )
            for (tenant_id, store_row_id, begins_at), sums in sorted(
                counts.items(), key=itemgetter(0)
            )
        ]

    def _timestamp(self, at: datetime) -> datetime | str:
        """A time as the column keeps it: SQLite has no times, and SQLAlchemy's form of them sorts
        as text.
        """
        return moment_text(at) if self._is_sqlite else at.astimezone(UTC)


def _insert(place: str) -> str:
    # In the driver's own syntax: with SQLAlchemy's statement, twenty columns of it would be most of
    # what a call costs here.
    columns = (*PLAIN, *LINKED)
    return (
        f"INSERT INTO audit_log ({', '.join(columns)}) "  # noqa: S608
        f"VALUES ({', '.join([place] * len(columns))}) "
        "ON CONFLICT (id) DO NOTHING"
    )


async def _found(session: AsyncSession, ids: Set[str]) -> Set[str]:
    """Which of these rows are there; there are at most MOST_QUEUED and those of writes."""
    if not ids:
        return ids
    return set((await session.exec(select(AuditEntry.id).where(col(AuditEntry.id).in_(ids)))).all())


def _is_counted(entry: Entry) -> bool:
    """Whether the row tells of a call, or of a connection to Order Desk that a person tried.

    A new key that was refused is not kept, so it says nothing about the key in use; and an edit of
    the name alone sends no request to Order Desk.
    """
    if not entry.actor.tenant_id:
        return False
    return entry.action in ("tool", "store.test") or (
        entry.action == "store.edit" and entry.outcome == "ok" and entry.upstream_requests > 0
    )


def _count(entry: Entry, sums: SlotCounts) -> None:
    if entry.at >= sums.answered_at:
        sums.answered_at = entry.at
        sums.answered = entry.outcome
    if entry.action == "tool":
        sums.calls += entry.times
        sums.errors += entry.times if entry.outcome != "ok" else 0
        sums.saved += entry.cached
        sums.upstream_requests += entry.upstream_requests
        sums.last_call_at = max(entry.at, sums.last_call_at or entry.at)


def _short(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row of a refusal, of which there may be many: at most MOST_REFUSAL_BYTES of text. It
    names the key of an agent, or else the person, and what else there is room for.
    """
    row = {**row, "role": "", "client_version": "", "session_id": None}
    if row["credential_id"] is not None and row["via"] in _BY_KEY:
        row["user_id"] = None  # the key's row names its user
    else:
        row["credential_id"] = None  # of a person, who may have signed in with a key
    extra = {name: row[name] for name in ("request_id", "address", "client_name")}
    row |= dict.fromkeys(extra, "")
    room = MOST_REFUSAL_BYTES - sum(_size(value) for value in row.values())
    for name, value in extra.items():
        if _size(value) <= room:
            row[name] = value
            room -= _size(value)
    return row


def _size(value: object) -> int:
    if isinstance(value, datetime):
        return len("2026-01-01 00:00:00.000000")
    return len(value.encode()) if isinstance(value, str) else 0


# `json.dumps` makes an encoder in each call that sets an option.
_to_json = json.JSONEncoder(default=str, ensure_ascii=False).encode


def pending(entry: Entry) -> Pending:
    if not entry.arguments:
        return entry, None
    # UTF-8 cannot encode half a surrogate pair
    text = _to_json(entry.arguments).encode(errors="replace")
    if len(text) <= _MOST_ARGUMENT_BYTES:
        return entry, text
    cut = {"cut": True, "bytes": len(text), "names": sorted(entry.arguments)[:100]}
    # The queued row does not keep them: a queue of whole requests would be gigabytes.
    return replace(entry, arguments=None), json.dumps(cut).encode()


def _storable(text: str) -> str:
    """A name that a caller sent, in a form that every database takes: Postgres refuses U+0000, and
    UTF-8 cannot encode half a surrogate pair.
    """
    return text.replace("\x00", "").encode(errors="replace").decode()
