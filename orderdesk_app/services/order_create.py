"""Creates an order. An order without an id is found again by its source id, so a create whose
answer was lost is repeated only when no order has it.
"""

import re

from orderdesk_app.context import JsonObject, OrderId
from orderdesk_app.errors import Conflict, OrderDeskAgentsError
from orderdesk_app.observability import RECONCILED
from orderdesk_app.orderdesk.client import OrderDeskClient
from orderdesk_app.orderdesk.comparison import compare, is_alike, is_refusal, may_still_happen
from orderdesk_app.orderdesk.locks import Lock
from orderdesk_app.orderdesk.merge import Plan
from orderdesk_app.orderdesk.order import Order
from orderdesk_app.orderdesk.wait_budget import WaitBudget
from orderdesk_app.services.order_kind import Written, is_that_order, is_whole
from orderdesk_app.services.write_failures import as_not_done, in_conflict, is_conflict, key_refused
from orderdesk_app.services.writes import Intent, Write, Writes

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
_MOST_NAMED = 3  # numbers of a refusal that are looked up


class OrderCreate:
    """The operation, and its one request.

    `is_ours`: the source id was made here, so that no other order can have it.
    """

    def __init__(
        self, writes: Writes, client: OrderDeskClient, write: Write, plan: Plan, *, is_ours: bool
    ) -> None:
        self._writes = writes
        self._client = client
        self._write = write
        self._plan = plan
        self._is_ours = is_ours
        self._source_id = str(plan.body["source_id"])
        self._known: frozenset[str] = frozenset()  # orders of other shops with that source id
        self._was_repeated = False

    @property
    def lock_id(self) -> str | None:
        """Creates with the same source id run one after the other: otherwise each could take the
        other's order for its own.
        """
        return None if self._is_ours else f"with source_id {self._source_id}"

    async def plan(self, before: JsonObject | None) -> Intent:
        """Raises Conflict if the order is there already."""
        if not self._is_ours:
            self._known = await self._known_before()
        return Intent(self._plan.meant, self._plan.changed)

    def unchanged(self, before: JsonObject | None) -> Written:
        """Never called: `plan` always returns an Intent."""
        return Written({}, (), None)

    async def carry_out(self, lock: Lock | None) -> Written:
        order = await self._writes.send(self._write, lock, self)
        comparison = compare({}, self._plan.body, order)
        self._write.found = order
        self._write.object_id = str(order.get("id"))
        differing = comparison.differing
        others = frozenset(differing)
        return Written(
            order,
            tuple(path for path in self._plan.changed if path not in others),
            self._write.change_id,
            differing,
        )

    async def send(self) -> Order:
        return await self._client.orders.create_order(
            self._write.store.access, self._plan.body, self._write.budget
        )

    def not_sent(self, error: OrderDeskAgentsError) -> OrderDeskAgentsError:
        return as_not_done(error) if self._was_repeated else error

    async def verify(
        self, answer: Order | None, lost: OrderDeskAgentsError | None, *, is_last: bool
    ) -> Order | None:
        """The new order."""
        if lost is None:
            return await self._whole_order(answer or {})
        found = await self._found(lost)
        RECONCILED.labels("done" if found is not None else "not_done").inc()
        if found is not None:
            may_be_ours = self._is_ours or self._was_repeated or not says_duplicate(lost)
            if may_be_ours and (
                self._is_ours or compare({}, self._plan.body, found).status == "done"
            ):
                return found
            raise self._exists(OrderId(str(found.get("id")))) from lost
        if is_refusal(lost):
            raise await self._duplicate(lost) or as_not_done(lost) from lost
        if may_still_happen(lost):
            raise self._unknown(lost)
        if is_conflict(lost) and (duplicate := await self._duplicate(lost)):
            raise duplicate from lost
        if is_last:
            raise (
                in_conflict(lost, "this order") if is_conflict(lost) else as_not_done(lost)
            ) from lost
        self._was_repeated = True
        return None

    # ------------------------------------------------------------------ find the order

    async def _known_before(self) -> frozenset[str]:
        """Ids of orders that have the caller's source id (from other shops) already.

        Raises Conflict if this order is one of them.

        It is read before the POST: after a lost answer an old order looks like the new one.
        """
        orders = await self._by_source(self._write.budget)
        for found in orders:
            if is_that_order(self._plan.body, found):
                order_id = OrderId(str(found.get("id")))
                await self._writes.settle_found(self._write, order_id, found)
                raise self._exists(order_id)
        return frozenset(str(found.get("id")) for found in orders)

    async def _whole_order(self, answered: Order) -> Order:
        """The whole new order, read again if the answer has only parts of it."""
        if compare({}, self._plan.body, answered).status == "done" and is_whole(answered):
            return answered
        try:
            found = await self._writes.read(self._write, str(answered.get("id")))
        except OrderDeskAgentsError:
            return answered
        return answered if found is None else found

    async def _found(self, lost: OrderDeskAgentsError) -> Order | None:
        """The order that a POST without an answer made, None if there is none.

        Raises OutcomeUnknown when that cannot be read.
        """
        for pause in self._writes.pauses(lost):
            await self._writes.pause(pause)
            try:
                orders = await self._by_source(self._writes.time_to_read(self._write))
            except OrderDeskAgentsError as error:
                raise key_refused(error, lost) or self._unknown(lost) from error
            name = self._plan.body.get("source_name")
            for found in orders:
                if str(found.get("id")) not in self._known and (
                    not name or is_alike(name, found.get("source_name"))
                ):
                    return found
        return None

    async def _duplicate(self, lost: OrderDeskAgentsError) -> Conflict | None:
        """Order Desk's own refusal of a duplicate, naming the order that exists
        (docs/orderdesk-api.md section 7.1); None if it refused something else.
        """
        if not says_duplicate(lost):
            return None
        named = [OrderId(number) for number in numbers_in(lost.said) if number != self._source_id]
        try:
            same_source = [
                OrderId(str(row.get("id")))
                for row in await self._by_source(self._writes.time_to_read(self._write))
            ]
            named = [order_id for order_id in same_source if order_id in named] or (
                same_source if len(same_source) == 1 else named
            )
            for order_id in named[:_MOST_NAMED]:
                if await self._writes.read(self._write, order_id) is not None:
                    return self._exists(order_id)
        except OrderDeskAgentsError:
            pass  # then only its message is left
        if not _DUPLICATE.search(lost.said):
            return None  # the message may be about another object
        return Conflict(
            f"Order Desk refused it as a duplicate: “{lost.said}”. Nothing was created. Find the "
            "order with orders_list, and change it with orders_update.",
            field="source_id",
            outcome="not_done",
        )

    async def _by_source(self, budget: WaitBudget) -> list[Order]:
        """Orders with that source id, in any form in which Order Desk may keep it."""
        page = await self._client.orders.list_orders(
            self._write.store.access, {"source_id": self._source_id, "limit": "50"}, budget
        )
        wanted = self._plan.body["source_id"]
        return [order for order in page.rows if is_alike(order.get("source_id"), wanted)]

    # ------------------------------------------------------------------ the errors

    def _unknown(self, lost: OrderDeskAgentsError) -> OrderDeskAgentsError:
        return self._writes.unknown(self._write, lost, source_id=self._source_id)

    def _exists(self, order_id: OrderId) -> Conflict:
        return Conflict(
            f"Order {order_id} exists already with source_id {self._source_id}. Nothing was "
            "created. Change that order with orders_update, or use another source_id.",
            field="source_id",
            outcome="not_done",
            details={"order_id": str(order_id), "source_id": self._source_id},
        )


def says_duplicate(lost: OrderDeskAgentsError) -> bool:
    """Whether Order Desk may have refused an order as a duplicate."""
    return (is_refusal(lost) or is_conflict(lost)) and bool(
        _DUPLICATE.search(lost.said) or _EXISTS.search(lost.said)
    )


def numbers_in(said: str) -> list[str]:
    """The numbers in a message that may be an order's id, those beside the word order first; dates
    and times are left out.
    """
    said = _MOMENT.sub(" ", said)
    return list(dict.fromkeys([*_NAMED_ID.findall(said), *_ORDER_ID.findall(said)]))
