"""The calls of each user by day, so that a list of users need not count the audit log."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import Date, DateTime, String, bindparam, text
from sqlmodel import Field

from orderdesk_app.context import UserId
from orderdesk_app.db.engine import Database
from orderdesk_app.db.rows import Row

KEPT_DAYS = 31  # today included: thirty days are shown, and today has only begun


class UserDay(Row, table=True):
    """The days are those of UTC. services/user_activity.py adds to them and deletes old ones."""

    __tablename__ = "user_days"

    user_id: UserId = Field(
        sa_type=String, foreign_key="users.id", ondelete="CASCADE", primary_key=True
    )
    day: date = Field(primary_key=True)
    calls: int


@dataclass(slots=True)
class Noted:
    """What a user did: when last, and how many calls on the day of that."""

    user_id: UserId
    at: datetime
    calls: int

    @property
    def day(self) -> date:
        return self.at.astimezone(UTC).date()


_MOMENT = DateTime(timezone=True)
_SET_LAST_ACTIVE = text(
    "UPDATE users SET last_active_at = :at WHERE id = :user_id "
    "AND (last_active_at IS NULL OR last_active_at < :at)"
).bindparams(bindparam("at", type_=_MOMENT))
# a user may have been deleted meanwhile
_ADD_CALLS = text(
    "INSERT INTO user_days (user_id, day, calls) "
    "SELECT id, :day, :calls FROM users WHERE id = :user_id "
    "ON CONFLICT (user_id, day) DO UPDATE SET calls = user_days.calls + excluded.calls"
).bindparams(bindparam("day", type_=Date()))
_DELETE_OLD = text("DELETE FROM user_days WHERE user_id = :user_id AND day < :oldest").bindparams(
    bindparam("oldest", type_=Date())
)


async def write_activity(
    database: Database, seen: Sequence[Noted], called: Sequence[Noted]
) -> None:
    """One transaction: the last activity of those who were `seen`, and the calls of those who
    `called`. Users that are gone are left out.
    """
    # all processes lock users in the same order, so that none waits for another that waits for it
    seen = sorted(seen, key=lambda noted: noted.user_id)
    called = sorted(called, key=lambda noted: (noted.user_id, noted.day))
    async with database.write() as session:
        connection = await session.connection()
        if called:
            rows = [
                {"user_id": each.user_id, "day": each.day, "calls": each.calls} for each in called
            ]
            await connection.execute(_ADD_CALLS, rows)
            kept = timedelta(days=KEPT_DAYS - 1)
            old = [{"user_id": each.user_id, "oldest": each.day - kept} for each in called]
            await connection.execute(_DELETE_OLD, old)
        if seen:
            rows = [{"user_id": each.user_id, "at": each.at} for each in seen]
            await connection.execute(_SET_LAST_ACTIVE, rows)
