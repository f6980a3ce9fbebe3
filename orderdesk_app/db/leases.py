"""Locks that expire: a name held for some seconds by one holder, in whichever process it runs."""

import random
import time
from collections.abc import Callable

from sqlmodel import Field

from orderdesk_app.db.clock import clock_sql
from orderdesk_app.db.engine import Database
from orderdesk_app.db.rows import Row


class Lease(Row, table=True):
    __tablename__ = "leases"

    name: str = Field(primary_key=True)
    holder: str
    expires_at: float = Field(index=True)  # seconds since 1970


class Leases:
    """Each method is one statement; a lease that has expired is free for the next holder."""

    def __init__(self, database: Database, clock: Callable[[], float] | None = None) -> None:
        self._database = database
        self._clock = clock or time.time
        now = clock_sql(database, injected=clock is not None)
        self._acquire = (
            "INSERT INTO leases (name, holder, expires_at) "  # noqa: S608  no text from outside
            f"VALUES (:name, :holder, {now} + :seconds) "
            "ON CONFLICT (name) DO UPDATE "
            "SET holder = excluded.holder, expires_at = excluded.expires_at "
            f"WHERE leases.expires_at <= {now} OR leases.holder = excluded.holder RETURNING name"
        )
        self._renew = (
            f"UPDATE leases SET expires_at = {now} + :seconds "  # noqa: S608
            f"WHERE name = :name AND holder = :holder AND expires_at > {now} RETURNING name"
        )
        self._sweep = f"DELETE FROM leases WHERE expires_at < {now} - 60"  # noqa: S608

    async def acquire(self, name: str, holder: str, seconds: float) -> bool:
        """True: `holder` has it for `seconds` (also when it had it before).

        False: another holder has it.
        """
        # now and then, so that leases of processes that died do not pile up
        if random.random() < 0.01:  # noqa: S311
            await self._ask(self._sweep)
        return await self._ask(self._acquire, name=name, holder=holder, seconds=seconds)

    async def renew(self, name: str, holder: str, seconds: float) -> bool:
        """True: still held, for `seconds` more. False: it ran out, or another holder has it."""
        return await self._ask(self._renew, name=name, holder=holder, seconds=seconds)

    async def release(self, name: str, holder: str) -> None:
        await self._ask(
            "DELETE FROM leases WHERE name = :name AND holder = :holder RETURNING name",
            name=name,
            holder=holder,
        )

    async def _ask(self, statement: str, **parameters: object) -> bool:
        return bool(await self._database.execute(statement, parameters | {"now": self._clock()}))
