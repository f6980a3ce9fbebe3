"""A list that is read page by page with its cursor shows every order once, whatever becomes of the
orders that were listed.
"""

from collections.abc import Mapping
from typing import Any

import pytest

from orderdesk_app.context import JsonObject
from orderdesk_app.errors import ValidationFailed
from orderdesk_app.orderdesk.order import Order
from orderdesk_app.services.order_cursor import Cursor, next_cursor, read_cursor, rows_after
from orderdesk_app.services.order_search import FoundOrders
from tests.worlds import MINIMAL_ORDER, World


async def every_page(world: World, *, then_move: str | None = None, **asked: Any) -> list[str]:
    """The ids on all pages; each page's orders are moved before the next is asked for."""
    seen: list[str] = []
    cursor: str | None = None
    while True:
        page = await world.owner.get(
            "orders_list", **asked, **({"cursor": cursor} if cursor else {})
        )
        ids = [row["id"] for row in page["orders"]]
        seen += ids
        if then_move:
            for order_id in ids:
                await world.owner.get(
                    "orders_update", order_id=order_id, changes={"folder_name": then_move}
                )
        cursor = page["pagination"]["next_cursor"]
        assert (cursor is not None) == page["pagination"]["has_more"]
        if cursor is None:
            return seen


async def ids_of(world: World, **asked: Any) -> set[str]:
    page = await world.owner.get("orders_list", limit=100, **asked)
    assert not page["pagination"]["has_more"]
    return {row["id"] for row in page["orders"]}


@pytest.mark.parametrize("order", ["ASC", "DESC"])
async def test_a_folder_that_is_emptied_while_it_is_listed_is_listed_whole(
    world: World, order: str
) -> None:
    some = {"folder_name": "New", "search_start_date": "2026-01-01", "order": order}
    first = await world.owner.get("orders_list", limit=20, **some)
    some["search_end_date" if order == "ASC" else "search_start_date"] = first["orders"][-1][
        "date_added"
    ]
    there = await ids_of(world, **some)
    assert len(there) > 12

    seen = await every_page(world, then_move="Prepared", limit=5, **some)

    assert sorted(seen) == sorted(there), "none skipped, none twice"
    assert await ids_of(world, **some) == set()


async def test_orders_of_one_second_are_all_listed(small: World) -> None:
    made = set()
    for number in range(7):
        order: JsonObject = {
            **MINIMAL_ORDER,
            "source_id": f"S-{number}",
            "date_added": "2026-05-05T05:05:05Z",
            "customer_id": "4711",
        }
        made.add((await small.owner.get("orders_create", order_data=order))["order"]["id"])

    for direction in ("ASC", "DESC"):
        seen = await every_page(small, limit=2, customer_id="4711", order=direction)
        assert sorted(seen) == sorted(made)
    moved = await every_page(small, then_move="Closed", limit=2, customer_id="4711", status="New")
    assert sorted(moved) == sorted(made)


async def test_a_search_goes_on_by_cursor(small: World) -> None:
    row = (await small.owner.get("orders_list", limit=1))["orders"][0]
    for number in range(5):
        order = {**MINIMAL_ORDER, "source_id": f"F-{number}", "email": row["email"]}
        await small.owner.get("orders_create", order_data=order)
    there = await ids_of(small, search=row["email"])

    seen = await every_page(small, limit=2, search=row["email"])

    assert sorted(seen) == sorted(there)


async def test_an_own_end_date_still_holds(small: World) -> None:
    rows = (await small.owner.get("orders_list", limit=9))["orders"]
    until = rows[4]["date_added"]
    there = {row["id"] for row in rows if row["date_added"] <= until}

    page = await small.owner.get("orders_list", limit=2, search_end_date=until)
    page_2 = await small.owner.get(
        "orders_list", limit=2, search_end_date=until, cursor=page["pagination"]["next_cursor"]
    )

    ids = [row["id"] for row in (*page["orders"], *page_2["orders"])]
    assert len(set(ids)) == 4
    assert set(ids) <= there


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"cursor": "5"}, "next_cursor of the page before"),
        ({"cursor": "20261399000000D.1"}, "next_cursor of the page before"),
        ({"cursor": "99991231235959D.1"}, "next_cursor of the page before"),
        ({"cursor": "20261120100000A.1"}, "sorted the other way"),
        ({"cursor": "20261120100000D.1", "offset": 5}, "without offset"),
        ({"cursor": "20261120100000D.1", "order_by": "source_id"}, "date_added"),
    ],
)
async def test_any_other_cursor_is_refused(
    small: World, given: Mapping[str, Any], words: str
) -> None:
    error = await small.owner.refused("orders_list", **given)

    assert isinstance(error, ValidationFailed)
    assert error.field == "cursor"
    assert words in error.message


async def test_another_sorting_has_no_cursor(small: World) -> None:
    page = await small.owner.get("orders_list", limit=2, order_by="source_id")

    assert page["pagination"]["next_cursor"] is None
    assert page["pagination"]["next_offset"] == 2


@pytest.mark.parametrize("is_inclusive", [True, False])
@pytest.mark.parametrize("is_rising", [True, False])
@pytest.mark.parametrize("limit", [1, 2, 7])
async def test_bounds_that_are_inclusive_or_not_give_the_same_pages(
    is_inclusive: bool, is_rising: bool, limit: int
) -> None:
    """Order Desk does not say whether search_end_date includes its second."""
    orders: list[Order] = [
        {"id": str(number), "date_added": f"2026-05-05 05:05:0{number // 3}"}
        for number in range(20)
    ]
    ordered = sorted(orders, key=lambda order: str(order["date_added"]), reverse=not is_rising)

    async def list_rows(asked: Mapping[str, str], limit: int, offset: int) -> FoundOrders:
        start = asked.get("search_start_date", "")
        end = asked.get("search_end_date", "9")
        rows = [
            order
            for order in ordered
            if start < str(order["date_added"]) < end
            or (is_inclusive and str(order["date_added"]) in (start, end))
        ]
        shown = rows[offset : offset + limit]
        return FoundOrders(shown, len(rows), offset + len(shown) < len(rows), {})

    page = await list_rows({}, limit, 0)
    seen = list(page.orders)
    cursor: Cursor | None = None
    while page.has_more:
        text = next_cursor(page.orders, cursor, is_rising=is_rising)
        assert text is not None
        cursor = read_cursor(text, is_rising=is_rising)
        page = await rows_after(cursor, {}, limit, list_rows)
        seen += page.orders

    assert seen == ordered
