"""Safe order changes: one writer at a time, a fresh read, a merge, one write, and proof of what
became of it (docs/decisions/0009-updates-merge-and-verify.md,
docs/decisions/0010-one-write-protocol.md).

Order Desk replaces whole orders and knows no versions. A write whose answer was lost is settled by
reading; it is repeated only when reading proves that it was not done. When neither can be proven
the caller hears OutcomeUnknown, and the journal row stays open for the next read.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from orderdesk_app.context import Actor, OrderId, current_request, now
from orderdesk_app.errors import (
    Conflict,
    LockLost,
    NotFound,
    OrderDeskAgentsError,
    OrderMovedOn,
    OutcomeUnknown,
    RateLimited,
    StoreKeyRefused,
    Unexpected,
    UpstreamFailed,
    UpstreamUnreachable,
    ValidationFailed,
)
from orderdesk_app.observability import RECONCILED, WRITES, log
from orderdesk_app.orderdesk import dates, merge
from orderdesk_app.orderdesk.client import OrderDeskClient
from orderdesk_app.orderdesk.comparison import (
    compare,
    is_alike,
    is_refusal,
    is_same,
    may_still_happen,
)
from orderdesk_app.orderdesk.locks import Lock, OrderLocks
from orderdesk_app.orderdesk.merge import FolderMove, Plan, check_update, plan_create, plan_update
from orderdesk_app.orderdesk.order import Order
from orderdesk_app.orderdesk.partial_update import PartialUpdate
from orderdesk_app.orderdesk.wait_budget import WaitBudget
from orderdesk_app.services.folders import Folders
from orderdesk_app.services.journal import NOT_YET, Action, Journal, State, is_that_order
from orderdesk_app.services.open_store import OpenStore
from orderdesk_app.services.reads import Reads

_LOG = log(__name__)
_PAUSES = (0.3, 1.0, 3.0)  # before reading again while Order Desk may still be at work
_DUPLICATE = re.compile(r"duplicate|already (?:exist|been|import|added|there)", re.IGNORECASE)
_EXISTS = re.compile(r"(?<!not )(?<!n't )\bexists?\b|already", re.IGNORECASE)
_NAMED_ID = re.compile(
    r"\b(?:order|id|number|no)\b[\s.:#]*(\d{1,20})(?!\d)", re.IGNORECASE | re.ASCII
)
_ORDER_ID = re.compile(r"(?<![\d.])\d{1,20}(?![\d.]\d)(?!\d)", re.ASCII)
_MOMENT = re.compile(
    r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d)?)?|\d{1,2}/\d{1,2}/\d{2,4}|\d\d:\d\d(?::\d\d)?",
    re.ASCII,
)
# an answer without them is not the whole order
_PARTS = (
    "shipping",
    "customer",
    "order_items",
    "order_notes",
)
_MOST_NAMED = 3  # numbers of a refusal that are looked up

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Written:
    """An order after its change: what is changed, as dotted paths, and the journal's id of it (None
    when nothing had to be written).

    `differing` are paths where something else stands than was meant: Order Desk wrote it in another
    way, or somebody changed it since.
    """

    order: Order
    changed: tuple[str, ...]
    change_id: str | None
    differing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Deleted:
    order_id: OrderId
    change_id: str


class _Missing:
    """Order Desk says that there is no such order (any more)."""


MISSING = _Missing()


@dataclass(slots=True)
class _Write:
    """One write under way: who, where, what, and its journal row."""

    actor: Actor
    store: OpenStore
    order_id: OrderId
    action: Action
    budget: WaitBudget
    change_id: str = ""
    may_still_happen: bool = False  # Order Desk may be at work on it although we stopped waiting
    has_begun: bool = False  # from here on the caller may leave, and the write goes on to its end
    found: Order | None = None  # the order as it was seen last
    stands: tuple[str, ...] = ()  # paths of a write that is partly done where something new stands


class OrderChanges:
    """Creates, updates and deletes.

    `repeats` is MUTATION_MAX_RETRIES, `timeout` HTTP_TIMEOUT in seconds.
    """

    def __init__(
        self,
        client: OrderDeskClient,
        locks: OrderLocks,
        journal: Journal,
        reads: Reads,
        folders: Folders,
        *,
        repeats: int,
        timeout: float,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._client, self._locks, self._journal, self._reads = client, locks, journal, reads
        self._folders_of = folders
        self._repeats, self._timeout, self._sleep = repeats, timeout, sleep
        self._running: set[asyncio.Future[Any]] = set()

    async def update(
        self,
        actor: Actor,
        store: OpenStore,
        order_id: OrderId,
        changes: Any,
        *,
        expected_date_updated: str | None,
        budget: WaitBudget,
    ) -> Written:
        write = _Write(actor, store, order_id, "update", budget)
        if expected_date_updated is not None:
            # refuses what is no date, before anything is asked
            dates.to_upstream(expected_date_updated, "expected_date_updated")
        folders = await self._folders(store, changes, budget)
        check_update(changes, at=now(), folders=folders)
        return await self._to_its_end(
            write, self._update(write, changes, expected_date_updated, folders)
        )

    async def create(
        self, actor: Actor, store: OpenStore, order_data: Any, *, budget: WaitBudget
    ) -> Written:
        write = _Write(actor, store, NOT_YET, "create", budget)
        plan = plan_create(
            order_data, at=now(), folders=await self._folders(store, order_data, budget)
        )
        return await self._to_its_end(
            write,
            self._create(
                write,
                plan,
                is_ours=not str(as_given(order_data).get("source_id", "") or "").strip(),
            ),
        )

    async def delete(
        self, actor: Actor, store: OpenStore, order_id: OrderId, *, budget: WaitBudget
    ) -> Deleted:
        write = _Write(actor, store, order_id, "delete", budget)
        return await self._to_its_end(write, self._delete(write))

    async def settle(self, actor: Actor, store: OpenStore, order_id: OrderId) -> Order | None:
        """Settle what earlier writes of this order left open, unless somebody is writing it just
        now: then they will. The order as read for that.
        """
        try:
            async with self._locks.holding(store.access, order_id, WaitBudget(0)):
                left = await self._journal.left_open(actor, store.record, order_id)
                found = await self._read(store, order_id, WaitBudget(self._timeout))
                await self._journal.settle(
                    actor,
                    store.record,
                    order_id,
                    left,
                    None if isinstance(found, _Missing) else found,
                    budget=self._timeout,
                )
                return None if isinstance(found, _Missing) else found
        except RateLimited:
            return None

    async def close(self) -> None:
        """Wait for writes whose caller has gone."""
        while self._running:
            await asyncio.wait(self._running)

    # ------------------------------------------------------------------ update

    async def _update(
        self, write: _Write, changes: Any, expected: str | None, folders: merge.Folders
    ) -> Written:
        async with self._locks.holding(write.store.access, write.order_id, write.budget) as lock:
            before = await self._fresh(write)
            _must_be_version(before, expected)
            plan = plan_update(before, changes, at=now(), folders=folders)
            if not plan.changed:
                return Written(before, (), None)
            await self._begin(write, lock, before=before, meant=plan.meant, paths=plan.changed)
            try:
                order = before
                differing: tuple[str, ...] = ()
                if plan.needs_put:
                    order, differing = await self._put(
                        write, lock, before, as_given(changes), plan, folders, expected
                    )
                if plan.folder is not None:
                    if not lock.still_held():
                        raise self._half_done(_lock_lost(), write, plan, plan.folder, "not_done")
                    order = await self._move(write, plan, plan.folder, order)
                await self._end(write, "done", after=order)
                return Written(
                    order,
                    tuple(path for path in plan.changed if path not in differing),
                    write.change_id,
                    differing,
                )
            except BaseException as error:
                await self._note_failure(write, error)
                raise

    async def _put(
        self,
        write: _Write,
        lock: Lock,
        before: Order,
        changes: Mapping[str, Any],
        first: Plan,
        folders: merge.Folders,
        expected: str | None,
    ) -> tuple[Order, tuple[str, ...]]:
        """PUT until the order is as meant.

        The order as it is then, and where something else stands; raises what is known otherwise.
        """
        plan = first
        progress = PartialUpdate(changes, (path for path in first.changed if path != "folder_id"))
        for attempt in range(self._repeats + 1):
            if not lock.still_held():
                raise _after_part(_lock_lost(), write, progress)
            lost: OrderDeskAgentsError | None = None
            try:
                found = await self._client.orders.replace_order(
                    write.store.access, write.order_id, plan.body, write.budget
                )
            except OrderDeskAgentsError as error:
                if error.outcome == "not_done" or isinstance(error, ValidationFailed):
                    raise _after_part(error, write, progress) from error
                lost = error
                found = await self._found_after(write, error, before, plan)
            comparison = compare(before, plan.body, found)
            if lost is None and (
                comparison.status != "done"
                or any(part in before and part not in found for part in _PARTS)
            ):
                # An answer may tell less than there is (no more than its id is attested): what
                # counts is what stands there now.
                found = await self._found_instead(write)
                comparison = compare(before, plan.body, found)
            write.found = found
            progress.note(comparison)
            if lost is not None:
                RECONCILED.labels(comparison.status).inc()
                if comparison.status == "changed_by_other":
                    raise self._unknown(write, lost)
                if comparison.arrived and not comparison.absent:
                    # it was written, and what differs Order Desk or somebody else changed since
                    return (
                        found,
                        progress.rewritten,
                    )
                if comparison.status == "not_done" and is_refusal(lost):
                    raise _after_part(_as_not_done(lost), write, progress) from lost
                if comparison.status == "not_done" and may_still_happen(lost):
                    raise self._unknown(write, lost)
            if progress.is_done:
                return found, ()
            # What was written in another way once is sent once more, and not for ever.
            if attempt == self._repeats or (attempt and not progress.missing):
                raise _after_part(_differs(progress, lost), write, progress) from lost
            if lost is not None and not progress.has_left_marks:
                _must_be_version(found, expected)
            # fetch, merge, write again: what was read to compare the last attempt is as fresh as
            # can be
            try:
                plan = plan_update(found, progress.changes, at=now(), folders=folders)
            except ValidationFailed as error:  # somebody took the item away, or filled the notes
                raise _after_part(error, write, progress) from error
            if not plan.needs_put:
                raise _after_part(_differs(progress, lost), write, progress) from lost
            if comparison.status == "not_done" and not is_same(found, before):
                await self._journal.renew(
                    write.actor, write.change_id, before=found, meant=plan.meant
                )
            before = found
        raise AssertionError("the last attempt returns or raises")

    async def _found_instead(self, write: _Write) -> Order:
        """The order as it is after a PUT whose answer does not show what was meant.

        Raises OutcomeUnknown when it cannot be read.
        """
        # no refusal, whatever the read says
        answered = UpstreamUnreachable(
            "Order Desk took the change, and its answer does not show it."
        )
        found = await self._read_lost(write, answered)
        if isinstance(found, _Missing):
            raise _deleted_meanwhile(write)
        return found

    async def _found_after(
        self, write: _Write, lost: OrderDeskAgentsError, before: Order, plan: Plan
    ) -> Order:
        """The order as it is after a PUT without an answer; read again for a while where Order Desk
        may still be at work.
        """
        found = await self._read_lost(write, lost)
        for pause in _PAUSES if may_still_happen(lost) else ():
            if (
                isinstance(found, _Missing)
                or compare(before, plan.body, found).status != "not_done"
            ):
                break
            await self._sleep(min(pause, self._timeout))
            found = await self._read_lost(write, lost)
        if isinstance(found, _Missing):
            raise _deleted_meanwhile(write) from lost
        return found

    async def _move(self, write: _Write, plan: Plan, move: FolderMove, order: Order) -> Order:
        """Put the order into its new folder.

        Moving twice is as good as once, so a lost answer that is proven not done is repeated.
        """
        for attempt in range(self._repeats + 1):
            lost: OrderDeskAgentsError | None = None
            rows: list[dict[str, Any]] = []
            try:
                rows = await self._client.orders.move_orders(
                    write.store.access, [write.order_id], write.budget, folder_id=move.folder_id
                )
            except OrderDeskAgentsError as error:
                lost = error
                if error.outcome == "not_done" or isinstance(error, ValidationFailed):
                    raise self._half_done(error, write, plan, move, "not_done") from error
            said_moved = any(
                is_same(row.get("order_id"), write.order_id) and row.get("status") != "error"
                for row in rows
            )
            found = await self._found_after_move(write, lost, move)
            if lost is not None:
                RECONCILED.labels(
                    "done"
                    if found is not None and is_same(found.get("folder_id"), move.folder_id)
                    else "not_done"
                ).inc()
            is_elsewhere = found is not None and not is_same(
                found.get("folder_id"), order.get("folder_id")
            )
            if found is not None and (
                is_same(found.get("folder_id"), move.folder_id) or (said_moved and is_elsewhere)
            ):
                # there, or moved on by a rule of the store; where it still lies where it lay, the
                # answer was wrong
                return found
            if found is None and said_moved:
                return {**order, "folder_id": plan.meant["folder_id"]}
            if found is None or (lost is not None and may_still_happen(lost)):
                raise self._half_done(lost, write, plan, move, "unknown") from lost
            if attempt == self._repeats or (lost is not None and is_refusal(lost)):
                raise self._half_done(lost, write, plan, move, "not_done") from lost
        raise AssertionError("the last attempt returns or raises")

    async def _found_after_move(
        self, write: _Write, lost: OrderDeskAgentsError | None, move: FolderMove
    ) -> Order | None:
        """The order after a move, None when it cannot be read."""
        pauses = _PAUSES if lost is not None and may_still_happen(lost) else ()
        found: Order | None = None
        for pause in (0.0, *pauses):
            if pause:
                await self._sleep(min(pause, self._timeout))
            try:
                seen = await self._read(write.store, write.order_id, self._time_to_read(write))
            except OrderDeskAgentsError:
                continue
            found = None if isinstance(seen, _Missing) else seen
            if found is not None and is_same(found.get("folder_id"), move.folder_id):
                break
        return found

    # ------------------------------------------------------------------ create

    async def _known_before(self, write: _Write, plan: Plan) -> frozenset[str]:
        """Ids of orders that have the caller's source id (from other shops) already.

        Raises Conflict if this order is one of them.

        Asked before, as after a lost answer nobody could tell an old order from the new one.
        """
        orders = await self._by_source(write.store, plan.body, write.budget)
        for found in orders:
            if is_that_order(plan.body, found):
                order_id = OrderId(str(found.get("id")))
                left = await self._journal.left_open(write.actor, write.store.record, order_id)
                await self._journal.settle(
                    write.actor, write.store.record, order_id, left, found, budget=self._timeout
                )
                raise _exists(order_id, plan.body)
        return frozenset(str(found.get("id")) for found in orders)

    async def _create(self, write: _Write, plan: Plan, *, is_ours: bool) -> Written:
        """`is_ours`: the source id was made here, and nobody else can have it."""
        if is_ours:
            return await self._make(write, plan, frozenset(), is_ours=True)
        # Creates with one source id one after the other: else each would take what another made for
        # its own.
        async with self._locks.holding(
            write.store.access, OrderId(f"with source_id {plan.body['source_id']}"), write.budget
        ):
            return await self._make(
                write, plan, await self._known_before(write, plan), is_ours=False
            )

    async def _make(
        self, write: _Write, plan: Plan, known: frozenset[str], *, is_ours: bool
    ) -> Written:
        await self._begin(write, None, before=None, meant=plan.meant, paths=plan.changed)
        try:
            order = await self._post(write, plan, known, is_ours=is_ours)
            comparison = compare({}, plan.body, order)
            await self._end(write, "done", after=order, order_id=OrderId(str(order.get("id"))))
            return Written(
                order,
                tuple(path for path in plan.changed if path not in comparison.differing),
                write.change_id,
                comparison.differing,
            )
        except BaseException as error:
            await self._note_failure(write, error)
            raise

    async def _post(
        self, write: _Write, plan: Plan, known: frozenset[str], *, is_ours: bool
    ) -> Order:
        was_lost = False
        for attempt in range(self._repeats + 1):
            try:
                return await self._as_it_stands(
                    write,
                    plan,
                    await self._client.orders.create_order(
                        write.store.access, plan.body, write.budget
                    ),
                )
            except OrderDeskAgentsError as error:
                if error.outcome == "not_done" or isinstance(error, ValidationFailed):
                    if attempt == 0:
                        raise
                    raise _as_not_done(error) from error
                lost = error
            found = await self._found_after_post(write, plan, known, lost)
            RECONCILED.labels("done" if found is not None else "not_done").inc()
            if found is not None:
                may_be_ours = is_ours or was_lost or not says_duplicate(lost)
                if may_be_ours and (is_ours or compare({}, plan.body, found).status == "done"):
                    return found
                raise _exists(OrderId(str(found.get("id"))), plan.body) from lost
            if is_refusal(lost):
                raise await self._duplicate(write, plan, lost) or _as_not_done(lost) from lost
            if may_still_happen(lost):
                raise self._unknown(write, lost, source_id=str(plan.body["source_id"]))
            if attempt == self._repeats:
                raise _as_not_done(lost) from lost
            was_lost = True
        raise AssertionError("the last attempt returns or raises")

    async def _as_it_stands(self, write: _Write, plan: Plan, answered: Order) -> Order:
        """The new order whole: an answer may tell less than there is."""
        if compare({}, plan.body, answered).status == "done" and all(
            part in answered for part in _PARTS
        ):
            return answered
        try:
            found = await self._read(
                write.store, OrderId(str(answered.get("id"))), self._time_to_read(write)
            )
        except OrderDeskAgentsError:
            return answered
        return answered if isinstance(found, _Missing) else found

    async def _found_after_post(
        self, write: _Write, plan: Plan, known: frozenset[str], lost: OrderDeskAgentsError
    ) -> Order | None:
        """The order that a POST without an answer made, None if there is none.

        Raises OutcomeUnknown when that cannot be read.
        """
        for pause in (0.0, *(_PAUSES if may_still_happen(lost) else ())):
            if pause:
                await self._sleep(min(pause, self._timeout))
            try:
                orders = await self._by_source(write.store, plan.body, self._time_to_read(write))
            except OrderDeskAgentsError as error:
                raise _key_refused(error, lost) or self._unknown(
                    write, lost, source_id=str(plan.body["source_id"])
                ) from error
            name = plan.body.get("source_name")
            for found in orders:
                if str(found.get("id")) not in known and (
                    not name or is_alike(name, found.get("source_name"))
                ):
                    return found
        return None

    async def _duplicate(
        self, write: _Write, plan: Plan, lost: OrderDeskAgentsError
    ) -> Conflict | None:
        """Order Desk's own refusal of a duplicate, naming the order that exists
        (docs/orderdesk-api.md section 7.1); None if it refused something else.
        """
        if not says_duplicate(lost):
            return None
        said = lost.said
        named = [
            OrderId(number) for number in numbers_in(said) if number != str(plan.body["source_id"])
        ]
        try:
            same_source = [
                OrderId(str(row.get("id")))
                for row in await self._by_source(write.store, plan.body, self._time_to_read(write))
            ]
            named = [order_id for order_id in same_source if order_id in named] or (
                same_source if len(same_source) == 1 else named
            )
            for order_id in named[:_MOST_NAMED]:
                if not isinstance(
                    await self._read(write.store, order_id, self._time_to_read(write)), _Missing
                ):
                    return _exists(order_id, plan.body)
        except OrderDeskAgentsError:
            pass  # then its own words must do
        if not _DUPLICATE.search(said):
            return None  # something else may exist, or not
        words = (
            f"Order Desk refused it as a duplicate: “{said}”. Nothing was created. Find the "
            "order with orders_list, and change it with orders_update."
        )
        return Conflict(words, field="source_id", outcome="not_done")

    async def _by_source(
        self, store: OpenStore, body: Mapping[str, Any], budget: WaitBudget
    ) -> list[Order]:
        """Orders with that source id, in whatever form Order Desk keeps it."""
        page = await self._client.orders.list_orders(
            store.access, {"source_id": str(body["source_id"]), "limit": "50"}, budget
        )
        return [order for order in page.rows if is_alike(order.get("source_id"), body["source_id"])]

    # ------------------------------------------------------------------ delete

    async def _delete(self, write: _Write) -> Deleted:
        async with self._locks.holding(write.store.access, write.order_id, write.budget) as lock:
            before = await self._fresh(write)
            await self._begin(write, lock, before=before, meant=None, paths=())
            try:
                await self._remove(write, lock)
                await self._end(write, "done")
                return Deleted(write.order_id, write.change_id)
            except BaseException as error:
                await self._note_failure(write, error)
                raise

    async def _remove(self, write: _Write, lock: Lock) -> None:
        """DELETE until the order is gone: what is gone is not deleted twice, so even a request that
        may still be at work is repeated.
        """
        lost: OrderDeskAgentsError | None = None
        for attempt in range(self._repeats + 1):
            if not lock.still_held():
                raise (
                    self._unknown(write, lost)
                    if lost is not None and may_still_happen(lost)
                    else _lock_lost()
                )
            try:
                await self._client.orders.delete_order(
                    write.store.access, write.order_id, write.budget
                )
                return
            except OrderDeskAgentsError as error:
                if error.outcome == "not_done" or isinstance(error, ValidationFailed):
                    raise
                lost = error
            found = await self._read_lost(write, lost)
            RECONCILED.labels("done" if isinstance(found, _Missing) else "not_done").inc()
            if isinstance(found, _Missing):
                if attempt == 0 and isinstance(lost, NotFound):
                    raise NotFound(
                        f"Order {write.order_id} was deleted by somebody else just now.",
                        field="order_id",
                        outcome="not_done",
                    ) from lost
                return
            if is_refusal(lost) or isinstance(
                lost, NotFound
            ):  # "not found" of an order that is there is about something else
                raise _as_not_done(lost) from lost
            if attempt == self._repeats:
                raise (
                    self._unknown(write, lost) if may_still_happen(lost) else _as_not_done(lost)
                ) from lost
        raise AssertionError("the last attempt returns or raises")

    # ------------------------------------------------------------------ what they share

    async def _to_its_end(self, write: _Write, work: Awaitable[T]) -> T:
        """Run a write so that a caller who leaves stops it before it begins, and not any more
        after.
        """
        task = asyncio.ensure_future(work)
        self._running.add(task)
        task.add_done_callback(self._finished)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if not write.has_begun:
                task.cancel()
            raise
        except OrderDeskAgentsError:
            raise
        except Exception as error:
            if write.has_begun:
                raise
            _LOG.error("a write failed before it began", exc_info=error)
            words = (
                "Something went wrong on our side before anything was written. Try again; if "
                "it stays, tell your administrator this reference"
            )
            raise Unexpected(
                f"{words}: {current_request().request_id}.", outcome="not_done"
            ) from error

    def _finished(self, task: asyncio.Future[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # it may have no caller any more to hear it; the journal has it

    async def _fresh(self, write: _Write) -> Order:
        """The order as it is now; settles what earlier writes left open. Raises NotFound."""
        question = asyncio.ensure_future(
            self._journal.left_open(write.actor, write.store.record, write.order_id)
        )
        try:
            found = await self._read(write.store, write.order_id, write.budget)
        except BaseException:
            question.cancel()
            await asyncio.gather(question, return_exceptions=True)
            raise
        gone = isinstance(found, _Missing)
        await self._journal.settle(
            write.actor,
            write.store.record,
            write.order_id,
            await question,
            None if isinstance(found, _Missing) else found,
            budget=self._timeout,
        )
        if gone or isinstance(found, _Missing):
            raise _no_such_order(write.store, write.order_id)
        return found

    async def _read(
        self, store: OpenStore, order_id: OrderId, budget: WaitBudget
    ) -> Order | _Missing:
        try:
            return await self._client.orders.get_order(store.access, order_id, budget)
        except NotFound:
            return MISSING

    async def _read_lost(self, write: _Write, lost: OrderDeskAgentsError) -> Order | _Missing:
        """Read to learn what became of a write.

        Raises OutcomeUnknown when even that cannot be read.
        """
        try:
            return await self._read(write.store, write.order_id, self._time_to_read(write))
        except OrderDeskAgentsError as error:
            raise _key_refused(error, lost) or self._unknown(write, lost) from error

    def _time_to_read(self, write: _Write) -> WaitBudget:
        """WaitBudget of its own: a write that waited long must still be able to learn its
        outcome.
        """
        write.budget.requests += 1
        return WaitBudget(max(self._timeout, write.budget.remaining()))

    async def _folders(self, store: OpenStore, changes: Any, budget: WaitBudget) -> merge.Folders:
        """The store's folders; asked for anew when the changes name one that we do not know."""
        wanted = merge.wanted_folder(changes)
        if wanted is None or merge.find_folder(wanted, store.record.folders) is not None:
            return store.record.folders
        return await self._folders_of.anew(store, budget)

    async def _begin(
        self,
        write: _Write,
        lock: Lock | None,
        *,
        before: Order | None,
        meant: Order | None,
        paths: Sequence[str],
    ) -> None:
        try:
            write.change_id = await self._journal.open(
                write.actor,
                write.store.record,
                write.order_id,
                write.action,
                before=before,
                meant=meant,
                paths=paths,
            )
        except Exception as error:
            _LOG.error("the journal could not be opened", exc_info=error)
            raise Unexpected(
                "Our journal could not be written, so nothing was changed. Try again in a minute.",
                outcome="not_done",
            ) from error
        write.has_begun = True
        if lock is not None and not lock.still_held():
            await self._end(write, "not_done")
            raise _lock_lost()

    async def _end(
        self,
        write: _Write,
        state: State,
        *,
        after: Order | None = None,
        order_id: OrderId | None = None,
        paths: Sequence[str] | None = None,
        final: bool = True,
    ) -> None:
        """Close the journal row and forget what was cached.

        What happened has happened: a database that fails here makes no failure of it.
        """
        WRITES.labels(write.action, state).inc()
        try:
            await self._journal.close(
                write.actor,
                write.store.record,
                write.change_id,
                state,
                after=after,
                order_id=order_id,
                paths=paths,
                final=final,
            )
        except Exception as error:
            _LOG.error("a journal row stays open for the next read", exc_info=error)
        try:
            await self._reads.drop(write.store.access.upstream_id)
        except Exception as error:
            _LOG.error("the cache could not be emptied", exc_info=error)

    async def _note_failure(self, write: _Write, error: BaseException) -> None:
        outcome = error.outcome if isinstance(error, OrderDeskAgentsError) else "unknown"
        if isinstance(error, OrderDeskAgentsError):
            error.change_id = write.change_id
            error.details["change_id"] = write.change_id
        if outcome == "not_done":
            await self._end(write, "not_done")
        elif outcome == "partly_done":
            await self._end(write, "done", after=write.found, paths=write.stands)
        else:
            await self._end(write, "unknown" if write.may_still_happen else "open", final=False)

    def _unknown(
        self, write: _Write, lost: OrderDeskAgentsError, *, source_id: str = ""
    ) -> OutcomeUnknown:
        write.may_still_happen = may_still_happen(lost)
        read = (
            f"look for it with orders_list and source_id {source_id}"
            if source_id
            else f"read order {write.order_id} with orders_get"
        )
        again = (
            f"; if it is not there, create it with that same source_id {source_id}"
            if source_id
            else " and repeat only what is missing"
        )
        details: dict[str, object] = {"change_id": write.change_id, "order_id": str(write.order_id)}
        if source_id:
            details = {"change_id": write.change_id, "source_id": source_id}
        return OutcomeUnknown(
            (
                f"{_reason(lost)} It is not known whether the change was made. Do not repeat "
                f"it yet: first {read}{again}."
            ),
            outcome="unknown",
            retry_after=lost.retry_after,
            fault=lost.fault,
            status=lost.status,
            said=lost.said,
            details=details,
        )

    def _half_done(
        self,
        lost: OrderDeskAgentsError | None,
        write: _Write,
        plan: Plan,
        move: FolderMove,
        folder_outcome: str,
    ) -> OrderDeskAgentsError:
        """The fields stand, the folder does not (or nobody knows); without fields it is simply the
        folder's own outcome.
        """
        cause = lost or UpstreamFailed("Order Desk answered without moving the order.")
        fields = [path for path in plan.changed if path != "folder_id"]
        if not fields:
            return (
                self._unknown(write, cause) if folder_outcome == "unknown" else _as_not_done(cause)
            )
        done = f"Half done: {', '.join(fields)} changed; "
        details: dict[str, object] = {
            "change_id": write.change_id,
            "order_id": str(write.order_id),
            "changed": fields,
        }
        if folder_outcome == "unknown":
            write.may_still_happen = may_still_happen(cause)
            words = (
                f"{done}it is not known whether the order was moved to folder "
                f"{move.folder_name}. Read it with orders_get before you repeat the move "
                "alone."
            )
            return OutcomeUnknown(
                f"{_reason(cause)} {words}",
                outcome="unknown",
                fault=cause.fault,
                status=cause.status,
                said=cause.said,
                details=details,
            )
        details["not_changed"] = ["folder_id"]
        words = (
            f"{done}the order was not moved to folder {move.folder_name}. Repeat the move "
            f"alone: changes with only folder_id {move.folder_id}."
        )
        write.stands = tuple(fields)
        return cause.reworded(f"{_reason(cause)} {words}", outcome="partly_done", details=details)


def as_given(changes: Any) -> dict[str, Any]:
    return dict(changes) if isinstance(changes, Mapping) else {}


def _must_be_version(order: Mapping[str, Any], expected: str | None) -> None:
    if expected is None:
        return
    there = str(order.get("date_updated") or "")
    if not dates.is_same_moment(there, expected):
        raise OrderMovedOn(
            "The order has changed since you read it: its date_updated is "
            f"{dates.to_iso(there)}, not {dates.to_iso(expected)}. Nothing was written. "
            "Read it again and decide anew.",
            order=order,
            found=dates.to_iso(there),
            expected=dates.to_iso(expected),
        )


def _key_refused(error: OrderDeskAgentsError, lost: OrderDeskAgentsError) -> StoreKeyRefused | None:
    """Order Desk said no to the write, and no to the key when asked about it: then the key was why,
    and nothing was done.
    """
    if isinstance(error, StoreKeyRefused) and is_refusal(lost):
        return error.reworded(error.message, outcome="not_done")
    return None


def _lock_lost() -> LockLost:
    return LockLost(
        (
            "We stood still for so long that another process may be writing the order. "
            "Nothing was written. Try again."
        ),
        retry_after=1,
        outcome="not_done",
    )


def _no_such_order(store: OpenStore, order_id: OrderId) -> NotFound:
    return NotFound(
        (
            f"Store {store.record.name} has no order {order_id}. Order ids are Order Desk's "
            "own; find one by the shop's number with orders_list and source_id."
        ),
        field="order_id",
        outcome="not_done",
    )


def _exists(order_id: OrderId, body: Mapping[str, Any]) -> Conflict:
    return Conflict(
        (
            f"Order {order_id} exists already with source_id {body['source_id']}. Nothing was "
            "created. Change that order with orders_update, or use another source_id."
        ),
        field="source_id",
        outcome="not_done",
        details={"order_id": str(order_id), "source_id": str(body["source_id"])},
    )


def says_duplicate(lost: OrderDeskAgentsError) -> bool:
    """Whether Order Desk may have refused an order because there is one like it."""
    return is_refusal(lost) and bool(_DUPLICATE.search(lost.said) or _EXISTS.search(lost.said))


def numbers_in(said: str) -> list[str]:
    """Numbers that may be an order's id, those that stand beside its name first; dates and times
    are none.
    """
    said = _MOMENT.sub(" ", said)
    return list(dict.fromkeys([*_NAMED_ID.findall(said), *_ORDER_ID.findall(said)]))


def _deleted_meanwhile(write: _Write) -> NotFound:
    return NotFound(
        (
            f"Order {write.order_id} was deleted by somebody else while it was being changed. "
            "Nothing is left to change."
        ),
        field="order_id",
        outcome="not_done",
        details={"change_id": write.change_id},
    )


def _differs(progress: PartialUpdate, lost: OrderDeskAgentsError | None) -> OrderDeskAgentsError:
    """What to say when Order Desk does not write what it is told to, however often."""
    why = f"{_reason(lost)} " if lost is not None else ""
    paths = progress.rewritten + progress.missing
    words = (
        f"{why}Order Desk did not write {', '.join(paths[:20])} as it was told to. Read the "
        "order before you try again."
    )
    return lost.reworded(words) if lost is not None else UpstreamFailed(words)


def _after_part(
    error: OrderDeskAgentsError, write: _Write, progress: PartialUpdate
) -> OrderDeskAgentsError:
    """The error with the truth about the whole update: some of it may stand in the order, as it was
    meant or in another way.
    """
    details: dict[str, object] = {"change_id": write.change_id}
    if not progress.has_left_marks:
        return error.reworded(error.message, outcome="not_done", details=details)
    done, rewritten = progress.arrived, progress.rewritten
    details |= {"changed": list(done), "not_changed": list(progress.missing)}
    words = f"Partly done: {', '.join(done[:20])} changed. " if done else ""
    if rewritten:
        details["differing"] = list(rewritten)
        words += f"Something else than was asked for stands at {', '.join(rewritten[:20])}. "
    write.stands = (*done, *rewritten)
    return error.reworded(
        f"{words}{_reason(error)} Read the order, then send only what is still wrong.",
        outcome="partly_done",
        details=details,
    )


def _as_not_done(error: OrderDeskAgentsError) -> OrderDeskAgentsError:
    """The same error, now that reading has proven that nothing was done."""
    return error.reworded(
        f"{_reason(error)} Reading proved that nothing was changed.", outcome="not_done"
    )


def _reason(error: OrderDeskAgentsError) -> str:
    """What happened, without the advice that followed it: the advice is ours now."""
    if error.said and is_refusal(error):
        return f"Order Desk refused: “{error.said}”."
    return error.message.split(". ", 1)[0].rstrip(".") + "."
