"""Deletes all that belongs to accounts and users, in small batches that are each committed by
themselves, so that no other write waits for long.

What belongs to whom is read from the foreign keys of the schema: a new table joins by itself.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import (
    ColumnElement,
    MetaData,
    Table,
    and_,
    bindparam,
    delete,
    func,
    or_,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.dml import Delete, Update
from sqlmodel.ext.asyncio.session import AsyncSession

from orderdesk_app.context import TenantId, UserId
from orderdesk_app.db.engine import Database

_FEWEST = 50
_MOST = 2_000
_GOAL_SECONDS = 0.04  # of one batch, in which nobody else writes to SQLite
# The last write deletes these. The job that goes on after a crash is a row of `jobs` and goes with
# its user or its account; keys lead to audit rows that name them alone.
_TO_THE_END = ("credentials", "jobs", "tenants", "users")

# The images of an order in the journal are the account's, whoever wrote it.
_NAMELESS_CHANGE: Mapping[str, object] = {
    "user_id": None,
    "credential_id": None,
    "session_id": None,
    "client_name": "",
    "request_id": "",
}

Condition = ColumnElement[bool]
# One batch of so many rows at most; returns how many they were.
Change = Callable[[AsyncConnection, int], Awaitable[int]]


@dataclass(frozen=True, slots=True)
class Doomed:
    """What is deleted: a user, or none, and accounts."""

    user_id: UserId | None
    tenant_ids: Sequence[TenantId]

    def __post_init__(self) -> None:
        assert self.user_id or self.tenant_ids, "conditions of nothing would be those of all"


class RowDeletion:
    """The rows of those who are deleted, in all tables of `metadata` (db/schema.py). `nameless` are
    the values of an audit row that stays (db/audit.py); `erasure` makes the mark that we erased the
    row with that link, as nobody else can.
    """

    def __init__(
        self,
        database: Database,
        metadata: MetaData,
        *,
        nameless: Mapping[str, object],
        erasure: Callable[[bytes], bytes],
    ) -> None:
        self._nameless = {**nameless, "user_id": None, "salt": None}
        self._erasure = erasure
        self._database = database
        self._tables = metadata.sorted_tables
        self._audit = metadata.tables["audit_log"]
        self._changes = metadata.tables["changes"]
        self._invitations = metadata.tables["invitations"]
        self._jobs = metadata.tables["jobs"]
        self._keys = metadata.tables["credentials"]
        self._memberships = metadata.tables["memberships"]
        self._stores = metadata.tables["stores"]
        self._tenants = metadata.tables["tenants"]
        self._users = metadata.tables["users"]

    async def count_rows(self, session: AsyncSession, doomed: Doomed) -> dict[str, int]:
        """How many rows of each table go; those of which only the names go are not in it."""
        connection = await session.connection()
        counts: dict[str, int] = {}
        for table in self._tables:
            if conditions := [*self._conditions(table, doomed)]:
                question = select(func.count()).select_from(table).where(or_(*conditions))
                counts[table.name] = (await connection.execute(question)).scalar_one()
        return counts

    async def count_nameless(self, session: AsyncSession, doomed: Doomed) -> int:
        """How many rows in the audit logs of other accounts lose their personal fields."""
        if doomed.user_id is None:
            return 0
        mine = self._audit.c.user_id == doomed.user_id
        elsewhere = or_(
            self._audit.c.tenant_id.is_(None), self._audit.c.tenant_id.not_in(doomed.tenant_ids)
        )
        question = select(func.count()).select_from(self._audit).where(mine, elsewhere)
        count: int = (await (await session.connection()).execute(question)).scalar_one()
        return count

    async def close(self, session: AsyncSession, doomed: Doomed, moment: datetime) -> None:
        """Inside a write: nobody gets in any more with what was theirs. Names are emptied, the user
        leaves the accounts that stay, and what waits to be done for them, such as mails, is not
        done.
        """
        connection = await session.connection()
        closed = {"name": "", "disabled_at": moment}
        gone = self._tenants.c.id.in_(doomed.tenant_ids)
        await connection.execute(update(self._tenants).where(gone).values(**closed))
        if doomed.user_id is not None:
            await self._delete_invitations(connection, doomed.user_id)
            user = update(self._users).where(self._users.c.id == doomed.user_id)
            addresses = {"email": None, "unverified_email": None}
            await connection.execute(user.values(is_operator=False, **addresses, **closed))
            stays = self._memberships.c.tenant_id.not_in(doomed.tenant_ids)
            mine = self._memberships.c.user_id == doomed.user_id
            await connection.execute(delete(self._memberships).where(mine, stays))
        conditions = self._conditions(self._jobs, doomed)
        await connection.execute(delete(self._jobs).where(or_(*conditions)))

    async def _delete_invitations(self, connection: AsyncConnection, user_id: UserId) -> None:
        """Those to the user's address, which others made: the address is the user's."""
        question = select(self._users.c.email).where(self._users.c.id == user_id)
        if email := (await connection.execute(question)).scalar_one_or_none():
            theirs = self._invitations.c.email_key == email.lower()
            await connection.execute(delete(self._invitations).where(theirs))

    async def stores(self, session: AsyncSession, doomed: Doomed) -> list[tuple[str, str]]:
        """The address and the id of each store that goes."""
        columns = self._stores.c
        question = select(columns.api_url, columns.store_id).distinct()
        gone = columns.tenant_id.in_(doomed.tenant_ids)
        rows = await (await session.connection()).execute(question.where(gone))
        return [(str(api_url), str(store_id)) for api_url, store_id in rows]

    async def has_open_writes(self, session: AsyncSession, doomed: Doomed, since: datetime) -> bool:
        """Whether the journal of the accounts has a row, begun since then, that is still open."""
        columns = self._changes.c
        question = select(columns.id).where(
            columns.tenant_id.in_(doomed.tenant_ids),
            columns.at > since,
            columns.state == "open",
            columns.closed_at.is_(None),
        )
        found = await (await session.connection()).execute(question.limit(1))
        return found.first() is not None

    async def delete_rows(self, doomed: Doomed, *, until: float) -> bool:
        """Delete the rows batch by batch, all but those of `delete_rest`. False: the time was over
        (time.monotonic()), and a later call has to go on.
        """
        count = _FEWEST
        for change in await self._changes_to_rows(doomed):
            while True:
                if time.monotonic() >= until:
                    return False
                async with self._database.write() as session:
                    began = time.monotonic()
                    done = await change(await session.connection(), count)
                took = time.monotonic() - began
                if done < count:
                    break
                count = next_count(count, took)
                await asyncio.sleep(took)  # for others to write
        return True

    async def delete_rest(self, session: AsyncSession, doomed: Doomed) -> None:
        """Inside a write: the user and the accounts themselves, and by the foreign keys whatever is
        left of theirs.
        """
        connection = await session.connection()
        tenants = self._tenants.c.id.in_(doomed.tenant_ids)
        user = self._users.c.id == doomed.user_id
        # Locked on Postgres before anything is deleted, so that no row of theirs comes in between;
        # accounts first, as the audit log locks both in this order.
        for table, those in ((self._tenants, tenants), (self._users, user)):
            ids = select(table.c.id).where(those).order_by(table.c.id)
            await connection.execute(ids.with_for_update())
        if doomed.user_id is not None:
            # what was committed since; the foreign key alone would leave the rest of such a row
            await self._erase(self._audit.c.user_id == doomed.user_id)(connection, _MOST)
            await connection.execute(delete(self._keys).where(self._own_keys(doomed.user_id)))
        await connection.execute(delete(self._tenants).where(tenants))
        await connection.execute(delete(self._users).where(user))

    async def _changes_to_rows(self, doomed: Doomed) -> list[Change]:
        """What is done to each table, for a number of rows at a time; parts before their whole."""
        found = [
            _delete(table, condition)
            for table in reversed(self._tables)
            if table.name not in _TO_THE_END
            for condition in self._conditions(table, doomed)
        ]
        if doomed.user_id is not None:
            found.append(self._erase(self._audit.c.user_id == doomed.user_id))
            theirs = self._changes.c.user_id == doomed.user_id
            found.append(_take_names(self._changes, theirs, _NAMELESS_CHANGE))
            refusals = await self._refusals_of_keys(doomed.user_id)
            found += [self._erase(condition) for condition in refusals]
        return found

    def _erase(self, condition: Condition) -> Change:
        """The personal fields of audit rows, each with the mark of its erasure."""
        audit = self._audit
        statement = (
            update(audit)
            .where(audit.c.id == bindparam("row"))
            .values(**self._nameless, erasure=bindparam("mark"))
        )

        async def change(connection: AsyncConnection, count: int) -> int:
            question = select(audit.c.id, audit.c.link).where(condition).limit(count)
            found = (await connection.execute(question)).all()
            marks = [
                {"row": row.id, "mark": self._erasure(row.link) if row.link else None}
                for row in found
            ]
            if marks:
                await connection.execute(statement, marks)
            return len(marks)

        return change

    async def _refusals_of_keys(self, user_id: UserId) -> list[Condition]:
        """The audit rows of refused calls with the user's access keys, which name the key alone."""
        question = select(self._keys.c.tenant_id, self._keys.c.id).where(self._own_keys(user_id))
        async with self._database.read() as session:
            keys = (await (await session.connection()).execute(question)).all()
        return [
            # in these words the index of what did not go well has it
            and_(
                self._audit.c.tenant_id == tenant_id,
                text("audit_log.outcome <> 'ok'"),
                self._audit.c.credential_id == key_id,
            )
            for tenant_id, key_id in keys
        ]

    def _conditions(self, table: Table, doomed: Doomed) -> Iterator[Condition]:
        """Which rows of the table go: one condition for each foreign key that says so."""
        if table is self._tenants and doomed.tenant_ids:
            yield table.c.id.in_(doomed.tenant_ids)
        if table is self._users and doomed.user_id is not None:
            yield table.c.id == doomed.user_id
        if table is self._keys and doomed.user_id is not None:
            yield self._own_keys(doomed.user_id)
        cascades = [key for key in table.foreign_keys if key.ondelete == "CASCADE"]
        direct = [key for key in cascades if key.column.table in (self._tenants, self._users)]
        # A row that names account or user is found by that, any other by what it is a part of.
        for key in direct or cascades:
            parents = [*self._conditions(key.column.table, doomed)]
            if key.column.table is self._tenants and doomed.tenant_ids:
                yield key.parent.in_(doomed.tenant_ids)
            elif key.column.table is self._users and doomed.user_id is not None:
                yield key.parent == doomed.user_id
            elif parents and not direct:
                yield key.parent.in_(select(key.column).where(or_(*parents)))

    def _own_keys(self, user_id: UserId) -> Condition:
        """The master keys of an account are the account's, whoever made them."""
        return and_(self._keys.c.user_id == user_id, self._keys.c.kind == "access")


def _delete(table: Table, condition: Condition) -> Change:
    return _executed(lambda count: delete(table).where(_some(table, condition, count)))


def _take_names(table: Table, condition: Condition, values: Mapping[str, object]) -> Change:
    return _executed(
        lambda count: update(table).where(_some(table, condition, count)).values(**values)
    )


def _executed(statement: Callable[[int], Delete | Update]) -> Change:
    async def change(connection: AsyncConnection, count: int) -> int:
        return (await connection.execute(statement(count))).rowcount

    return change


def _some(table: Table, condition: Condition, count: int) -> Condition:
    key = tuple_(*table.primary_key)
    return key.in_(select(*table.primary_key).where(condition).limit(count))


def next_count(count: int, took: float) -> int:
    """About as many rows as take the goal."""
    factor = min(2.0, max(0.5, _GOAL_SECONDS / took)) if took > 0 else 2.0
    return min(_MOST, max(_FEWEST, int(count * factor)))
