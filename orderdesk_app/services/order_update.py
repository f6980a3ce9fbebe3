"""Changes an order: the changes are merged into the order as it is now, the whole order is written,
and its answer is compared with what was meant (docs/decisions/0009-updates-merge-and-verify.md). A
folder in the changes is moved after that.
"""

from collections.abc import Mapping
from dataclasses import replace

from orderdesk_app.context import Json, JsonObject, OrderId, now
from orderdesk_app.errors import (
    OrderDeskAgentsError,
    UpstreamFailed,
    UpstreamUnreachable,
    ValidationFailed,
    VersionConflict,
    paths_in_message,
)
from orderdesk_app.observability import RECONCILED
from orderdesk_app.orderdesk import dates
from orderdesk_app.orderdesk.client import OrderDeskClient
from orderdesk_app.orderdesk.comparison import (
    Comparison,
    compare,
    is_refusal,
    is_same,
    may_still_happen,
)
from orderdesk_app.orderdesk.locks import Lock
from orderdesk_app.orderdesk.merge import FolderNames, Plan, plan_update
from orderdesk_app.orderdesk.order import Order
from orderdesk_app.orderdesk.order_fields import WRITABLE
from orderdesk_app.orderdesk.partial_update import PartialUpdate
from orderdesk_app.services.order_kind import Written, deleted_meanwhile, is_whole
from orderdesk_app.services.order_move import OrderMove
from orderdesk_app.services.write_failures import as_not_done, in_conflict, is_conflict, reason
from orderdesk_app.services.writes import Intent, Write, Writes

_Put = tuple[Order, tuple[str, ...]]  # the order after it, and the paths with another value


class OrderUpdate:
    """The operation: one PUT, then one move where a folder is named.

    `expected` is the date_updated that the caller has seen, in Order Desk's form or ISO 8601.
    """

    def __init__(
        self,
        writes: Writes,
        client: OrderDeskClient,
        write: Write,
        changes: Mapping[str, Json],
        *,
        expected: str | None,
        folders: FolderNames,
    ) -> None:
        self._writes = writes
        self._client = client
        self._write = write
        self._changes = changes
        self._expected = expected
        self._folders = folders
        self._before: Order = {}
        self._plan: Plan | None = None

    @property
    def lock_id(self) -> str:
        return self._write.object_id

    async def plan(self, before: JsonObject | None) -> Intent | None:
        """Raises VersionConflict and ValidationFailed."""
        self._before = before or {}
        check_version(self._before, self._expected)
        self._plan = plan_update(self._before, self._changes, at=now(), folders=self._folders)
        return Intent(self._plan.meant, self._plan.changed) if self._plan.changed else None

    def unchanged(self, before: JsonObject | None) -> Written:
        return Written(before or {}, (), None)

    async def carry_out(self, lock: Lock | None) -> Written:
        assert self._plan is not None, "the protocol plans first"
        plan, order = self._plan, self._before
        differing: tuple[str, ...] = ()
        if plan.needs_put:
            put = OrderPut(
                self._writes,
                self._client,
                self._write,
                before=order,
                plan=plan,
                # what was sent back as it was read may be different once a part is written
                changes={name: value for name, value in self._changes.items() if name in WRITABLE},
                expected=self._expected,
                folders=self._folders,
            )
            order, differing = await self._writes.send(self._write, lock, put)
        if plan.folder is not None:
            move = OrderMove(
                self._writes,
                self._client,
                self._write,
                plan,
                plan.folder,
                order,
                is_pinned=self._expected is not None,
            )
            order = await self._writes.send(self._write, lock, move)
        self._write.found = order
        others = frozenset(differing)
        return Written(
            order,
            tuple(path for path in plan.changed if path not in others),
            self._write.change_id,
            differing,
        )


class OrderPut:
    """The request that replaces the whole order, repeated until the order is as meant."""

    def __init__(
        self,
        writes: Writes,
        client: OrderDeskClient,
        write: Write,
        *,
        before: Order,
        plan: Plan,
        changes: Mapping[str, Json],
        expected: str | None,
        folders: FolderNames,
    ) -> None:
        self._writes = writes
        self._client = client
        self._write = write
        self._before = before
        self._plan = plan
        self._expected = expected
        self._folders = folders
        self._progress = PartialUpdate(
            changes, (path for path in plan.changed if path != "folder_id")
        )
        self._tries = 0

    async def send(self) -> Order:
        self._tries += 1
        return await self._client.orders.replace_order(
            self._write.store.access,
            OrderId(self._write.object_id),
            self._plan.body,
            self._write.budget,
        )

    def not_sent(self, error: OrderDeskAgentsError) -> OrderDeskAgentsError:
        return self._after_part(error)

    async def verify(
        self, answer: Order | None, lost: OrderDeskAgentsError | None, *, is_last: bool
    ) -> _Put | None:
        found = await self._found_after(lost) if answer is None and lost is not None else answer
        comparison = self._compare(found or {})
        if lost is None and not (
            comparison.status == "done" and is_whole(found or {}, self._before)
        ):
            # The answer may hold only a part of the order (no more than its id is documented), so
            # the order is read again.
            found = await self._found_instead()
            comparison = self._compare(found)
        found = found or {}
        self._write.found = found
        if is_conflict(lost) and not is_last:
            # Order Desk refused the write, so another caller made the new values: ours must still
            # be sent, unless the caller pinned the version that it saw.
            if comparison.status != "done":
                self._check_version(found)
            comparison = replace(comparison, other=())
        self._progress.note(comparison)
        if lost is not None:
            RECONCILED.labels(comparison.status).inc()
            if self._is_settled(lost, comparison):
                return found, self._progress.rewritten
        if self._progress.is_done:
            return found, ()
        is_over = is_last or (
            self._tries > 1 and not self._progress.missing and not is_conflict(lost)
        )
        if is_over:
            # A value that Order Desk rewrote is sent once more, but not again after that.
            raise self._after_part(self._differs(lost)) from lost
        await self._plan_again(found, lost, comparison)
        return None

    def _check_version(self, found: Order) -> None:
        """Raises VersionConflict if the caller pinned a version, and the order found is no longer
        the one that was read for this attempt.
        """
        if self._expected is None:
            return
        try:
            check_version(found, str(self._before.get("date_updated") or ""))
        except VersionConflict as error:
            raise self._after_part(error) from error

    def _compare(self, found: Order) -> Comparison:
        return compare(self._before, self._plan.body, found)

    def _is_settled(self, lost: OrderDeskAgentsError, comparison: Comparison) -> bool:
        """True if reading proves that the lost write was done. Raises if it proves a refusal, or if
        it proves nothing.
        """
        if is_conflict(lost):
            if comparison.status == "changed_by_other" and comparison.other:
                raise self._writes.unknown(self._write, lost) from lost
            return False
        if comparison.status == "changed_by_other":
            raise self._writes.unknown(self._write, lost) from lost
        if comparison.arrived and not comparison.absent:
            # it was written; Order Desk or another caller changed the values that differ
            return True
        if comparison.status == "not_done" and is_refusal(lost):
            raise self._after_part(as_not_done(lost)) from lost
        if comparison.status == "not_done" and may_still_happen(lost):
            raise self._writes.unknown(self._write, lost) from lost
        return False

    async def _plan_again(
        self, found: Order, lost: OrderDeskAgentsError | None, comparison: Comparison
    ) -> None:
        """Merges the remaining changes into the order that was read after the last attempt."""
        if lost is not None and not self._progress.has_left_marks:
            check_version(found, self._expected)
        try:
            plan = plan_update(found, self._progress.changes, at=now(), folders=self._folders)
        except ValidationFailed as error:  # another caller removed the item, or filled the notes
            raise self._after_part(error) from error
        if not plan.needs_put:
            raise self._after_part(self._differs(lost)) from lost
        is_theirs = comparison.status == "not_done" or (
            is_conflict(lost) and not comparison.arrived
        )
        if is_theirs and not is_same(found, self._before):
            await self._writes.plan_again(self._write, before=found, meant=plan.meant)
        self._plan = plan
        self._before = found

    async def _found_instead(self) -> Order:
        """The order as it is after a PUT whose answer does not show what was meant.

        Raises OutcomeUnknown when it cannot be read.
        """
        # the PUT was not refused, so the error of the read must not say so
        answered = UpstreamUnreachable(
            "Order Desk took the change, and its answer does not show it."
        )
        found = await self._writes.read_lost(self._write, answered)
        if found is None:
            raise deleted_meanwhile(self._write)
        return found

    async def _found_after(self, lost: OrderDeskAgentsError) -> Order:
        """The order as it is after a PUT without an answer; read again for a while where Order Desk
        may still be at work.
        """
        found: Order | None = None
        for pause in self._writes.pauses(lost):
            await self._writes.pause(pause)
            found = await self._writes.read_lost(self._write, lost)
            if found is None:
                raise deleted_meanwhile(self._write) from lost
            if self._compare(found).status != "not_done":
                break
        return found or {}

    def _differs(self, lost: OrderDeskAgentsError | None) -> OrderDeskAgentsError:
        """The error when Order Desk keeps another value than it is given at every attempt."""
        if lost is not None and is_conflict(lost):
            return in_conflict(lost, f"order {self._write.object_id}")
        why = f"{reason(lost)} " if lost is not None else ""
        paths = self._progress.rewritten + self._progress.missing
        words = (
            f"{why}Order Desk did not write {paths_in_message(paths)} as it was told to. "
            "Read the order before you try again."
        )
        return lost.reworded(words) if lost is not None else UpstreamFailed(words)

    def _after_part(self, error: OrderDeskAgentsError) -> OrderDeskAgentsError:
        """The error for the whole update, of which a part may be in the order, as meant or
        rewritten.
        """
        progress = self._progress
        details: dict[str, object] = {"change_id": self._write.change_id}
        if not progress.has_left_marks:
            return error.reworded(error.message, outcome="not_done", details=details)
        done, rewritten = progress.arrived, progress.rewritten
        details |= {"changed": list(done), "not_changed": list(progress.missing)}
        words = f"Partly done: {paths_in_message(done)} changed. " if done else ""
        if rewritten:
            details["differing"] = list(rewritten)
            words += f"Something else than was asked for stands at {paths_in_message(rewritten)}. "
        self._write.written_paths = (*done, *rewritten)
        return error.reworded(
            f"{words}{reason(error)} Read the order, then send only what is still wrong.",
            outcome="partly_done",
            details=details,
        )


def check_version(order: Mapping[str, Json], expected: str | None) -> None:
    """Raises VersionConflict unless the order's date_updated is the one that the caller saw."""
    if expected is None:
        return
    there = str(order.get("date_updated") or "")
    if not dates.is_same_moment(there, expected):
        raise VersionConflict(
            "The order has changed since you read it: its date_updated is "
            f"{dates.to_iso(there)}, not {dates.to_iso(expected)}. Nothing was written. "
            "Read it again and decide again.",
            order=order,
            found=dates.to_iso(there),
            expected=dates.to_iso(expected),
        )
