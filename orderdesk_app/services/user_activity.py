"""When users were active last and how much they and their keys called, written down in the
background: a call only notes it in memory, and a cached read makes no query.
"""

import asyncio
import contextlib
from collections import Counter
from datetime import UTC, date, datetime, timedelta

from cachetools import LRUCache

from orderdesk_app.context import UserId
from orderdesk_app.db.credential_days import CallsOfKey, write_calls_of_keys
from orderdesk_app.db.engine import Database
from orderdesk_app.db.user_days import Noted, write_activity
from orderdesk_app.observability import log
from orderdesk_app.services.audit import Entry

_LOG = log(__name__)
FLUSH_SECONDS = 10.0
_STEP = timedelta(minutes=1)  # how exact a last activity is
_BATCH = 200  # users in one transaction, so that no other write waits for long
_MOST_REMEMBERED = 50_000
_MOST_WAITING = 100_000  # while the database cannot be reached


class UserActivity:
    """A process that is killed loses the last seconds of it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._calls: dict[tuple[UserId, date], Noted] = {}
        self._key_calls: Counter[tuple[str, date]] = Counter()
        self._seen: dict[UserId, Noted] = {}
        self._written: LRUCache[UserId, datetime] = LRUCache(_MOST_REMEMBERED)
        self._has_notes = asyncio.Event()
        self._stop = asyncio.Event()
        self._flushing = asyncio.Lock()
        self._flusher: asyncio.Task[None] | None = None

    def note(self, entry: Entry) -> None:
        """Somebody did something; a row of the audit log says what."""
        user_id = entry.actor.user_id
        calls = entry.times if entry.action == "tool" else 0
        day = entry.at.astimezone(UTC).date()
        if user_id is not None:
            self._note(user_id, entry.at, day, calls)
        key_id = entry.actor.credential_id
        # a session that began with a key is a person's
        if calls and key_id is not None and entry.actor.session_id is None:
            self._note_key(key_id, day, calls)

    def _note_key(self, key_id: str, day: date, calls: int) -> None:
        if len(self._key_calls) < _MOST_WAITING:
            self._key_calls[key_id, day] += calls
            self._has_notes.set()

    def _note(self, user_id: UserId, at: datetime, day: date, calls: int) -> None:
        if len(self._calls) + len(self._seen) >= _MOST_WAITING:
            return
        if calls:
            place = (user_id, day)
            if (noted := self._calls.get(place)) is not None:
                noted.calls += calls
            else:
                self._calls[place] = Noted(user_id, at, calls)
        written = self._written.get(user_id)
        if written is None or at - written >= _STEP:
            seen = self._seen.get(user_id)
            if seen is None or seen.at < at:
                self._seen[user_id] = Noted(user_id, at, 0)
        self._has_notes.set()

    async def start(self) -> None:
        self._stop.clear()
        self._flusher = asyncio.create_task(self._flush_until_stopped(), name="user-activity")

    async def stop(self) -> None:
        """Write what was noted, then stop."""
        if self._flusher is not None:
            self._stop.set()
            self._has_notes.set()
            await self._flusher
            self._flusher = None
        with contextlib.suppress(Exception):  # the log has it
            await self.flush()

    async def flush(self) -> None:
        """Write what was noted so far, in batches; what cannot be written is kept."""
        async with self._flushing:
            calls, self._calls = list(self._calls.values()), {}
            seen, self._seen = list(self._seen.values()), {}
            keys = [CallsOfKey(*place, count) for place, count in self._key_calls.items()]
            self._key_calls = Counter()
            try:
                while calls or seen:
                    await write_activity(self._database, seen[:_BATCH], calls[:_BATCH])
                    for noted in seen[:_BATCH]:
                        self._written[noted.user_id] = noted.at
                    del calls[:_BATCH], seen[:_BATCH]
                while keys:
                    await write_calls_of_keys(self._database, keys[:_BATCH])
                    del keys[:_BATCH]
            except BaseException as error:
                _LOG.error("activity of users waits for the database", exc_info=error)
                for noted in [*calls, *seen]:
                    self._note(
                        noted.user_id, noted.at, noted.at.astimezone(UTC).date(), noted.calls
                    )
                for each in keys:
                    self._note_key(each.credential_id, each.day, each.calls)
                raise

    async def _flush_until_stopped(self) -> None:
        while not self._stop.is_set():
            await self._has_notes.wait()
            self._has_notes.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FLUSH_SECONDS):
                    await self._stop.wait()
            with contextlib.suppress(Exception):  # the log has it, and the next round tries again
                await self.flush()
