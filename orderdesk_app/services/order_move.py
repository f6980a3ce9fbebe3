"""Moves an order into another folder. A second move does no harm, so a move whose answer was lost
is repeated when reading proves that it was not done.
"""

from orderdesk_app.context import JsonObject, OrderId
from orderdesk_app.errors import (
    OrderDeskAgentsError,
    UpstreamFailed,
    VersionConflict,
    in_message,
    paths_in_message,
)
from orderdesk_app.observability import RECONCILED
from orderdesk_app.orderdesk import dates
from orderdesk_app.orderdesk.client import OrderDeskClient
from orderdesk_app.orderdesk.comparison import is_refusal, is_same, may_still_happen
from orderdesk_app.orderdesk.merge import FolderMove, Plan
from orderdesk_app.orderdesk.order import Order
from orderdesk_app.services.write_failures import (
    as_not_done,
    in_conflict,
    is_conflict,
    reason,
    unknown_because,
)
from orderdesk_app.services.writes import Write, Writes


class OrderMove:
    """The request that moves it; `order` is the order as it is before that.

    `is_pinned`: the caller wants only the version that it saw to be moved.
    """

    def __init__(
        self,
        writes: Writes,
        client: OrderDeskClient,
        write: Write,
        plan: Plan,
        move: FolderMove,
        order: Order,
        *,
        is_pinned: bool,
    ) -> None:
        self._writes = writes
        self._client = client
        self._write = write
        self._plan = plan
        self._move = move
        self._order = order
        self._is_pinned = is_pinned

    async def send(self) -> list[JsonObject]:
        return await self._client.orders.move_orders(
            self._write.store.access,
            [OrderId(self._write.object_id)],
            self._write.budget,
            folder_id=self._move.folder_id,
        )

    def not_sent(self, error: OrderDeskAgentsError) -> OrderDeskAgentsError:
        return self._not_moved(error)

    async def verify(
        self,
        answer: list[JsonObject] | None,
        lost: OrderDeskAgentsError | None,
        *,
        is_last: bool,
    ) -> Order | None:
        """The order in its new folder, or where a rule of the store moved it on."""
        said_moved = any(
            is_same(row.get("order_id"), self._write.object_id) and row.get("status") != "error"
            for row in answer or []
        )
        found = await self._found(lost)
        is_there = found is not None and is_same(found.get("folder_id"), self._move.folder_id)
        if lost is not None:
            RECONCILED.labels("done" if is_there else "not_done").inc()
        is_elsewhere = found is not None and not is_same(
            found.get("folder_id"), self._order.get("folder_id")
        )
        if found is not None and (is_there or (said_moved and is_elsewhere)):
            # in the new folder, or moved on by a rule of the store; if it is still in its old
            # folder, the answer was wrong
            return found
        if found is None and said_moved:
            return {**self._order, "folder_id": self._plan.meant["folder_id"]}
        if found is None or (lost is not None and may_still_happen(lost)):
            raise self._not_known(lost or _answered_without_moving()) from lost
        if self._is_pinned and is_conflict(lost):
            self._check_version(found)
        if is_last or (lost is not None and is_refusal(lost)):
            raise self._not_moved(lost or _answered_without_moving()) from lost
        return None

    def _check_version(self, found: Order) -> None:
        """Raises VersionConflict if another caller has changed or moved the order since it was
        seen.
        """
        seen, there = (str(order.get("date_updated") or "") for order in (self._order, found))
        if dates.is_same_moment(seen, there) and is_same(
            found.get("folder_id"), self._order.get("folder_id")
        ):
            return
        error = VersionConflict(
            "The order has changed since you read it. It was not moved. Read it again and decide "
            "again.",
            order=found,
            found=dates.to_iso(there),
            expected=dates.to_iso(seen),
        )
        raise self._not_moved(error) if self._fields else error

    async def _found(self, lost: OrderDeskAgentsError | None) -> Order | None:
        """The order after a move, None when it cannot be read."""
        found: Order | None = None
        for pause in self._writes.pauses(lost):
            await self._writes.pause(pause)
            try:
                found = await self._writes.read(self._write)
            except OrderDeskAgentsError:
                continue
            if found is not None and is_same(found.get("folder_id"), self._move.folder_id):
                break
        return found

    @property
    def _fields(self) -> list[str]:
        """The paths that this update has changed already."""
        return [path for path in self._plan.changed if path != "folder_id"]

    def _not_known(self, lost: OrderDeskAgentsError) -> OrderDeskAgentsError:
        """The fields are written; it is not known whether the order was moved."""
        if not self._fields:
            return self._writes.unknown(self._write, lost)
        self._write.may_still_happen = may_still_happen(lost)
        return unknown_because(
            lost,
            f"{reason(lost)} Half done: {paths_in_message(self._fields)} changed; it is not known "
            f"whether the order was moved to folder {in_message(self._move.folder_name)}. Read it "
            "with orders_get before you repeat the move alone.",
            self._details(),
        )

    def _not_moved(self, error: OrderDeskAgentsError) -> OrderDeskAgentsError:
        """The fields are written, the order was not moved; without fields nothing was done."""
        if is_conflict(error):
            error = in_conflict(error, f"order {self._write.object_id}")
            if not self._fields:
                return error
        if not self._fields:
            return as_not_done(error)
        self._write.written_paths = tuple(self._fields)
        return error.reworded(
            f"{reason(error)} Half done: {paths_in_message(self._fields)} changed; the order was "
            f"not moved to folder {in_message(self._move.folder_name)}. Repeat the move alone: "
            f"changes with only folder_id {self._move.folder_id}.",
            outcome="partly_done",
            details={**self._details(), "not_changed": ["folder_id"]},
        )

    def _details(self) -> dict[str, object]:
        return {
            "change_id": self._write.change_id,
            "order_id": str(self._write.object_id),
            "changed": self._fields,
        }


def _answered_without_moving() -> UpstreamFailed:
    return UpstreamFailed("Order Desk answered without moving the order.")
