"""Opt-in, against a real store: ORDERDESK_TEST_ENABLED=true with ORDERDESK_TEST_STORE_ID and
ORDERDESK_TEST_API_KEY. It reads and changes nothing.

Without them there is nothing here to run, so that a run of all tests neither needs a merchant nor
skips anything.
"""

from orderdesk_app.context import OrderId, Secret, StoreId
from orderdesk_app.orderdesk.access import StoreAccess
from orderdesk_app.orderdesk.buckets import MemoryBuckets
from orderdesk_app.orderdesk.client import OrderDeskClient
from orderdesk_app.orderdesk.transport import Transport, open_http
from orderdesk_app.orderdesk.wait_budget import WaitBudget
from orderdesk_app.settings_reader import load_settings

SETTINGS = load_settings()

if SETTINGS.orderdesk_test_enabled:

    async def test_a_real_store_answers_as_the_sandbox_does() -> None:
        store = StoreAccess(
            SETTINGS.orderdesk_api_url,
            StoreId(SETTINGS.orderdesk_test_store_id),
            Secret(SETTINGS.orderdesk_test_api_key.get_secret_value()),
        )
        async with open_http() as http:
            client = OrderDeskClient(
                Transport(
                    http,
                    MemoryBuckets(),
                    timeout=SETTINGS.http_timeout,
                    max_retries=SETTINGS.http_max_retries,
                )
            )

            await client.store.test_connection(store, WaitBudget(30))
            told = await client.store.get_store(store, WaitBudget(30))
            page = await client.orders.list_orders(store, {"limit": "2"}, WaitBudget(30))
            inventory = await client.inventory.list_inventory(store, {"limit": "2"}, WaitBudget(30))

            assert str(told["id"]) == store.store_id
            assert len(page.rows) <= 2
            assert inventory.rows is not None
            for order in page.rows:
                whole = await client.orders.get_order(
                    store, OrderId(str(order["id"])), WaitBudget(30)
                )
                assert whole["id"] == order["id"]
