"""Order Desk's API v2 as one object: its endpoints by noun."""

from orderdesk_app.orderdesk.endpoints.inventory import InventoryEndpoints
from orderdesk_app.orderdesk.endpoints.orders import OrderEndpoints
from orderdesk_app.orderdesk.endpoints.store import StoreEndpoints
from orderdesk_app.orderdesk.transport import Transport


class OrderDeskClient:
    """The endpoints of docs/orderdesk-api.md section 2, as in `client.orders.get_order(...)`.

    A new endpoint is a method in its noun's file; a new noun is a file in endpoints/ and a line
    here.
    """

    def __init__(self, transport: Transport) -> None:
        self.orders = OrderEndpoints(transport)
        self.inventory = InventoryEndpoints(transport)
        self.store = StoreEndpoints(transport)
