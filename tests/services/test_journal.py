"""What an order as found says about a write whose outcome nobody wrote down."""

from dataclasses import replace
from typing import Any, cast

import pytest

from orderdesk_app.context import (
    Actor,
    OrderId,
    RequestContext,
    TenantId,
    UserId,
    Via,
    now,
    serving,
)
from orderdesk_app.db.audit import AuditEntry
from orderdesk_app.db.owned import owned
from orderdesk_app.orderdesk.client import OrderDeskClient
from orderdesk_app.services.journal import LeftOpen
from orderdesk_app.services.order_kind import OrderKind, is_that_order, may_settle, settlement
from tests.services.conftest import OrderWorld

OLD = {
    "id": "1",
    "email": "old",
    "shipping_method": "Ground",
    "source_id": "S-1",
    "source_name": "Shop",
}
NEW = {**OLD, "email": "new", "shipping_method": "Air"}
ONE = OrderId("100000001")
ORDERS = OrderKind(cast(OrderDeskClient, None))  # nothing is read here


def left(
    action: str = "update", *, under_way: bool = False, before: Any = OLD, meant: Any = NEW
) -> LeftOpen:
    return LeftOpen("c", now(), action, under_way, before, meant, Actor(TenantId("t")), "r")


@pytest.mark.parametrize(
    ("row", "found", "is_late", "state"),
    [
        (left(), NEW, False, "done"),
        (left(), OLD, False, "not_done"),
        (left(), {**NEW, "email": "third"}, False, "done"),  # written, and changed again since
        (left(), {**OLD, "email": "third", "shipping_method": "Sea"}, False, "unknown"),
        (left(), {**NEW, "email": "old"}, False, "unknown"),
        (left(), None, False, "unknown"),
        (left(under_way=True), OLD, False, None),
        (left(under_way=True), OLD, True, "not_done"),
        (left(under_way=True), NEW, False, "done"),
        (left("delete", meant=None), None, False, "done"),
        (left("delete", meant=None), OLD, False, "not_done"),
        (left("delete", meant=None, under_way=True), OLD, False, None),
        (left("create", before=None), NEW, False, "done"),
        (left("create", before=None), {**NEW, "source_id": "S-2"}, True, None),
        (left("create", before=None), None, True, None),
        (left(before=None), NEW, True, "unknown"),  # its images could not be opened
    ],
)
def test_an_order_as_found_settles_a_write(
    row: LeftOpen, found: Any, is_late: bool, state: str | None
) -> None:
    assert settlement(row, found, is_late=is_late) == state


def test_an_id_of_ours_needs_no_name_and_others_do() -> None:
    assert is_that_order({"source_id": "agent-1"}, {"source_id": "agent-1", "source_name": "API"})
    assert is_that_order({"source_id": "7"}, {"source_id": "7", "source_name": "Order Desk"})
    assert not is_that_order({"source_id": "7"}, {"source_id": "7", "source_name": "Shopify"})
    assert not is_that_order(
        {"source_id": "7", "source_name": "Etsy"}, {"source_id": "7", "source_name": "Shopify"}
    )
    assert not is_that_order({}, {"source_id": ""})


def test_a_create_under_way_does_not_disturb_reads_of_other_orders() -> None:
    rows = [left("create", before=None)]

    assert not may_settle(rows, {"source_id": "S-2", "source_name": "Shop"})
    assert may_settle(rows, NEW)
    assert may_settle([left()], {"source_id": "S-2"})


async def test_a_neighbours_open_write_is_not_ours(world: OrderWorld, neighbour: Any) -> None:
    await world.journal.open(
        world.actor,
        world.store.record,
        "order",
        ONE,
        "update",
        before=OLD,
        meant=NEW,
        paths=["email"],
    )

    assert await world.journal.left_open(neighbour.actor, world.store.record, ORDERS, ONE) == []
    assert len(await world.journal.left_open(world.actor, world.store.record, ORDERS, ONE)) == 1
    assert (
        await world.journal.left_open(world.actor, world.store.record, ORDERS, OrderId("100000002"))
        == []
    )


@pytest.mark.parametrize(("found", "outcome"), [(NEW, "ok"), (OLD, "NOT_DONE"), (None, "UNKNOWN")])
async def test_what_became_of_a_write_is_told_in_the_name_of_who_wrote(
    world: OrderWorld, found: Any, outcome: str
) -> None:
    agent = replace(
        world.actor, via=Via.MCP, credential_id="01CREDENTIAL", client_name="Claude Desktop"
    )
    with serving(RequestContext(request_id="of-the-write")):
        change_id = await world.journal.open(
            agent,
            world.store.record,
            "order",
            ONE,
            "update",
            before=OLD,
            meant=NEW,
            paths=["email"],
        )
    reader = replace(
        world.actor, user_id=UserId("01COLLEAGUE"), via=Via.CONSOLE, session_id="01SESSION"
    )

    await world.journal.settle(
        reader,
        world.store.record,
        ORDERS,
        ONE,
        await world.journal.left_open(reader, world.store.record, ORDERS, ONE),
        found,
        budget=30,
    )

    async with world.database.read() as session:
        [row] = (await session.exec(owned(reader, AuditEntry))).all()
    assert (row.action, row.outcome, row.change_id, row.request_id) == (
        "order.settle",
        outcome,
        change_id,
        "of-the-write",
    )
    assert (row.user_id, row.via, row.credential_id, row.session_id, row.client_name) == (
        world.actor.user_id,
        "mcp",
        "01CREDENTIAL",
        None,
        "Claude Desktop",
    )
    assert row.store_row_id == world.store.record.id
