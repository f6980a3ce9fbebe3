"""All rows of an account's activity, page by page, narrowed by filters.

A page is found by the key of its first or last row, never by an offset. What it costs does not
grow with the table: one filter leads, over its own index, to at most LOOKED_THROUGH rows, and the
other filters look through those. A page that ends there says how far it has looked.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, literal_column, not_, or_, select, true, union_all
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
            search = _Search(actor, wanted, writes, count, after, is_upwards=True)
            rows, boundary = await self._find(search)
            if len(rows) > count:
                rows = rows[:count][::-1]
                return await self._page(actor, rows, older=_place(rows[-1]), newer=_place(rows[0]))
            if boundary is not None:
                rows = rows[::-1]
                last = _place(rows[-1]) if rows else after
                return await self._page(actor, rows, older=last, newer=boundary, end=boundary)
            before = None  # the newest rows, as a whole page of them
        search = _Search(actor, wanted, writes, count, before, is_upwards=False)
        rows, boundary = await self._find(search)
        older = boundary
        if len(rows) > count:
            rows = rows[:count]
            older, boundary = _place(rows[-1]), None
        newer = None if before is None else _place(rows[0]) if rows else before
        return await self._page(actor, rows, older=older, newer=newer, end=boundary)

    async def clients(self, actor: Actor) -> list[str]:
        """The programs that have called, in the order of their names; _MOST_CLIENTS at most."""
        clients: list[str] = []
        async with self._database.read() as session:
            connection = await session.connection()
            # from one name to the next: the index has them in order, each with very many rows
            while len(clients) < _MOST_CLIENTS:
                names: Any = owned(actor, AuditEntry).with_only_columns(AuditEntry.client_name)  # type: ignore[call-overload]
                last = clients[-1] if clients else ""
                names = names.where(col(AuditEntry.client_name) > last)
                names = names.order_by(col(AuditEntry.client_name)).limit(1)
                found = (await connection.execute(names)).scalar()
                if found is None:
                    break
                clients.append(str(found))
        return clients

    async def people(self, actor: Actor) -> dict[str, str]:
        """The names of the account's people, by their id."""
        async with self._database.read() as session:
            return {str(user.id): user.name for user in (await session.exec(users_of(actor))).all()}

    async def _find(self, search: "_Search") -> tuple[list[AuditEntry], Place | None]:
        """One row more than a page has, and where the search ended before its rows did."""
        boundary: Place | None = None
        async with self._database.read() as session:
            connection = await session.connection()
            if not search.is_exact:
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


class _Search:
    """The questions for one page. A row that is meant fits one of the `leads`, each of which has an
    index in the order of time; `others` are asked of the rows that these lead to.
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
    ) -> None:
        self._actor = actor
        self._wanted = wanted
        self._writes = writes
        self._count = count
        self._start = start
        self._is_upwards = is_upwards
        indexed = _indexed_filters(AuditEntry, wanted, writes)
        self._leads = indexed[0] if indexed else [true()]
        self.is_exact = len(indexed) <= 1 and wanted.outcome != "ok"
        # as many rows of one lead as are looked through; without other filters each fits
        self._most = (
            count + 1 if self.is_exact else max(count + 1, LOOKED_THROUGH // len(self._leads))
        )

    def rows(self, boundary: Place | None) -> Any:
        """The rows of the page and one more, none of them behind the boundary.

        Of each lead only what the other filters ask for is selected: with all columns of 30 leads,
        putting the question together would take longer than its answer.
        """
        names = {"id": None, "at": None}
        if not self.is_exact:
            names |= dict.fromkeys(("tool", "outcome"))  # of the partial indexes
            for filtered, columns in _FILTERED.items():
                if getattr(self._wanted, filtered):
                    names |= dict.fromkeys(columns)
        keys: Any = owned(self._actor, AuditEntry).with_only_columns(
            *(getattr(AuditEntry, name) for name in names)
        )
        parts = [
            select(part)
            for lead in self._leads
            for part in [self._led(keys, lead).limit(self._most).subquery()]
        ]
        led = (union_all(*parts) if len(parts) > 1 else parts[0]).subquery().c
        question = select(led.id)
        if not self.is_exact:
            others = _indexed_filters(led, self._wanted, self._writes)[1:]
            question = question.where(*[or_(*other) for other in others])
            if self._wanted.outcome == "ok":
                question = question.where(led.outcome == "ok")
        if boundary is not None:
            question = question.where(not_(_is_beyond(led, boundary, is_upwards=self._is_upwards)))
        page = self._ordered(question, led).limit(self._count + 1).subquery()
        rows: Any = owned(self._actor, AuditEntry)
        return self._ordered(rows.join(page, page.c.id == AuditEntry.id), AuditEntry)

    def last_of_leads(self) -> Any:
        """The key of the last row that each lead leads to; none where it leads to fewer."""
        keys: Any = owned(self._actor, AuditEntry).with_only_columns(AuditEntry.at, AuditEntry.id)  # type: ignore[call-overload]
        parts = [
            select(part)
            for lead in self._leads
            for part in [self._led(keys, lead).offset(self._most - 1).limit(1).subquery()]
        ]
        return union_all(*parts) if len(parts) > 1 else parts[0]

    def nearest(self, places: Sequence[Place]) -> Place:
        """Of several places the one that a walk over the rows comes to first."""
        choose = min if self._is_upwards else max
        return choose(places, key=lambda place: (place.at, place.id))

    def _led(self, question: Any, lead: ColumnElement[bool]) -> Any:
        question = question.where(lead)
        if self._start is not None:
            start = _is_beyond(AuditEntry, self._start, is_upwards=self._is_upwards)
            question = question.where(start)
        if self._wanted.begin is not None:
            question = question.where(col(AuditEntry.at) >= self._wanted.begin)
        if self._wanted.end is not None:
            question = question.where(col(AuditEntry.at) < self._wanted.end)
        return self._ordered(question, AuditEntry)

    def _ordered(self, question: Any, entry: Any) -> Any:
        if self._is_upwards:
            return question.order_by(col(entry.at), col(entry.id))
        return question.order_by(col(entry.at).desc(), col(entry.id).desc())


def _indexed_filters(
    entry: Any, wanted: ActivityFilter, writes: Sequence[str]
) -> list[list[ColumnElement[bool]]]:
    """The filters that have an index of their own, the one that leaves the fewest rows first: each
    a list of conditions, of which a row fits one. `entry` is the table, or rows of it.

    The conditions without a value are those of the partial indexes (db/audit.py), so that the
    planner knows them.
    """
    is_of_person = col(entry.tool).is_(None)
    is_no_success = entry.outcome != literal_column("'ok'")
    found: list[list[ColumnElement[bool]]] = []
    if wanted.request:
        found.append([col(entry.request_id) == wanted.request])
    if wanted.tool:
        found.append(
            [
                col(entry.tool) == wanted.tool,
                and_(col(entry.action) == wanted.tool, is_of_person),
            ]
        )
    if wanted.person:
        found.append(
            [and_(col(entry.user_id) == wanted.person, col(entry.via) == via) for via in _PEOPLE]
        )
    if wanted.outcome and wanted.outcome != "ok":
        found.append([and_(col(entry.outcome) == code, is_no_success) for code in wanted.codes])
    if wanted.writes:
        found.append(
            [
                *[col(entry.tool) == tool for tool in writes],
                *[and_(col(entry.action) == name, is_of_person) for name in CHANGING_ACTIONS],
            ]
        )
    if wanted.store:
        found.append([col(entry.store_row_id) == wanted.store])
    if wanted.client:
        found.append([col(entry.client_name) == wanted.client])
    return found


def _is_beyond(entry: Any, place: Place, *, is_upwards: bool) -> ColumnElement[bool]:
    """Whether a row comes behind that place on the way."""
    at, key = col(entry.at), col(entry.id)
    if is_upwards:
        return and_(at >= place.at, or_(at > place.at, key > place.id))
    return and_(at <= place.at, or_(at < place.at, key < place.id))


def _place(row: AuditEntry) -> Place:
    return Place(row.at, row.id)
