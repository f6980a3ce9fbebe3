"""All users of the installation, page by page, narrowed and sorted.

A page is found by the key of its first or last row, never by an offset, and what it costs does not
grow with the table. An index leads to all users in the order of each sort, another one to those of
a state and a role. A search that few users fit sorts these; one that many fit looks through all
users in the order of the sort, LOOKED_THROUGH of them at most. A page that ends there says that it
does, and the next one goes on. Why: docs/decisions/0022-lists-of-users.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import product
from typing import Any

from sqlalchemy import ColumnElement, and_, func, not_, or_, select, true, union_all
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from orderdesk_app.context import UserId, now
from orderdesk_app.db.memberships import Membership
from orderdesk_app.db.stores import Store
from orderdesk_app.db.user_days import UserDay
from orderdesk_app.db.users import User
from orderdesk_app.services.user_filter import UserFilter, UserPlace, beginnings

PAGE_ROWS = 50
DAYS = 30
FOUND_MOST = 2_000  # users that are sorted for one page
LOOKED_THROUGH = 4_000
_LAST_LETTER = "\U0010ffff"
_NEVER_EMPTY = frozenset({"name_key", "created_at"})
_SHOWN = (
    "id",
    "name",
    "email",
    "unverified_email",
    "state",
    "top_role",
    "created_at",
    "last_sign_in_at",
    "last_active_at",
    "name_key",
    "email_key",
)


@dataclass(frozen=True, slots=True)
class UserRow:
    """A user of a list. `role` is the highest in any account, `stores` counts those of all their
    accounts, `calls` those of the last 30 days.
    """

    id: UserId
    name: str
    email: str | None
    unverified_email: str | None  # typed at a sign-up without a mail: a label
    state: str  # "active", "operator" or "disabled"
    role: str
    created_at: datetime
    last_sign_in_at: datetime | None
    last_active_at: datetime | None
    stores: int
    calls: int

    @property
    def address_words(self) -> str:
        """The address as operators read it, and whether it is proved; empty without one."""
        if self.email or not self.unverified_email:
            return self.email or ""
        return f"{self.unverified_email} (not verified)"


@dataclass(frozen=True, slots=True)
class UserPage:
    """Rows in the order of the list. `next` and `previous` are where the pages around it begin,
    None where there is none. `is_cut` says that the search has not looked at everybody before
    `next`.
    """

    rows: list[UserRow]
    next: UserPlace | None = None
    previous: UserPlace | None = None
    is_cut: bool = False


async def read_page(
    session: AsyncSession,
    wanted: UserFilter,
    *,
    count: int,
    after: UserPlace | None = None,
    before: UserPlace | None = None,
) -> UserPage:
    """The first users; those right after `after`, or those right before `before`."""
    found = await _few_that_fit(session, wanted) if wanted.search else None
    if before is not None:
        rows, boundary = await _Walk(session, wanted, found, before, backwards=True).rows(count)
        if len(rows) > count:
            rows = rows[:count][::-1]
            first, last = _place(rows[0], wanted), _place(rows[-1], wanted)
            return UserPage(await _with_counts(session, rows), last, first)
        if boundary is not None:
            rows = rows[::-1]
            last = _place(rows[-1], wanted) if rows else before
            return UserPage(await _with_counts(session, rows), last, boundary, is_cut=True)
        after = None  # the first ones, as a whole page of them
    rows, boundary = await _Walk(session, wanted, found, after, backwards=False).rows(count)
    is_cut = len(rows) <= count and boundary is not None
    following = boundary
    if len(rows) > count:
        rows = rows[:count]
        following = _place(rows[-1], wanted)
    previous = None if after is None else _place(rows[0], wanted) if rows else after
    return UserPage(await _with_counts(session, rows), following, previous, is_cut)


async def read_row(session: AsyncSession, user_id: UserId) -> UserRow | None:
    """One user as a list shows them; None for nobody."""
    table: Any = User.__table__  # type: ignore[attr-defined]
    question = select(*[table.c[name] for name in _SHOWN]).where(table.c.id == user_id)
    rows = (await (await session.connection()).execute(question)).all()
    return (await _with_counts(session, rows))[0] if rows else None


async def _few_that_fit(session: AsyncSession, wanted: UserFilter) -> Any:
    """All users who fit the search, as a table; None when they are many."""
    table: Any = User.__table__  # type: ignore[attr-defined]
    by_name, by_email = _begins(table.c, wanted)
    # counted in the indexes alone; who fits by both counts twice
    counts: list[Any] = [
        select(func.count()).select_from(
            select(table.c.id).where(fits).limit(FOUND_MOST + 1).subquery()
        )
        for fits in (by_name, by_email)
    ]
    connection = await session.connection()
    if sum((await connection.execute(union_all(*counts))).scalars()) > FOUND_MOST:
        return None
    columns = [table.c[name] for name in _SHOWN]
    found = union_all(
        select(*columns).where(by_name), select(*columns).where(by_email, not_(by_name))
    ).cte("found")
    # found first and sorted then: else SQLite may walk over all users in the order of the list
    return found.prefix_with("MATERIALIZED")


class _Walk:
    """The questions for one page: rows behind `start`, forwards or backwards through the list."""

    def __init__(
        self,
        session: AsyncSession,
        wanted: UserFilter,
        found: Any,
        start: UserPlace | None,
        *,
        backwards: bool,
    ) -> None:
        self._session = session
        self._wanted = wanted
        self._start = start
        self._backwards = backwards
        self._is_falling = wanted.is_descending != backwards
        users: Any = User.__table__  # type: ignore[attr-defined]
        self._table = users if found is None else found
        self._looks_through = bool(wanted.search) and found is None
        self._filters: list[ColumnElement[bool]] = []
        if wanted.state:
            self._filters.append(self._table.c.state.in_(wanted.states))
        if wanted.role:
            self._filters.append(self._table.c.top_role == wanted.role)
        self._leads: list[ColumnElement[bool]] = [true()]
        if self._filters and not wanted.search:
            self._leads = [
                and_(users.c.state == state, users.c.top_role == role)
                for state, role in product(wanted.states, wanted.roles)
            ]

    async def rows(self, count: int) -> tuple[list[Any], UserPlace | None]:
        """One row more than a page has, and where the search ended before its rows did."""
        found: list[Any] = []
        for is_empty in self._parts():
            part, boundary = await self._of_part(count + 1 - len(found), is_empty=is_empty)
            found += part
            if boundary is not None:
                return found, boundary
            if len(found) > count:
                break
        return found, None

    def _parts(self) -> list[bool]:
        """Rows with a value of the sorted column come first (False), those without last (True)."""
        if self._wanted.column in _NEVER_EMPTY:
            return [False]
        parts = [True, False] if self._backwards else [False, True]
        if self._start is not None:
            parts = parts[parts.index(self._start.value is None) :]
        return parts

    async def _of_part(self, most: int, *, is_empty: bool) -> tuple[list[Any], UserPlace | None]:
        connection = await self._session.connection()
        if not self._looks_through:
            question = self._together(most, is_empty=is_empty)
            return list((await connection.execute(question.limit(most))).all()), None
        # all that are looked through, and of these the ones that fit
        last = self._narrowed(self._keys(self._table), is_empty=is_empty)
        found = (await connection.execute(last.offset(LOOKED_THROUGH - 1).limit(1))).one_or_none()
        boundary = None if found is None else UserPlace(found[0], found[1])
        looked = self._narrowed(self._shown(self._table), is_empty=is_empty).limit(LOOKED_THROUGH)
        seen = looked.subquery()
        fits = or_(*_begins(seen.c, self._wanted))
        question = self._ordered(self._shown(seen).where(fits), seen)
        if self._wanted.state:
            question = question.where(seen.c.state.in_(self._wanted.states))
        if self._wanted.role:
            question = question.where(seen.c.top_role == self._wanted.role)
        return list((await connection.execute(question.limit(most))).all()), boundary

    def _together(self, most: int, *, is_empty: bool) -> Any:
        """The first rows of all leads together, in order."""
        parts = [
            self._narrowed(self._shown(self._table).where(lead), is_empty=is_empty).limit(most)
            for lead in self._leads
        ]
        if self._wanted.search:
            parts = [part.where(*self._filters) for part in parts]
        if len(parts) == 1:
            return parts[0]
        led = union_all(*[select(part.subquery()) for part in parts]).subquery()
        return self._ordered(self._shown(led), led)

    def _narrowed(self, question: Any, *, is_empty: bool) -> Any:
        sorts = self._table.c[self._wanted.column]
        question = question.where(sorts.is_(None) if is_empty else sorts.is_not(None))
        if self._start is not None and (self._start.value is None) == is_empty:
            question = question.where(self._is_beyond(self._table, self._start))
        return self._ordered(question, self._table)

    def _shown(self, table: Any) -> Any:
        return select(*[table.c[name] for name in _SHOWN])

    def _keys(self, table: Any) -> Any:
        return select(table.c[self._wanted.column], table.c.id)

    def _ordered(self, question: Any, table: Any) -> Any:
        value, key = table.c[self._wanted.column], table.c.id
        if self._is_falling:
            return question.order_by(value.desc(), key.desc())
        return question.order_by(value, key)

    def _is_beyond(self, table: Any, place: UserPlace) -> ColumnElement[bool]:
        """Whether a row of the same part comes behind that place on the way."""
        value, key = table.c[self._wanted.column], table.c.id
        if place.value is None:
            return key < place.id if self._is_falling else key > place.id  # type: ignore[no-any-return]
        if self._is_falling:
            return and_(value <= place.value, or_(value < place.value, key < place.id))
        return and_(value >= place.value, or_(value > place.value, key > place.id))


def _begins(table: Any, wanted: UserFilter) -> list[ColumnElement[bool]]:
    """Whether the name, or the e-mail address, begins with what is searched for."""
    return [
        or_(*[and_(key >= text, key < text + _LAST_LETTER) for text in beginnings(wanted.search)])
        for key in (table.name_key, table.email_key)
    ]


def _place(row: Any, wanted: UserFilter) -> UserPlace:
    return UserPlace(getattr(row, wanted.column), row.id)


async def _with_counts(session: AsyncSession, rows: Sequence[Any]) -> list[UserRow]:
    ids = [row.id for row in rows]
    if not ids:
        return []
    connection = await session.connection()
    since = now().date() - timedelta(days=DAYS - 1)
    calls = dict(
        (
            await connection.execute(
                select(col(UserDay.user_id), func.sum(col(UserDay.calls)))
                .where(col(UserDay.user_id).in_(ids), col(UserDay.day) >= since)
                .group_by(col(UserDay.user_id))
            )
        ).all()
    )
    stores = dict(
        (
            await connection.execute(
                select(col(Membership.user_id), func.count(col(Store.id)))
                .join(Store, col(Store.tenant_id) == col(Membership.tenant_id))
                .where(col(Membership.user_id).in_(ids))
                .group_by(col(Membership.user_id))
            )
        ).all()
    )
    return [
        UserRow(
            row.id,
            row.name,
            row.email,
            row.unverified_email,
            row.state,
            row.top_role,
            row.created_at,
            row.last_sign_in_at,
            row.last_active_at,
            int(stores.get(row.id, 0)),
            int(calls.get(row.id, 0)),
        )
        for row in rows
    ]
