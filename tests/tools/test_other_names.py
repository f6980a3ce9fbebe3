"""What people and models try who know an older or another system: each is answered with the name or
the way of today.
"""

from typing import Any

import pytest

from orderdesk_app.demo.orders import FOLDERS
from orderdesk_app.errors import UnknownTool, ValidationFailed
from orderdesk_app.tools.catalogue import every_tool, find_tool
from tests.work import MOST_CALLS, counted_work
from tests.worlds import FIRST_ORDER, World, counted

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("create_store", "stores_register"),
        ("stores.register", "stores_register"),
        ("list_orders", "orders_list"),
        ("get_orders", "orders_list"),
        ("searchOrders", "orders_list"),
        ("orders.update", "orders_update"),
        ("update_order", "orders_update"),
        ("order_edit", "orders_update"),
        ("cancel_order", "orders_update"),
        ("move-order", "orders_update"),
        ("add_order_note", "orders_update"),
        ("get_order", "orders_get"),
        ("orders.get", "orders_get"),
        ("createOrder", "orders_create"),
        ("delete_order", "orders_delete"),
        ("list_products", "products_list"),
        ("inventory_items.list", "products_list"),
        ("get_product", "products_get"),
        ("list_stores", "stores_list"),
        ("delete_store", "stores_delete"),
        ("select_store", "stores_use_store"),
        ("tenant.use_master_key", "tenant_use_master_key"),
        ("ordes_list", "orders_list"),
    ],
)
async def test_another_name_is_answered_with_todays(name: str, meant: str) -> None:
    with pytest.raises(UnknownTool) as refused:
        find_tool(name)

    assert f"Did you mean {meant}?" in refused.value.message


async def test_no_tool_is_called_like_another() -> None:
    names = [name for tool in every_tool() for name in (tool.name, *tool.also_called)]

    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    "name", ["create_folder", "folders.create", "renameFolder", "delete_folder"]
)
async def test_folders_are_made_by_a_person(name: str) -> None:
    with pytest.raises(UnknownTool) as refused:
        find_tool(name)

    if "rename" not in name:
        assert "a person does that in Order Desk" in refused.value.message
        assert "orders_update with folder_name" in refused.value.message


@pytest.mark.parametrize("name", ["x" * 100_000, "", "💥", "__import__", "a" * 80 + "_orders_list"])
async def test_any_name_is_answered_shortly(name: str) -> None:
    with pytest.raises(UnknownTool) as refused:
        find_tool(name)

    assert len(refused.value.message) < 500


@pytest.mark.parametrize("name", ["store_id", "store_name", "store", "api_key"])
async def test_a_store_is_named_by_store_identifier(shared: World, name: str) -> None:
    for tool in every_tool():
        if not tool.takes_store or name in tool.input_schema["properties"]:
            continue
        outcome = await shared.owner.call(tool.name, {**shared.example_of(tool), name: "10001"})
        assert outcome.error is not None
        assert (outcome.error.code, outcome.error.field) == ("VALIDATION_ERROR", name)
        assert "store_identifier" in outcome.error.message


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"customer_notes": "Gift"}, "Did you mean order_notes?"),
        ({"email": "ada@example.com", "order_items": [{"name": "Mug"}]}, "Order Desk needs a name"),
        ({"customer": {"name": "Ada"}}, "first_name"),
        ({"folder_name": "Newest"}, "a person does that in Order Desk"),
    ],
)
async def test_an_order_as_the_older_system_took_it_is_answered_with_the_way(
    shared: World, data: dict[str, Any], words: str
) -> None:
    error = await shared.owner.refused("orders_create", order_data=data)

    assert error.code == "VALIDATION_ERROR"
    assert words in error.message


async def test_all_faulty_filters_are_told_at_once(shared: World) -> None:
    before = counted("upstream_requests", method="GET")

    error = await shared.owner.refused(
        "orders_list",
        search_start_date="soon",
        modified_end_date="later",
        order_by="colour",
        cursor="x",
        fields=["emial", "no_such_thing", "order_items.0.name"],
    )

    assert isinstance(error, ValidationFailed)
    assert [fault.field for fault in error.faults] == [
        "fields",
        "fields",
        "fields",
        "search_start_date",
        "modified_end_date",
        "order_by",
        "cursor",
        "cursor",
    ]
    assert counted("upstream_requests", method="GET") == before


async def test_many_unknown_fields_are_judged_quickly(shared: World) -> None:
    with counted_work() as work:
        await shared.owner.refused(
            "orders_list", fields=[f"emial{n}" + "x" * 100 for n in range(100)]
        )

    assert work.calls < MOST_CALLS


@pytest.mark.parametrize("tool", ["orders_list", "orders_update"])
async def test_a_folder_made_after_a_refusal_is_found_at_once(
    shared: World, monkeypatch: pytest.MonkeyPatch, tool: str
) -> None:
    folder = f"Made for {tool}"
    arguments: dict[str, Any] = {
        "orders_list": {"folder_name": folder},
        "orders_update": {"order_id": FIRST_ORDER, "changes": {"folder_name": folder}},
    }[tool]
    for _ in range(2):
        error = await shared.owner.refused(tool, **arguments)
        assert "a new one is found at once" in error.message

    monkeypatch.setitem(FOLDERS, "31000", folder)

    await shared.owner.get(tool, **arguments)
