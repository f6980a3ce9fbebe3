"""The inventory read through the cache: at most 2,000 rows of a search, and what happens where
Order Desk's pages are not as guessed.
"""

from types import SimpleNamespace
from typing import Any

import pytest

from orderdesk_app.context import Actor, Scope, Secret, StoreId, StoreRowId, TenantId
from orderdesk_app.errors import NotFound, PermissionDenied
from orderdesk_app.orderdesk.access import StoreAccess
from orderdesk_app.orderdesk.answers import Page
from orderdesk_app.orderdesk.wait_budget import WaitBudget
from orderdesk_app.services.open_store import OpenStore, StoreRecord
from orderdesk_app.services.products import MOST_SEARCHED, Products

ACTOR = Actor(TenantId("01TENANT"))
RECORD = StoreRecord(
    StoreRowId("01ROW"),
    ACTOR.tenant_id,
    StoreId("5"),
    "Teas",
    "",
    "http://sandbox.invalid/api/v2",
    b"",
    (),
    "UTC",
    False,
)  # type: ignore[arg-type]
STORE = OpenStore(RECORD, StoreAccess("http://sandbox.invalid/api/v2", StoreId("5"), Secret("key")))


class Inventory:
    """An Order Desk with so many products, and its own idea of pages."""

    def __init__(
        self,
        count: int,
        *,
        pages: str = "honoured",
        total: int | None = None,
        largest_page: int = 500,
    ) -> None:
        self.rows = [
            {"id": number, "name": f"Mug {number}", "code": f"MUG-{number}"}
            for number in range(1, count + 1)
        ]
        self.pages, self.total, self.largest = pages, total, largest_page
        self.requests = 0

    async def list_inventory(
        self, store: StoreAccess, parameters: dict[str, str], budget: WaitBudget
    ) -> Page:
        self.requests += 1
        limit, offset = int(parameters["limit"]), int(parameters["offset"])
        rows = (
            self.rows[offset : offset + min(limit, self.largest)]
            if self.pages == "honoured"
            else self.rows[:limit]
            if self.pages == "no offset"
            else self.rows
        )
        return Page(rows=[dict(row) for row in rows], total=self.total, limit=limit, offset=offset)

    async def get_inventory_item(
        self, store: StoreAccess, item_id: str, budget: WaitBudget
    ) -> dict[str, Any]:
        raise NotFound("no such item")


class Straight:
    """Reads without a cache."""

    async def get(
        self, store: StoreRecord, kind: str, parameters: str, seconds: float, fetch: Any
    ) -> tuple[Any, bool]:
        return await fetch(), False


def products(inventory: Inventory) -> Products:
    return Products(SimpleNamespace(inventory=inventory), Straight(), cache_seconds=60)  # type: ignore[arg-type]


async def page(inventory: Inventory, **asked: Any) -> Any:
    return await products(inventory).page(
        ACTOR,
        STORE,
        **{
            "search": None,
            "code": None,
            "limit": 50,
            "offset": 0,
            "budget": WaitBudget(30),
            **asked,
        },
    )


@pytest.mark.parametrize("pages", ["honoured", "no offset", "all at once"])
@pytest.mark.parametrize("total", [120, None])
async def test_pages_show_every_product_once_or_admit_that_they_cannot(
    pages: str, total: int | None
) -> None:
    inventory = Inventory(120, pages=pages, total=total)
    seen: list[int] = []
    offset = 0
    for _ in range(10):
        shown = await page(inventory, limit=50, offset=offset)
        seen += [row["id"] for row in shown.products]
        offset += len(shown.products)
        if not shown.has_more:
            break

    assert len(seen) == len(set(seen))
    assert seen == list(range(1, (50 if pages == "no offset" else 120) + 1))


async def test_a_search_looks_through_at_most_two_thousand_and_says_so() -> None:
    inventory = Inventory(3_000)

    found = await page(inventory, search="mug 1999")
    beyond = await page(inventory, search="mug 2500")

    assert [row["id"] for row in found.products] == [1999]
    assert (found.covered, found.is_complete, found.total) == (MOST_SEARCHED, False, None)
    assert beyond.products == []
    assert inventory.requests == 8


async def test_a_search_of_everything_knows_how_many_there_are() -> None:
    found = await page(Inventory(700), search="mug", limit=10)

    assert (found.total, found.covered, found.is_complete, found.has_more) == (700, 700, True, True)


async def test_a_search_ends_where_order_desk_ignores_the_offset() -> None:
    inventory = Inventory(700, pages="no offset")

    found = await page(inventory, search="mug", limit=500)

    assert (found.covered, found.is_complete, found.total) == (500, False, None)
    assert inventory.requests == 2


async def test_a_search_goes_on_where_order_desks_pages_are_smaller() -> None:
    inventory = Inventory(230, largest_page=100)

    found = await page(inventory, search="mug", limit=500)

    assert (found.covered, found.is_complete, found.total) == (230, True, 230)


async def test_a_list_goes_on_where_order_desks_pages_are_smaller() -> None:
    inventory = Inventory(230, largest_page=100)
    seen: list[int] = []

    while True:
        shown = await page(inventory, limit=300, offset=len(seen))
        seen += [row["id"] for row in shown.products]
        if not shown.has_more:
            break

    assert seen == list(range(1, 231))


async def test_nothing_is_said_of_the_total_beyond_the_last_row_where_order_desk_says_none() -> (
    None
):
    shown = await page(Inventory(30, total=0), offset=100)

    assert (shown.products, shown.total, shown.has_more) == ([], None, False)


async def test_a_search_of_an_order_desk_that_ignores_the_limit_asks_once() -> None:
    inventory = Inventory(700, pages="all at once")

    found = await page(inventory, search="mug", limit=500)

    assert (found.covered, found.is_complete, found.total) == (700, True, 700)
    assert inventory.requests == 1


async def test_every_word_of_a_search_must_be_there() -> None:
    inventory = Inventory(30)

    assert [row["id"] for row in (await page(inventory, search="7 MUG")).products] == [7, 17, 27]


async def test_what_is_not_there_is_told_with_the_stores_name() -> None:
    with pytest.raises(NotFound, match="Store Teas has no product 9") as error:
        await products(Inventory(1)).get(ACTOR, STORE, "9", WaitBudget(30))

    assert error.value.field == "product_id"


async def test_who_may_not_read_products_reads_none() -> None:
    poor = Actor(ACTOR.tenant_id, scopes=frozenset({Scope.ORDERS_READ}))

    with pytest.raises(PermissionDenied, match="products:read"):
        await products(Inventory(1)).get(poor, STORE, "1", WaitBudget(30))
