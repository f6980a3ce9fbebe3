"""Inventory items: list and read (docs/orderdesk-api.md section 9)."""

from collections.abc import Mapping
from dataclasses import replace

from orderdesk_app.context import JsonObject
from orderdesk_app.orderdesk.access import StoreAccess
from orderdesk_app.orderdesk.answers import Page
from orderdesk_app.orderdesk.endpoints import payload
from orderdesk_app.orderdesk.transport import Transport
from orderdesk_app.orderdesk.wait_budget import WaitBudget


class InventoryEndpoints:
    """The endpoints of /inventory-items that only read.

    Each method raises what Transport.request raises, and UpstreamUnreachable for an answer without
    what was asked for.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def list_inventory(
        self, store: StoreAccess, parameters: Mapping[str, str], budget: WaitBudget
    ) -> Page:
        """A page of inventory items; limit and offset are None where the answer does not name them.

        Order Desk may ignore both: stop when a page repeats ids (docs/orderdesk-api.md section 9).
        """
        answer = await self._transport.request(
            "GET", store, "/inventory-items", budget, parameters=parameters
        )
        page = payload.page(answer, "inventory_items")
        if page.total is not None and page.total < len(page.rows):
            return replace(page, total=None)  # a real answer said "0" above three items
        return page

    async def get_inventory_item(
        self, store: StoreAccess, item_id: str, budget: WaitBudget
    ) -> JsonObject:
        """The inventory item; its id is a number there (docs/orderdesk-api.md section 6.8).

        Raises ValidationFailed for an id that is not digits.
        """
        answer = await self._transport.request(
            "GET",
            store,
            f"/inventory-items/{payload.path_id(item_id, 'product_id')}",
            budget,
            thing=f"product {item_id} in this store",
        )
        return payload.inner_with_id(answer, "inventory_item", "GET", item_id)
