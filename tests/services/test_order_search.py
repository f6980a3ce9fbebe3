"""What a list of orders means: which folder a status is, what a search text can be, and which filters a found order passes."""

from typing import Any

import pytest

from orderdesk_app.errors import ValidationFailed
from orderdesk_app.services.order_search import OrderQuery, fits, names_unknown_folder, searched_fields, upstream_parameters

FOLDERS = (("1", "New"), ("2", "new"), ("3", "Closed"))
ORDER = {"id": "5", "email": "Ada@Example.com", "folder_id": 3, "date_added": "2026-11-10 10:00:00", "customer": {"last_name": "Byron"}, "shipping": []}


@pytest.mark.parametrize(
    ("query", "parameters"),
    [
        (OrderQuery(), {}),
        (OrderQuery(status=" closed "), {"folder_id": "3"}),
        (OrderQuery(folder_name="new"), {"folder_id": "2"}),
        (OrderQuery(folder_id="1, 3", status="Closed"), {"folder_id": "3"}),
        (OrderQuery(email=" "), {}),
        (OrderQuery(order="desc", order_by="shipping_last_name"), {"order": "DESC", "order_by": "shipping_last_name"}),
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


@pytest.mark.parametrize("text", ["100000001", "ada@example.com", "Byron", "W-17", "٣٤"])
def test_a_search_asks_at_most_four_questions(text: str) -> None:
    assert 1 <= len(searched_fields(text)) <= 4


@pytest.mark.parametrize(
    ("parameters", "passes"),
    [
        ({}, True), ({"email": "ada@example.com"}, True), ({"email": "ada"}, False), ({"folder_id": "1,3"}, True), ({"folder_id": "1"}, False),
        ({"customer_last_name": "yro"}, True), ({"shipping_last_name": "Byron"}, False), ({"search_start_date": "2026-11-10 10:00:00"}, True),
        ({"search_start_date": "2026-11-10 10:00:01"}, False), ({"search_end_date": "2026-11-09 23:59:59"}, False), ({"modified_start_date": "2020-01-01 00:00:00"}, False),
    ],
)  # fmt: skip
def test_an_order_found_by_its_id_passes_the_other_filters_or_not(parameters: dict[str, str], passes: bool) -> None:
    order: dict[str, Any] = dict(ORDER)

    assert fits(order, parameters) is passes
