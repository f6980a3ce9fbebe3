"""Orders as a Kind of the write protocol: how an order is read, settled and named."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orderdesk_app.context import Json, OrderId
from orderdesk_app.errors import NotFound, in_message
from orderdesk_app.orderdesk.client import OrderDeskClient
from orderdesk_app.orderdesk.comparison import Difference, compare, differences, is_same
from orderdesk_app.orderdesk.merge import SOURCE_ID_PREFIX
from orderdesk_app.orderdesk.order import Order
from orderdesk_app.orderdesk.wait_budget import WaitBudget
from orderdesk_app.services.journal import LeftOpen, State
from orderdesk_app.services.open_store import OpenStore
from orderdesk_app.services.writes import Write

# Parts of every whole order: an answer without them holds only a part of the order.
_PARTS = ("shipping", "customer", "order_items", "order_notes")
# of an order that was created without a source name (docs/orderdesk-api.md section 6.1)
_DEFAULT_NAME = "Order Desk"


@dataclass(frozen=True, slots=True)
class Written:
    """An order after its change: what is changed, as dotted paths, and the journal's id of it (None
    when nothing had to be written).

    `differing` are paths with another value than was meant: Order Desk rewrote it, or another
    caller changed it since.
    """

    order: Order
    changed: tuple[str, ...]
    change_id: str | None
    differing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Deleted:
    """An order that is gone, and the journal's id of it."""

    order_id: OrderId
    change_id: str


class OrderKind:
    """Orders, by Order Desk's own id."""

    name = "order"

    def __init__(self, client: OrderDeskClient) -> None:
        self._client = client

    async def read(self, store: OpenStore, object_id: str, budget: WaitBudget) -> Order:
        """The whole order. Raises NotFound and the client's errors."""
        return await self._client.orders.get_order(store.access, OrderId(object_id), budget)

    def no_such(self, store: OpenStore, object_id: str) -> NotFound:
        """The error for an id that the store does not have."""
        return NotFound(
            f"Store {in_message(store.record.name)} has no order {object_id}. Order ids are "
            "Order Desk's own; find one by the shop's number with orders_list and source_id.",
            field="order_id",
            outcome="not_done",
        )

    def differences(self, before: Order, meant: Order) -> list[Difference]:
        """What the step from one image of the order to the other changes."""
        return differences(before, meant)

    def how_to_read(self, object_id: str) -> str:
        """The advice to read it first."""
        return f"read order {object_id} with orders_get"

    def how_to_find(self, source_id: str) -> str:
        """The advice to look for an order that has no id yet."""
        return (
            f"look for it with orders_list and source_id {source_id}; if it is not there, "
            f"create it with that same source_id {source_id}"
        )

    def settlement(self, row: LeftOpen, found: Order | None, *, is_late: bool) -> State | None:
        """What the order as found says about a write that was left open."""
        return settlement(row, found, is_late=is_late)


def settlement(row: LeftOpen, found: Order | None, *, is_late: bool) -> State | None:
    """What the order as found says about a write that was left open; None if it says nothing yet.

    Pure.
    """
    not_done: State | None = None if row.is_under_way and not is_late else "not_done"
    if row.action == "create":
        return (
            "done"
            if found is not None and row.meant is not None and is_that_order(row.meant, found)
            else None
        )
    if row.action == "delete":
        return "done" if found is None else not_done
    if found is None or row.before is None or row.meant is None:
        return "unknown"  # gone since: it can never be decided
    comparison = compare(row.before, row.meant, found)
    if comparison.arrived and not comparison.absent:
        return "done"  # a third value: it was changed again since
    if comparison.status == "not_done":
        return not_done
    return "done" if comparison.status == "done" else "unknown"


def is_that_order(meant: Mapping[str, Json], found: Mapping[str, Json]) -> bool:
    """True if an order found is the one that a create meant: same source id and source name.

    A source id that we made suffices without a name.
    """
    source_id = meant.get("source_id")
    if not source_id or not is_same(source_id, found.get("source_id")):
        return False
    return str(source_id).startswith(SOURCE_ID_PREFIX) or is_same(
        meant.get("source_name") or _DEFAULT_NAME, found.get("source_name") or _DEFAULT_NAME
    )


def may_settle(rows: Sequence[LeftOpen], order: Order) -> bool:
    """True if this order, as read, may decide one of the rows."""
    return any(
        row.action != "create" or (row.meant is not None and is_that_order(row.meant, order))
        for row in rows
    )


def is_whole(found: Order, like: Order | None = None) -> bool:
    """True if an answer has the parts of a whole order, or those of the order that it is `like`."""
    return all(part in found for part in _PARTS if like is None or part in like)


def deleted_meanwhile(write: Write) -> NotFound:
    """The error for an order that another caller deleted during a write."""
    return NotFound(
        f"Order {write.object_id} was deleted by somebody else while it was being changed. "
        "Nothing is left to change.",
        field="order_id",
        outcome="not_done",
        details={"change_id": write.change_id},
    )
