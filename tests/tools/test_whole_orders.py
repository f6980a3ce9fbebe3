"""A whole order as a tool gave it, with one change, is what many agents send: only the change is
made, and nothing else is a fault.
"""

import asyncio
import json
from typing import Any

import pytest

from orderdesk_app.orderdesk.dates import NO_DATE
from tests.worlds import FIRST_ORDER, World, counted


async def whole(world: World, order_id: str = FIRST_ORDER) -> dict[str, Any]:
    order = (await world.owner.get("orders_get", order_id=order_id))["order"]
    changed: dict[str, Any] = json.loads(json.dumps(order, default=str))
    return changed


async def test_every_order_can_be_sent_back_whole(small: World) -> None:
    rows: list[dict[str, Any]] = []
    cursor = None
    while len(rows) < 60:
        page = await small.owner.get("orders_list", view="full", limit=30, cursor=cursor)
        rows += page["orders"]
        cursor = page["pagination"]["next_cursor"]
    before = counted("upstream_requests", method="PUT")

    for row in rows:
        result = await small.owner.get("orders_update", order_id=row["id"], changes=dict(row))
        assert result["status"] == "unchanged", result["changed"]

    assert counted("upstream_requests", method="PUT") == before


async def test_a_row_of_a_search_can_be_sent_back_whole(small: World) -> None:
    [row] = (await small.owner.get("orders_list", search=FIRST_ORDER, view="full"))["orders"]
    assert row["matched_by"]

    result = await small.owner.get("orders_update", order_id=FIRST_ORDER, changes=dict(row))
    assert result["status"] == "unchanged"


async def test_one_change_in_a_whole_order_is_the_only_one(world: World) -> None:
    order = await whole(world)
    order["shipping"]["city"] = "Elsewhere"
    order["order_items"][0]["quantity"] += 1
    order["folder_id"] = 21656 if world.form == "over_http" else order["folder_id"]

    result = await world.owner.get("orders_update", order_id=FIRST_ORDER, changes=order)

    item = order["order_items"][0]["id"]
    assert {"shipping.city", f"order_items[id={item}].quantity"} <= set(result["changed"])
    assert len(result["changed"]) <= 3
    again = await whole(world)
    assert again["order_total"] != order["order_total"]


async def test_a_whole_order_that_moved_on_is_not_written(world: World) -> None:
    order = await whole(world)
    await asyncio.sleep(1.1)  # Order Desk's dates have whole seconds
    await world.owner.get("orders_update", order_id=FIRST_ORDER, changes={"email": "a@b.example"})

    error = await world.owner.refused(
        "orders_update", order_id=FIRST_ORDER, changes={**order, "tag_name": "x"}
    )

    assert (error.code, error.outcome) == ("CONFLICT_ERROR", "not_done")
    assert error.details["expected_date_updated"] == order["date_updated"]


async def test_all_read_only_fields_with_other_values_are_told_at_once(small: World) -> None:
    order = await whole(small)
    order |= {"order_total": 1, "cc_exp": "01/1999", "order_shipments": [{"id": "5"}], "id": "7"}

    error = await small.owner.refused("orders_update", order_id=FIRST_ORDER, changes=order)

    faults = error.details["faults"]
    assert isinstance(faults, list)
    assert [fault["field"] for fault in faults] == [
        "id",
        "order_total",
        "cc_exp",
        "order_shipments",
    ]


async def test_a_date_that_is_none_is_refused_before_any_request(small: World) -> None:
    before = counted("upstream_requests")
    for date in ("soon", 5, ["x"]):
        error = await small.owner.refused(
            "orders_update", order_id=FIRST_ORDER, changes={"date_updated": date, "email": "x@y.z"}
        )
        assert (error.code, error.field) == ("VALIDATION_ERROR", "date_updated")
    error = await small.owner.refused(
        "orders_update",
        order_id=FIRST_ORDER,
        changes={"date_updated": "2026-01-01"},
        expected_date_updated="2026-01-02",
    )
    assert error.field == "date_updated"
    assert counted("upstream_requests") == before


async def test_an_order_that_was_never_updated_can_be_sent_back(
    small: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoints = small.services.client.orders
    read = endpoints.get_order

    async def without_date(*given: Any) -> dict[str, Any]:
        return {**await read(*given), "date_updated": NO_DATE}

    monkeypatch.setattr(endpoints, "get_order", without_date)
    order = await whole(small)
    assert order["date_updated"] == NO_DATE

    result = await small.owner.get("orders_update", order_id=FIRST_ORDER, changes=order)
    assert result["status"] == "unchanged"
