"""Shipments, single and in batches (section 8)."""

import asyncio

import pytest

PLACE = "/orders/100000001/shipments"
UPS = {
    "tracking_number": "1Z999",
    "carrier_code": "UPS",
    "shipment_method": "Ground",
    "weight": 3.55,
    "cost": "7.10",
}


async def shipments(world, order_id="100000001"):
    return (await world.ask("GET", f"/orders/{order_id}/shipments"))[1]["shipments"]


async def test_a_shipment_is_added_and_found_in_the_order(world):
    status, body = await world.ask("POST", PLACE, UPS)

    (shipment,) = await shipments(world)
    order = await world.order()
    assert (status, body["message"], "shipment" in body) == (201, "Shipment Added", False)
    assert (shipment["order_id"], shipment["store_id"], shipment["weight"], shipment["cost"]) == (
        "100000001",
        "10001",
        "3.55",
        "7.10",
    )
    assert (shipment["order_items"], shipment["print_status"], shipment["date_shipped"]) == (
        "",
        "0",
        "2026-11-22",
    )
    assert shipment["tracking_url"] == "https://www.ups.com/track?tracknum=1Z999"
    assert (order["order_shipments"], order["date_updated"]) == ([shipment], "2026-11-22 12:00:00")
    assert (await world.ask("GET", f"{PLACE}/{shipment['id']}"))[1]["shipment"] == shipment


@pytest.mark.parametrize("reference", ["id", "code"])
async def test_a_part_of_the_order_may_be_shipped(world, reference):
    item = (await world.order())["order_items"][0]

    await world.ask(
        "POST", PLACE, UPS | {"order_items": [{reference: item[reference], "quantity": "1"}]}
    )

    assert (await shipments(world))[0]["order_items"] == [
        {reference: item[reference], "quantity": 1}
    ]


async def test_the_same_shipment_again_is_an_error_in_a_200(world):
    await world.ask("POST", PLACE, UPS)

    status, body = await world.ask("POST", PLACE, UPS)

    assert (status, body["status"], body["message"]) == (200, "error", "Shipment Not Added")
    assert len(await shipments(world)) == 1


async def test_what_is_the_same_shipment_is_a_switch(world):
    world.switch(shipment_duplicates="off")

    await world.ask("POST", PLACE, UPS)
    await world.ask("POST", PLACE, UPS)

    assert len({shipment["id"] for shipment in await shipments(world)}) == 2


async def test_the_same_shipment_at_once_is_added_once(world):
    answers = await asyncio.gather(*(world.ask("POST", PLACE, UPS) for _ in range(10)))

    assert [body["status"] for _, body in answers].count("success") == 1


async def test_a_shipment_needs_a_tracking_number(world):
    assert (await world.ask("POST", PLACE, {"carrier_code": "UPS"}))[0] == 400


async def test_half_a_character_in_a_tracking_number_breaks_nothing(world):
    status, _ = await world.ask(
        "POST", PLACE, content=b'{"tracking_number": "\\ud800", "carrier_code": "UPS"}'
    )

    assert (status, len(await shipments(world))) == (201, 1)


async def test_an_update_replaces_every_field(world):
    await world.ask("POST", PLACE, UPS)
    (before,) = await shipments(world)

    status, body = await world.ask("PUT", f"{PLACE}/{before['id']}", {"tracking_number": "n/a"})

    (after,) = await shipments(world)
    assert (status, body["message"]) == (200, "Shipment Updated")
    assert (after["id"], after["tracking_number"], after["carrier_code"], after["weight"]) == (
        before["id"],
        "n/a",
        "",
        "",
    )
    assert (await world.ask("PUT", f"{PLACE}/{before['id']}", {"carrier_code": "UPS"}))[0] == 400


async def test_a_shipment_is_deleted(world):
    await world.ask("POST", PLACE, UPS)
    (shipment,) = await shipments(world)

    status, body = await world.ask("DELETE", f"{PLACE}/{shipment['id']}")

    assert (status, body["message"]) == (200, f"Shipment {shipment['id']} Deleted")
    assert await shipments(world) == []
    assert (await world.ask("DELETE", f"{PLACE}/{shipment['id']}"))[0] == 404


@pytest.mark.parametrize(("honoured", "day"), [(False, "2026-11-22"), (True, "2026-11-01")])
async def test_the_unproven_date_field_is_a_switch(world, honoured, day):
    world.switch(shipment_date_honoured=honoured)

    await world.ask("POST", PLACE, UPS | {"shipment_date": "2026-11-01"})

    assert (await shipments(world))[0]["date_shipped"] == day


async def test_a_batch_hides_its_failures_in_a_200(world):
    rows = [
        {"order_id": 100000001, **UPS},
        {"order_id": 5, **UPS},
        {"order_id": "100000001", **UPS},
        {"order_id": 100000002},
    ]

    status, body = await world.ask("POST", "/batch-shipments", rows)

    assert (status, body["status"]) == (200, "success")
    assert [(row["order_id"], row["status"]) for row in body["results"]] == [
        (100000001, "success"),
        (5, "error"),
        ("100000001", "error"),
        (100000002, "error"),
    ]
    assert body["results"][0]["shipment_id"] == (await shipments(world))[0]["id"]
    assert body["results"][2]["message"] == "Shipment Not Added"


@pytest.mark.parametrize(
    ("honoured", "contents"), [(False, ""), (True, [{"code": "x", "quantity": 2}])]
)
async def test_a_batch_ignores_its_line_items_unless_the_switch_honours_them(
    world, honoured, contents
):
    world.switch(batch_order_items_honoured=honoured)

    await world.ask(
        "POST",
        "/batch-shipments",
        [{"order_id": 100000001, **UPS, "order_items": [{"code": "x", "quantity": 2}]}],
    )

    assert (await shipments(world))[0]["order_items"] == contents


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/batch-shipments", {"shipments": [{"order_id": 100000001, **UPS}]}),
        (
            "PUT",
            "/batch-inventory-items",
            {"inventory_items": [{"id": 1, "name": "a", "code": "b"}]},
        ),
    ],
)
async def test_a_wrapped_batch_is_refused_unless_the_switch_accepts_it(world, method, path, body):
    refused, _ = await world.ask(method, path, body)
    world.switch(accept_wrapped_batch=True)
    accepted, _ = await world.ask(method, path, body)

    assert (refused, accepted) == (400, 200)


@pytest.mark.parametrize("body", [[], ["x"], "x", 5])
async def test_a_batch_is_an_array_of_objects(world, body):
    assert (await world.ask("POST", "/batch-shipments", body))[0] == 400
