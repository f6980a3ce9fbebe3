"""What happened in an account: the numbers of the last day, the latest calls, and how each store answers."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from statistics import median
from typing import Any, Protocol

from sqlalchemy import func
from sqlmodel import col, select

from orderdesk_app.context import Actor, Sealed, Via, now
from orderdesk_app.db.audit import AuditEntry
from orderdesk_app.db.engine import Database
from orderdesk_app.db.keys import Credential
from orderdesk_app.db.owned import owned
from orderdesk_app.services.audit import Audit

HOURS = 24
_MOST_ROWS = 20_000


class OpensArguments(Protocol):
    """security.sealing, as far as the activity needs it."""

    async def open_for(self, tenant_id: str, table: str, column: str, row_id: str, sealed: Sealed) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Happening:
    """One audit row for the screen; `arguments` are without secrets."""

    id: str
    at: datetime
    action: str
    tool: str | None
    via: str
    client: str
    store_row_id: str | None
    outcome: str
    duration_ms: float
    cached: bool
    request_id: str
    change_id: str | None
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True)
class StoreState:
    """How Order Desk answered for one store in the last day; `last_outcome` is None when nobody asked."""

    store_row_id: str
    calls: int = 0
    errors: int = 0
    last_at: datetime | None = None
    last_outcome: str | None = None


@dataclass(frozen=True, slots=True)
class Day:
    """The last 24 hours. Lists hold one number an hour, the oldest first; `median_ms` is None without calls."""

    calls: int = 0
    errors: int = 0
    median_ms: float | None = None
    saved: int = 0  # reads that the cache answered in place of Order Desk
    upstream_requests: int = 0
    calls_by_hour: list[int] = field(default_factory=lambda: [0] * HOURS)
    errors_by_hour: list[int] = field(default_factory=lambda: [0] * HOURS)
    median_by_hour: list[float] = field(default_factory=lambda: [0.0] * HOURS)
    saved_by_hour: list[int] = field(default_factory=lambda: [0] * HOURS)
    stores: dict[str, StoreState] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FirstSteps:
    """What a newcomer has done already."""

    has_key: bool
    has_agent_call: bool
    has_console_call: bool


class Activity:
    """Reads the audit rows of one account."""

    def __init__(self, database: Database, sealer: OpensArguments, audit: Audit) -> None:
        self._database, self._sealer, self._audit = database, sealer, audit

    async def day(self, actor: Actor) -> Day:
        """The numbers of the last 24 hours, those of this second included."""
        await self._audit.flush()
        end = now()
        start = end - timedelta(hours=HOURS)
        columns = (AuditEntry.at, AuditEntry.outcome, AuditEntry.duration_ms, AuditEntry.cached, AuditEntry.upstream_requests, AuditEntry.store_row_id)
        async with self._database.read() as session:
            question = select(*columns).where(col(AuditEntry.tenant_id) == actor.tenant_id, col(AuditEntry.action) == "tool", col(AuditEntry.at) >= start)  # type: ignore[call-overload]
            rows: Sequence[Any] = (await session.exec(question.order_by(col(AuditEntry.at).desc()).limit(_MOST_ROWS))).all()
            total = len(rows)
            if total == _MOST_ROWS:  # figures stay exact beyond what the curves read
                counting = select(func.count()).select_from(AuditEntry)
                total = (
                    await session.exec(
                        counting.where(col(AuditEntry.tenant_id) == actor.tenant_id, col(AuditEntry.action) == "tool", col(AuditEntry.at) >= start)
                    )
                ).one()
        return _summed(rows, total, start)

    async def latest(self, actor: Actor, *, count: int = 20) -> list[Happening]:
        """The newest rows first."""
        await self._audit.flush()
        async with self._database.read() as session:
            rows = (await session.exec(owned(actor, AuditEntry).order_by(col(AuditEntry.at).desc(), col(AuditEntry.id).desc()).limit(count))).all()
        return [await self._happening(actor, row) for row in rows]

    async def first_steps(self, actor: Actor) -> FirstSteps:
        """For the checklist on Home."""
        await self._audit.flush()
        async with self._database.read() as session:
            key = (await session.exec(owned(actor, Credential).where(col(Credential.kind) == "access").limit(1))).first()
            agents = (str(Via.MCP), str(Via.STDIO))
            by_agent = (await session.exec(owned(actor, AuditEntry).where(col(AuditEntry.action) == "tool", col(AuditEntry.via).in_(agents)).limit(1))).first()
            by_hand = (
                await session.exec(owned(actor, AuditEntry).where(col(AuditEntry.action) == "tool", col(AuditEntry.via) == str(Via.CONSOLE)).limit(1))
            ).first()
        return FirstSteps(key is not None, by_agent is not None, by_hand is not None)

    async def _happening(self, actor: Actor, row: AuditEntry) -> Happening:
        arguments: dict[str, Any] = {}
        if row.arguments is not None:
            arguments = json.loads(await self._sealer.open_for(actor.tenant_id, "audit_entries", "arguments", row.id, row.arguments))
        return Happening(
            id=row.id, at=row.at, action=row.action, tool=row.tool, via=row.via, client=row.client_name, store_row_id=row.store_row_id, outcome=row.outcome,
            duration_ms=row.duration_ms, cached=row.cached, request_id=row.request_id, change_id=row.change_id, arguments=arguments,
        )  # fmt: skip


def _summed(rows: Sequence[Any], total: int, start: datetime) -> Day:
    calls, errors, saved = [0] * HOURS, [0] * HOURS, [0] * HOURS
    times: list[list[float]] = [[] for _ in range(HOURS)]
    stores: dict[str, StoreState] = {}
    upstream = 0
    for at, outcome, duration, cached, requests, store_row_id in rows:  # newest first
        hour = min(HOURS - 1, max(0, int((at - start).total_seconds() // 3600)))
        is_error = outcome != "ok"
        calls[hour] += 1
        errors[hour] += is_error
        saved[hour] += cached
        upstream += requests
        times[hour].append(duration)
        if store_row_id is not None:
            known = stores.get(store_row_id) or StoreState(store_row_id, last_at=at, last_outcome=outcome)
            stores[store_row_id] = StoreState(store_row_id, known.calls + 1, known.errors + is_error, known.last_at, known.last_outcome)
    every = [duration for hour in times for duration in hour]
    return Day(
        calls=total,
        errors=sum(errors),
        median_ms=median(every) if every else None,
        saved=sum(saved),
        upstream_requests=upstream,
        calls_by_hour=calls,
        errors_by_hour=errors,
        median_by_hour=[median(hour) if hour else 0.0 for hour in times],
        saved_by_hour=saved,
        stores=stores,
    )
