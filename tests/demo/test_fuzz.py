"""Whatever is sent, the sandbox answers with an envelope, and its figures stay figures."""

import json

import httpx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orderdesk_app.demo.app import BASE, SANDBOX_URL, sandbox_app
from orderdesk_app.demo.rows import MemoryRows
from orderdesk_app.demo.seed import Seed
from orderdesk_app.demo.switches import Switches

HEADERS = {"ORDERDESK-STORE-ID": "1", "ORDERDESK-API-KEY": "k"}
SEED = Seed(3, 3)
ENDPOINTS = [
    ("POST", "/orders"),
    ("PUT", "/orders/100000001"),
    ("POST", "/orders/100000001/order-history"),
    ("POST", "/orders/100000001/order-items"),
    ("PUT", "/orders/100000001/order-items/100000001001"),
    ("POST", "/orders/100000001/shipments"),
    ("POST", "/batch-shipments"),
    ("POST", "/move-orders"),
    ("POST", "/inventory-items"),
    ("PUT", "/inventory-items/1"),
    ("PUT", "/batch-inventory-items"),
]
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.just("9" * 5000)
    | st.sampled_from(["\ud800", "UPS", "Closed", "100000001"])
)
anything = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
NAMES = """
order_items shipping customer order_notes discount_list checkout_data tracking_number carrier_code
order_id order_id_list id note name code price destination_folder_id destination_folder_name
quantity stock folder_id date_added source_id cc_number shipping_total company
"""
fields = st.sampled_from(NAMES.split())
shaped = st.recursive(
    st.dictionaries(fields, scalars, max_size=8),
    lambda inner: st.dictionaries(
        fields, inner | st.lists(inner | scalars, max_size=3) | scalars, max_size=8
    ),
    max_leaves=8,
)


async def key_of(_store_id):
    return "k"


def no_constant(name):
    raise AssertionError(f"{name} is no JSON")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(endpoint=st.sampled_from(ENDPOINTS), body=anything | shaped | st.lists(shaped, max_size=3))
async def test_any_body_gets_an_envelope(endpoint, body):
    app = sandbox_app(key_of, MemoryRows(), switches=Switches(rate_limited=False), seed=SEED)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url=f"{SANDBOX_URL}{BASE}", headers=HEADERS
    ) as http:
        answer = await http.request(*endpoint, content=json.dumps(body))
        again = await http.get("/orders", params={"get_order_history": "1"})

    assert answer.status_code in (200, 201, 400, 404)
    assert json.loads(answer.content, parse_constant=no_constant)["status"] in ("success", "error")
    assert json.loads(again.content, parse_constant=no_constant)["status"] == "success"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    query=st.dictionaries(
        st.sampled_from(
            [
                "limit",
                "offset",
                "order_by",
                "order",
                "folder_id",
                "email",
                "search_start_date",
                "modified_end_date_local",
                "search_end_date_local",
                "customer_phone",
            ]
        ),
        st.text(max_size=12)
        | st.sampled_from(
            [
                "shipping",
                "customer",
                "order_items",
                "id",
                "0001-01-01",
                "9999-12-31T23:59:59-12:00",
                "20261122",
            ]
        ),
    )
)
async def test_any_query_gets_a_page(query):
    app = sandbox_app(key_of, MemoryRows(), switches=Switches(rate_limited=False), seed=SEED)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url=f"{SANDBOX_URL}{BASE}", headers=HEADERS
    ) as http:
        answer = await http.get("/orders", params=query)

    assert answer.status_code == 200
    assert answer.json()["records_returned"] == len(answer.json()["orders"])
