"""Work in the background that survives a restart: a job is committed with what it belongs to, and
is tried until it is done, refused for good, or too late.
"""

import asyncio
import contextlib
import json
import random as chance
from collections.abc import Awaitable, Callable, Mapping

from sqlmodel.ext.asyncio.session import AsyncSession

from orderdesk_app.context import JsonObject, TenantId, UserId, new_id
from orderdesk_app.db.engine import after_commit
from orderdesk_app.db.jobs import ClaimedJob, Job, JobCounts, JobRows
from orderdesk_app.observability import JOBS, log
from orderdesk_app.security.keyring import INSTALLATION
from orderdesk_app.services.sealed import Seals

_LOG = log(__name__)
MOST_AT_ONCE = 4
MOST_ATTEMPTS = 30  # a little more than a day
_FIRST_WAIT = 5.0
_LONGEST_WAIT = 3600.0
# A lease outlives the work, so that no other process begins what is still being done here.
WORK_SECONDS = 45.0
LEASE_SECONDS = 90.0
_POLL_SECONDS = 5.0
STOP_SECONDS = 3.0
_SWEEP_SECONDS = 3600.0
_KEPT_SECONDS = 30 * 86_400.0  # of a job that gave up

Handler = Callable[[JsonObject], Awaitable[None]]


class JobFailed(Exception):
    """Work that was not done. `reason` is for the log and names nobody; a permanent failure is not
    tried again.
    """

    def __init__(self, reason: str, *, is_permanent: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.is_permanent = is_permanent


class Jobs:
    """Adds jobs, and runs those of every process: of all processes of an installation one runs a
    job, as long as it does not die.

    A handler may be called twice for one job: when its process dies between the work and the
    commit that says so.
    """

    def __init__(
        self,
        rows: JobRows,
        sealer: Seals,
        handlers: Mapping[str, Handler],
        *,
        poll: float = _POLL_SECONDS,
        random: Callable[[], float] = chance.random,
    ) -> None:
        self._rows = rows
        self._sealer = sealer
        self._handlers = handlers
        self._poll = poll
        self._random = random
        self._holder = new_id()
        self._woken = asyncio.Event()
        self._running: set[asyncio.Task[None]] = set()
        # Done, and the row is still there: the database was away. Never done again by this process.
        self._done: set[str] = set()
        self._runner: asyncio.Task[None] | None = None
        self._next_sweep = 0.0

    async def add(
        self,
        session: AsyncSession,
        kind: str,
        payload: JsonObject,
        *,
        tenant_id: TenantId | None = None,
        user_id: UserId | None = None,
        expires_in: float | None = None,
        run_in: float = 0.0,
    ) -> str:
        """Add a job to this transaction; it runs `run_in` seconds after the commit. It goes with
        its tenant or its user, and is not begun later than `expires_in` seconds from now. Returns
        its id.
        """
        assert kind in self._handlers, kind
        job_id = new_id()
        text = json.dumps(payload, ensure_ascii=False).encode()
        sealed = self._sealer.seal(INSTALLATION, "jobs", "payload", job_id, text)
        job = Job(
            id=job_id,
            kind=kind,
            tenant_id=tenant_id,
            user_id=user_id,
            payload=sealed,
            run_at=0.0,
        )
        await self._rows.add(session, job, expires_in=expires_in, run_in=run_in)
        after_commit(session, self._woken.set)
        return job_id

    async def counts(self) -> JobCounts:
        """How many wait, and how many gave up in the last 30 days."""
        return await self._rows.counts()

    async def start(self) -> None:
        self._runner = asyncio.create_task(self._run(), name="jobs")

    async def stop(self) -> None:
        """Begin nothing more, and let what runs end, for three seconds. What has not ended then is
        run again when its lease is over.
        """
        if self._runner is None:
            return
        self._runner.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._runner
        self._runner = None
        if self._running:
            _, late = await asyncio.wait(self._running, timeout=STOP_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            self._woken.clear()
            try:
                begun = await self._begin_due()
                await self._sweep()
            except Exception as error:  # the database is away: the next look is early enough
                _LOG.error("jobs could not be read", exc_info=error)
                begun = 0
            if not begun:
                with contextlib.suppress(TimeoutError):
                    # not wait_for: it may swallow a stop that comes with the news
                    async with asyncio.timeout(self._poll * (0.8 + self._random())):
                        await self._woken.wait()

    async def _begin_due(self) -> int:
        free = MOST_AT_ONCE - len(self._running)
        if free <= 0:
            return 0  # the end of any of them wakes us
        claimed = await self._rows.claim(self._holder, free, LEASE_SECONDS)
        for job in claimed:
            task = asyncio.create_task(self._work(job), name=f"job {job.kind}")
            self._running.add(task)
            task.add_done_callback(self._ended)
        return len(claimed)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._woken.set()

    async def _work(self, job: ClaimedJob) -> None:
        failure = None if job.id in self._done else await self._try(job)
        if failure is not None:
            await self._settle(job, lambda: self._fail(job, failure))
            return
        self._done.add(job.id)
        if await self._settle(job, lambda: self._rows.finish(job, self._holder)):
            self._done.discard(job.id)
            JOBS.labels(job.kind, "done").inc()

    async def _try(self, job: ClaimedJob) -> JobFailed | None:
        if job.is_expired:
            return JobFailed("it is too late for it", is_permanent=True)
        try:
            async with asyncio.timeout(WORK_SECONDS):
                await self._handlers[job.kind](await self._payload(job))
        except JobFailed as failure:
            return failure
        except TimeoutError:
            return JobFailed("it took too long")
        except Exception as error:
            _LOG.error("a job failed", exc_info=error, row=job.id, attempt=job.attempt)
            return JobFailed(f"a fault of ours: {type(error).__name__}")
        return None

    async def _payload(self, job: ClaimedJob) -> JsonObject:
        place = (INSTALLATION, "jobs", "payload", job.id)
        payload: JsonObject = json.loads(await self._sealer.open_for(*place, job.payload))
        return payload | {"job_id": job.id}

    async def _fail(self, job: ClaimedJob, error: JobFailed) -> None:
        wait = self._wait_after(job.attempt)
        is_too_late = job.seconds_left is not None and wait >= job.seconds_left
        if error.is_permanent or is_too_late or job.attempt >= MOST_ATTEMPTS:
            await self._rows.give_up(job, self._holder, error.reason)
            JOBS.labels(job.kind, "gave_up").inc()
            _LOG.error(
                "a job gave up",
                row=job.id,
                action=job.kind,
                attempt=job.attempt,
                reason=error.reason,
            )
            return
        await self._rows.run_again(job, self._holder, wait, error.reason)
        JOBS.labels(job.kind, "again").inc()
        _LOG.warning(
            "a job is tried again",
            row=job.id,
            action=job.kind,
            attempt=job.attempt,
            seconds=round(wait, 1),
            reason=error.reason,
        )

    def _wait_after(self, attempt: int) -> float:
        """Four times as long after each try, up to an hour; a fifth more or less, so that those
        that failed together do not come back together.
        """
        wait = min(_FIRST_WAIT * 4.0 ** min(attempt - 1, 10), _LONGEST_WAIT)
        return wait * (0.8 + 0.4 * self._random())

    async def _settle(self, job: ClaimedJob, write: Callable[[], Awaitable[None]]) -> bool:
        """Write down what became of a job, and try again while the lease lasts. False: it could not
        be written.
        """
        for wait in (0.5, 2.0, 8.0, 0.0):
            try:
                await write()
            except Exception as error:
                _LOG.error("what became of a job cannot be written", exc_info=error, row=job.id)
                await asyncio.sleep(wait)
            else:
                return True
        return False

    async def _sweep(self) -> None:
        clock = asyncio.get_running_loop().time()
        if clock >= self._next_sweep:
            self._next_sweep = clock + _SWEEP_SECONDS
            await self._rows.delete_given_up(_KEPT_SECONDS)
