"""Whether database and cache answer: checked at most once a second, for any number of callers. A
process that is about to stop is not ready, whatever they answer, and neither is one of another
release than the database's schema.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from orderdesk_app.cache.flight import SingleFlight
from orderdesk_app.cache.store import Cache
from orderdesk_app.db.engine import Database
from orderdesk_app.db.migrate import schema_fault
from orderdesk_app.errors import ConfigurationError
from orderdesk_app.observability import log

_LOG = log(__name__)
CHECK_SECONDS = 3.0  # a part that takes longer does not answer
_FRESH_SECONDS = 1.0
_LONG_CHECK_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Checked:
    """For each part "ok" or "unavailable", and how long the check took. The part "schema" is there
    only where it is "newer" or "older" than this release.
    """

    parts: dict[str, str]
    seconds: float

    @property
    def is_fine(self) -> bool:
        return all(value == "ok" for value in self.parts.values())


class Health:
    """The health check needs no key, so many requests share one check."""

    def __init__(
        self,
        database: Database,
        cache: Cache,
        revisions: Sequence[str],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._cache = cache
        self._revisions = revisions
        self._clock = clock
        self._flight = SingleFlight()
        self._last: tuple[float, Checked] | None = None
        self._is_stopping = False

    def stop(self) -> None:
        """From here on the process is not ready: it stops soon."""
        self._is_stopping = True

    async def check(self) -> Checked:
        """The state now, or less than a second ago."""
        checked = await self._checked()
        if self._is_stopping:
            return Checked({**checked.parts, "server": "stopping"}, checked.seconds)
        return checked

    async def _checked(self) -> Checked:
        if self._last is not None and self._clock() - self._last[0] < _FRESH_SECONDS:
            return self._last[1]
        return await self._flight.do("check", self._check)

    async def _check(self) -> Checked:
        started = self._clock()
        database, cache = await asyncio.gather(_try(self._database.ping()), _try(_use(self._cache)))
        parts = {"database": database, "cache": cache}
        if database == "ok" and (fault := await self._schema_fault()):
            parts["schema"] = fault
        checked = Checked(parts, self._clock() - started)
        self._last = (self._clock(), checked)
        return checked

    async def _schema_fault(self) -> str | None:
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                fault = await schema_fault(self._database, self._revisions)
        except Exception as error:
            _LOG.error("the schema's version cannot be read", exc_info=error)
            return "unavailable"
        if fault is not None:
            _LOG.error("the database has the schema of another release", reason=fault)
        return fault


async def check_pages_at_start(database: Database, *, waits: bool = True) -> Callable[[], object]:
    """A damaged file stops the start with a ConfigurationError. A large one, and without `waits`
    any, is checked beside the work that begins, and readiness says what is found; the function
    returned ends that.
    """
    is_sound = await database.check_pages() if waits else None
    if is_sound is False:
        raise ConfigurationError(
            "DATABASE_URL: the file of the database is damaged. Restore a backup, or name another "
            "file."
        )
    if is_sound is None:
        return asyncio.create_task(database.check_pages(seconds=_LONG_CHECK_SECONDS)).cancel
    return lambda: None


async def _use(cache: Cache) -> None:
    """A cache works when it gives back what it was given."""
    await cache.ping()
    await cache.put("health", b"kept", 10, ())
    if await cache.get("health") != b"kept":
        raise LookupError


async def _try(part: Awaitable[None]) -> str:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            await part
    except Exception as error:
        _LOG.error("a part does not answer", exc_info=error)
        return "unavailable"
    return "ok"
