"""Jobs: what is to be done soon, in the background, by whichever process comes first; and the
statements that hand each of them to one process at a time.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Index, LargeBinary, String, insert, literal_column, text
from sqlmodel import Field
from sqlmodel.ext.asyncio.session import AsyncSession

from orderdesk_app.context import Sealed, TenantId, UserId, new_id, now
from orderdesk_app.db.clock import clock_sql
from orderdesk_app.db.engine import Database
from orderdesk_app.db.rows import Row

_WAITS = text("gave_up_at IS NULL")


class Job(Row, table=True):
    __tablename__ = "jobs"
    __table_args__ = (Index(None, "run_at", sqlite_where=_WAITS, postgresql_where=_WAITS),)

    id: str = Field(default_factory=new_id, primary_key=True)
    kind: str
    # whom it is about: it goes with them
    tenant_id: TenantId | None = Field(
        default=None, sa_type=String, foreign_key="tenants.id", ondelete="CASCADE", index=True
    )
    user_id: UserId | None = Field(
        default=None, sa_type=String, foreign_key="users.id", ondelete="CASCADE", index=True
    )
    payload: Sealed = Field(sa_type=LargeBinary)  # empty once it gave up
    created_at: datetime = Field(default_factory=now)
    # seconds since 1970, as the leases have them
    run_at: float
    expires_at: float | None = None  # from then on it is worth nothing
    attempts: int = 0
    holder: str = ""
    leased_until: float = 0.0
    gave_up_at: float | None = None
    reason: str = ""  # of the last failure: words of ours, nothing personal


@dataclass(frozen=True, slots=True)
class ClaimedJob:
    """A job that this process has until its lease ends. `attempt` counts from 1."""

    id: str
    kind: str
    payload: Sealed
    attempt: int
    seconds_left: float | None  # until it expires

    @property
    def is_expired(self) -> bool:
        return self.seconds_left is not None and self.seconds_left <= 0


@dataclass(frozen=True, slots=True)
class JobCounts:
    """`late`: jobs that should have run a minute ago, or longer."""

    waiting: int
    late: int
    gave_up: int


class JobRows:
    """Each method is one statement. What it changes of a claimed job it changes only while that
    claim holds: a process that was suspended for longer changes nothing any more.
    """

    def __init__(
        self,
        database: Database,
        kinds: Iterable[str],
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._database = database
        self._clock = clock or time.time
        self._now = clock_sql(database, injected=clock is not None)
        # Another release beside this one may have kinds that this one does not know.
        known = ", ".join(f"'{kind}'" for kind in sorted(kinds))
        self._due = (
            f"gave_up_at IS NULL AND run_at <= {self._now} AND leased_until <= {self._now} "
            f"AND kind IN ({known})"
        )

    async def add(
        self, session: AsyncSession, job: Job, *, expires_in: float | None, run_in: float = 0.0
    ) -> None:
        """Insert the job into this transaction, to be run in so many seconds; its times are set
        here.
        """
        values = job.model_dump() | {
            "run_at": self._moment(run_in),
            "expires_at": None if expires_in is None else self._moment(expires_in),
        }
        await (await session.connection()).execute(insert(Job).values(values))

    def _moment(self, plus: float = 0.0) -> Any:
        """The time now, and so many seconds more, on the clock that counts."""
        if self._now == ":now":
            return self._clock() + plus
        return literal_column(self._now) + plus

    async def claim(self, holder: str, count: int, seconds: float) -> list[ClaimedJob]:
        """At most `count` jobs that are due, for `seconds`. Nothing is written where none is due:
        SQLite has one writer at a time.
        """
        rows = await self._query(f"SELECT 1 FROM jobs WHERE {self._due} LIMIT 1")  # noqa: S608
        if not rows:
            return []
        # Of two processes that ask at once, the second passes over what the first takes. SQLite has
        # one writer, so it has no need of that.
        lock = "" if self._database.is_sqlite else "FOR UPDATE SKIP LOCKED"
        found = await self._execute(
            f"WITH due AS {'' if self._database.is_sqlite else 'MATERIALIZED'} "  # noqa: S608
            f"(SELECT id FROM jobs WHERE {self._due} ORDER BY run_at LIMIT :count {lock}) "
            f"UPDATE jobs SET holder = :holder, leased_until = {self._now} + :seconds, "
            "attempts = attempts + 1 WHERE id IN (SELECT id FROM due) "
            f"RETURNING id, kind, payload, attempts, expires_at - {self._now}",
            holder=holder,
            count=count,
            seconds=seconds,
        )
        return [ClaimedJob(*row) for row in found]

    async def finish(self, job: ClaimedJob, holder: str) -> None:
        """It is done: the row goes."""
        await self._execute(f"DELETE FROM jobs WHERE {_HELD} RETURNING id", **_held(job, holder))  # noqa: S608

    async def run_again(self, job: ClaimedJob, holder: str, wait: float, reason: str) -> None:
        """In `wait` seconds."""
        await self._execute(
            f"UPDATE jobs SET run_at = {self._now} + :wait, holder = '', leased_until = 0, "  # noqa: S608
            f"reason = :reason WHERE {_HELD} RETURNING id",
            wait=wait,
            reason=reason,
            **_held(job, holder),
        )

    async def give_up(self, job: ClaimedJob, holder: str, reason: str) -> None:
        """The row stays for operators, without what it held."""
        await self._execute(
            f"UPDATE jobs SET gave_up_at = {self._now}, holder = '', leased_until = 0, "  # noqa: S608
            f"reason = :reason, payload = :empty WHERE {_HELD} RETURNING id",
            reason=reason,
            empty=b"",
            **_held(job, holder),
        )

    async def delete_given_up(self, older_than: float) -> int:
        """Delete those that gave up so many seconds ago; how many they were."""
        return len(
            await self._execute(
                f"DELETE FROM jobs WHERE gave_up_at < {self._now} - :older_than RETURNING id",  # noqa: S608
                older_than=older_than,
            )
        )

    async def counts(self) -> JobCounts:
        [(waiting, late, gave_up)] = await self._query(
            "SELECT COALESCE(SUM(CASE WHEN gave_up_at IS NULL THEN 1 ELSE 0 END), 0), "  # noqa: S608
            f"COALESCE(SUM(CASE WHEN gave_up_at IS NULL AND run_at < {self._now} - 60 THEN 1 "
            "ELSE 0 END), 0), COUNT(gave_up_at) FROM jobs"
        )
        return JobCounts(int(waiting), int(late), int(gave_up))

    async def _execute(self, statement: str, **values: object) -> Sequence[tuple[Any, ...]]:
        return await self._database.execute(statement, values | {"now": self._clock()})

    async def _query(self, statement: str) -> Sequence[tuple[Any, ...]]:
        return await self._database.query(statement, {"now": self._clock()})


# A claim is known by its holder and the number of its attempt.
_HELD = "id = :id AND holder = :holder AND attempts = :attempt AND gave_up_at IS NULL"


def _held(job: ClaimedJob, holder: str) -> dict[str, object]:
    return {"id": job.id, "holder": holder, "attempt": job.attempt}
