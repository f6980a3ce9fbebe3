"""Orders: search, read, create, replace, delete, and the move to another folder."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from orderdesk_app.context import Json, JsonObject, OrderId
from orderdesk_app.errors import ValidationFailed
from orderdesk_app.orderdesk import answers, refusals
from orderdesk_app.orderdesk.access import StoreAccess
from orderdesk_app.orderdesk.answers import Page
from orderdesk_app.orderdesk.endpoints import payload
from orderdesk_app.orderdesk.order import Order
from orderdesk_app.orderdesk.transport import Transport
from orderdesk_app.orderdesk.wait_budget import WaitBudget

_DEFAULT_LIMIT = 50  # docs/orderdesk-api.md section 3


class OrderEndpoints:
    """The endpoints of /orders, and /move-orders.

    Each method raises what Transport.request raises, UpstreamUnreachable for an answer without what
    was asked for, and ValidationFailed for an order id that is not digits.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def list_orders(
        self, store: StoreAccess, parameters: Mapping[str, str], budget: WaitBudget
    ) -> Page:
        """A page of complete orders, with its limit and offset always known.

        Parameters are Order Desk's own (docs/orderdesk-api.md section 3), dates in its form
        (dates.to_upstream).
        """
        answer = await self._transport.request(
            "GET", store, "/orders", budget, parameters=parameters
        )
        page = payload.page(answer, "orders")
        return replace(
            page,
            limit=page.limit
            if page.limit is not None
            else answers.count(parameters.get("limit")) or _DEFAULT_LIMIT,
            offset=page.offset
            if page.offset is not None
            else answers.count(parameters.get("offset")) or 0,
        )

    async def get_order(self, store: StoreAccess, order_id: OrderId, budget: WaitBudget) -> Order:
        """The order as Order Desk wrote it: an empty map may be [], and numbers are int or Decimal
        (docs/orderdesk-api.md section 6.1).
        """
        answer = await self._transport.request(
            "GET", store, _path(order_id), budget, thing=_words(order_id)
        )
        return payload.inner_with_id(answer, "order", "GET", order_id)

    async def create_order(self, store: StoreAccess, order: Order, budget: WaitBudget) -> Order:
        """The new order with its id (docs/orderdesk-api.md section 7.1).

        The request is never repeated when its answer was lost: the caller searches for the
        source_id.
        """
        answer = await self._transport.request("POST", store, "/orders", budget, body=order)
        created = payload.inner(answer, "order", "POST")
        if not payload.is_id(str(created.get("id", ""))):
            raise refusals.unreadable("POST")
        return created

    async def replace_order(
        self, store: StoreAccess, order_id: OrderId, order: Order, budget: WaitBudget
    ) -> Order:
        """The order as Order Desk has it now.

        The whole order is replaced: what `order` leaves out becomes blank (docs/orderdesk-api.md
        section 7.2).
        """
        answer = await self._transport.request("PUT", store, _path(order_id), budget, body=order)
        return payload.inner_with_id(answer, "order", "PUT", order_id)

    async def delete_order(self, store: StoreAccess, order_id: OrderId, budget: WaitBudget) -> None:
        """Deletes the order for good (docs/orderdesk-api.md section 7.3). Raises NotFound."""
        await self._transport.request(
            "DELETE", store, _path(order_id), budget, thing=_words(order_id)
        )

    async def move_orders(
        self,
        store: StoreAccess,
        order_ids: Iterable[OrderId],
        budget: WaitBudget,
        *,
        folder_id: str | int | None = None,
        folder_name: str | None = None,
    ) -> list[JsonObject]:
        """One row for each order that Order Desk names (order_id is a number there;
        docs/orderdesk-api.md section 7.5).

        Exactly one of folder_id and folder_name. Raises ValidationFailed for both or none.
        """
        if (folder_id is None) == (folder_name is None):
            raise ValidationFailed("Give either folder_id or folder_name.", field="folder_id")
        ids: list[Json] = [int(payload.path_id(order_id, "order_id")) for order_id in order_ids]
        body: JsonObject = {"order_id_list": ids}
        if folder_id is not None:
            body["destination_folder_id"] = int(payload.path_id(str(folder_id), "folder_id"))
        else:
            body["destination_folder_name"] = folder_name
        answer = await self._transport.request("POST", store, "/move-orders", budget, body=body)
        return payload.rows(answer, "results", "POST")


def _path(order_id: OrderId) -> str:
    return f"/orders/{payload.path_id(order_id, 'order_id')}"


def _words(order_id: OrderId) -> str:
    return f"order {order_id} in this store"
