"""Token buckets that every process shares: one row for each Order Desk store, taken from by one
statement. The arithmetic of token_bucket.py is in the SQL, as two processes must not read, count
and write one after the other.
"""

import math
import time
from collections.abc import Callable, Sequence

from cachetools import LRUCache
from sqlalchemy import bindparam, text
from sqlmodel import Field

from orderdesk_app.db.clock import clock_sql
from orderdesk_app.db.engine import Database
from orderdesk_app.db.rows import Row

CAPACITY, PER_SECOND = 20.0, 3.0  # docs/orderdesk-api.md section 10
_REMEMBERED = 4096
_SOON = 0.01
# seconds since 1970 as floats are exact to a microsecond; a token taken early is missing later
_ALMOST_ONE = 0.999


class Bucket(Row, table=True):
    __tablename__ = "buckets"

    key: str = Field(primary_key=True)
    tokens: float  # below 0 after a 429: nothing until it has grown to 1
    updated_at: float  # seconds since 1970


class Buckets:
    """orderdesk/buckets.py's TokenBuckets over the database.

    Tokens grow in the SQL itself, by one clock (clock.py).
    """

    def __init__(
        self,
        database: Database,
        *,
        capacity: float = CAPACITY,
        per_second: float = PER_SECOND,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._database = database
        self._capacity = float(capacity)
        self._per_second = float(per_second)
        self._clock = clock or time.time
        # the level after our last take, and its time by our clock
        self._left: LRUCache[str, tuple[float, float]] = LRUCache(_REMEMBERED)
        least, greatest = ("min", "max") if database.is_sqlite else ("least", "greatest")
        now = clock_sql(database, injected=clock is not None)
        level = (
            f"{least}(:capacity, buckets.tokens + {greatest}(0.0, {now} - buckets.updated_at) "
            "* :per_second)"
        )
        into = (
            f"INSERT INTO buckets (key, tokens, updated_at) VALUES (:key, :tokens, {now}) "  # noqa: S608
            f"ON CONFLICT (key) DO UPDATE SET updated_at = {now}, tokens ="
        )
        self._take = f"{into} {level} - 1.0 WHERE {level} >= {_ALMOST_ONE} RETURNING tokens"
        self._lower = f"{into} {least}({level}, excluded.tokens)"
        self._look = f"SELECT {level}, updated_at > {now} FROM buckets WHERE key = :key"  # noqa: S608
        self._look_at_all = text(
            f"SELECT key, {level} FROM buckets WHERE key IN :keys"  # noqa: S608
        ).bindparams(bindparam("keys", expanding=True))
        self._heal = (
            f"UPDATE buckets SET updated_at = {now} WHERE key = :key AND updated_at > {now}"  # noqa: S608
        )

    async def take(self, key: str) -> float:
        """Takes one token and returns 0.0; without one, the seconds until there may be one."""
        rows = await self._database.execute(self._take, self._with(key, self._capacity - 1.0))
        if rows:
            self._remember(key, float(rows[0][0]))
            return 0.0
        look = await self._database.execute(self._look, self._with(key, 0.0))
        if not look:
            return _SOON
        level, is_ahead = look[0]
        # The clock was set back: without this the bucket would not fill until the clock caught up.
        if is_ahead:
            await self._database.execute(self._heal, self._with(key, 0.0))
        return max(_SOON, (1.0 - float(level)) / self._per_second)

    async def correct(self, key: str, remaining: int) -> None:
        """Lowers the level to `remaining` (X-Tokens-Remaining).

        It never raises the level: Order Desk has not counted the requests that are under way.
        """
        if math.floor(self._expected(key)) > remaining:
            await self._database.execute(self._lower, self._with(key, float(remaining)))
            self._left.pop(key, None)

    async def drain(self, key: str, seconds: float) -> None:
        """Empties the bucket for `seconds`, after a 429."""
        await self._database.execute(self._lower, self._with(key, 1.0 - seconds * self._per_second))
        self._left.pop(key, None)

    async def levels(self, keys: Sequence[str]) -> dict[str, float]:
        """The tokens of each bucket now, never below 0; takes none, and no turn of the writers."""
        if not keys:
            return {}
        values = {
            "keys": list(keys),
            "capacity": self._capacity,
            "per_second": self._per_second,
            "now": self._clock(),
        }
        async with self._database.read() as session:
            connection = await session.connection()
            rows = (await connection.execute(self._look_at_all, values)).all()
        found = {key: max(0.0, min(self._capacity, float(level))) for key, level in rows}
        return {key: found.get(key, self._capacity) for key in keys}

    def _with(self, key: str, tokens: float) -> dict[str, object]:
        return {
            "key": key,
            "tokens": tokens,
            "capacity": self._capacity,
            "per_second": self._per_second,
            "now": self._clock(),
        }

    def _remember(self, key: str, tokens: float) -> None:
        self._left[key] = (tokens, self._clock())

    def _expected(self, key: str) -> float:
        """The most that the row can hold, as far as this process knows; saves a statement where the
        header says nothing new.
        """
        tokens, at = self._left.get(key, (self._capacity, self._clock()))
        return min(self._capacity, tokens + max(0.0, self._clock() - at) * self._per_second)
