"""The sandbox as a whole: who may ask, what an answer looks like, what counts as invalid
(sections 1, 2, 5, 11).
"""

import asyncio
import time

import httpx
import pytest

from orderdesk_app.demo.app import BASE, SANDBOX_URL
from orderdesk_app.demo.stores import SMTP_PASSWORD


async def test_the_two_headers_open_the_store(world):
    status, body = await world.ask("GET", "/test")

    assert (status, body["status"], body["message"]) == (200, "success", "Connection Successful")
    assert body["current_date_time"] == "2026-11-22 12:00:00"
    assert body["execution_time"].endswith(" seconds")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"ORDERDESK-STORE-ID": "10001"},
        {"ORDERDESK-API-KEY": "the-key"},
        {"ORDERDESK-STORE-ID": "10001", "ORDERDESK-API-KEY": "wrong"},
        {"ORDERDESK-STORE-ID": "10002", "ORDERDESK-API-KEY": "the-key"},
        {"ORDERDESK-STORE-ID": "99999", "ORDERDESK-API-KEY": "the-key"},
        {"ORDERDESK-STORE-ID": "", "ORDERDESK-API-KEY": ""},
        {"Authorization": "Bearer the-key"},
    ],
)
@pytest.mark.parametrize("status", [401, 403, 200])
async def test_any_other_credentials_are_refused_as_the_switch_says(world, headers, status):
    world.switch(bad_credentials_status=status, bad_credentials_message="Go away")

    answer = await world.http.get(f"{SANDBOX_URL}{BASE}/test", headers=headers)

    assert answer.status_code == status
    assert answer.json() == {
        "status": "error",
        "message": "Go away",
        "execution_time": answer.json()["execution_time"],
    }


@pytest.mark.parametrize(
    ("method", "path", "key"),
    [
        ("GET", "/test", "current_date_time"),
        ("GET", "/store", "store"),
        ("GET", "/orders", "orders"),
        ("GET", "/orders/100000001", "order"),
        ("GET", "/orders/100000001/order-items", "order_items"),
        ("GET", "/orders/100000001/order-items/100000001001", "order_item"),
        ("GET", "/orders/100000001/shipments", "shipments"),
        ("GET", "/inventory-items", "inventory_items"),
        ("GET", "/inventory-items/1", "inventory_item"),
    ],
)
async def test_every_read_has_the_envelope_and_its_key(world, method, path, key):
    status, body = await world.ask(method, path)

    assert status == 200
    assert body["status"] == "success"
    assert body["execution_time"].endswith(" seconds")
    assert key in body


@pytest.mark.parametrize(
    "path",
    [
        "/orders/99",
        "/orders/abc",
        "/orders/0100000001",
        "/order/100000001",
        "/orders/100000001/order-items/1",
        "/orders/100000001/shipments/1",
        "/orders/1/shipments",
        "/inventory-items/99999",
        "/folders",
        "/customers",
        "/products",
        "/webhooks",
        "/",
        "/orders/100000001/order-history",
    ],
)
@pytest.mark.parametrize("status", [404, 200])
async def test_what_is_not_there_is_an_error_of_the_switchs_status(world, path, status):
    world.switch(not_found_status=status)

    found, body = await world.ask("GET", path)

    assert (found, body["status"]) == (status, "error")
    assert body["message"].endswith("Not Found")


async def test_a_get_with_a_body_is_invalid(world):
    status, body = await world.ask("GET", "/orders", {"limit": 1})

    assert (status, body["status"]) == (400, "error")


@pytest.mark.parametrize("method", ["PATCH", "TRACE", "CONNECT", "OPTIONS"])
async def test_other_methods_are_invalid(world, method):
    status, body = await world.ask(method, "/orders/100000001")

    assert (status, body["status"]) == (400, "error")


async def test_a_content_type_on_get_passes_unless_the_switch_is_strict(world):
    lax = await world.ask("GET", "/test", headers={"Content-Type": "application/json"})
    world.switch(strict_get_headers=True)
    strict = await world.ask("GET", "/test", headers={"Content-Type": "application/json"})
    without = await world.ask("GET", "/test")

    assert (lax[0], strict[0], without[0]) == (200, 400, 200)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'"x"', b"NaN", b'{"a": NaN}', b"\xff", b"[" * 5000, b"9" * 5000]
)
async def test_a_body_that_is_no_json_object_is_invalid(world, content):
    for method, path in (
        ("POST", "/orders"),
        ("PUT", "/orders/100000001"),
        ("POST", "/move-orders"),
    ):
        status, body = await world.ask(method, path, content=content)

        assert (status, body["status"]) == (400, "error")


async def test_the_override_header_works_only_behind_its_switch(world):
    order = await world.order()
    override = {"X-HTTP-Method-Override": "PUT"}

    before, _ = await world.ask(
        "POST", "/orders/100000001", order | {"email": "new@example.com"}, headers=override
    )
    world.switch(method_override=True)
    after, _ = await world.ask(
        "POST", "/orders/100000001", order | {"email": "new@example.com"}, headers=override
    )

    assert (before, after) == (404, 200)
    assert (await world.order())["email"] == "new@example.com"


async def test_the_store_tells_its_folders_in_order_and_its_secrets_in_clear(world):
    _, body = await world.ask("GET", "/store")

    store = body["store"]
    assert store["id"] == "10001"
    assert list(store["folders"].values()) == ["New", "Prepared", "Shipped", "Closed", "Canceled"]
    assert all(folder_id.isdigit() for folder_id in store["folders"])
    assert store["settings"]["timezone"] == "America/Los_Angeles"
    assert store["settings"]["api_key"] == "the-key"
    assert store["settings"]["smtp_password"] == SMTP_PASSWORD


async def test_a_neighbour_sees_nothing_of_a_stores_changes(world):
    await world.ask("DELETE", "/orders/100000001")
    await world.ask(
        "PUT", "/orders/100000002", await world.order("100000002") | {"email": "new@example.com"}
    )

    assert (await world.order("100000001", store_id="10002"))["id"] == "100000001"
    assert (await world.order("100000002", store_id="10002"))["email"] != "new@example.com"


async def test_shipments_name_the_store_that_asks(world):
    rows = (await world.search(limit=500))["orders"]
    shipped = next(row["id"] for row in rows if row["order_shipments"])

    ours, theirs = await world.order(shipped), await world.order(shipped, store_id="10002")

    assert {shipment["store_id"] for row in rows for shipment in row["order_shipments"]} == {
        "10001"
    }
    assert (ours["order_shipments"][0]["store_id"], theirs["order_shipments"][0]["store_id"]) == (
        "10001",
        "10002",
    )


async def test_reading_an_order_in_process_is_cheap(world):
    await world.order()
    request = {
        "type": "http",
        "method": "GET",
        "path": f"{BASE}/orders/100000001",
        "query_string": b"",
    }
    scope = request | {
        "headers": [
            (b"orderdesk-store-id", b"10001"),
            (b"orderdesk-api-key", b"the-key"),
            (b"host", b"sandbox.invalid"),
        ]
    }

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        assert message.get("status", 200) == 200

    best = min([await _seconds(world.app, scope, receive, send) for _ in range(200)])

    assert best < 0.0003


async def _seconds(app, scope, receive, send):
    started = time.perf_counter()
    await app(scope, receive, send)
    return time.perf_counter() - started


async def test_an_endless_wait_is_the_clients_to_end(world):
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(_slow(world), 0.05)


async def _slow(world):
    world.switch(delay=5)
    await world.ask("GET", "/test")


async def test_an_unknown_switch_is_named(world):
    with pytest.raises(ValueError, match="no_such_switch"):
        world.switch(no_such_switch=1)


async def test_no_answer_carries_a_version(world):
    await world.order()

    assert isinstance(world.last, httpx.Response)
    assert "etag" not in world.last.headers
