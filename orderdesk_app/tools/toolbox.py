"""The services that tools use, as one value that wiring fills."""

from dataclasses import dataclass

from orderdesk_app.services.access import Access
from orderdesk_app.services.limits import Limits
from orderdesk_app.services.orders import Orders
from orderdesk_app.services.products import Products
from orderdesk_app.services.sign_in import SignIn
from orderdesk_app.services.stores import Stores


@dataclass(frozen=True, slots=True)
class Toolbox:
    access: Access
    sign_in: SignIn
    stores: Stores
    orders: Orders
    products: Products
    limits: Limits
