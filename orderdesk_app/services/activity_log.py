"""All rows of an account's activity, page by page, narrowed by filters.

A page is found by the key of its first or last row, never by an offset. What it costs does not
grow with the table: one filter leads, over its own index, to at most LOOKED_THROUGH rows, and the
other filters look through those. A page that ends there says how far it has looked.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    DateTime,
    String,
    Text,
    and_,
    cast,
    func,
    literal,
    literal_column,
    not_,
    or_,
    select,
    true,
    tuple_,
    union_all,
)
from sqlalchemy.orm import aliased
from sqlmodel import col

from orderdesk_app.context import Actor, Via
from orderdesk_app.db.audit import AuditEntry
from orderdesk_app.db.engine import Database
from orderdesk_app.db.owned import owned
from orderdesk_app.services.activity_entries import ActivityEntries, ActivityEntry
from orderdesk_app.services.activity_filter import ActivityFilter, Place
from orderdesk_app.services.audit import AuditLog
from orderdesk_app.services.members import users_of

LOOKED_THROUGH = 5_000
_MOST_CLIENTS = 50
# what people do on the pages and that changes something, and what a later read settled
CHANGING_ACTIONS = (
    "account.delete",
    "account.open",
    "app.replay",
    "passkey.add",
    "passkey.remove",
    "profile.rename",
    "session.end",
    "session.end_others",
    "sign_up",
    "user.delete",
    "key.create",
    "person.invite",
    "person.withdraw",
    "person.join",
    "person.role",
    "person.remove",
    "person.leave",
    "key.edit",
    "key.rotate",
    "key.revoke",
    "app.connect",
    "app.narrow",
    "app.disconnect",
    "key.rotate_master",
    "key.make_master",
    "store.connect",
    "store.edit",
    "store.disconnect",
    "order.settle",
    "user.disable",
    "user.enable",
    "user.make_operator",
    "user.remove_operator",
)
# the columns that each filter asks for
_FILTERED: dict[str, tuple[str, ...]] = {
    "request": ("request_id",),
    "tool": ("tool", "action"),
    "person": ("user_id", "via"),
    "outcome": ("outcome",),
    "writes": ("tool", "action"),
    "store": ("store_row_id",),
    "client": ("client_name",),
}
_FIRST_MOMENT = datetime.min.replace(tzinfo=UTC)
_LAST_MOMENT = datetime.max.replace(tzinfo=UTC)
_MOMENT = DateTime(timezone=True)
_PEOPLE = (str(Via.CONSOLE), str(Via.WEB))


@dataclass(frozen=True, slots=True)
class ActivityPage:
    """Rows, the newest first. `older` and `newer` are where the next pages begin, None where there
    is none. `looked_to` is the time where the search ended before the page was full; `older`
    leads further back.
    """

    entries: list[ActivityEntry]
    older: Place | None = None
    newer: Place | None = None
    looked_to: datetime | None = None


class ActivityLog:
    """Reads the audit log of one account, row by row.

    `writes` are the names of the tools that change something, which the layer of tools knows.
    """

    def __init__(self, database: Database, entries: ActivityEntries, audit: AuditLog) -> None:
        self._database = database
        self._entries = entries
        self._audit = audit

    async def page(
        self,
        actor: Actor,
        wanted: ActivityFilter,
        *,
        writes: Sequence[str],
        count: int = 50,
        before: Place | None = None,
        after: Place | None = None,
    ) -> ActivityPage:
        """The newest rows; those older than `before`, or those that come right after `after`."""
        await self._audit.flush()
        if after is not None:
            search = self._search(actor, wanted, writes, count, after, is_upwards=True)
            rows, boundary = await self._find(search)
            if len(rows) > count:
                rows = rows[:count][::-1]
                return await self._page(actor, rows, older=_place(rows[-1]), newer=_place(rows[0]))
            if boundary is not None:
                rows = rows[::-1]
                last = _place(rows[-1]) if rows else after
                return await self._page(actor, rows, older=last, newer=boundary, end=boundary)
            before = None  # the newest rows, as a whole page of them
        search = self._search(actor, wanted, writes, count, before, is_upwards=False)
        rows, boundary = await self._find(search)
        older = boundary
        if len(rows) > count:
            rows = rows[:count]
            older, boundary = _place(rows[-1]), None
        newer = None if before is None else _place(rows[0]) if rows else before
        return await self._page(actor, rows, older=older, newer=newer, end=boundary)

    async def clients(self, actor: Actor) -> list[str]:
        """The programs that have called, in the order of their names; _MOST_CLIENTS at most."""
        # from one name to the next: the index has them in order, each with very many rows
        found = select(cast(literal(""), Text).label("name"), literal(0).label("number"))
        names = found.cte("names", recursive=True)
        following: Any = owned(actor, AuditEntry).with_only_columns(
            cast(func.min(AuditEntry.client_name), Text)
        )
        following = following.where(col(AuditEntry.client_name) > names.c.name).correlate(names)
        more = select(following.scalar_subquery(), names.c.number + 1)
        more = more.where(names.c.name.is_not(None), names.c.number < _MOST_CLIENTS)
        names = names.union_all(more)
        question = select(names.c.name).where(names.c.name != "").order_by(names.c.number)
        async with self._database.read() as session:
            connection = await session.connection()
            return list((await connection.execute(question)).scalars().all())

    async def people(self, actor: Actor) -> dict[str, str]:
        """The names of the account's people, by their id."""
        async with self._database.read() as session:
            return {str(user.id): user.name for user in (await session.exec(users_of(actor))).all()}

    def _search(self, *given: Any, is_upwards: bool) -> "_Search":
        return _Search(*given, is_upwards=is_upwards, is_sqlite=self._database.is_sqlite)

    async def _find(self, search: "_Search") -> tuple[list[AuditEntry], Place | None]:
        """One row more than a page has, and where the search ended before its rows did."""
        boundary: Place | None = None
        async with self._database.read() as session:
            connection = await session.connection()
            if not search.is_exact:
                lasts = (await connection.execute(search.last_of_leads())).all()
                if lasts and search.go_further(len(lasts)):
                    lasts = (await connection.execute(search.last_of_leads())).all()
                places = [Place(row.at, row.id) for row in lasts]
                boundary = search.nearest(places) if places else None
            return list((await session.exec(search.rows(boundary))).all()), boundary

    async def _page(
        self,
        actor: Actor,
        rows: Sequence[AuditEntry],
        *,
        older: Place | None,
        newer: Place | None,
        end: Place | None = None,
    ) -> ActivityPage:
        async with self._database.read() as session:
            entries = await self._entries.opened(session, actor, rows)
        return ActivityPage(entries, older, newer, looked_to=end.at if end else None)


@dataclass(frozen=True, slots=True)
class _Lead:
    """The rows with one of these values in the column, and what else they have to be: an index has
    those of each value in the order of time.
    """

    column: str
    values: Sequence[str]
    also: Callable[[Any], ColumnElement[bool]] = lambda _: true()

    def of(self, entry: Any, value: Any) -> ColumnElement[bool]:
        """The condition for the rows of one value; `entry` is the table, or rows of it."""
        return and_(getattr(entry, self.column) == value, self.also(entry))

    def condition(self, entry: Any) -> ColumnElement[bool]:
        """The condition for all of them."""
        return and_(getattr(entry, self.column).in_(self.values), self.also(entry))


class _Search:
    """The questions for one page. A row that is meant is one of the `leads`; `others` are asked of
    the rows that these lead to.
    """

    def __init__(
        self,
        actor: Actor,
        wanted: ActivityFilter,
        writes: Sequence[str],
        count: int,
        start: Place | None,
        *,
        is_upwards: bool,
        is_sqlite: bool,
    ) -> None:
        self._actor = actor
        self._wanted = wanted
        self._count = count
        self._start = start
        self._is_upwards = is_upwards
        self._is_sqlite = is_sqlite
        indexed = _indexed_filters(wanted, writes)
        self._leads: list[_Lead | None] = [*indexed[0]] if indexed else [None]
        self._others = indexed[1:]
        self.is_exact = len(indexed) <= 1 and wanted.outcome != "ok"
        self._values = sum(len(lead.values) if lead else 1 for lead in self._leads)
        # as many rows of one value are looked through; without other filters each fits
        self._most = count + 1 if self.is_exact else self._share(self._values)

    def _share(self, values: int) -> int:
        return max(self._count + 1, LOOKED_THROUGH // values)

    def go_further(self, full: int) -> bool:
        """Where only `full` of the values have as many rows as are looked through, look through
        more of theirs. False: there are no more to be had.
        """
        before, self._most = self._most, self._share(full)
        return self._most > before

    def rows(self, boundary: Place | None) -> Any:
        """The rows of the page and one more, none of them behind the boundary.

        Of what leads there only what the other filters ask for is selected.
        """
        names = {"id": None, "at": None}
        if not self.is_exact:
            names |= dict.fromkeys(("tool", "outcome"))  # of the partial indexes
            for filtered, columns in _FILTERED.items():
                if getattr(self._wanted, filtered):
                    names |= dict.fromkeys(columns)
        led = self._led(tuple(names)).subquery().c
        question = select(led.id)
        if not self.is_exact:
            others = [or_(*(lead.condition(led) for lead in other)) for other in self._others]
            question = question.where(*others)
            if self._wanted.outcome == "ok":
                question = question.where(led.outcome == "ok")
        if boundary is not None:
            question = question.where(not_(_is_beyond(led, boundary, is_upwards=self._is_upwards)))
        page = self._ordered(question, led).limit(self._count + 1).subquery()
        rows: Any = owned(self._actor, AuditEntry)
        return self._ordered(rows.join(page, page.c.id == AuditEntry.id), AuditEntry)

    def last_of_leads(self) -> Any:
        """The key of the last row that is looked through of each value; none where there are
        fewer.
        """
        return self._led(("id", "at"), is_last=True)

    def nearest(self, places: Sequence[Place]) -> Place:
        """Of several places the one that a walk over the rows comes to first."""
        choose = min if self._is_upwards else max
        return choose(places, key=lambda place: (place.at, place.id))

    def _led(self, names: Sequence[str], *, is_last: bool = False) -> Any:
        """These columns of the rows that are looked through, or of the last one of each value."""
        parts = [self._led_by(lead, names, is_last=is_last) for lead in self._leads]
        return union_all(*parts) if len(parts) > 1 else parts[0]

    def _led_by(self, lead: _Lead | None, names: Sequence[str], *, is_last: bool) -> Any:
        if lead is None or len(lead.values) == 1:
            condition = lead.of(AuditEntry, lead.values[0]) if lead else true()
            return select(self._first(condition, names, is_last=is_last).subquery())
        # One part of the question, whatever the number of values: with one for each of forty, the
        # databases would plan for longer than they look.
        values = _table_of(lead.values, is_sqlite=self._is_sqlite)
        if not self._is_sqlite:
            part = self._first(self._within(lead, values.c.value), names, is_last=is_last, by=lead)
            part = part.lateral()
            return select(part).select_from(values.join(part, true()))
        # which has no LATERAL; the condition that the rows are the actor's is in the inner question
        row: Any = aliased(AuditEntry)
        condition = lead.of(AuditEntry, values.c.value)
        ids = self._first(condition, ("id",), is_last=is_last).correlate(values)
        columns = [getattr(row, name) for name in names]
        return select(*columns).select_from(values.join(row, row.id.in_(ids)))

    def _within(self, lead: _Lead, value: Any) -> ColumnElement[bool]:
        """The same as `lead.of`, for a value that Postgres does not know when it plans. It would
        take any value to be frequent, and walk over all rows until it has found enough with it;
        with both columns in one comparison, the index of both is the one way.
        """
        begin, end = self._wanted.begin or _FIRST_MOMENT, self._wanted.end or _LAST_MOMENT
        if self._start is not None and self._is_upwards:
            begin = max(begin, self._start.at)
        elif self._start is not None:
            end = min(end, self._start.at)
        column = getattr(AuditEntry, lead.column)
        key = tuple_(column, col(AuditEntry.at))
        first, last = (tuple_(value, literal(at, _MOMENT)) for at in (begin, end))
        # the condition of a partial index has to be said
        return and_(column.is_not(None), key >= first, key <= last, lead.also(AuditEntry))

    def _first(
        self,
        condition: ColumnElement[bool],
        names: Sequence[str],
        *,
        is_last: bool,
        by: _Lead | None = None,
    ) -> Any:
        columns = [getattr(AuditEntry, name) for name in names]
        question: Any = owned(self._actor, AuditEntry).with_only_columns(*columns).where(condition)
        if self._start is not None:
            start = _is_beyond(AuditEntry, self._start, is_upwards=self._is_upwards)
            question = question.where(start)
        if self._wanted.begin is not None:
            question = question.where(col(AuditEntry.at) >= self._wanted.begin)
        if self._wanted.end is not None:
            question = question.where(col(AuditEntry.at) < self._wanted.end)
        if by is not None:  # one value, and the order of the index
            column = getattr(AuditEntry, by.column)
            question = question.order_by(column if self._is_upwards else column.desc())
        question = self._ordered(question, AuditEntry)
        return question.offset(self._most - 1).limit(1) if is_last else question.limit(self._most)

    def _ordered(self, question: Any, entry: Any) -> Any:
        if self._is_upwards:
            return question.order_by(col(entry.at), col(entry.id))
        return question.order_by(col(entry.at).desc(), col(entry.id).desc())


def _table_of(values: Sequence[str], *, is_sqlite: bool) -> Any:
    """A table with one column, `value`."""
    if is_sqlite:
        return func.json_each(json.dumps(values)).table_valued("value", name="names")
    array = literal(list(values), ARRAY(String))
    return func.unnest(array).table_valued("value", name="names").render_derived()


def _indexed_filters(wanted: ActivityFilter, writes: Sequence[str]) -> list[list[_Lead]]:
    """The filters that have an index of their own, the one that leaves the fewest rows first. A row
    that is meant fits one lead of each.

    The conditions without a value are those of the partial indexes (db/audit.py), so that the
    planner knows them.
    """
    found: list[list[_Lead]] = []
    if wanted.request:
        found.append([_Lead("request_id", [wanted.request])])
    if wanted.tool:
        found.append([_Lead("tool", [wanted.tool]), _Lead("action", [wanted.tool], _is_of_no_tool)])
    if wanted.person:
        found.append([_Lead("via", _PEOPLE, lambda entry: entry.user_id == wanted.person)])
    if wanted.outcome and wanted.outcome != "ok":
        found.append([_Lead("outcome", wanted.codes, _is_no_success)])
    if wanted.writes:
        found.append([_Lead("tool", writes), _Lead("action", CHANGING_ACTIONS, _is_of_no_tool)])
    if wanted.store:
        found.append([_Lead("store_row_id", [wanted.store])])
    if wanted.client:
        found.append([_Lead("client_name", [wanted.client])])
    return found


def _is_of_no_tool(entry: Any) -> ColumnElement[bool]:
    return col(entry.tool).is_(None)


def _is_no_success(entry: Any) -> ColumnElement[bool]:
    return col(entry.outcome) != literal_column("'ok'")


def _is_beyond(entry: Any, place: Place, *, is_upwards: bool) -> ColumnElement[bool]:
    """Whether a row comes behind that place on the way."""
    at, key = col(entry.at), col(entry.id)
    if is_upwards:
        return and_(at >= place.at, or_(at > place.at, key > place.id))
    return and_(at <= place.at, or_(at < place.at, key < place.id))


def _place(row: AuditEntry) -> Place:
    return Place(row.at, row.id)
