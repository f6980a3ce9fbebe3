"""The client against the sandbox Order Desk, in process: what it promises holds where answers are
not scripted.
"""

import asyncio
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from orderdesk_app.context import OrderId, Secret, StoreId
from orderdesk_app.demo.app import SANDBOX_URL, SandboxApp, sandbox_app
from orderdesk_app.demo.faults import KINDS, Fault, Faults
from orderdesk_app.demo.rows import MemoryRows
from orderdesk_app.demo.switches import Switches
from orderdesk_app.errors import NotFound, OrderDeskAgentsError, StoreKeyRefused, UpstreamFailed
from orderdesk_app.orderdesk import json_text
from orderdesk_app.orderdesk.access import StoreAccess
from orderdesk_app.orderdesk.buckets import MemoryBuckets
from orderdesk_app.orderdesk.client import OrderDeskClient
from orderdesk_app.orderdesk.transport import Transport, open_http
from tests.orderdesk.conftest import KEY, budget, clock

UNKNOWN = OrderId("999999999999")


@dataclass
class World:
    client: OrderDeskClient
    store: StoreAccess
    faults: Faults
    app: SandboxApp

    async def any_order(self) -> dict[str, Any]:
        page = await self.client.orders.list_orders(self.store, {"limit": "1"}, budget())
        return page.rows[0]


@pytest.fixture
def world() -> World:
    async def accounts(store_id: str) -> str | None:
        return KEY if store_id == "4711" else None

    faults = Faults()
    app = sandbox_app(
        accounts,
        MemoryRows(),
        switches=Switches(strict_get_headers=True),
        faults=faults,
        clock=lambda: 1_795_000_000 + clock(),
    )
    http = open_http(mounts={SANDBOX_URL: httpx.ASGITransport(app)})
    client = OrderDeskClient(
        Transport(
            http, MemoryBuckets(clock), timeout=5, max_retries=3, clock=clock, random=lambda: 1.0
        )
    )
    return World(
        client, StoreAccess(f"{SANDBOX_URL}/api/v2", StoreId("4711"), Secret(KEY)), faults, app
    )


async def test_a_store_is_tested_and_read_without_its_secrets(world: World) -> None:
    told = await world.client.store.test_connection(world.store, budget())
    seen = await world.client.store.get_store(world.store, budget())

    assert told.message == "Connection Successful"
    assert seen["folders"][0][1] == "New"
    assert seen["timezone"]
    assert not {"api_key", "smtp_password"} & set(seen["settings"])


@pytest.mark.parametrize("status", [401, 403, 200])
async def test_a_wrong_key_is_told_in_whatever_form(status: int, world: World) -> None:
    world.app.switches = Switches(bad_credentials_status=status)
    wrong = StoreAccess(world.store.api_url, world.store.store_id, Secret("a-wrong-key"))

    for call in (
        world.client.store.test_connection(wrong, budget()),
        world.client.orders.list_orders(wrong, {}, budget()),
        world.client.orders.get_order(wrong, OrderId("1"), budget()),
    ):
        with pytest.raises(StoreKeyRefused):
            await call


@pytest.mark.parametrize("status", [404, 400, 200])
async def test_an_unknown_order_or_product_is_not_found_in_whatever_form(
    status: int, world: World
) -> None:
    world.app.switches = Switches(not_found_status=status)

    for ask in (
        world.client.orders.get_order,
        world.client.orders.delete_order,
        world.client.inventory.get_inventory_item,
    ):
        with pytest.raises(NotFound):
            await ask(world.store, UNKNOWN, budget())
    with pytest.raises(
        UpstreamFailed, match="Not Found"
    ) as refused:  # of a write the words may be about anything: who wrote reads the order
        await world.client.orders.replace_order(world.store, UNKNOWN, {"id": UNKNOWN}, budget())
    assert refused.value.outcome == "unknown"


async def test_an_order_read_and_written_back_stays_as_it_is(world: World) -> None:
    before = await world.any_order()
    order_id = OrderId(before["id"])

    await world.client.orders.replace_order(world.store, order_id, before, budget())
    after = await world.client.orders.get_order(world.store, order_id, budget())

    kept = [key for key in before if key not in ("date_updated", "cc_number_masked")]
    assert json_text.dumps([after[key] for key in kept]) == json_text.dumps(
        [before[key] for key in kept]
    )


async def test_an_order_lives_and_dies(world: World) -> None:
    made = await world.client.orders.create_order(
        world.store,
        {
            "source_id": "agent-1",
            "shipping": {"first_name": "Åsa", "last_name": "Ö"},
            "order_items": [{"name": "Shirt", "price": 9.9, "quantity": 2}],
        },
        budget(),
    )
    order_id = OrderId(made["id"])
    folders = (await world.client.store.get_store(world.store, budget()))["folders"]

    moved = await world.client.orders.move_orders(
        world.store, [order_id], budget(), folder_id=folders[1][0]
    )
    found = await world.client.orders.list_orders(world.store, {"source_id": "agent-1"}, budget())
    await world.client.orders.delete_order(world.store, order_id, budget())

    assert str(moved[0]["order_id"]) == order_id
    assert (found.total, str(found.rows[0]["folder_id"])) == (1, folders[1][0])
    with pytest.raises(NotFound):
        await world.client.orders.get_order(world.store, order_id, budget())


async def test_a_duplicate_is_refused_in_order_desks_words(world: World) -> None:
    order = {
        "source_id": "agent-1",
        "shipping": {"last_name": "Ö"},
        "order_items": [{"name": "Shirt"}],
    }
    made = await world.client.orders.create_order(world.store, order, budget())

    with pytest.raises(UpstreamFailed) as refused:
        await world.client.orders.create_order(world.store, order, budget())

    assert made["id"] in refused.value.message


@pytest.mark.parametrize("paging", ["honoured", "ignored"])
async def test_the_inventory_is_read_whether_or_not_it_is_paged(paging: Any, world: World) -> None:
    world.app.switches = Switches(inventory_paging=paging)

    page = await world.client.inventory.list_inventory(world.store, {"limit": "10"}, budget())
    item = await world.client.inventory.get_inventory_item(
        world.store, str(page.rows[0]["id"]), budget()
    )

    assert len(page.rows) >= 10
    assert page.total is None or page.total >= 10
    assert item == page.rows[0]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("edit", "status")])
async def test_a_read_survives_every_passing_fault(kind: Any, world: World) -> None:
    order_id = OrderId((await world.any_order())["id"])
    world.faults.add(Fault(kind, "GET", "/orders/*", seconds=1.0))

    if kind == "error_in_200":
        with pytest.raises(UpstreamFailed, match="Something Went Wrong"):
            await world.client.orders.get_order(world.store, order_id, budget())
    else:
        assert (await world.client.orders.get_order(world.store, order_id, budget()))[
            "id"
        ] == order_id


@pytest.mark.parametrize("effect", ["not_done", "done"])
@pytest.mark.parametrize(
    "kind",
    [
        "rate_limited",
        "rate_limited_bare",
        "server_error",
        "bad_gateway",
        "unavailable",
        "dropped",
        "broken_json",
        "error_in_200",
        "slow",
    ],
)
async def test_a_write_under_a_fault_arrives_at_most_once_and_no_word_about_it_is_wrong(
    kind: Any, effect: Any, world: World
) -> None:
    if kind.startswith("rate_limited") and effect == "done":
        effect = None  # refused unprocessed, by definition
    order = await world.any_order()
    order_id = OrderId(order["id"])
    world.faults.add(Fault(kind, "PUT", effect=effect, seconds=60.0))

    outcome = "done"
    try:
        await world.client.orders.replace_order(
            world.store, order_id, order | {"customer_id": "changed"}, budget(120)
        )
    except OrderDeskAgentsError as error:
        outcome = error.outcome or "nothing said"
    arrived = (await world.client.orders.get_order(world.store, order_id, budget(120)))[
        "customer_id"
    ] == "changed"

    puts = world.faults.requests("PUT")
    assert len(puts) == (2 if kind.startswith("rate_limited") else 1)
    assert outcome == "unknown" or arrived == (outcome == "done")


async def test_sixty_calls_at_once_never_meet_a_429(world: World) -> None:
    order_id = OrderId((await world.any_order())["id"])

    await asyncio.gather(
        *(world.client.orders.get_order(world.store, order_id, budget()) for _ in range(60))
    )

    assert {served.status for served in world.faults.log} == {200}


async def test_a_bucket_that_others_emptied_is_waited_for(world: World) -> None:
    order_id = OrderId((await world.any_order())["id"])
    other = OrderDeskClient(
        Transport(
            open_http(mounts={SANDBOX_URL: httpx.ASGITransport(world.app)}),
            MemoryBuckets(clock),
            timeout=5,
            max_retries=3,
            clock=clock,
        )
    )

    await asyncio.gather(
        *(
            client.orders.get_order(world.store, order_id, budget())
            for client in (world.client, other)
            for _ in range(25)
        )
    )

    assert [served.status for served in world.faults.log].count(200) == 51
