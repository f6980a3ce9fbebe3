"""Orders are created, replaced as a whole, moved and deleted as sections 6 and 7 say."""

import asyncio
import re

import pytest

LEAST = {"shipping": {"company": "Fern & Fog"}, "order_items": [{"name": "Mug"}]}
STAMP = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")


async def create(world, **values):
    return await world.ask("POST", "/orders", LEAST | values)


async def made(world, **values):
    return (await create(world, **values))[1]["order"]


async def put(world, order_id, body):
    status, answer = await world.ask("PUT", f"/orders/{order_id}", body)
    assert status == 200, answer
    return answer["order"]


# Types (point 3)


async def test_every_seeded_order_has_the_documented_keys_and_types(world):
    numbers = [
        "quantity_total",
        "weight_total",
        "product_total",
        "shipping_total",
        "handling_total",
        "tax_total",
        "discount_total",
        "order_total",
        "processor_balance",
        "refund_total",
        "folder_id",
    ]
    texts = [
        "id",
        "source_id",
        "source_name",
        "email",
        "shipping_method",
        "cc_number_masked",
        "cc_exp",
        "payment_type",
        "payment_status",
        "customer_id",
        "email_count",
        "ip_address",
        "date_added",
    ]
    maps = ["checkout_data", "order_metadata"]

    for order in (await world.search(limit=500))["orders"]:
        assert all(type(order[name]) in (int, float) for name in numbers)
        assert all(type(order[name]) is str for name in texts)
        assert all(order[name] == [] or type(order[name]) is dict for name in maps)
        assert order["id"].isdigit()
        assert order["email_count"].isdigit()
        assert STAMP.fullmatch(order["date_added"])
        assert "order_history" not in order
        assert "folder_name" not in order
        assert all(
            type(item["id"]) is str
            and type(item["price"]) in (int, float)
            and type(item["quantity"]) is int
            for item in order["order_items"]
        )
        assert all(
            item["variation_list"] == [] or type(item["variation_list"]) is dict
            for item in order["order_items"]
        )
        assert all(type(line["amount"]) is str for line in order["discount_list"])
        assert all(
            type(shipment[name]) is str
            for shipment in order["order_shipments"]
            for name in ("id", "order_id", "weight", "cost", "print_status")
        )
        assert set(order["shipping"]) - set(order["customer"]) == {"address3", "address4"}


async def test_every_seeded_order_adds_up(world):
    for order in (await world.search(limit=500))["orders"]:
        product = sum(item["price"] * item["quantity"] for item in order["order_items"])
        total = (
            product
            + order["shipping_total"]
            + order["handling_total"]
            + order["tax_total"]
            - order["discount_total"]
        )

        assert order["product_total"] == pytest.approx(product)
        assert order["order_total"] == pytest.approx(total)
        assert order["quantity_total"] == sum(item["quantity"] for item in order["order_items"])


async def test_the_documented_sum_comes_out(world):
    order = await made(
        world,
        order_items=[{"name": "a", "price": "10"}],
        shipping_total=11.17,
        handling_total="0.5",
        tax_total=1.2,
        discount_list=[{"name": "d", "amount": "-1.70"}],
        order_total=999,
        product_total=999,
    )

    assert (order["order_total"], order["product_total"], order["discount_total"]) == (
        21.17,
        10,
        1.7,
    )
    assert order["discount_list"] == [{"name": "d", "code": "", "amount": "1.70"}]


@pytest.mark.parametrize(
    ("price", "kept"),
    [
        ("1e400", 0),
        ("abc", 0),
        (None, 0),
        ([], 0),
        (0.1 + 0.2, 0.3),
        ("19.995", 19.995),
        (True, 1),
        ("1e-400", 0),
        (10**30, 0),
    ],
)
async def test_a_price_is_what_php_would_make_of_it(world, price, kept):
    assert (await made(world, order_items=[{"name": "a", "price": price}]))["order_items"][0][
        "price"
    ] == kept


# Create (point 9)


async def test_a_new_order_gets_its_defaults(world):
    status, body = await create(world, email="new@example.com")

    order = body["order"]
    assert status == 201
    assert (order["source_id"], order["source_name"], order["folder_id"]) == (
        order["id"],
        "Order Desk",
        21654,
    )
    assert (order["payment_status"], order["processor_balance"], order["email_count"]) == (
        "Captured",
        0,
        "1",
    )
    assert (order["checkout_data"], order["order_metadata"], order["order_shipments"]) == (
        [],
        [],
        [],
    )
    assert (order["date_added"], order["date_updated"]) == (
        "2026-11-22 12:00:00",
        "2026-11-22 12:00:00",
    )
    assert order["order_items"][0] | {"id": ""} == {
        "id": "",
        "name": "Mug",
        "price": 0,
        "quantity": 1,
        "weight": 0,
        "code": "",
        "delivery_type": "ship",
        "category_code": "",
        "fulfillment_method": "",
        "variation_list": [],
        "metadata": [],
    }
    assert await world.order(order["id"]) == order


async def test_what_is_sent_is_kept(world):
    order = await made(
        world,
        source_name="Zapier",
        source_id="Z-1",
        folder_id="21656",
        date_added="2026-01-02",
        processor_balance="0",
        cc_number="4111111111111111",
        checkout_data={"Gift": "ja"},
        order_notes=[{"username": "me", "content": "hello"}],
        order_items=[{"name": "a", "price": 2, "variation_list": {"Size": "L"}}],
    )

    assert (order["source_id"], order["folder_id"], order["date_added"]) == (
        "Z-1",
        21656,
        "2026-01-02 00:00:00",
    )
    assert (order["processor_balance"], order["cc_number_masked"]) == (0, "xxxxxxxxxxxx1111")
    assert (order["checkout_data"], order["order_items"][0]["variation_list"]) == (
        {"Gift": "ja"},
        {"Size": "L"},
    )
    assert order["order_notes"] == [
        {"date_added": "2026-11-22 12:00:00", "username": "me", "content": "hello"}
    ]


@pytest.mark.parametrize(("given", "other"), [("shipping", "customer"), ("customer", "shipping")])
async def test_a_missing_address_is_copied_from_the_other(world, given, other):
    _, body = await world.ask(
        "POST",
        "/orders",
        {given: {"first_name": "Ada", "city": "Köln"}, "order_items": [{"name": "a"}]},
    )

    assert body["order"][other]["first_name"] == "Ada"
    assert body["order"][other]["city"] == "Köln"


@pytest.mark.parametrize(
    "body",
    [
        {"shipping": {"company": "x"}},
        {"shipping": {"company": "x"}, "order_items": []},
        {"shipping": {"company": "x"}, "order_items": {}},
        {"shipping": {"company": "x"}, "order_items": ["Mug"]},
        {"order_items": [{"name": "a"}]},
        {"shipping": {"city": "Köln"}, "order_items": [{"name": "a"}]},
        {"shipping": "x", "customer": [], "order_items": [{"name": "a"}]},
        {"customer_first_name": "Ada", "order_items": [{"name": "a"}]},
        {
            "shipping": {"company": "x"},
            "order_items": [{"name": "a"}],
            "checkout_data": {"a": "x" * 3500},
        },
        {
            "shipping": {"company": "x"},
            "order_items": [{"name": "a"}],
            "order_metadata": {"a": "x" * 2000},
        },
        {
            "shipping": {"company": "x"},
            "order_items": [{"name": "a"}],
            "order_notes": [{"content": "x" * 1000}, {"content": "y" * 1000}],
        },
        {"shipping": {"company": "x"}, "order_items": [{"name": "a"}], "order_notes": ["text"]},
    ],
)
async def test_an_order_that_breaks_a_rule_is_refused_and_not_made(world, body):
    status, answer = await world.ask("POST", "/orders", body)

    assert (status, answer["status"]) == (400, "error")
    assert (await world.search())["total_records"] == 500


async def test_flat_names_count_only_behind_their_switch(world):
    world.switch(flat_names_honoured=True)

    status, body = await world.ask(
        "POST", "/orders", {"customer_first_name": "Ada", "order_items": [{"name": "a"}]}
    )

    assert (status, body["order"]["customer"]["first_name"]) == (201, "Ada")


async def test_a_duplicate_is_refused_naming_the_order_that_is_there(world):
    first = await made(world, source_name="Shop", source_id="77")

    status, body = await create(world, source_name="shop", source_id="77")

    assert (status, body["status"]) == (400, "error")
    assert first["id"] in body["message"]


async def test_the_seeded_orders_count_for_duplicates_and_deleted_ones_do_not(world):
    seeded = await world.order()
    source = {name: seeded[name] for name in ("source_name", "source_id")}

    refused = await create(world, **source)
    await world.ask("DELETE", "/orders/100000001")
    accepted = await create(world, **source)

    assert "100000001" in refused[1]["message"]
    assert accepted[0] == 201


@pytest.mark.parametrize(("rule", "status"), [("source", 201), ("source_id", 400), ("off", 201)])
async def test_what_is_a_duplicate_is_a_switch(world, rule, status):
    world.switch(duplicates=rule)
    await create(world, source_name="Shop", source_id="77")

    assert (await create(world, source_name="Another", source_id="77"))[0] == status


async def test_orders_made_at_once_have_their_own_ids_and_no_twin(world):
    answers = await asyncio.gather(*(create(world, source_id=str(n % 10)) for n in range(30)))

    ids = [body["order"]["id"] for status, body in answers if status == 201]
    assert len(ids) == len(set(ids)) == 10


async def test_the_status_of_a_create_is_a_switch(world):
    world.switch(created_status=200)

    assert (await create(world))[0] == 200


# Replace (point 2)


async def test_a_round_trip_changes_nothing_but_its_date_and_the_card(world):
    for number in range(1, 500, 23):
        before = await world.order(str(100000000 + number))

        after = await put(world, before["id"], before)

        assert {key for key in before if before[key] != after[key]} == {
            "date_updated",
            "cc_number_masked",
        }
        assert (after["cc_number_masked"], after["date_updated"]) == ("", "2026-11-22 12:00:00")
        assert await world.order(before["id"]) == after


async def test_what_is_left_out_becomes_blank(world):
    before = await world.order()

    after = await put(world, before["id"], {"order_items": before["order_items"]})

    same = {
        "id",
        "order_items",
        "order_shipments",
        "product_total",
        "quantity_total",
        "weight_total",
        "folder_id",
        "date_added",
        "email_count",
        "refund_total",
        "cc_number_masked",
    }
    assert all(after[key] == before[key] for key in same)
    assert {
        after[key]
        for key in (
            "email",
            "source_id",
            "source_name",
            "shipping_method",
            "payment_status",
            "cc_exp",
            "customer_id",
        )
    } == {""}
    assert (after["shipping_total"], after["tax_total"], after["processor_balance"]) == (0, 0, 0)
    assert (
        after["checkout_data"],
        after["order_metadata"],
        after["order_notes"],
        after["discount_list"],
    ) == ([], [], [], [])
    assert (
        set(after["shipping"].values())
        == set(after["customer"].values())
        == set(after["return_address"].values())
        == {""}
    )


async def test_putting_the_envelope_blanks_the_order(world):
    _, envelope = await world.ask("GET", "/orders/100000001")

    after = await put(world, "100000001", envelope)

    assert (after["email"], after["shipping"]["city"], len(after["order_items"])) == ("", "", 2)


async def test_addresses_are_replaced_as_a_whole(world):
    before = await world.order()
    partly = before | {"shipping": {"city": "Köln"}}

    blanked = (await put(world, before["id"], partly))["shipping"]
    await put(world, before["id"], before)
    world.switch(address_keys_blank=False)
    kept = (await put(world, before["id"], partly))["shipping"]

    assert {key: value for key, value in blanked.items() if value} == {"city": "Köln"}
    assert kept == before["shipping"] | {"city": "Köln"}


async def test_items_with_an_id_change_those_without_are_added_and_the_rest_goes(world):
    before = await world.order()
    first, second = before["order_items"]

    after = (
        await put(
            world,
            before["id"],
            before | {"order_items": [first | {"quantity": 9}, {"name": "New", "price": "3.30"}]},
        )
    )["order_items"]

    assert after[0] == first | {"quantity": 9}
    assert (after[1]["name"], after[1]["price"], after[1]["quantity"]) == ("New", 3.3, 1)
    assert second["id"] not in {item["id"] for item in after}
    assert after[1]["id"] not in {first["id"], second["id"]}


async def test_fields_left_out_of_an_item_become_blank(world):
    before = await world.order()
    first = before["order_items"][0]

    after = (
        await put(
            world,
            before["id"],
            before | {"order_items": [{"id": first["id"], "name": "Mug", "quantity": 2}]},
        )
    )["order_items"][0]

    assert (after["name"], after["quantity"], after["price"], after["code"], after["metadata"]) == (
        "Mug",
        2,
        0,
        "",
        [],
    )


async def test_items_sent_without_their_ids_are_doubles_with_new_ids(world):
    before = await world.order()
    bare = [
        {key: value for key, value in item.items() if key != "id"} for item in before["order_items"]
    ]

    after = await put(world, before["id"], before | {"order_items": before["order_items"] + bare})

    assert len({item["id"] for item in after["order_items"]}) == 4
    assert after["product_total"] == pytest.approx(before["product_total"] * 2)


@pytest.mark.parametrize(("switch", "left"), [("untouched", 2), ("removed", 0)])
async def test_a_put_without_items_is_a_switch(world, switch, left):
    world.switch(put_without_items=switch)
    before = await world.order()
    del before["order_items"]

    assert len((await put(world, before["id"], before))["order_items"]) == left


@pytest.mark.parametrize(("switch", "count"), [("ignored", 2), ("added", 3)])
async def test_an_unknown_item_id_is_a_switch(world, switch, count):
    world.switch(put_unknown_item=switch)
    before = await world.order()

    after = await put(
        world,
        before["id"],
        before | {"order_items": before["order_items"] + [{"id": "5", "name": "Ghost"}]},
    )

    assert len(after["order_items"]) == count
    assert "5" not in {item["id"] for item in after["order_items"]}


async def test_an_unknown_item_id_may_be_an_error_that_changes_nothing(world):
    world.switch(put_unknown_item="error")
    before = await world.order()

    status, _ = await world.ask(
        "PUT",
        "/orders/100000001",
        before | {"email": "x@example.com", "order_items": [{"id": "5"}]},
    )

    assert status == 404
    assert await world.order() == before


async def test_shipments_history_and_read_only_fields_are_out_of_reach(world):
    shipped = next(
        row
        for row in (await world.search(limit=500, get_order_history=1))["orders"]
        if row["order_shipments"]
    )
    meant = shipped | {
        "order_shipments": [],
        "order_history": [],
        "id": "1",
        "order_total": 1,
        "email_count": "99",
        "date_added": "2020-01-01",
        "date_updated": "2020-01-01",
    }

    await put(world, shipped["id"], meant)

    after = (await world.search(source_id=shipped["source_id"], get_order_history=1))["orders"][0]
    unchanged = (
        "order_shipments",
        "order_history",
        "id",
        "order_total",
        "email_count",
        "date_added",
    )
    assert all(after[key] == shipped[key] for key in unchanged)
    assert after["date_updated"] == "2026-11-22 12:00:00"


async def test_notes_are_replaced_unless_the_switch_appends(world):
    before = await world.order()
    note = {"date_added": "2026-01-01 00:00:00", "username": "a", "content": "one"}

    await put(world, before["id"], before | {"order_notes": [note]})
    replaced = (
        await put(world, before["id"], before | {"order_notes": [note | {"content": "two"}]})
    )["order_notes"]
    world.switch(notes_replaced=False)
    appended = (await put(world, before["id"], before | {"order_notes": [note]}))["order_notes"]

    assert [row["content"] for row in replaced] == ["two"]
    assert [row["content"] for row in appended] == ["two", "one"]


@pytest.mark.parametrize(
    ("switch", "status", "kept"), [("error", 400, None), ("cut", 200, 1), ("off", 200, 2)]
)
async def test_two_thousand_characters_of_notes_are_the_limit(world, switch, status, kept):
    world.switch(over_limit=switch)
    before = await world.order()

    found, body = await world.ask(
        "PUT",
        "/orders/100000001",
        before | {"order_notes": [{"content": "x" * 990}, {"content": "y" * 990}]},
    )

    assert found == status
    assert kept is None or len(body["order"]["order_notes"]) == kept


async def test_a_put_moves_the_folder_unless_the_switch_forbids_it(world):
    before = await world.order()

    moved = await put(world, before["id"], before | {"folder_id": 21656})
    unknown = await put(world, before["id"], before | {"folder_id": 5})
    world.switch(put_moves_folder=False)
    kept = await put(world, before["id"], before | {"folder_id": 21657})

    assert [order["folder_id"] for order in (moved, unknown, kept)] == [21656, 21656, 21656]


@pytest.mark.parametrize(
    ("switch", "echoed", "omitted"),
    [("blanked_by_echo", False, True), ("blanked_by_omission", False, False), ("kept", True, True)],
)
async def test_whether_card_digits_survive_is_a_switch(world, switch, echoed, omitted):
    world.switch(card_digits=switch)
    first, second = await world.order("100000001"), await world.order("100000002")
    bare = {key: value for key, value in second.items() if key != "cc_number_masked"}

    assert bool((await put(world, "100000001", first))["cc_number_masked"]) is echoed
    assert bool((await put(world, "100000002", bare))["cc_number_masked"]) is omitted
    assert (await put(world, "100000001", first | {"cc_number": "4242"}))[
        "cc_number_masked"
    ] == "xxxxxxxxxxxx4242"


async def test_parallel_writes_to_one_order_lose_each_other_but_nothing_breaks(world):
    before = await world.order()

    await asyncio.gather(
        *(put(world, before["id"], before | {"email": f"{n}@example.com"}) for n in range(20))
    )

    after = await world.order()
    assert after["email"].endswith("@example.com")
    assert after["order_items"] == before["order_items"]


# Delete, move, history, items


async def test_a_deleted_order_is_gone_for_good(world):
    status, body = await world.ask("DELETE", "/orders/100000001")

    assert (status, body["message"]) == (200, "Order 100000001 Deleted")
    assert (await world.ask("GET", "/orders/100000001"))[0] == 404
    assert (await world.ask("PUT", "/orders/100000001", LEAST))[0] == 404
    assert (await world.ask("DELETE", "/orders/100000001"))[0] == 404


@pytest.mark.parametrize(
    "destination",
    [
        {"destination_folder_id": 21655},
        {"destination_folder_id": "21655"},
        {"destination_folder_name": "Prepared"},
    ],
)
async def test_orders_move_to_a_folder(world, destination):
    status, body = await world.ask(
        "POST",
        "/move-orders",
        {"order_id_list": [100000001, "100000500", 7, "9" * 5000], **destination},
    )

    moved = (await world.search(source_id=(await world.order())["source_id"], get_order_history=1))[
        "orders"
    ][0]
    assert (status, body["message"]) == (200, "2 Orders Moved")
    assert body["results"][0] == {
        "order_id": 100000001,
        "message": "Order Moved to Prepared Folder",
        "original_folder_id": 21654,
    }
    assert body["results"][2] == {"order_id": 7, "message": "Order Not Found"}
    assert (moved["folder_id"], moved["date_updated"]) == (21655, "2026-11-22 12:00:00")
    assert moved["order_history"][-1] == {
        "source_name": "API",
        "note": "Order Moved to Prepared Folder",
        "date_added": "2026-11-22 12:00:00",
    }


@pytest.mark.parametrize(
    "body",
    [
        {"order_id_list": [100000001]},
        {"order_id_list": [100000001], "destination_folder_id": 1},
        {"order_id_list": [100000001], "destination_folder_name": "prepared"},
        {"order_id_list": [], "destination_folder_id": 21655},
        {"order_ids": [100000001], "folder_id": 21655},
        {
            "order_id_list": [100000001],
            "destination_folder_id": 21655,
            "destination_folder_name": "Prepared",
        },
    ],
)
async def test_a_move_that_breaks_a_rule_moves_nothing(world, body):
    status, answer = await world.ask("POST", "/move-orders", body)

    assert (status, answer["status"]) == (400, "error")
    assert (await world.order())["folder_id"] == 21654


async def test_both_destinations_may_mean_the_id(world):
    world.switch(move_with_both_destinations="id_wins")

    await world.ask(
        "POST",
        "/move-orders",
        {
            "order_id_list": [100000001],
            "destination_folder_id": 21656,
            "destination_folder_name": "Prepared",
        },
    )

    assert (await world.order())["folder_id"] == 21656


async def test_history_grows_and_is_not_the_notes(world):
    notes = (await world.order())["order_notes"]

    await world.ask("POST", "/orders/100000001/order-history", {"note": "first"})
    status, body = await world.ask(
        "POST", "/orders/100000001/order-history", {"note": "second", "source_name": "Robot"}
    )

    assert (status, body["total_records"]) == (200, 2)
    assert [(line["source_name"], line["note"]) for line in body["order"]["order_history"]] == [
        ("API", "first"),
        ("Robot", "second"),
    ]
    assert body["order"]["order_notes"] == notes
    assert "order_history" not in await world.order()


@pytest.mark.parametrize("body", [{}, {"note": " "}, {"note": "x" * 1801}])
async def test_a_history_line_needs_words_but_not_too_many(world, body):
    assert (await world.ask("POST", "/orders/100000001/order-history", body))[0] == 400


async def test_items_have_endpoints_of_their_own(world):
    order = await world.order()
    place = "/orders/100000001/order-items"

    added = await world.ask("POST", place, {"name": "Card", "price": 1.5})
    listed = (await world.ask("GET", place))[1]
    card = listed["order_items"][-1]
    updated = await world.ask(
        "PUT", f"{place}/{card['id']}", {"name": "Card", "price": "2", "quantity": 3}
    )
    one = (await world.ask("GET", f"{place}/{card['id']}"))[1]["order_item"]
    total = (await world.order())["order_total"]
    removed = await world.ask("DELETE", f"{place}/{card['id']}")

    assert (added[0], added[1]["message"], updated[1]["message"]) == (
        201,
        "Order Item Added",
        "Order Item Updated",
    )
    assert listed["total_records"] == 3
    assert (one["price"], one["quantity"], one["delivery_type"]) == (2, 3, "")
    assert total == pytest.approx(order["order_total"] + 6)
    assert (removed[0], (await world.order())["order_total"]) == (200, order["order_total"])


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "", {}),
        ("POST", "", []),
        ("PUT", "/1", {"name": "x"}),
        ("DELETE", "/1", None),
        ("DELETE", "", None),
    ],
)
async def test_item_requests_that_cannot_be_served_change_nothing(world, method, path, body):
    before = await world.order()

    status, answer = await world.ask(method, f"/orders/100000001/order-items{path}", body)

    assert (status in (400, 404), answer["status"]) == (True, "error")
    assert await world.order() == before
