"""Deletes an order. A second delete does no harm, so even a request that Order Desk may still be at
work on is repeated.
"""

from orderdesk_app.context import JsonObject, OrderId
from orderdesk_app.errors import NotFound, OrderDeskAgentsError
from orderdesk_app.observability import RECONCILED
from orderdesk_app.orderdesk.client import OrderDeskClient
from orderdesk_app.orderdesk.comparison import is_refusal, may_still_happen
from orderdesk_app.orderdesk.locks import Lock
from orderdesk_app.services.order_kind import Deleted
from orderdesk_app.services.write_failures import as_not_done, in_conflict, is_conflict
from orderdesk_app.services.writes import Intent, Write, Writes


class OrderDelete:
    """The operation, and its one request."""

    def __init__(self, writes: Writes, client: OrderDeskClient, write: Write) -> None:
        self._writes = writes
        self._client = client
        self._write = write
        self._lost: OrderDeskAgentsError | None = None  # of the last attempt
        self._was_repeated = False

    @property
    def lock_id(self) -> str:
        return self._write.object_id

    async def plan(self, before: JsonObject | None) -> Intent:
        """The order as meant is none."""
        return Intent(None, ())

    def unchanged(self, before: JsonObject | None) -> Deleted:
        """Never called: `plan` always returns an Intent."""
        return self._deleted()

    async def carry_out(self, lock: Lock | None) -> Deleted:
        return await self._writes.send(self._write, lock, self)

    async def send(self) -> bool:
        await self._client.orders.delete_order(
            self._write.store.access, OrderId(self._write.object_id), self._write.budget
        )
        return True

    def not_sent(self, error: OrderDeskAgentsError) -> OrderDeskAgentsError:
        """An earlier attempt may still succeed at Order Desk."""
        if self._lost is not None and may_still_happen(self._lost):
            return self._writes.unknown(self._write, self._lost)
        return error

    async def verify(
        self, answer: bool | None, lost: OrderDeskAgentsError | None, *, is_last: bool
    ) -> Deleted | None:
        if lost is None:
            return self._deleted()
        found = await self._writes.read_lost(self._write, lost)
        RECONCILED.labels("done" if found is None else "not_done").inc()
        if found is None:
            if isinstance(lost, NotFound) and not self._was_repeated:
                raise NotFound(
                    f"Order {self._write.object_id} was deleted by somebody else just now.",
                    field="order_id",
                    outcome="not_done",
                ) from lost
            return self._deleted()
        # the order is there, so "not found" means something else
        if is_refusal(lost) or isinstance(lost, NotFound):
            raise as_not_done(lost) from lost
        if is_last:
            raise self._given_up(lost) from lost
        self._lost = lost
        self._was_repeated = True
        return None

    def _given_up(self, lost: OrderDeskAgentsError) -> OrderDeskAgentsError:
        if may_still_happen(lost):
            return self._writes.unknown(self._write, lost)
        if is_conflict(lost):
            return in_conflict(lost, f"order {self._write.object_id}")
        return as_not_done(lost)

    def _deleted(self) -> Deleted:
        return Deleted(OrderId(self._write.object_id), self._write.change_id)
