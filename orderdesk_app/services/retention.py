"""Deletes what is older than AUDIT_LOG_RETENTION_DAYS and JOURNAL_RETENTION_DAYS, and what of
OAuth has expired; of all processes of an installation one does it.
"""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from orderdesk_app.context import TenantId, new_id, now
from orderdesk_app.db.engine import Database
from orderdesk_app.db.leases import Leases
from orderdesk_app.db.retention import (
    AUDIT_BATCH,
    chains_with_old_rows,
    delete_expired_clients,
    delete_expired_codes,
    delete_expired_tokens,
    delete_old_changes,
    delete_unlinked_audit_rows,
)
from orderdesk_app.observability import log
from orderdesk_app.services.audit_chains import AuditChains

_LOG = log(__name__)
LEASE = "retention"
_HOUR = 3600.0
# The one that has it keeps it: it asks again each hour. Another takes over when it is gone.
_LEASE_SECONDS = 2 * _HOUR
_USED_CODES_KEPT = timedelta(days=1)  # a second use of one is recognised for so long
_PAUSE = 0.05  # seconds between two batches, for others to write
_FIRST_SECONDS = (30.0, 90.0)  # after the start, which has enough to do

DeleteBatch = Callable[[datetime], Awaitable[int]]


class Retention:
    """0 days: the rows are kept for ever."""

    def __init__(
        self,
        database: Database,
        leases: Leases,
        chains: AuditChains,
        *,
        audit_days: int,
        journal_days: int,
        clock: Callable[[], datetime] = now,
        pause: float = _PAUSE,
    ) -> None:
        self._database = database
        self._leases = leases
        self._chains = chains
        kinds = ((audit_days, self._delete_audit_rows), (journal_days, self._delete_changes))
        self._kinds: tuple[tuple[timedelta, DeleteBatch], ...] = (
            *((timedelta(days=days), delete_batch) for days, delete_batch in kinds if days),
            # each row says when its time is over
            (timedelta(), self._delete_clients),
            (timedelta(), self._delete_tokens),
            (_USED_CODES_KEPT, self._delete_codes),
        )
        # chains that begin with a row that is too young, and have older ones behind it
        self._waiting: set[TenantId | None] = set()
        self._clock = clock
        self._pause = pause
        self._holder = new_id()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="retention")

    async def stop(self) -> None:
        if self._task is None:
            return
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        self._task = None
        try:
            await self._leases.release(LEASE, self._holder)
        except Exception as error:
            _LOG.warning("the lease of the retention could not be given back", exc_info=error)

    async def delete_old_rows(self) -> int:
        """Delete what is too old now, batch by batch; returns how many rows that were.

        0 without a look where another process has the lease, or takes it meanwhile.
        """
        if not await self._leases.acquire(LEASE, self._holder, _LEASE_SECONDS):
            return 0
        deleted = 0
        self._waiting.clear()
        for age, delete_batch in self._kinds:
            before = self._clock() - age
            while count := await delete_batch(before):
                deleted += count
                await asyncio.sleep(self._pause)
                if not await self._leases.renew(LEASE, self._holder, _LEASE_SECONDS):
                    return deleted
        return deleted

    async def _delete_audit_rows(self, before: datetime) -> int:
        """One batch of rows that are in no chain, and the first ones of each chain that has some:
        each account in a write of its own.
        """
        while True:
            tenant_ids, unlinked = await chains_with_old_rows(self._database, before, self._waiting)
            deleted = 0
            if unlinked:
                deleted += await delete_unlinked_audit_rows(self._database, before, self._waiting)
            for tenant_id in tenant_ids:
                async with self._database.write() as session:
                    count = await self._chains.expire(session, tenant_id, before, AUDIT_BATCH)
                deleted += count
                if not count:
                    self._waiting.add(tenant_id)
                await asyncio.sleep(self._pause)
            if deleted or not tenant_ids:
                return deleted

    async def _delete_changes(self, before: datetime) -> int:
        return await delete_old_changes(self._database, before)

    async def _delete_clients(self, before: datetime) -> int:
        return await delete_expired_clients(self._database, before)

    async def _delete_codes(self, before: datetime) -> int:
        return await delete_expired_codes(self._database, before)

    async def _delete_tokens(self, before: datetime) -> int:
        return await delete_expired_tokens(self._database, before)

    async def _run(self) -> None:
        await asyncio.sleep(random.uniform(*_FIRST_SECONDS))  # noqa: S311  several start at once
        while True:
            try:
                if count := await self.delete_old_rows():
                    _LOG.info("old rows were deleted", count=count)
            except Exception as error:  # the database is away: the next hour is early enough
                _LOG.error("old rows could not be deleted", exc_info=error)
            await asyncio.sleep(_HOUR)
