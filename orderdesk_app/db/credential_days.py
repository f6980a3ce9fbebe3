"""The calls of each key and connected app by day, so that their pages need not count the audit log.

services/user_activity.py counts them beside those of users.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import Date, bindparam, text
from sqlmodel import Field, col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from orderdesk_app.db.engine import Database
from orderdesk_app.db.rows import Row

KEPT_DAYS = 31  # today included: thirty days are shown, and today has only begun
SHOWN_DAYS = 30


class CredentialDay(Row, table=True):
    """The days are those of UTC."""

    __tablename__ = "credential_days"

    credential_id: str = Field(foreign_key="credentials.id", ondelete="CASCADE", primary_key=True)
    day: date = Field(primary_key=True)
    calls: int


@dataclass(frozen=True, slots=True)
class CallsOfKey:
    """How often a key was used on a day."""

    credential_id: str
    day: date
    calls: int


_DAY = bindparam("day", type_=Date())
# a key may have gone with its account meanwhile
_ADD = text(
    "INSERT INTO credential_days (credential_id, day, calls) "
    "SELECT id, :day, :calls FROM credentials WHERE id = :credential_id "
    "ON CONFLICT (credential_id, day) DO UPDATE SET calls = credential_days.calls + excluded.calls"
).bindparams(_DAY)
_DELETE_OLD = text(
    "DELETE FROM credential_days WHERE credential_id = :credential_id AND day < :oldest"
).bindparams(bindparam("oldest", type_=Date()))


async def write_calls_of_keys(database: Database, called: Sequence[CallsOfKey]) -> None:
    """One transaction. Keys that are gone are left out."""
    # all processes lock keys in the same order, so that none waits for another that waits for it
    called = sorted(called, key=lambda each: (each.credential_id, each.day))
    rows = [
        {"credential_id": each.credential_id, "day": each.day, "calls": each.calls}
        for each in called
    ]
    kept = timedelta(days=KEPT_DAYS - 1)
    old = [{"credential_id": each.credential_id, "oldest": each.day - kept} for each in called]
    async with database.write() as session:
        connection = await session.connection()
        await connection.execute(_ADD, rows)
        await connection.execute(_DELETE_OLD, old)


async def count_calls_of_keys(
    session: AsyncSession, credential_ids: Collection[str], moment: datetime
) -> Mapping[str, int]:
    """The calls of each key in the last thirty days; a key without any is left out."""
    since = moment.date() - timedelta(days=SHOWN_DAYS - 1)
    question = (
        select(col(CredentialDay.credential_id), func.sum(col(CredentialDay.calls)))
        .where(
            col(CredentialDay.credential_id).in_(credential_ids), col(CredentialDay.day) >= since
        )
        .group_by(col(CredentialDay.credential_id))
    )
    return {key: int(calls) for key, calls in (await session.exec(question)).all()}
