"""Inventory items (sections 6.8 and 9)."""

import pytest


async def item(world, item_id):
    return (await world.ask("GET", f"/inventory-items/{item_id}"))[1]["inventory_item"]


async def test_the_list_counts_in_strings_and_items_have_numeric_ids(world):
    _, body = await world.ask("GET", "/inventory-items")

    assert (body["total_records"], body["records_returned"], body["initial_records_returned"]) == (
        "300",
        50,
        50,
    )
    assert [row["id"] for row in body["inventory_items"]] == list(range(1, 51))
    for row in body["inventory_items"]:
        assert {
            type(row[name]) for name in ("name", "code", "update_source", "location", "date_added")
        } == {str}
        assert {type(row[name]) for name in ("price", "cost", "weight", "stock")} <= {int, float}
        assert row["manufacturer_sku"] is None or type(row["manufacturer_sku"]) is str
        assert all(
            row[name] == [] or type(row[name]) is dict for name in ("metadata", "variation_list")
        )


async def test_pages_cover_everything_once(world):
    rows = [
        row["id"]
        for offset in (0, 120, 240)
        for row in (
            await world.ask("GET", "/inventory-items", params={"limit": 120, "offset": offset})
        )[1]["inventory_items"]
    ]

    assert rows == list(range(1, 301))


async def test_paging_may_be_ignored(world):
    world.switch(inventory_paging="ignored", inventory_total="zero")

    _, body = await world.ask("GET", "/inventory-items", params={"limit": 5, "offset": 10})

    assert (len(body["inventory_items"]), body["total_records"]) == (300, "0")


async def test_codes_are_a_comma_list_and_unique(world):
    everything = (await world.ask("GET", "/inventory-items", params={"limit": 500}))[1][
        "inventory_items"
    ]
    codes = [row["code"] for row in everything]

    found = (
        await world.ask(
            "GET",
            "/inventory-items",
            params={"code": f"{codes[7].lower()}, {codes[3]},nothing", "name": "x", "search": "y"},
        )
    )[1]

    assert len(set(codes)) == 300
    assert [row["id"] for row in found["inventory_items"]] == [4, 8]
    assert found["total_records"] == "2"


async def test_an_item_is_made(world):
    status, body = await world.ask(
        "POST", "/inventory-items", {"name": "New", "code": "NEW-1", "stock": "5"}
    )

    made = body["inventory_item"]
    assert (status, body["message"]) == (201, "Inventory Item Added")
    assert (type(made["id"]), made["stock"], made["price"], made["metadata"]) == (int, 5, 0, [])
    assert made["id"] > 300
    assert await item(world, made["id"]) == made


@pytest.mark.parametrize(
    "body",
    [{"name": "x"}, {"code": "x"}, {"name": "", "code": "x"}, {"name": "x", "code": "MUG-CHA-XS"}],
)
async def test_an_item_needs_a_name_and_a_code_of_its_own(world, body):
    assert (await world.ask("POST", "/inventory-items", body))[0] == 400


async def test_an_update_replaces_every_field(world):
    before = await item(world, 2)

    status, body = await world.ask(
        "PUT", "/inventory-items/2", {"name": before["name"], "code": before["code"], "stock": 7}
    )

    after = await item(world, 2)
    assert (status, body["message"]) == (200, "Inventory Item Updated")
    assert (after["stock"], after["price"], after["location"], after["variation_list"]) == (
        7,
        0,
        "",
        [],
    )
    assert (after["date_added"], after["date_updated"]) == (
        before["date_added"],
        "2026-11-22 12:00:00",
    )


async def test_an_item_is_deleted(world):
    status, body = await world.ask("DELETE", "/inventory-items/9")

    assert (status, body["message"]) == (200, "Inventory Item 9 Deleted")
    assert (await world.ask("GET", "/inventory-items/9"))[0] == 404
    assert (await world.ask("GET", "/inventory-items"))[1]["total_records"] == "299"


@pytest.mark.parametrize(("blanks", "price"), [(True, 0), (False, 28)])
async def test_a_batch_updates_and_blanks_as_the_switch_says(world, blanks, price):
    world.switch(batch_inventory_blanks=blanks)
    first, second = await item(world, 1), await item(world, 2)
    rows = [
        first | {"stock": 1},
        {"id": 2, "name": second["name"], "code": second["code"], "stock": 2},
    ]

    status, body = await world.ask("PUT", "/batch-inventory-items", rows)

    assert (status, set(body)) == (200, {"status", "message", "execution_time"})
    assert ((await item(world, 1))["stock"], (await item(world, 1))["price"]) == (1, first["price"])
    assert ((await item(world, 2))["stock"], (await item(world, 2))["price"]) == (2, price)


async def test_a_batch_makes_nothing(world):
    assert (
        await world.ask("PUT", "/batch-inventory-items", [{"id": 5000, "name": "x", "code": "y"}])
    )[0] == 404
    assert (await world.ask("PUT", "/batch-inventory-items", [{"name": "x", "code": "y"}]))[
        0
    ] == 400
    assert (await world.ask("GET", "/inventory-items"))[1]["total_records"] == "300"
