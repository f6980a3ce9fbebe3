"""What a list of orders means: which folder a status is, what a search text can be, and which
filters a found order passes.
"""

from collections.abc import Mapping
from typing import Any

import pytest

from orderdesk_app.context import OrderId
from orderdesk_app.errors import NotFound, ValidationFailed
from orderdesk_app.orderdesk.answers import Page
from orderdesk_app.services.order_search import (
    OrderQuery,
    fits,
    names_unknown_folder,
    search_orders,
    united,
    upstream_parameters,
)
from orderdesk_app.services.search_terms import questions

FOLDERS = (("1", "New"), ("2", "new"), ("3", "Closed"))
ORDER = {
    "id": "5",
    "email": "Ada@Example.com",
    "folder_id": 3,
    "date_added": "2026-11-10 10:00:00",
    "customer": {"last_name": "Byron"},
    "shipping": [],
}


@pytest.mark.parametrize(
    ("query", "parameters"),
    [
        (OrderQuery(), {}),
        (OrderQuery(status=" closed "), {"folder_id": "3"}),
        (OrderQuery(folder_name="new"), {"folder_id": "2"}),
        (OrderQuery(folder_id="1, 3", status="Closed"), {"folder_id": "3"}),
        (OrderQuery(email=" "), {}),
        (
            OrderQuery(order="desc", order_by="shipping_last_name"),
            {"order": "DESC", "order_by": "shipping_last_name"},
        ),
        (OrderQuery(modified_end_date="2026-11-10"), {"modified_end_date": "2026-11-10 23:59:59"}),
    ],
)
def test_filters_become_order_desks_own(query: OrderQuery, parameters: dict[str, str]) -> None:
    assert upstream_parameters(query, FOLDERS) == parameters


def test_folders_that_exclude_each_other_are_refused() -> None:
    with pytest.raises(ValidationFailed) as error:
        upstream_parameters(OrderQuery(folder_id="1", status="Closed"), FOLDERS)

    assert error.value.field == "status"


def test_only_a_folder_that_we_do_not_know_is_asked_for() -> None:
    assert names_unknown_folder(OrderQuery(status="Shipped"), FOLDERS)
    assert not names_unknown_folder(OrderQuery(status="CLOSED"), FOLDERS)
    assert not names_unknown_folder(OrderQuery(), FOLDERS)


@pytest.mark.parametrize(
    "text",
    ["100000001", "ada@example.com", "Byron", "W-17", "٣٤", "Ada Byron", "#1042", "+1 512 555 01"],
)
def test_a_search_begins_with_at_most_three_questions_and_has_at_most_four_more(text: str) -> None:
    likely, others = questions(text)

    assert 1 <= len(likely) <= 3
    assert len(others) <= 4


@pytest.mark.parametrize(
    ("parameters", "passes"),
    [
        ({}, True),
        ({"email": "ada@example.com"}, True),
        ({"email": "ada"}, False),
        ({"folder_id": "1,3"}, True),
        ({"folder_id": "1"}, False),
        ({"customer_last_name": "yro"}, True),
        ({"shipping_last_name": "Byron"}, False),
        ({"search_start_date": "2026-11-10 10:00:00"}, True),
        ({"search_start_date": "2026-11-10 10:00:01"}, False),
        ({"search_end_date": "2026-11-09 23:59:59"}, False),
        ({"modified_start_date": "2020-01-01 00:00:00"}, False),
    ],
)
def test_an_order_found_by_its_id_passes_the_other_filters_or_not(
    parameters: dict[str, str], passes: bool
) -> None:
    order: dict[str, Any] = dict(ORDER)

    assert fits(order, parameters) is passes


@pytest.mark.parametrize("order", ["ASC", "DESC"])
@pytest.mark.parametrize(
    ("order_by", "is_told_backwards"),
    [("date_added", False), ("date_added", True), ("source_id", False), ("shipping_country", True)],
)
async def test_the_pages_of_a_search_show_every_order_once_however_order_desk_sorts(
    order: str, order_by: str, is_told_backwards: bool
) -> None:
    """Orders of one second, or of one country, have no order but the one that Order Desk gives
    them; numbers in words it may sort as words.
    """
    orders = [
        {
            "id": str(number),
            "source_id": str(number),
            "date_added": "2026-11-10 10:00:00",
            "shipping": {"last_name": "Okafor", "country": "NG"},
        }
        for number in range(95, 155)
    ]
    told = sorted(orders, key=lambda row: str(row.get(order_by, "")), reverse=order == "DESC")
    told = told[::-1] if is_told_backwards else told

    async def get(order_id: OrderId) -> dict[str, Any]:
        raise NotFound("There is none.")

    async def listing(asked: Mapping[str, str]) -> Page:
        rows = told if "shipping_last_name" in asked else []
        return Page(rows[: int(asked["limit"])], len(rows), int(asked["limit"]), 0)

    shown: list[str] = []
    for offset in range(0, 60, 20):
        rows = await search_orders(
            "Okafor",
            {"order": order, "order_by": order_by},
            limit=20,
            offset=offset,
            get=get,
            listing=listing,
        )
        shown += [row["id"] for row in rows.orders]

    assert shown == [row["id"] for row in told]


async def test_a_search_that_finds_more_than_it_reaches_says_so() -> None:
    orders = [
        {"id": str(number), "date_added": f"2026-11-10 10:{number // 60:02}:{number % 60:02}"}
        for number in range(600, 0, -1)
    ]

    async def get(order_id: OrderId) -> dict[str, Any]:
        raise NotFound("There is none.")

    async def listing(asked: Mapping[str, str]) -> Page:
        return Page(
            orders[: int(asked["limit"])] if "email" in asked else [],
            600 if "email" in asked else 0,
            int(asked["limit"]),
            0,
        )

    last = await search_orders(
        "ada@example.com", {}, limit=100, offset=400, get=get, listing=listing
    )

    assert (len(last.orders), last.total, last.has_more) == (100, None, True)
    with pytest.raises(ValidationFailed, match="narrow it"):
        await search_orders("ada@example.com", {}, limit=100, offset=500, get=get, listing=listing)


def test_lists_are_united_by_what_they_are_sorted_by() -> None:
    first = [{"id": "1", "order_total": 9}, {"id": "2", "order_total": 5}]
    second = [
        {"id": "3", "order_total": 7},
        {"id": "2", "order_total": 5},
        {"id": "4", "order_total": 1},
    ]

    assert [row["id"] for row in united([first, second], "order_total", is_rising=False)] == [
        "1",
        "3",
        "2",
        "4",
    ]
    assert [
        row["id"] for row in united([first[::-1], second[::-1]], "order_total", is_rising=True)
    ] == ["4", "2", "3", "1"]


async def test_a_large_store_is_asked_by_every_meaning_and_the_answer_says_what_was_not() -> None:
    asked: list[str] = []

    async def get(order_id: OrderId) -> dict[str, Any]:
        raise NotFound("There is none.")

    async def listing(parameters: Mapping[str, str]) -> Page:
        asked.extend(name for name in parameters if name not in ("limit", "offset"))
        rows = [{"id": "7"}] if "customer_company" in parameters else []
        looked_through = [{"id": str(number)} for number in range(500)]
        has_filter = len(parameters) > 2
        return Page(
            rows if has_filter else looked_through, len(rows) if has_filter else 9_000, 1, 0
        )

    found = await search_orders("Quist", {}, limit=5, offset=0, get=get, listing=listing)

    assert [row["id"] for row in found.orders] == ["7"]
    assert found.matched_by == {"7": ("customer_company",)}
    assert {"customer_first_name", "shipping_company"} <= set(asked)
    assert "the first 500 orders (a date or folder filter reaches others)" in found.coverage
    assert found.total is None, "older orders were not looked through"


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("van der Berg", {"customer_last_name", "shipping_last_name"}),
        ("Quist & Sons", {"customer_company", "shipping_company"}),
        ("Order 1042", {"source_id"}),
        ("Zuleika", {"customer_first_name", "shipping_first_name", "shipping_company"}),
        ("5125550177", {"customer_phone", "shipping_phone", "source_id", "id"}),
    ],
)
def test_no_meaning_of_a_text_is_left_out(text: str, fields: set[str]) -> None:
    asked = {name for stage in questions(text) for question in stage for name in question.filters}

    assert fields <= asked
