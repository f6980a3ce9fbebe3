"""The audit log: rows of writes are committed before the answer, rows of reads within a second.

Refused calls have short rows, and not each has its own (services/refusal_sampling.py).
"""

import asyncio
import contextlib
from collections.abc import Callable, Hashable, Iterator, Set
from dataclasses import replace
from typing import Any, Protocol

from sqlalchemy.exc import IntegrityError
from sqlmodel.ext.asyncio.session import AsyncSession

from orderdesk_app.context import Actor, TenantId
from orderdesk_app.db.engine import Database
from orderdesk_app.db.signals import Signals
from orderdesk_app.errors import DatabaseBusy, PermissionDenied
from orderdesk_app.observability import AUDIT_ROWS, AUDIT_WAITING, log
from orderdesk_app.services.audit_rows import AuditRows, Pending, RowsThere, pending
from orderdesk_app.services.audit_rows import Entry as Entry  # which every service writes
from orderdesk_app.services.limits import network_of
from orderdesk_app.services.refusal_sampling import WINDOW_SECONDS, RefusalSampling
from orderdesk_app.services.sealed import Seals

_LOG = log(__name__)
MOST_QUEUED = 2_000
FLUSH_SECONDS = 0.4
LONGEST_WAIT = 10.0  # seconds for a place in the queue: the disk may be full for hours
_MOST_MARKS = 10_000
# networks of strangers that are told apart at a time; a /48 of IPv6 has 65,536
_MOST_NETWORKS = 20
UNKNOWN_TOOL = "unknown"  # the tool of a call for one that there is not
DENIED = "denied."  # the actions of refused acts begin with it
ACTIVITY = "activity"  # the kind of the signals: their topic goes on with the accounts
STRANGERS = "strangers"  # the topic of rows of no account, such as that of a wrong key
_MOST_IN_TOPIC = 200  # accounts; a signal of Postgres has at most 8,000 bytes


class AuditTrail(Protocol):
    """The audit log as other services use it."""

    async def write(self, entry: Entry) -> None: ...

    async def write_or_queue(self, entry: Entry) -> None: ...


class AuditLog:
    """`write` and `write_or_queue` for what changes something (committed when they return), `queue`
    for reads (committed within a second), `refuse` for calls and keys that were refused.
    """

    def __init__(
        self,
        database: Database,
        sealer: Seals,
        *,
        enabled: bool,
        signals: Signals | None = None,
        note: Callable[[Entry], None] = lambda _: None,
    ) -> None:
        """`note` hears of every entry, also while no rows are written."""
        self._database = database
        self._enabled = enabled
        self._signals = signals
        self._note = note
        # accounts of whose committed rows other processes have not heard yet
        self._unpublished: set[TenantId] = set()
        self._rows = AuditRows(sealer, is_sqlite=database.is_sqlite)
        # rows whose commit failed, and may have happened all the same
        self._tried: set[str] = set()
        self._queue: asyncio.Queue[Pending] = asyncio.Queue(MOST_QUEUED)
        # out of the queue and not committed yet: kept when a commit fails
        self._in_flight: list[Pending] = []
        self._committing = asyncio.Lock()
        self._waiting_writes: dict[str, Pending] = {}  # rows of writes whose callers wait for them
        self._writing = asyncio.Lock()
        self._has_rows = asyncio.Event()
        self._flush_now = asyncio.Event()
        self._is_stopping = False
        self._refused_calls: RefusalSampling[Entry] = RefusalSampling()
        self._refused_keys: RefusalSampling[Entry] = RefusalSampling(most_kinds=_MOST_NETWORKS)
        self._refused_acts: RefusalSampling[Entry] = RefusalSampling()
        self._next_counts: asyncio.TimerHandle | None = None
        self._flusher: asyncio.Task[None] | None = None
        self._commits = 0
        self._marks_from = 0
        # No LRUCache: when it is full, every account's number must change, and none may be dropped.
        self._marks: dict[TenantId, int] = {}
        if signals is not None:
            signals.subscribe(self._hear)

    @property
    def _samplings(self) -> tuple[RefusalSampling[Entry], ...]:
        return (self._refused_calls, self._refused_keys, self._refused_acts)

    def _hear(self, topic: str) -> None:
        """Rows were committed, here or by another process."""
        kind, _, tenants = topic.partition(":")
        if kind == ACTIVITY:
            self._advance({TenantId(tenant_id) for tenant_id in tenants.split(",")})

    async def start(self) -> None:
        self._is_stopping = False
        self._flush_now.clear()
        self._flusher = asyncio.create_task(self._flush_until_stopped(), name="audit-flush")

    async def stop(self) -> None:
        """Flush what waits, then stop."""
        if self._next_counts is not None:
            self._next_counts.cancel()
            self._next_counts = None
        if self._flusher is not None:
            self._is_stopping = True
            self._has_rows.set()
            self._flush_now.set()
            await self._flusher
            self._flusher = None
        await self._flush(with_open_counts=True)

    async def write(self, entry: Entry) -> None:
        """Commit the row now, together with those that came while others were committed.

        A row that cannot be committed is an error: no write goes unrecorded.
        """
        self._note(entry)
        try:
            await self._write(entry)
        except BaseException:
            self._tried.discard(entry.id)  # nobody tries again
            raise

    async def _write(self, entry: Entry) -> None:
        if not self._enabled:
            return
        line = pending(entry)
        self._waiting_writes[entry.id] = line
        try:
            async with self._writing:
                if entry.id not in self._waiting_writes:
                    return  # the writer before us committed it with its own
                lines = list(self._waiting_writes.values())
                try:
                    await self._commit(lines, "write")
                except Exception:
                    if len(lines) == 1:
                        raise
                    lines = [line]  # another row may be the one that fails
                    await self._commit(lines, "write")
                for done, _ in lines:
                    self._waiting_writes.pop(done.id, None)
                self._signal_here({done.actor.tenant_id for done, _ in lines})
        finally:
            self._waiting_writes.pop(entry.id, None)

    async def write_or_queue(self, entry: Entry) -> None:
        """`write` for an action that is done already: a row that cannot be committed is queued, as
        an error would wrongly say that the action failed.
        """
        self._note(entry)
        try:
            await self._write(entry)
        except Exception as error:
            _LOG.error(
                "an audit row waits for the database",
                exc_info=error,
                action=entry.tool or entry.action,
            )
            try:
                await self._enqueue(entry)
            except DatabaseBusy as full:
                self._tried.discard(entry.id)
                _LOG.error("an audit row is lost", exc_info=full, action=entry.tool or entry.action)

    async def queue(self, entry: Entry) -> None:
        """Queue the row; waits while the queue is full.

        Raises DatabaseBusy when the database takes no rows for too long.
        """
        self._note(entry)
        await self._enqueue(entry)

    async def _enqueue(self, entry: Entry) -> None:
        if not self._enabled:
            return
        line: Pending = pending(entry)
        try:
            self._queue.put_nowait(line)
        except asyncio.QueueFull:
            await self._wait_for_place(line)
        self._has_rows.set()
        if self._queue.qsize() > MOST_QUEUED // 2:
            self._flush_now.set()

    async def _wait_for_place(self, line: Pending) -> None:
        self._flush_now.set()
        try:
            async with asyncio.timeout(LONGEST_WAIT):
                await self._queue.put(line)
        except TimeoutError as error:
            raise DatabaseBusy(
                "Our audit log takes no rows, so nothing is done that could not be written down. "
                f"Try again in {LONGEST_WAIT:.0f} s; if it stays, tell your administrator.",
                retry_after=LONGEST_WAIT,
                outcome="not_done",
            ) from error

    def note_use(self, actor: Actor) -> None:
        """A key was sent with something else than a call: it is in use, and no row says so."""
        self._note(Entry(actor=actor, action="connect", outcome="ok"))

    def refuse_call(self, entry: Entry) -> None:
        """Queue a short row for a call that was refused before it ran; beyond ten of a credential,
        tool and outcome in a minute, count it, and queue one row with the count after that minute.
        """
        self._note(entry)
        actor = entry.actor
        who = actor.credential_id or actor.session_id or actor.user_id
        kind = (actor.tenant_id, who, entry.tool, entry.outcome)
        self._refuse(entry, self._refused_calls, kind, (actor.tenant_id, entry.outcome))

    def refuse_key(self, entry: Entry, network: str) -> None:
        """The same for a wrong key, by the network address that it came from: no use of it."""
        self._refuse(entry, self._refused_keys, network, "")

    def refuse_act(self, actor: Actor, lacking: str) -> None:
        """The same for what a person asked for on a page and may not do, by who it was, what they
        lacked, and the network address. `lacking` is a permission, "operators" for what those alone
        may do, or empty for anything else.
        """
        entry = Entry(actor, f"{DENIED}{lacking or 'other'}", outcome=PermissionDenied.code)
        kind = (actor.tenant_id, actor.user_id, entry.action, network_of(actor.address))
        self._refuse(entry, self._refused_acts, kind, (actor.tenant_id, entry.action))

    def _refuse(
        self,
        entry: Entry,
        sampling: RefusalSampling[Entry],
        kind: Hashable,
        coarse_kind: Hashable,
    ) -> None:
        if not self._enabled:
            return
        entry = replace(entry, arguments=None, is_refusal=True)
        if self._queue.full():  # a refusal waits for no place
            sampling.count(entry, kind, coarse_kind)
        elif sampling.has_own_row(entry, kind, coarse_kind):
            self._queue.put_nowait((entry, None))
            self._has_rows.set()
            return
        if self._next_counts is None:
            self._flush_counts_later()

    def _flush_counts_later(self) -> None:
        """Once a minute, as long as there are counts."""
        self._next_counts = None
        if any(sampling.is_counting for sampling in self._samplings):
            loop = asyncio.get_running_loop()
            self._next_counts = loop.call_later(WINDOW_SECONDS, self._flush_counts_later)
            self._has_rows.set()

    async def flush(self) -> None:
        """Commit all queued rows; when it returns, every row that was queued before is in the
        database.
        """
        await self._flush(with_open_counts=False)

    async def _flush(self, *, with_open_counts: bool) -> None:
        async with self._committing:
            await self._commit_in_flight()
            self._in_flight = [self._queue.get_nowait() for _ in range(self._queue.qsize())]
            for sampling in self._samplings:
                for latest, count in sampling.take_due(with_open=with_open_counts):
                    self._in_flight.append((replace(latest, times=count), None))
            await self._commit_in_flight()

    def mark(self, tenant_id: TenantId) -> int:
        """A number that changes whenever this process commits rows of that account, or hears that
        another one did.
        """
        return self._marks.get(tenant_id, self._marks_from)

    async def _commit_in_flight(self) -> None:
        if self._in_flight:
            await self._commit(self._in_flight, "read")
            self._in_flight = []
        if self._unpublished:
            tenants = set(self._unpublished)
            async with self._database.write() as session:
                await self._publish(session, tenants, here=False)
            self._unpublished -= tenants

    def _signal_here(self, tenants: Set[TenantId]) -> None:
        """This process hears of rows at once, others with the next flush: an agent waits for the
        commit of a write, and nobody for the signal.
        """
        if self._signals is not None:
            for topic in _topics(tenants):
                self._signals.deliver(topic)
            self._unpublished |= tenants
            self._has_rows.set()

    async def _publish(self, session: AsyncSession, tenants: Set[TenantId], *, here: bool) -> None:
        if self._signals is not None:
            for topic in _topics(tenants):
                await self._signals.publish(session, topic, here=here)

    async def _flush_until_stopped(self) -> None:
        while not self._is_stopping:
            await self._has_rows.wait()
            self._has_rows.clear()
            # The first row waits longest: at most this time, plus the commit.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FLUSH_SECONDS):
                    await self._flush_now.wait()
            # before the commit: the queue may fill up again meanwhile
            self._flush_now.clear()
            AUDIT_WAITING.set(self._queue.qsize())
            try:
                await self.flush()
            except Exception as error:  # the database cannot be reached: keep the rows, try again
                _LOG.error(
                    "audit rows wait for the database", exc_info=error, count=len(self._in_flight)
                )
                self._has_rows.set()
                await asyncio.sleep(FLUSH_SECONDS)

    async def _commit(self, lines: list[Pending], kind: str) -> None:
        rows = await self._rows.rows(lines)
        entries = [entry for entry, _ in lines]
        tenants = {entry.actor.tenant_id for entry in entries}
        ids = {entry.id for entry in entries}
        try:
            try:
                await self._insert(rows, entries, tried=ids & self._tried, kind=kind)
            except RowsThere:  # such as the one of a deletion that is tried again after a crash
                await self._insert(rows, entries, tried=ids, kind=kind)
            except IntegrityError:  # nobody stops the log with rows of their own
                await self._insert(
                    rows, entries, tried=ids & self._tried, kind=kind, are_numbers_taken=True
                )
        except BaseException:
            self._tried |= ids
            raise
        finally:
            self._advance(tenants)
        self._tried -= ids
        AUDIT_ROWS.labels(kind).inc(len(rows))
        AUDIT_WAITING.set(self._queue.qsize())

    async def _insert(
        self,
        rows: list[tuple[Any, ...]],
        entries: list[Entry],
        *,
        tried: Set[str],
        kind: str,
        are_numbers_taken: bool = False,
    ) -> None:
        async with self._database.write() as session:
            await self._rows.insert(
                session, rows, entries, tried=tried, are_numbers_taken=are_numbers_taken
            )
            if kind == "read":
                await self._publish(
                    session, {entry.actor.tenant_id for entry in entries}, here=True
                )

    def _advance(self, tenants: Set[TenantId]) -> None:
        self._commits += 1
        if len(self._marks) > _MOST_MARKS:
            self._marks.clear()
            # every account's number changes: one query too many does no harm
            self._marks_from = self._commits
        for tenant_id in tenants:
            self._marks[tenant_id] = self._commits


def _topics(tenants: Set[TenantId]) -> Iterator[str]:
    if any(not tenant_id for tenant_id in tenants):
        yield STRANGERS
    ids = sorted(str(tenant_id) for tenant_id in tenants if tenant_id)
    for start in range(0, len(ids), _MOST_IN_TOPIC):
        yield f"{ACTIVITY}:{','.join(ids[start : start + _MOST_IN_TOPIC])}"
