"""The inventory, however many rows Order Desk gives at a time: a search says truly how much it has looked through."""

from typing import Any

import pytest

from orderdesk_app.orderdesk.answers import InventoryPage
from orderdesk_app.services.products import ProductPage, Products
from tests.services.conftest import OrderWorld


class Inventory:
    """An Order Desk with so many items, which gives at most `most` at a time and may not mind the offset, nor tell its total."""

    def __init__(self, items: int, *, most: int = 500, minds_offset: bool = True, tells_total: bool = True) -> None:
        self.items, self.most, self.minds_offset, self.tells_total = items, most, minds_offset, tells_total

    async def list_inventory(self, _store: Any, parameters: Any, _patience: Any) -> InventoryPage:
        offset = int(parameters["offset"]) if self.minds_offset else 0
        numbers = range(offset, min(self.items, offset + self.most, offset + int(parameters["limit"])))
        rows = [{"id": number, "name": f"Mug {number}", "code": f"M-{number}"} for number in numbers]
        return InventoryPage(rows, self.items if self.tells_total else None, None, None)


async def search(world: OrderWorld, inventory: Inventory) -> ProductPage:
    products = Products(inventory, world.reads, cache_seconds=60)  # type: ignore[arg-type]
    return await products.page(world.actor, world.store, search="mug", code=None, limit=10, offset=0, patience=world.patience())


@pytest.mark.parametrize(
    ("inventory", "covered", "is_complete"),
    [
        (Inventory(300), 300, True),
        (Inventory(500), 500, True),
        (Inventory(1200, most=100), 1200, True),
        (Inventory(3000), 2000, False),
        (Inventory(300, tells_total=False), 300, True),
        (Inventory(700, tells_total=False), 700, True),
        (Inventory(800, minds_offset=False), 500, False),
        (Inventory(0), 0, True),
    ],
)
async def test_a_search_says_truly_how_much_it_has_seen(world: OrderWorld, inventory: Inventory, covered: int, is_complete: bool) -> None:
    page = await search(world, inventory)

    assert (page.covered, page.is_complete) == (covered, is_complete)
    assert page.total == (covered if is_complete else None)
