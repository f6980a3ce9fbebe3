"""How full this process is: connections to the database, the event loop, and open sockets. Measured
when `/metrics` is asked; only the event loop is watched all the time.
"""

import asyncio
import os
import stat
import time
from collections.abc import Callable
from contextlib import suppress

from orderdesk_app.db.engine import Database
from orderdesk_app.observability import (
    DATABASE_POOL_IN_USE,
    DATABASE_POOL_SIZE,
    DATABASE_POOL_WAITING,
    EVENT_LOOP_LAG,
    EVENT_LOOP_LAG_MAX,
    OPEN_SOCKETS,
)

# How often the event loop's lag is measured.
WATCH_SECONDS = 0.2


class Saturation:
    """Sets the gauges of this process."""

    def __init__(
        self, database: Database, *, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._database = database
        self._clock = clock
        self._watching: asyncio.Task[None] | None = None
        self._due = float("inf")  # when the watch wakes up next, if nothing holds the loop up
        self._lag = 0.0
        self._longest_lag = 0.0

    async def start(self) -> None:
        self._watching = asyncio.create_task(self._watch(), name="event-loop-lag")

    async def stop(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
            with suppress(asyncio.CancelledError):
                await self._watching
            self._watching = None

    async def measure(self) -> None:
        """Set all gauges to what is true now."""
        self._note_lag(self._clock() - self._due)  # if the watch is late already
        EVENT_LOOP_LAG.set(self._lag)
        EVENT_LOOP_LAG_MAX.set(self._longest_lag)
        self._longest_lag = 0.0
        for pool in self._database.pools():
            DATABASE_POOL_IN_USE.labels(pool.name).set(pool.in_use)
            DATABASE_POOL_SIZE.labels(pool.name).set(pool.size)
            DATABASE_POOL_WAITING.labels(pool.name).set(pool.waiting)
        sockets = await asyncio.to_thread(count_sockets)
        if sockets is not None:
            OPEN_SOCKETS.labels("all").set(sockets)

    async def _watch(self) -> None:
        while True:
            self._due = self._clock() + WATCH_SECONDS
            await asyncio.sleep(WATCH_SECONDS)
            self._lag = 0.0
            self._note_lag(self._clock() - self._due)

    def _note_lag(self, lag: float) -> None:
        self._lag = max(self._lag, lag)
        self._longest_lag = max(self._longest_lag, self._lag)


def count_sockets() -> int | None:
    """How many sockets this process has open; None where the system does not tell (not Linux)."""
    try:
        names = os.listdir("/proc/self/fd")
    except OSError:
        return None
    found = 0
    for name in names:
        with suppress(OSError, ValueError):  # closed meanwhile
            found += stat.S_ISSOCK(os.fstat(int(name)).st_mode)
    return found
