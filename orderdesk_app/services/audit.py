"""Who did what, through what, with which outcome: rows of writes before the answer, rows of reads within a second."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import insert

from orderdesk_app.context import Actor, Sealed, current_request, new_id, now
from orderdesk_app.db.audit import AuditEntry
from orderdesk_app.db.engine import Database
from orderdesk_app.observability import AUDIT_ROWS, AUDIT_WAITING, log

_LOG = log(__name__)
_QUEUE = 2_000
_FLUSH_SECONDS = 0.4
_MOST_ARGUMENT_BYTES = 16_384


class Seals(Protocol):
    """The sealer, as far as the audit needs it."""

    def seal(self, tenant_id: str, table: str, column: str, row_id: str, value: bytes) -> Sealed: ...


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened. `arguments` are without secrets; they are sealed in the row."""

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
    id: str = field(default_factory=new_id)
    at: datetime = field(default_factory=now)
    request_id: str = field(default_factory=lambda: current_request().request_id)


class Audit:
    """`record` for what changes something (committed when it returns), `note` for reads (committed within a second)."""

    def __init__(self, database: Database, sealer: Seals, *, enabled: bool) -> None:
        self._database, self._sealer, self._enabled = database, sealer, enabled
        self._queue: asyncio.Queue[Entry | None] = asyncio.Queue(_QUEUE)
        self._flusher: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._flusher = asyncio.create_task(self._flush_for_ever(), name="audit-flush")

    async def stop(self) -> None:
        """Flush what waits, then stop."""
        if self._flusher is not None:
            await self._queue.put(None)
            await self._flusher
            self._flusher = None
        await self.flush()

    async def record(self, entry: Entry) -> None:
        """Commit the row now. A row that cannot be committed is an error: no write goes unrecorded."""
        if self._enabled:
            await self._commit([entry], "write")

    async def note(self, entry: Entry) -> None:
        """Queue the row; waits while the queue is full."""
        if self._enabled:
            await self._queue.put(entry)

    async def flush(self) -> None:
        """Commit all rows that wait."""
        entries = self._waiting()
        if entries:
            await self._commit(entries, "read")

    def _waiting(self) -> list[Entry]:
        entries: list[Entry] = []
        while not self._queue.empty() and len(entries) < _QUEUE:
            entry = self._queue.get_nowait()
            if entry is not None:
                entries.append(entry)
        return entries

    async def _flush_for_ever(self) -> None:
        while (first := await self._queue.get()) is not None:
            # The first row waits the longest: never more than this, plus the commit.
            await asyncio.sleep(_FLUSH_SECONDS if self._queue.qsize() < _QUEUE // 2 else 0)
            last = False
            entries = [first]
            while not self._queue.empty() and not last:
                entry = self._queue.get_nowait()
                last = entry is None
                if entry is not None:
                    entries.append(entry)
            AUDIT_WAITING.set(len(entries))
            await self._commit_at_last(entries)
            if last:
                return

    async def _commit_at_last(self, entries: list[Entry]) -> None:
        while True:
            try:
                return await self._commit(entries, "read")
            except Exception as error:  # the database is away: keep the rows, try again
                _LOG.error("audit rows wait for the database", exc_info=error, count=len(entries))
                await asyncio.sleep(_FLUSH_SECONDS)

    async def _commit(self, entries: list[Entry], kind: str) -> None:
        rows = [self._row(entry) for entry in entries]
        async with self._database.write() as session:
            await session.execute(insert(AuditEntry), rows)
        AUDIT_ROWS.labels(kind).inc(len(rows))
        AUDIT_WAITING.set(self._queue.qsize())

    def _row(self, entry: Entry) -> dict[str, Any]:
        actor = entry.actor
        sealed: Sealed | None = None
        if entry.arguments:
            text = json.dumps(entry.arguments, default=str, ensure_ascii=False).encode()
            if len(text) > _MOST_ARGUMENT_BYTES:
                text = json.dumps({"cut": True, "bytes": len(text), "names": sorted(entry.arguments)}).encode()
            sealed = self._sealer.seal(actor.tenant_id, "audit_entries", "arguments", entry.id, text)
        return {
            "id": entry.id, "at": entry.at, "tenant_id": actor.tenant_id, "role": str(actor.role), "via": str(actor.via),
            "credential_id": actor.credential_id, "session_id": actor.session_id, "client_name": actor.client_name[:80],
            "client_version": actor.client_version[:40], "address": actor.address[:64], "action": entry.action, "tool": entry.tool,
            "store_row_id": entry.store_row_id, "arguments": sealed, "outcome": entry.outcome, "duration_ms": entry.duration_ms,
            "cached": entry.cached, "upstream_requests": entry.upstream_requests, "request_id": entry.request_id, "change_id": entry.change_id,
        }  # fmt: skip
