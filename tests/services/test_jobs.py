"""A job is run once, by whichever process comes first, and survives restarts, faults and waits."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from orderdesk_app.context import JsonObject, Sealed
from orderdesk_app.db.engine import Database, after_commit
from orderdesk_app.db.jobs import Job, JobCounts, JobRows
from orderdesk_app.security.sealing import Sealer
from orderdesk_app.services import jobs as jobs_service
from orderdesk_app.services.jobs import (
    LEASE_SECONDS,
    MOST_ATTEMPTS,
    WORK_SECONDS,
    Handler,
    JobFailed,
    Jobs,
)
from tests.worlds import counted, eventually

SECRET = "https://desk.example.com/verify?token=Zk3_9-xQ7vLm2Np5Rs8Tt1Uu4Vv6Ww0X"


@dataclass
class Clock:
    seconds: float = 1_000_000.0

    def __call__(self) -> float:
        return self.seconds


@dataclass
class Work:
    """What was asked of a handler; it fails with `faults` first, one for each call."""

    seen: list[JsonObject] = field(default_factory=list)
    faults: list[Exception] = field(default_factory=list)

    async def __call__(self, payload: JsonObject) -> None:
        self.seen.append(payload)
        if self.faults:
            raise self.faults.pop(0)

    @property
    def numbers(self) -> list[Any]:
        return [payload["number"] for payload in self.seen]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make(database: Database, sealer: Sealer, clock: Clock) -> Callable[..., Jobs]:
    """Jobs as one process has them; `database` may be another connection to the same one."""

    def make(work: Handler, at: Database = database) -> Jobs:
        rows = JobRows(at, ("test",), clock)
        return Jobs(rows, sealer, {"test": work}, poll=0.01, random=lambda: 0.5)

    return make


@asynccontextmanager
async def running(*several: Jobs) -> AsyncIterator[None]:
    for jobs in several:
        await jobs.start()
    try:
        yield
    finally:
        for jobs in several:
            await jobs.stop()


async def add(database: Database, jobs: Jobs, number: int = 1, **values: Any) -> str:
    async with database.write() as session:
        return await jobs.add(session, "test", {"number": number, "link": SECRET}, **values)


async def idle(jobs: Jobs) -> None:
    """Until nothing waits."""
    await eventually(lambda: is_empty(jobs), 20)


async def is_empty(jobs: Jobs) -> bool:
    return (await jobs.counts()).waiting == 0


async def row(database: Database) -> tuple[Any, ...]:
    [found] = await database.execute(
        "SELECT attempts, run_at, gave_up_at, reason, payload FROM jobs", {}
    )
    return tuple(found)


async def test_a_job_runs_after_the_commit_and_its_row_goes(
    database: Database, make: Callable[..., Jobs]
) -> None:
    work = Work()
    jobs = make(work)
    async with running(jobs):
        async with database.write() as session:
            job_id = await jobs.add(session, "test", {"number": 7})
            await asyncio.sleep(0.05)
            assert work.seen == []
        await idle(jobs)

    assert work.seen == [{"number": 7, "job_id": job_id}]
    assert await jobs.counts() == JobCounts(0, 0, 0)


@pytest.mark.parametrize("ticks", range(4))
async def test_a_stop_that_comes_with_a_new_job_is_heard(
    database: Database, sealer: Sealer, ticks: int
) -> None:
    """At whatever moment between the news of a job and the look at it."""
    jobs = Jobs(JobRows(database, ("test",)), sealer, {"test": Work()}, poll=60)
    stopping: list[asyncio.Task[None]] = []

    async def stop() -> None:
        for _ in range(ticks):
            await asyncio.sleep(0)
        await jobs.stop()

    await jobs.start()
    await asyncio.sleep(0.1)  # until it waits
    async with database.write() as session:
        await jobs.add(session, "test", {"number": 1})
        after_commit(session, lambda: stopping.append(asyncio.create_task(stop())))

    done, _ = await asyncio.wait(stopping, timeout=5)
    assert done, "the stop was not heard"


async def test_a_transaction_that_is_rolled_back_leaves_no_job(
    database: Database, make: Callable[..., Jobs]
) -> None:
    jobs = make(Work())

    with contextlib.suppress(LookupError):
        async with database.write() as session:
            await jobs.add(session, "test", {"number": 7})
            raise LookupError

    assert await jobs.counts() == JobCounts(0, 0, 0)


async def test_what_a_job_holds_is_sealed(
    database: Database,
    make: Callable[..., Jobs],
    everything_in: Callable[[Database], Awaitable[bytes]],
) -> None:
    work = Work(faults=[JobFailed("no", is_permanent=True)])
    jobs = make(work)
    await add(database, jobs)

    assert SECRET.encode() not in await everything_in(database)
    async with running(jobs):
        await idle(jobs)
    assert work.seen[0]["link"] == SECRET
    assert (await row(database))[4] == b"", "a job that gave up holds nothing any more"


async def test_a_failure_is_tried_again_after_growing_waits_by_the_next_process(
    database: Database, make: Callable[..., Jobs], clock: Clock
) -> None:
    waits = []
    work = Work()
    await add(database, make(work))
    for attempt in range(1, 9):
        work.faults = [JobFailed("the mail server is away")]
        jobs = make(work)  # a restart between any two
        async with running(jobs):
            await eventually(lambda attempt=attempt: has_failed(database, attempt), 20)
        tried, run_at, gave_up_at, reason, _ = await row(database)
        assert (tried, gave_up_at, reason) == (attempt, None, "the mail server is away")
        waits.append(run_at - clock.seconds)
        clock.seconds = run_at + 0.001

    jobs = make(work)
    async with running(jobs):
        await idle(jobs)

    assert waits == pytest.approx([5, 20, 80, 320, 1280, 3600, 3600, 3600])
    assert work.numbers == [1] * 9
    assert await jobs.counts() == JobCounts(0, 0, 0)


async def has_failed(database: Database, attempt: int) -> bool:
    [(attempts, holder)] = await database.execute("SELECT attempts, holder FROM jobs", {})
    return bool(attempts == attempt and holder == "")


async def test_nothing_runs_before_its_time(
    database: Database, make: Callable[..., Jobs], clock: Clock
) -> None:
    work = Work(faults=[JobFailed("not yet")])
    jobs = make(work)
    await add(database, jobs)
    async with running(jobs):
        await eventually(lambda: has_failed(database, 1), 20)
        clock.seconds += 4.9
        await asyncio.sleep(0.05)

    assert len(work.seen) == 1


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (JobFailed("refused (550)", is_permanent=True), "refused (550)"),
        (JobFailed("later", is_permanent=False), "later"),
        (ValueError("ada@example.com"), "a fault of ours: ValueError"),
    ],
)
async def test_a_job_gives_up_when_it_is_refused_or_was_tried_often_enough(
    database: Database,
    make: Callable[..., Jobs],
    fault: Exception,
    reason: str,
) -> None:
    work = Work(faults=[fault])
    jobs = make(work)
    await add(database, jobs)
    if not getattr(fault, "is_permanent", False):
        await database.execute("UPDATE jobs SET attempts = :count", {"count": MOST_ATTEMPTS - 1})
    async with running(jobs):
        await idle(jobs)
        await asyncio.sleep(0.05)

    assert work.numbers == [1]
    assert (await row(database))[2:4] == (1_000_000.0, reason)
    assert await jobs.counts() == JobCounts(waiting=0, late=0, gave_up=1)


async def test_what_is_too_late_is_not_done(
    database: Database, make: Callable[..., Jobs], clock: Clock
) -> None:
    work = Work(faults=[JobFailed("away")])
    jobs = make(work)
    await add(database, jobs, number=1, expires_in=4.0)
    async with running(jobs):
        await idle(jobs)  # the next try would come after 5 seconds
    assert (await row(database))[3] == "away"
    await database.execute("DELETE FROM jobs", {})

    await add(database, jobs, number=2, expires_in=900.0)
    clock.seconds += 901
    async with running(jobs):
        await idle(jobs)

    assert work.numbers == [1]
    assert (await row(database))[3] == "it is too late for it"


async def test_a_process_that_dies_loses_nothing(
    database: Database, make: Callable[..., Jobs], clock: Clock
) -> None:
    begun = asyncio.Event()

    async def hangs(_: JsonObject) -> None:
        begun.set()
        await asyncio.sleep(60)

    dying, work = make(hangs), Work()
    await add(database, dying)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(jobs_service, "STOP_SECONDS", 0.01)
        async with running(dying):
            await begun.wait()

    heir = make(work)
    async with running(heir):
        await asyncio.sleep(0.05)
        assert work.seen == [], "the lease holds"
        clock.seconds += LEASE_SECONDS + 0.001
        await idle(heir)

    assert work.numbers == [1]


async def test_a_stop_waits_for_what_runs(database: Database, make: Callable[..., Jobs]) -> None:
    begun = asyncio.Event()
    done: list[int] = []

    async def slow(_: JsonObject) -> None:
        begun.set()
        await asyncio.sleep(0.1)
        done.append(1)

    jobs = make(slow)
    await add(database, jobs)
    async with running(jobs):
        await begun.wait()

    assert done == [1]
    assert await jobs.counts() == JobCounts(0, 0, 0)


async def test_two_processes_run_each_job_once(
    database: Database, database_url: str, make: Callable[..., Jobs]
) -> None:
    second = Database(database_url)
    before = counted("jobs", kind="test", outcome="done")
    works = Work(), Work()
    several = make(works[0]), make(works[1], second)
    try:
        async with running(*several):
            for number in range(60):
                await add(database, several[number % 2], number)
            await idle(several[0])
    finally:
        await second.close()

    assert sorted(works[0].numbers + works[1].numbers) == list(range(60))
    assert all(work.seen for work in works), "both work"
    assert counted("jobs", kind="test", outcome="done") == before + 60


async def test_a_process_that_was_suspended_changes_nothing_any_more(
    database: Database, clock: Clock
) -> None:
    rows = JobRows(database, ("test",), clock)
    async with database.write() as session:
        await rows.add(session, made_up_job(), expires_in=None)
    [late] = await rows.claim("late", 4, LEASE_SECONDS)
    assert await rows.claim("other", 4, LEASE_SECONDS) == []
    clock.seconds += LEASE_SECONDS
    [taken] = await rows.claim("other", 4, LEASE_SECONDS)

    await rows.finish(late, "late")
    await rows.give_up(late, "late", "late")
    await rows.run_again(late, "late", 0, "late")

    assert (await row(database))[:4] == (2, 1_000_000.0, None, "")
    await rows.finish(taken, "other")
    assert await rows.counts() == JobCounts(0, 0, 0)


def made_up_job() -> Job:
    return Job(kind="test", payload=Sealed(b"x"), run_at=0)


async def test_a_job_of_another_release_is_left_to_it(
    database: Database, make: Callable[..., Jobs], sealer: Sealer, clock: Clock
) -> None:
    newer = Jobs(JobRows(database, ("newer",), clock), sealer, {"newer": Work()})
    async with database.write() as session:
        await newer.add(session, "newer", {})
    async with running(make(Work())):
        await asyncio.sleep(0.05)

    assert (await row(database))[0] == 0


async def test_what_was_done_is_not_done_again_when_that_cannot_be_written(
    database: Database,
    make: Callable[..., Jobs],
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    was_tried = asyncio.Event()

    async def away(*_: Any) -> None:
        was_tried.set()
        raise OSError

    work = Work()
    jobs = make(work)
    await add(database, jobs)
    with monkeypatch.context() as patched:
        patched.setattr(JobRows, "finish", away)
        patched.setattr(jobs_service, "STOP_SECONDS", 0.01)
        async with running(jobs):
            await asyncio.wait_for(was_tried.wait(), 20)
    assert (await jobs.counts()).waiting == 1

    clock.seconds += LEASE_SECONDS + 1
    async with running(jobs):
        await idle(jobs)

    assert len(work.seen) == 1


async def test_a_job_goes_with_its_tenant_and_its_user(
    database: Database, make: Callable[..., Jobs], tenant: Any, neighbour: Any
) -> None:
    jobs = make(Work())
    await add(database, jobs, 1, tenant_id=tenant.view.id)
    await add(database, jobs, 2, user_id=tenant.view.owner_id)
    await add(database, jobs, 3, tenant_id=neighbour.view.id)
    for table, row_id in (("tenants", tenant.view.id), ("users", tenant.view.owner_id)):
        await database.execute(f"DELETE FROM {table} WHERE id = :id", {"id": row_id})

    assert (await jobs.counts()).waiting == 1


async def test_what_gave_up_is_forgotten_after_a_month(database: Database, clock: Clock) -> None:
    rows = JobRows(database, ("test",), clock)
    async with database.write() as session:
        await rows.add(session, made_up_job(), expires_in=None)
    [claimed] = await rows.claim("a", 1, 60)
    await rows.give_up(claimed, "a", "no")

    assert await rows.delete_given_up(30 * 86_400) == 0
    clock.seconds += 30 * 86_400 + 1
    assert await rows.delete_given_up(30 * 86_400) == 1


async def test_late_jobs_are_counted(database: Database, clock: Clock) -> None:
    rows = JobRows(database, ("test",), clock)
    async with database.write() as session:
        await rows.add(session, made_up_job(), expires_in=None)

    assert await rows.counts() == JobCounts(waiting=1, late=0, gave_up=0)
    clock.seconds += 61
    assert await rows.counts() == JobCounts(waiting=1, late=1, gave_up=0)


async def test_the_databases_own_clock_counts_where_no_test_has_another(
    database: Database, sealer: Sealer
) -> None:
    work = Work()
    jobs = Jobs(JobRows(database, ("test",)), sealer, {"test": work}, poll=0.01)
    await add(database, jobs, expires_in=60.0)
    async with running(jobs):
        await idle(jobs)

    assert work.numbers == [1]


def test_a_lease_outlives_the_work() -> None:
    assert LEASE_SECONDS > WORK_SECONDS * 1.5
