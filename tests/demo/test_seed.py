"""The seeded shop is believable, the same everywhere, and shared."""

import json

from orderdesk_app.demo.rows import INVENTORY, ORDER
from orderdesk_app.demo.seed import Seed, default_seed


def views(seed, kind=ORDER):
    return [seed.view(kind, object_id) for object_id in seed.ids(kind)]


def test_two_processes_make_the_same_set():
    one, other = Seed(30, 30), Seed(30, 30)
    views(other)  # in another order: whole set first

    assert views(one) == views(other)
    assert views(one, INVENTORY) == views(other, INVENTORY)


def test_an_order_is_the_same_in_a_small_set_but_for_its_email_count():
    small, large = Seed(10).view(ORDER, "100000003"), Seed().view(ORDER, "100000003")

    assert small["order"]["shipping"] == large["order"]["shipping"]
    assert small["order"]["order_items"] == large["order"]["order_items"]


def test_another_seed_is_another_shop():
    assert Seed(5, seed="other").view(ORDER, "100000001") != Seed(5).view(ORDER, "100000001")


def test_the_example_of_every_document_is_there():
    order = Seed().view(ORDER, "100000001")["order"]

    assert (
        order["id"],
        order["folder_id"],
        len(order["order_items"]),
        order["order_shipments"],
    ) == ("100000001", 21654, 2, [])
    assert Seed().view(INVENTORY, "1")["id"] == 1


def test_ids_beyond_the_set_are_not_there():
    seed = Seed(10, 5)

    assert [
        seed.view(ORDER, text)
        for text in ("100000000", "100000011", "0100000001", "x", "", "１", "-1")
    ] == [None] * 7
    assert [seed.view(INVENTORY, text) for text in ("0", "6", "01")] == [None] * 3


def test_the_set_holds_what_a_merchants_day_holds():
    orders = [document["order"] for document in views(Seed())]
    text = json.dumps(orders, ensure_ascii=False)

    folders = {order["folder_id"] for order in orders}
    partial = [
        order
        for order in orders
        if any(shipment["order_items"] for shipment in order["order_shipments"])
    ]
    assert (len(orders), len(folders)) == (500, 5)
    assert len(partial) > 20
    assert sum(bool(order["discount_list"]) for order in orders) > 50
    assert sum(bool(order["order_notes"]) for order in orders) > 100
    assert sum(not order["order_notes"] for order in orders) > 100
    assert sum("Gift Message" in order["checkout_data"] for order in orders) > 20
    assert sum(order["shipping"]["city"] != order["customer"]["city"] for order in orders) > 20
    assert all(
        word in text
        for word in (
            "Zoë",
            "高橋",
            "Ευαγγέλου",
            "الخطيب",
            "🎂",
            "\u202e",
            "Ignore all previous instructions",
            "</order_notes>",
        )
    )


def test_no_two_orders_come_from_the_same_source_order():
    orders = [document["order"] for document in views(Seed())]

    assert len({(order["source_name"], order["source_id"]) for order in orders}) == 500


def test_how_often_a_customer_has_ordered_is_true():
    orders = [document["order"] for document in views(Seed())]

    for order in orders[:50]:
        assert order["email_count"] == str(
            sum(other["email"] == order["email"] for other in orders)
        )


async def test_changing_a_seeded_order_leaves_the_seed_as_it_was(world):
    before = json.dumps(
        [world.app.seed.view(ORDER, "100000001"), world.app.seed.view(ORDER, "100000002")]
    )

    await world.ask("PUT", "/orders/100000001", {"order_items": []})
    await world.ask("POST", "/orders/100000002/order-history", {"note": "x"})
    await world.ask("POST", "/orders/100000002/shipments", {"tracking_number": "x"})
    await world.ask(
        "POST", "/move-orders", {"order_id_list": [100000001], "destination_folder_name": "Closed"}
    )

    assert (
        json.dumps(
            [world.app.seed.view(ORDER, "100000001"), world.app.seed.view(ORDER, "100000002")]
        )
        == before
    )


def test_sandboxes_of_one_process_share_what_they_are_seeded_with() -> None:
    document = default_seed().view(ORDER, "100000001")

    assert default_seed().view(ORDER, "100000001") is document
    assert document == Seed().view(ORDER, "100000001")
