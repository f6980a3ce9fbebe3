"""GET /orders: every parameter of section 3."""

import pytest


async def test_the_newest_fifty_come_first(world):
    body = await world.search()

    added = [order["date_added"] for order in body["orders"]]
    assert (body["total_records"], body["records_returned"], body["offset"], body["limit"]) == (
        500,
        50,
        0,
        50,
    )
    assert added == sorted(added, reverse=True)
    assert body["orders"][0]["id"] == "100000500"


async def test_pages_cover_everything_once(world):
    pages = [await world.search(limit=200, offset=offset) for offset in (0, 200, 400, 600)]

    ids = [order["id"] for page in pages for order in page["orders"]]
    assert [page["records_returned"] for page in pages] == [200, 200, 100, 0]
    assert len(set(ids)) == len(ids) == 500


@pytest.mark.parametrize("limit", ["0", "-5", "many", "", "１２"])
async def test_a_limit_that_is_none_counts_as_left_out(world, limit):
    assert (await world.search(limit=limit))["limit"] == 50


async def test_a_limit_above_500_is_clamped_or_refused_as_the_switch_says(world):
    clamped = await world.search(limit=501)
    world.switch(limit_above_maximum="error")

    assert (clamped["limit"], clamped["records_returned"]) == (500, 500)
    assert (await world.ask("GET", "/orders", params={"limit": 501}))[0] == 400


async def test_rows_are_whole_orders(world):
    row = (await world.search(order="asc", limit=1))["orders"][0]

    assert row == await world.order()


@pytest.mark.parametrize(
    "order_by",
    ["shipping_last_name", "customer_city", "order_total", "id", "email", "date_updated"],
)
async def test_orders_sort_by_any_field(world, order_by):
    part, _, field = order_by.partition("_")

    rows = (await world.search(limit=500, order_by=order_by, order="ASC"))["orders"]

    values = [
        row[part][field] if part in ("shipping", "customer") else row[order_by] for row in rows
    ]
    values = [value.lower() if isinstance(value, str) else value for value in values]
    assert values == sorted(values)
    assert len(set(map(str, values))) > 10


@pytest.mark.parametrize(
    ("parameters", "holds"),
    [
        ({"folder_id": "21655"}, lambda order: order["folder_id"] == 21655),
        ({"folder_id": "21655,21657"}, lambda order: order["folder_id"] in (21655, 21657)),
        ({"folder_name": "Prepared"}, lambda order: order["folder_id"] == 21655),
        ({"folder_name": "Prepared", "folder_id": "21657"}, lambda _: False),
        ({"folder_name": "prepared"}, lambda _: False),
        ({"folder_name": "Nowhere"}, lambda _: False),
        ({"source_id": "#1077"}, lambda order: order["source_id"] == "#1077"),
        ({"source_name": "etsy"}, lambda order: order["source_name"] == "Etsy"),
        (
            {"email": "CUSTOMER058@example.org"},
            lambda order: order["email"] == "customer058@example.org",
        ),
        ({"email": "customer058"}, lambda _: False),
        ({"customer_id": "7058"}, lambda order: order["customer_id"] == "7058"),
        ({"shipping_last_name": "NALDS"}, lambda _: False),
        (
            {"shipping_last_name": "ørens"},
            lambda order: "ørens" in order["shipping"]["last_name"].lower(),
        ),
        ({"customer_first_name": "josé"}, lambda order: order["customer"]["first_name"] == "José"),
        ({"customer_company": "fog"}, lambda order: "fog" in order["customer"]["company"].lower()),
        (
            {"shipping_address1": "congress"},
            lambda order: "Congress" in order["shipping"]["address1"],
        ),
        ({"customer_phone": "+48"}, lambda order: order["customer"]["phone"].startswith("+48")),
        (
            {"email": "customer058@example.org", "folder_name": "New"},
            lambda order: order["email"].startswith("customer058") and order["folder_id"] == 21654,
        ),
        ({"status": "Closed", "search": "x", "page": "9", "q": ""}, lambda _: True),
        ({"email": "", "folder_id": "", "folder_name": ""}, lambda _: True),
        (
            {"search_start_date": "2026-09-01", "search_end_date": "2026-09-30"},
            lambda order: "2026-09-01" <= order["date_added"] < "2026-09-30",
        ),
        (
            {"search_start_date": "2026-09-01T08:00:00Z"},
            lambda order: order["date_added"] >= "2026-09-01 08:00:00",
        ),
        (
            {"search_start_date": "2026-09-01T08:00:00.000+02:00"},
            lambda order: order["date_added"] >= "2026-09-01 06:00:00",
        ),
        (
            {"search_end_date": "2026-06-01 10:30:00"},
            lambda order: order["date_added"] <= "2026-06-01 10:30:00",
        ),
        (
            {"search_start_date_local": "2026-09-01", "search_end_date_local": "2026-11-10"},
            lambda order: "2026-09-01 07:00:00" <= order["date_added"] <= "2026-11-10 08:00:00",
        ),
        (
            {"modified_start_date": "2026-10-01", "modified_end_date": "2026-10-02"},
            lambda order: "2026-10-01" <= order["date_updated"] < "2026-10-02",
        ),
        ({"search_start_date": "next tuesday"}, lambda _: True),
    ],
)
async def test_a_filter_finds_exactly_its_orders(world, parameters, holds):
    everything = (await world.search(limit=500))["orders"]

    found = await world.search(limit=500, **parameters)

    meant = {order["id"] for order in everything if holds(order)}
    assert {order["id"] for order in found["orders"]} == meant
    assert found["total_records"] == len(meant)


@pytest.mark.parametrize(
    ("match", "found"), [("substring", {"Sørensen"}), ("prefix", set()), ("exact", set())]
)
async def test_names_match_as_the_switch_says(world, match, found):
    world.switch(text_match=match)

    assert {
        order["customer"]["last_name"]
        for order in (await world.search(customer_last_name="rensen"))["orders"]
    } == found
    assert (await world.search(customer_last_name="sørensen"))["total_records"] > 0


@pytest.mark.parametrize(
    ("switch", "parameter"),
    [("start_inclusive", "search_start_date"), ("end_inclusive", "search_end_date")],
)
async def test_a_bound_counts_as_the_switch_says(world, switch, parameter):
    order = await world.order("100000100")
    window = {
        "search_start_date": "2026-01-01",
        "search_end_date": "2027-01-01",
        parameter: order["date_added"],
        "limit": 500,
    }

    inside = order in (await world.search(**window))["orders"]
    world.switch(**{switch: False})
    outside = order in (await world.search(**window))["orders"]

    assert (inside, outside) == (True, False)


async def test_a_date_that_is_none_may_be_an_error(world):
    world.switch(bad_date="error")

    assert (await world.ask("GET", "/orders", params={"modified_end_date": "soon"}))[0] == 400


@pytest.mark.parametrize(
    ("value", "there"), [("1", True), ("true", True), ("0", False), ("", False)]
)
async def test_history_is_shown_only_when_asked_for(world, value, there):
    row = (await world.search(limit=1, folder_name="Closed", get_order_history=value))["orders"][0]

    assert ("order_history" in row) is there
    assert not there or {"source_name", "note", "date_added"} == set(row["order_history"][-1])


async def test_changed_made_and_deleted_orders_are_found_as_they_are(world):
    await world.ask("DELETE", "/orders/100000500")
    await world.ask(
        "PUT", "/orders/100000001", await world.order() | {"email": "moved@example.com"}
    )
    made = (
        await world.ask(
            "POST",
            "/orders",
            {
                "email": "moved@example.com",
                "customer": {"company": "X"},
                "order_items": [{"name": "a"}],
            },
        )
    )[1]["order"]["id"]

    rows = (await world.search(limit=500))["orders"]

    assert {row["id"] for row in rows} == {made} | {str(100000000 + n) for n in range(1, 500)}
    assert {row["id"] for row in rows if row["email"] == "moved@example.com"} == {made, "100000001"}
    assert (await world.search(modified_start_date="2026-11-22 12:00:00"))["total_records"] == 2
