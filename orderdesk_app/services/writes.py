"""The one way in which anything is written at Order Desk: lock, fresh read, journal row opened,
send, verify or reconcile, journal row closed, cache dropped
(docs/decisions/0010-one-write-protocol.md). The tool call has its audit row from the runner; a
write that a later read settles has one from the journal.

Order Desk replaces whole objects and knows no versions. A write whose answer was lost is settled by
reading; it is repeated only when reading proves that it was not done. When neither can be proven
the caller gets OutcomeUnknown, and the journal row stays open for the next read.

A kind of object brings a `Kind` (how it is read, settled and named), and for each thing that is
done with it an `Operation` (what is planned) with one or more `Sending` (one request, and how its
end is learnt). Orders are the first: order_kind.py, order_update.py, order_move.py,
order_create.py, order_delete.py.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol, TypeVar

from orderdesk_app.context import Actor, JsonObject, current_request
from orderdesk_app.errors import (
    AuthFailed,
    NotFound,
    OrderDeskAgentsError,
    OutcomeUnknown,
    RateLimited,
    Unexpected,
    ValidationFailed,
)
from orderdesk_app.observability import WRITES, log
from orderdesk_app.orderdesk.comparison import Difference, may_still_happen
from orderdesk_app.orderdesk.locks import Lock, WriteLocks
from orderdesk_app.orderdesk.wait_budget import WaitBudget
from orderdesk_app.services.journal import NO_ID_YET, Action, Journal, State
from orderdesk_app.services.journal import Kind as JournalKind
from orderdesk_app.services.open_store import OpenStore
from orderdesk_app.services.reads import Reads
from orderdesk_app.services.unfinished import UnfinishedWork, has_begun
from orderdesk_app.services.write_failures import (
    is_conflict,
    key_refused,
    lock_lost,
    reason,
    unknown_because,
)

_LOG = log(__name__)
_PAUSES = (0.3, 1.0, 3.0)  # seconds before reading again while Order Desk may still be at work
FIRST_CONFLICT_WAIT = 0.5  # seconds after a conflict; each further wait is twice as long
LONGEST_CONFLICT_WAIT = 8.0

Result = TypeVar("Result")
Answer = TypeVar("Answer")
ResultOf = TypeVar("ResultOf", covariant=True)


class Kind(JournalKind, Protocol):
    """A kind of object at Order Desk, as the protocol needs it."""

    async def read(self, store: OpenStore, object_id: str, budget: WaitBudget) -> JsonObject:
        """The object as it is now. Raises NotFound when it does not exist."""

    def no_such(self, store: OpenStore, object_id: str) -> NotFound:
        """The error for an id that the store does not have."""

    def differences(self, before: JsonObject, meant: JsonObject) -> list[Difference]:
        """What the step from one image of the object to the other changes."""

    def how_to_read(self, object_id: str) -> str:
        """The advice to read it first, such as "read order 5 with orders_get"."""

    def how_to_find(self, source_id: str) -> str:
        """The advice for an object that has no id yet: how to look for it before it is created
        again.
        """


@dataclass(slots=True)
class Write:
    """One write under way: who, where, what, and its journal row."""

    actor: Actor
    store: OpenStore
    kind: Kind
    object_id: str  # empty while a create has none
    action: Action
    budget: WaitBudget
    change_id: str = ""
    has_begun: bool = False  # its journal row is there
    may_still_happen: bool = False  # Order Desk may be at work on it although we stopped waiting
    found: JsonObject | None = None  # the object as it was seen last; the journal keeps it
    written_paths: tuple[str, ...] = ()  # of a write that is partly done
    is_preview: bool = False  # it is planned only, and nothing is written down of it


@dataclass(frozen=True, slots=True)
class Intent:
    """What a write means to do: the object as meant (None: gone), and the paths that change."""

    meant: JsonObject | None
    paths: Sequence[str]


@dataclass(frozen=True, slots=True)
class Preview:
    """What a write would do now: the object as read (None for a create), as it would be (None: it
    would be deleted), and each path that would change with its old and new value.
    """

    before: JsonObject | None
    meant: JsonObject | None
    changes: tuple[Difference, ...]


class Operation(Protocol[ResultOf]):
    """What one kind of write does: its own part of the protocol."""

    @property
    def lock_id(self) -> str | None:
        """The id to lock; None if no other caller can write the object."""

    async def plan(self, before: JsonObject | None) -> Intent | None:
        """What to write over the object as read (None for a create); None if nothing changes."""

    def unchanged(self, before: JsonObject | None) -> ResultOf:
        """The result when there is nothing to write."""

    async def carry_out(self, lock: Lock | None) -> ResultOf:
        """Sends what was planned. Sets `Write.found` to the object afterwards, and
        `Write.object_id` for a new one. Raises an error with its `outcome` if the write failed.
        """


class Sending(Protocol[Answer, ResultOf]):
    """One request that changes something, and how its outcome is found out."""

    async def send(self) -> Answer:
        """Make the request once."""

    async def verify(
        self, answer: Answer | None, lost: OrderDeskAgentsError | None, *, is_last: bool
    ) -> ResultOf | None:
        """The result once it is proven; None when it is proven that it must be sent again.

        `lost` is why there is no `answer`. Raises if the write failed or its outcome is unknown;
        after the last attempt it never returns None.
        """

    def not_sent(self, error: OrderDeskAgentsError) -> OrderDeskAgentsError:
        """What to raise for a request that was certainly not carried out."""


class Writes:
    """Runs every write. `repeats` is MUTATION_MAX_RETRIES, `timeout` HTTP_TIMEOUT in seconds."""

    def __init__(
        self,
        locks: WriteLocks,
        journal: Journal,
        reads: Reads,
        unfinished: UnfinishedWork,
        *,
        repeats: int,
        timeout: float,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._locks = locks
        self._journal = journal
        self._reads = reads
        self._unfinished = unfinished
        self._repeats = repeats
        self._timeout = timeout
        self._sleep = sleep

    # ------------------------------------------------------------------ the protocol

    async def run(self, write: Write, operation: Operation[Result]) -> Result:
        """Do it from the lock to the closed journal row.

        Raises NotFound, Conflict, RateLimited (the lock was not free in time), and what the
        operation raises; `outcome` says what became of it.
        """
        return await self._unfinished.run(self._run(write, operation))

    async def preview(self, write: Write, operation: Operation[Result]) -> Preview:
        """Reads the object and plans, without the lock: sends nothing that changes it, and leaves
        the journal as it is.

        Raises NotFound, and what the operation's plan raises.
        """
        write.is_preview = True
        before: JsonObject | None = None
        if write.action != "create":
            before = await self._read(write.kind, write.store, write.object_id, write.budget)
            if before is None:
                raise write.kind.no_such(write.store, write.object_id)
        intent = await operation.plan(before)
        meant = before if intent is None else intent.meant
        changes = () if meant is None else write.kind.differences(before or {}, meant)
        return Preview(before, meant, tuple(changes))

    async def _run(self, write: Write, operation: Operation[Result]) -> Result:
        try:
            async with self._locked(write, operation.lock_id) as lock:
                before = None if write.action == "create" else await self._fresh(write)
                intent = await operation.plan(before)
                if intent is None:
                    return operation.unchanged(before)
                await self._begin(write, lock, before, intent)
                try:
                    result = await operation.carry_out(lock)
                    await self._end(write, "done")
                    return result
                except BaseException as error:
                    await self._note_failure(write, error)
                    raise
        except OrderDeskAgentsError:
            raise
        except Exception as error:
            if write.has_begun:
                raise
            _LOG.error("a write failed before it began", exc_info=error)
            raise Unexpected(
                "Something went wrong on our side before anything was written. Try again; if it "
                "stays, tell your administrator this reference: "
                f"{current_request().request_id}.",
                outcome="not_done",
            ) from error

    async def send(
        self, write: Write, lock: Lock | None, sending: Sending[Answer, Result]
    ) -> Result:
        """Send until it is known what became of it, at most MUTATION_MAX_RETRIES times again."""
        attempt = 0
        while True:
            if lock is not None and not lock.still_held():
                raise sending.not_sent(lock_lost(write.kind.name))
            answer: Answer | None = None
            lost: OrderDeskAgentsError | None = None
            try:
                answer = await sending.send()
            except OrderDeskAgentsError as error:
                if error.outcome == "not_done" or isinstance(error, ValidationFailed):
                    refused = sending.not_sent(error)
                    if refused is error:
                        raise
                    raise refused from error
                lost = error
            is_last = attempt == self._repeats
            if is_conflict(lost) and not is_last:
                is_last = not await self._wait_after_conflict(write, attempt)
            result = await sending.verify(answer, lost, is_last=is_last)
            if result is not None:
                return result
            attempt += 1

    async def settle(
        self, actor: Actor, store: OpenStore, kind: Kind, object_id: str
    ) -> JsonObject | None:
        """Settles what earlier writes of this object left open, unless another call is writing it
        now: that call will. Returns the object as read for that; None if not read, or gone.
        """
        try:
            async with self._locks.holding(store.access, object_id, WaitBudget(0), kind=kind.name):
                left = await self._journal.left_open(actor, store.record, kind, object_id)
                found = await self._read(kind, store, object_id, WaitBudget(self._timeout))
                await self._journal.settle(
                    actor, store.record, kind, object_id, left, found, budget=self._timeout
                )
                return found
        except RateLimited:
            return None

    async def settle_found(self, write: Write, object_id: str, found: JsonObject) -> None:
        """Settles what earlier writes left open of an object that this write has read."""
        if write.is_preview:
            return
        left = await self._journal.left_open(write.actor, write.store.record, write.kind, object_id)
        await self._journal.settle(
            write.actor,
            write.store.record,
            write.kind,
            object_id,
            left,
            found,
            budget=self._timeout,
        )

    # ------------------------------------------------------------------ find out the outcome

    async def read(self, write: Write, object_id: str | None = None) -> JsonObject | None:
        """The object of this write, or another of its kind; None when it does not exist."""
        return await self._read(
            write.kind, write.store, object_id or write.object_id, self.time_to_read(write)
        )

    async def read_lost(self, write: Write, lost: OrderDeskAgentsError) -> JsonObject | None:
        """Read to learn what became of a write.

        Raises OutcomeUnknown when even that cannot be read.
        """
        try:
            return await self.read(write)
        except OrderDeskAgentsError as error:
            raise key_refused(error, lost) or self.unknown(write, lost) from error

    def pauses(self, lost: OrderDeskAgentsError | None) -> Iterator[float]:
        """Seconds to wait before each read that checks a write: one read at once, and more if Order
        Desk may still be at work.
        """
        yield 0.0
        if lost is not None and may_still_happen(lost):
            for pause in _PAUSES:
                yield min(pause, self._timeout)

    async def pause(self, seconds: float) -> None:
        """Waits before the next read."""
        if seconds:
            await self._sleep(seconds)

    def time_to_read(self, write: Write) -> WaitBudget:
        """A WaitBudget for reads alone: a write that waited long must still be able to find out its
        outcome.
        """
        write.budget.requests += 1
        return WaitBudget(max(self._timeout, write.budget.remaining()))

    async def plan_again(self, write: Write, *, before: JsonObject, meant: JsonObject) -> None:
        """Records in the journal, before the next request, that the write is planned again over a
        newer read of the object.
        """
        await self._journal.renew(write.actor, write.change_id, before=before, meant=meant)

    def unknown(
        self, write: Write, lost: OrderDeskAgentsError, *, source_id: str = ""
    ) -> OutcomeUnknown:
        """The error for a write of which neither success nor failure can be proven.

        `source_id` is how to look for an object that has no id yet.
        """
        write.may_still_happen = may_still_happen(lost)
        details: dict[str, object] = {
            "change_id": write.change_id,
            f"{write.kind.name}_id": str(write.object_id),
        }
        advice = f"{write.kind.how_to_read(write.object_id)} and repeat only what is missing"
        if source_id:
            details = {"change_id": write.change_id, "source_id": source_id}
            advice = write.kind.how_to_find(source_id)
        return unknown_because(
            lost,
            f"{reason(lost)} It is not known whether the change was made. Do not repeat it yet: "
            f"first {advice}.",
            details,
        )

    # ------------------------------------------------------------------ the steps

    def _locked(
        self, write: Write, lock_id: str | None
    ) -> AbstractAsyncContextManager[Lock | None]:
        if lock_id is None:
            return nullcontext()
        return self._locks.holding(write.store.access, lock_id, write.budget, kind=write.kind.name)

    async def _fresh(self, write: Write) -> JsonObject:
        """The object as it is now; settles what earlier writes left open. Raises NotFound."""
        question = asyncio.ensure_future(
            self._journal.left_open(write.actor, write.store.record, write.kind, write.object_id)
        )
        try:
            found = await self._read(write.kind, write.store, write.object_id, write.budget)
        except BaseException:
            question.cancel()
            await asyncio.gather(question, return_exceptions=True)
            raise
        await self._journal.settle(
            write.actor,
            write.store.record,
            write.kind,
            write.object_id,
            await question,
            found,
            budget=self._timeout,
        )
        if found is None:
            raise write.kind.no_such(write.store, write.object_id)
        return found

    @staticmethod
    async def _read(
        kind: Kind, store: OpenStore, object_id: str, budget: WaitBudget
    ) -> JsonObject | None:
        try:
            return await kind.read(store, object_id, budget)
        except NotFound:
            return None

    async def _begin(
        self, write: Write, lock: Lock | None, before: JsonObject | None, intent: Intent
    ) -> None:
        # Called before the row is committed: if the caller disconnected during the commit, a row
        # would stay open for a write that was never sent.
        has_begun()
        try:
            write.change_id = await self._journal.open(
                write.actor,
                write.store.record,
                write.kind.name,
                write.object_id or NO_ID_YET,
                write.action,
                before=before,
                meant=intent.meant,
                paths=intent.paths,
            )
        except (AuthFailed, NotFound) as error:
            # the account, the user or the store was deleted while the write waited in line
            raise error.reworded(error.message, outcome="not_done") from error
        except Exception as error:
            _LOG.error("the journal could not be opened", exc_info=error)
            raise Unexpected(
                "Our journal could not be written, so nothing was changed. Try again in a minute.",
                outcome="not_done",
            ) from error
        write.has_begun = True
        if lock is not None and not lock.still_held():
            await self._end(write, "not_done")
            raise lock_lost(write.kind.name)

    async def _end(
        self,
        write: Write,
        state: State,
        *,
        paths: Sequence[str] | None = None,
        is_final: bool = True,
    ) -> None:
        """Closes the journal row and drops the store's cache.

        A database that fails here does not turn a write that was done into a failure.
        """
        WRITES.labels(write.action, state).inc()
        try:
            await self._journal.close(
                write.actor,
                write.store.record,
                write.change_id,
                state,
                after=write.found if state == "done" else None,
                object_id=write.object_id or None,
                paths=paths,
                final=is_final,
            )
        except Exception as error:
            _LOG.error("a journal row stays open for the next read", exc_info=error)
        try:
            await self._reads.drop(write.store.access.upstream_id)
        except Exception as error:
            _LOG.error("the cache could not be emptied", exc_info=error)

    async def _note_failure(self, write: Write, error: BaseException) -> None:
        outcome = error.outcome if isinstance(error, OrderDeskAgentsError) else "unknown"
        if isinstance(error, OrderDeskAgentsError):
            error.change_id = write.change_id
            error.details["change_id"] = write.change_id
        if outcome == "not_done":
            await self._end(write, "not_done")
        elif outcome == "partly_done":
            await self._end(write, "done", paths=write.written_paths)
        else:
            await self._end(write, "unknown" if write.may_still_happen else "open", is_final=False)

    async def _wait_after_conflict(self, write: Write, attempt: int) -> bool:
        """Waits before the object is read and written again; False if the call has no time left."""
        seconds = min(LONGEST_CONFLICT_WAIT, FIRST_CONFLICT_WAIT * 2.0**attempt)
        if seconds > write.budget.remaining():
            return False
        with write.budget.waiting():
            await self._sleep(seconds)
        return True
