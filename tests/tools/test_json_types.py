"""The same as tests/orderdesk/test_json_types.py by the way that agents take: a value of a wrong
type is refused in words by every tool that takes an order.
"""

from typing import Any

import pytest

from orderdesk_app.orderdesk.order_fields import WRITABLE
from tests.orderdesk.test_json_types import VALUES
from tests.worlds import FIRST_ORDER, World, counted

pytestmark = pytest.mark.asyncio(loop_scope="module")

ODD: list[Any] = [*VALUES, [[], []], [[None]], [[{}]], {"x": [[]]}]


@pytest.mark.parametrize("field", [*WRITABLE, "date_added", "order_shipments", "no_such"])
@pytest.mark.parametrize("tool", ["orders_update", "orders_create"])
async def test_no_value_of_a_field_is_an_error_that_nobody_expected(
    shared: World, tool: str, field: str
) -> None:
    before = counted("unexpected_errors")
    whole = {"shipping": {"last_name": "Byron"}, "order_items": [{"name": "Mug"}]}

    for value in ODD:
        given = (
            {"order_id": FIRST_ORDER, "changes": {field: value}}
            if tool == "orders_update"
            else {"order_data": {**whole, field: value}}
        )
        outcome = await shared.owner.call(tool, given)
        assert outcome.error is None or outcome.error.code == "VALIDATION_ERROR", value

    assert counted("unexpected_errors") == before


@pytest.mark.parametrize("value", ODD)
async def test_nor_is_any_value_in_place_of_the_whole(shared: World, value: Any) -> None:
    before = counted("unexpected_errors")

    for tool, given in (
        ("orders_update", {"order_id": FIRST_ORDER, "changes": value}),
        ("orders_create", {"order_data": value}),
        ("orders_update", value),
    ):
        outcome = await shared.owner.call(tool, given)
        assert outcome.error is None or outcome.error.code == "VALIDATION_ERROR", tool

    assert counted("unexpected_errors") == before
