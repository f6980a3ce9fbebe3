"""What happened in an account: the numbers of the last day, the latest calls, and how each store
answers.
"""

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from cachetools import LRUCache
from sqlalchemy import (
    ColumnElement,
    Subquery,
    and_,
    case,
    func,
    literal,
    not_,
    or_,
    select,
    union_all,
)
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from orderdesk_app.cache.flight import SingleFlight
from orderdesk_app.context import Actor, TenantId, Via, now
from orderdesk_app.db.activity_slots import SLOT_MINUTES, ActivitySlot
from orderdesk_app.db.audit import AuditEntry
from orderdesk_app.db.engine import Database
from orderdesk_app.db.keys import Credential
from orderdesk_app.db.owned import owned
from orderdesk_app.errors import NotFound
from orderdesk_app.services.activity_entries import (
    AGENTS,
    ActivityEntries,
    ActivityEntry,
    WhoActed,
    who_did,
)
from orderdesk_app.services.audit import AuditLog

HOURS = 24
# durations that are read for the medians; counts come from `activity_slots` and are complete
MOST_ROWS = 2_400
FRESH_SECONDS = 2.0
_MOST_DAYS = 1_000
RECENT = 5_000  # newest rows of an account that Home looks through
QUIET_ACTIONS = (
    "sign_in.key",
    "sign_in.link",
    "sign_in.switch",
    "sign_out",
    "sign_in.passkey",
    "confirm.key",
    "confirm.passkey",
    "confirm.mail",
    "confirm.link",
    "store.test",
    "activity.export",
)


@dataclass(frozen=True, slots=True)
class QuietCalls:
    """What one agent or person did lately that changed nothing and did not fail: how often each
    tool or action, the last of them at `last_at`.
    """

    via: str
    client: str
    key: str
    counts: dict[str, int]
    last_at: datetime
    user_id: str | None = None
    person: str = ""
    master_key_id: str | None = None


@dataclass(frozen=True, slots=True)
class StoreState:
    """The calls of one store in the last day, the last of them at `last_at`; and how Order Desk
    answered last, to calls or to a person who tried the connection.
    """

    store_row_id: str
    calls: int = 0
    errors: int = 0
    last_at: datetime | None = None
    last_outcome: str | None = None


@dataclass(frozen=True, slots=True)
class Day:
    """The last day in whole slots of five minutes: the 24 hours since `since` (UTC).

    Lists hold one number an hour, the oldest first; `median_ms` is None without calls.
    """

    since: datetime = field(default_factory=lambda: _day_start())
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

    def __init__(self, database: Database, entries: ActivityEntries, audit: AuditLog) -> None:
        self._database = database
        self._entries = entries
        self._audit = audit
        self._days: LRUCache[TenantId, tuple[int, float, Day]] = LRUCache(_MOST_DAYS)
        self._flight = SingleFlight()

    async def day(self, actor: Actor) -> Day:
        """The numbers of the last 24 hours. Calls of this process are in them at once, those of
        other processes after two seconds at most.
        """
        await self._audit.flush()
        mark = self._audit.mark(actor.tenant_id)
        kept = self._days.get(actor.tenant_id)
        if kept is not None and kept[0] == mark and time.monotonic() - kept[1] < FRESH_SECONDS:
            return kept[2]
        return await self._flight.do(
            f"{actor.tenant_id}|{mark}", lambda: self._read_day(actor, mark)
        )

    async def _read_day(self, actor: Actor, mark: int) -> Day:
        started = time.monotonic()
        start = _day_start()
        async with self._database.read() as session:
            slots = _slots(actor, start)
            counts = await _counted(session, slots)
            last = await _last_of_stores(session, slots)
            durations = await _durations(session, actor, start, sum(row.calls for row in counts))
        day = _summed(start, counts, durations, last)
        self._days[actor.tenant_id] = (mark, started, day)
        return day

    async def latest(self, actor: Actor, *, count: int = 20) -> list[ActivityEntry]:
        """The newest rows first."""
        await self._audit.flush()
        async with self._database.read() as session:
            rows = (
                await session.exec(
                    owned(actor, AuditEntry)
                    .order_by(col(AuditEntry.at).desc(), col(AuditEntry.id).desc())
                    .limit(count)
                )
            ).all()
            return await self._entries.opened(session, actor, rows)

    async def notable(
        self, actor: Actor, *, reads: Sequence[str], count: int
    ) -> list[ActivityEntry]:
        """The newest changes and failures first, among the account's last RECENT rows. `reads` are
        the names of the tools that change nothing.
        """
        await self._audit.flush()
        async with self._database.read() as session:
            question = owned(actor, AuditEntry).where(not_(_is_quiet(reads)))
            start = await _recent_start(session, actor)
            if start is not None:
                question = question.where(col(AuditEntry.at) >= start)
            rows = (
                await session.exec(
                    question.order_by(col(AuditEntry.at).desc(), col(AuditEntry.id).desc()).limit(
                        count
                    )
                )
            ).all()
            return await self._entries.opened(session, actor, rows)

    async def quiet(self, actor: Actor, *, reads: Sequence[str]) -> list[QuietCalls]:
        """What changed nothing in the last day and among the last RECENT rows, folded by who did
        it, the latest first.
        """
        await self._audit.flush()
        name = func.coalesce(AuditEntry.tool, AuditEntry.action)
        who = (
            AuditEntry.via,
            AuditEntry.credential_id,
            AuditEntry.user_id,
            AuditEntry.client_name,
        )
        async with self._database.read() as session:
            day = now() - timedelta(hours=HOURS)
            start = max(await _recent_start(session, actor) or day, day)
            rows: Any = owned(actor, AuditEntry).with_only_columns(
                *who, name, func.count(), func.max(AuditEntry.at)
            )  # type: ignore[call-overload]
            rows = rows.where(_is_quiet(reads), col(AuditEntry.at) >= start).group_by(*who, name)
            found = (await (await session.connection()).execute(rows)).all()
            acted = [WhoActed(*row[:3]) for row in found]
            names = await who_did(session, actor, acted)
        folded: dict[tuple[str | None, ...], QuietCalls] = {}
        for one, (*_, client, called, times, last) in zip(acted, found, strict=True):
            key, user_id = names.key_of(one), names.user_of(one)
            place = (one.via, client, key, user_id)
            at = datetime.fromisoformat(last) if isinstance(last, str) else last
            at = at if at.tzinfo else at.replace(tzinfo=UTC)
            known = folded.get(place)
            counts = {**(known.counts if known else {})}
            counts[called] = counts.get(called, 0) + times
            folded[place] = QuietCalls(
                one.via,
                client,
                key,
                counts,
                max(at, known.last_at) if known else at,
                user_id,
                names.people.get(user_id or "", ""),
                names.master_key_of(one),
            )
        return sorted(folded.values(), key=lambda calls: calls.last_at, reverse=True)

    async def get(self, actor: Actor, entry_id: str) -> ActivityEntry:
        """One row. Raises NotFound."""
        async with self._database.read() as session:
            row = (
                await session.exec(owned(actor, AuditEntry).where(col(AuditEntry.id) == entry_id))
            ).one_or_none()
            if row is None:
                raise NotFound("That row is no longer in the activity.")
            [entry] = await self._entries.opened(session, actor, [row])
        return entry

    async def first_steps(self, actor: Actor) -> FirstSteps:
        """What the account has done already, for the checklist on Home."""
        await self._audit.flush()
        async with self._database.read() as session:
            key = (
                await session.exec(
                    owned(actor, Credential).where(col(Credential.kind) == "access").limit(1)
                )
            ).first()
            by_agent = (
                await session.exec(
                    owned(actor, AuditEntry)
                    .where(col(AuditEntry.action) == "tool", col(AuditEntry.via).in_(AGENTS))
                    .limit(1)
                )
            ).first()
            by_hand = (
                await session.exec(
                    owned(actor, AuditEntry)
                    .where(
                        col(AuditEntry.action) == "tool", col(AuditEntry.via) == str(Via.CONSOLE)
                    )
                    .limit(1)
                )
            ).first()
        return FirstSteps(key is not None, by_agent is not None, by_hand is not None)


async def _recent_start(session: AsyncSession, actor: Actor) -> datetime | None:
    """The time of the oldest of the last RECENT rows; None where there are fewer. The index alone
    answers it, so that no question of Home grows with the table.
    """
    times: Any = owned(actor, AuditEntry).with_only_columns(AuditEntry.at)  # type: ignore[call-overload]
    question = times.order_by(col(AuditEntry.at).desc()).offset(RECENT).limit(1)
    found: datetime | None = (await (await session.connection()).execute(question)).scalar()
    return found


def _is_quiet(reads: Sequence[str]) -> ColumnElement[bool]:
    """A row that went well and changed nothing."""
    return and_(
        col(AuditEntry.outcome) == "ok",
        or_(
            func.coalesce(AuditEntry.tool, "").in_(reads),
            col(AuditEntry.action).in_(QUIET_ACTIONS),
        ),
    )


def _day_start() -> datetime:
    """When the slots of the last day begin; the last of them is the running one."""
    moment = now().replace(second=0, microsecond=0)
    running = moment - timedelta(minutes=moment.minute % SLOT_MINUTES)
    return running + timedelta(minutes=SLOT_MINUTES) - timedelta(hours=HOURS)


def _slots(actor: Actor, start: datetime) -> Subquery:
    """The account's slots since `start`, each with its hour: 0 is the oldest."""
    hour = case(
        *(
            (col(ActivitySlot.begins_at) >= start + timedelta(hours=number), number)
            for number in range(HOURS - 1, 0, -1)
        ),
        else_=0,
    )
    columns = list(ActivitySlot.__table__.columns)  # type: ignore[attr-defined]
    rows: Any = owned(actor, ActivitySlot).with_only_columns(hour.label("hour"), *columns)
    found: Subquery = rows.where(col(ActivitySlot.begins_at) >= start).subquery()
    return found


async def _counted(session: AsyncSession, slots: Subquery) -> Sequence[Any]:
    """Complete counts for each hour and store, for any number of calls."""
    c = slots.c
    question = select(
        c.hour,
        c.store_row_id,
        func.sum(c.calls).label("calls"),
        func.sum(c.errors).label("errors"),
        func.sum(c.saved).label("saved"),
        func.sum(c.upstream_requests).label("upstream"),
        func.max(c.last_call_at).label("last_call_at"),
    ).group_by(c.hour, c.store_row_id)
    return (await (await session.connection()).execute(question)).all()


async def _last_of_stores(session: AsyncSession, slots: Subquery) -> dict[str, str]:
    """How each store answered last."""
    c = slots.c
    place = (
        func.row_number()
        .over(partition_by=c.store_row_id, order_by=c.answered_at.desc())
        .label("place")
    )
    placed = select(c.store_row_id, c.answered, place).where(c.store_row_id != "").subquery()
    rows = (
        await (await session.connection()).execute(
            select(placed.c.store_row_id, placed.c.answered).where(placed.c.place == 1)
        )
    ).all()
    return {row.store_row_id: row.answered for row in rows}


async def _durations(
    session: AsyncSession, actor: Actor, start: datetime, total: int
) -> Sequence[tuple[int, float]]:
    """(hour, duration) of every call; in a busy account, of the newest ones of each hour. So many
    rows at most are read, whatever the size of the table.
    """
    most = MOST_ROWS if total <= MOST_ROWS else max(1, MOST_ROWS // HOURS)
    hours = []
    for hour in range(HOURS):
        begin = start + timedelta(hours=hour)
        calls: Any = owned(actor, AuditEntry).with_only_columns(
            literal(hour).label("hour"), col(AuditEntry.duration_ms).label("duration")
        )
        calls = calls.where(col(AuditEntry.action) == "tool", col(AuditEntry.at) >= begin)
        if hour < HOURS - 1:
            calls = calls.where(col(AuditEntry.at) < begin + timedelta(hours=1))
        newest = calls.order_by(col(AuditEntry.at).desc()).limit(most).subquery()
        hours.append(select(newest.c.hour, newest.c.duration))
    rows = (await (await session.connection()).execute(union_all(*hours))).all()
    return [(row.hour, row.duration) for row in rows]


def _summed(
    since: datetime,
    counts: Sequence[Any],
    durations: Sequence[tuple[int, float]],
    last: Mapping[str, str],
) -> Day:
    calls, errors, saved = [0] * HOURS, [0] * HOURS, [0] * HOURS
    of_stores: dict[str, list[Any]] = defaultdict(list)
    for row in counts:
        calls[row.hour] += row.calls
        errors[row.hour] += row.errors
        saved[row.hour] += row.saved
        if row.store_row_id:
            of_stores[row.store_row_id].append(row)
    times: list[list[float]] = [[] for _ in range(HOURS)]
    for hour, duration in durations:
        times[hour].append(duration)
    # A duration has the weight of its hour's calls divided by the durations read for that hour.
    weighed = [
        (duration, calls[hour] / len(times[hour]))
        for hour in range(HOURS)
        for duration in times[hour]
        if calls[hour]
    ]
    return Day(
        since=since,
        calls=sum(calls),
        errors=sum(errors),
        median_ms=_median(weighed) if weighed else None,
        saved=sum(saved),
        upstream_requests=sum(row.upstream for row in counts),
        calls_by_hour=calls,
        errors_by_hour=errors,
        median_by_hour=[
            _median((duration, 1.0) for duration in hour) if hour else 0.0 for hour in times
        ],
        saved_by_hour=saved,
        stores={
            row_id: StoreState(
                row_id,
                calls=sum(row.calls for row in rows),
                errors=sum(row.errors for row in rows),
                last_at=max((row.last_call_at for row in rows if row.last_call_at), default=None),
                last_outcome=last.get(row_id),
            )
            for row_id, rows in of_stores.items()
        },
    )


def _median(weighed: Iterable[tuple[float, float]]) -> float:
    """The value with half of the weight below it; the mean of two where the half lies between
    them.
    """
    values = sorted(weighed)
    half, passed = sum(weight for _, weight in values) / 2, 0.0
    for number, (value, weight) in enumerate(values):
        passed += weight
        if passed > half or number == len(values) - 1:
            return value
        if passed == half:
            return (value + values[number + 1][0]) / 2
    raise ValueError("there is no median of nothing")
