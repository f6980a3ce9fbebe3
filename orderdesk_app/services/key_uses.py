"""When each key and app was used last, by which program and from which address, written down in the
background: a call only notes it in memory, and a cached read makes no query.
"""

import asyncio
import contextlib
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import NamedTuple

from cachetools import LRUCache
from sqlmodel import col, or_, update

from orderdesk_app.context import Actor, TenantId, now
from orderdesk_app.db.engine import Database
from orderdesk_app.db.keys import Credential
from orderdesk_app.db.signals import Signals
from orderdesk_app.observability import log
from orderdesk_app.services.audit import ACTIVITY, Entry

_LOG = log(__name__)
FLUSH_SECONDS = 0.5  # the page Connect waits for it
STEP = timedelta(minutes=1)  # between two writes of one key by this process
_BATCH = 200  # keys in one transaction, so that no other write waits for long
_MOST_REMEMBERED = 50_000
_MOST_WAITING = 100_000  # while the database cannot be reached


class KeyUse(NamedTuple):
    tenant_id: TenantId
    at: datetime
    client: str
    address: str


class KeyUses:
    """A process that is killed loses what it noted within the last minute."""

    def __init__(
        self, database: Database, signals: Signals, *, clock: Callable[[], datetime] = now
    ) -> None:
        self._database = database
        self._signals = signals
        self._clock = clock
        self._latest: dict[str, KeyUse] = {}
        self._written: LRUCache[str, datetime] = LRUCache(_MOST_REMEMBERED)
        self._has_notes = asyncio.Event()
        self._stop = asyncio.Event()
        self._flushing = asyncio.Lock()
        self._flusher: asyncio.Task[None] | None = None

    def note(self, entry: Entry) -> None:
        """Somebody did something; a session that began with a key is a person's, and no use of the
        key.
        """
        actor = entry.actor
        if actor.credential_id is None or actor.session_id is not None:
            return
        known = self._latest.get(actor.credential_id)
        if known is None and len(self._latest) >= _MOST_WAITING:
            return
        if known is None or known.at <= entry.at:
            client = f"{actor.client_name} {actor.client_version}".strip()
            self._latest[actor.credential_id] = KeyUse(
                actor.tenant_id, entry.at, client, actor.address
            )
            self._has_notes.set()

    async def start(self) -> None:
        self._stop.clear()
        self._flusher = asyncio.create_task(self._flush_until_stopped(), name="key-uses")

    async def stop(self) -> None:
        """Write what was noted, then stop."""
        if self._flusher is not None:
            self._stop.set()
            self._has_notes.set()
            await self._flusher
            self._flusher = None
        with contextlib.suppress(Exception):  # the log has it
            await self.flush(is_last=True)

    async def flush(self, *, is_last: bool = False) -> None:
        """Write the uses of the keys that were not written within the last minute; the others wait.
        What cannot be written is kept.
        """
        async with self._flushing:
            moment = self._clock()
            due = [
                (key_id, use)
                for key_id, use in self._latest.items()
                if is_last or self._is_due(key_id, moment)
            ]
            for start in range(0, len(due), _BATCH):
                # in the same order in all processes, so that none waits in a circle
                batch = sorted(due[start : start + _BATCH], key=lambda pair: pair[0])
                try:
                    await self._write(batch)
                except Exception as error:
                    _LOG.error("uses of keys wait for the database", exc_info=error)
                    raise
                for key_id, use in batch:
                    self._written[key_id] = moment
                    if self._latest.get(key_id) is use:
                        del self._latest[key_id]

    def _is_due(self, key_id: str, moment: datetime) -> bool:
        written = self._written.get(key_id)
        return written is None or moment - written >= STEP

    async def _write(self, batch: list[tuple[str, KeyUse]]) -> None:
        async with self._database.write() as session:
            for key_id, use in batch:
                actor = Actor(use.tenant_id)
                used = col(Credential.last_used_at)
                await session.exec(
                    update(Credential)
                    .where(
                        col(Credential.id) == key_id,
                        col(Credential.tenant_id) == actor.tenant_id,
                        or_(used.is_(None), used <= use.at),
                    )
                    .values(last_used_at=use.at, last_client=use.client, last_address=use.address)
                )
            for tenant_id in sorted({use.tenant_id for _, use in batch}):
                # open pages show it; caches of keys are not emptied by it
                await self._signals.publish(session, f"{ACTIVITY}:{tenant_id}")

    async def _flush_until_stopped(self) -> None:
        while not self._stop.is_set():
            if not self._latest:
                await self._has_notes.wait()
            self._has_notes.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FLUSH_SECONDS):
                    await self._stop.wait()
            with contextlib.suppress(Exception):  # the log has it, and the next round tries again
                await self.flush()
