"""What a write would do is told without doing it."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from orderdesk_app.context import OrderId
from orderdesk_app.errors import Conflict, NotFound, OrderDeskAgentsError, ValidationFailed
from orderdesk_app.services.changes import Changes
from orderdesk_app.services.writes import Preview
from tests.services.conftest import A_NEW_ORDER, OrderWorld

ORDER = OrderId("100000001")
WRITES = ("POST", "PUT", "DELETE")


async def preview_update(world: OrderWorld, changes: Any, **options: Any) -> Preview:
    return await world.orders.preview_update(
        world.actor, world.store, ORDER, changes, world.budget(), **options
    )


async def preview_create(world: OrderWorld, order: Any = None) -> Preview:
    return await world.orders.preview_create(
        world.actor, world.store, order or A_NEW_ORDER, world.budget()
    )


async def preview_delete(world: OrderWorld, order_id: str = ORDER) -> Preview:
    return await world.orders.preview_delete(
        world.actor, world.store, OrderId(order_id), world.budget()
    )


def told(preview: Preview) -> dict[str, tuple[Any, Any]]:
    return {change.path: (change.before, change.meant) for change in preview.changes}


async def test_an_update_is_told_path_by_path_and_is_not_sent(world: OrderWorld) -> None:
    before = await world.upstream()

    preview = await preview_update(world, {"shipping": {"city": "Quito"}, "folder_name": "Shipped"})

    assert told(preview) == {
        "shipping.city": (before["shipping"]["city"], "Quito"),
        "folder_id": (before["folder_id"], 21658),
    }
    assert (preview.before or {})["email"] == before["email"]
    assert await world.upstream() == before


async def test_an_update_that_changes_nothing_has_no_difference(world: OrderWorld) -> None:
    city = (await world.upstream())["shipping"]["city"]

    assert not (await preview_update(world, {"shipping": {"city": city}})).changes


async def test_a_create_is_told_and_is_not_sent(world: OrderWorld) -> None:
    ids = await world.upstream_ids()

    preview = await preview_create(world)

    assert preview.before is None
    assert told(preview)["shipping.first_name"] == (None, "Ada")
    assert await world.upstream_ids() == ids


async def test_a_deletion_is_told_by_the_order_that_would_be_gone(world: OrderWorld) -> None:
    preview = await preview_delete(world)

    assert preview.meant is None
    assert (preview.before or {})["email"] == (await world.upstream())["email"]


@pytest.mark.parametrize("ask", [preview_create, preview_delete])
@pytest.mark.parametrize("left", ["nothing", "an open row"])
async def test_a_preview_sends_no_write_and_leaves_the_journal_as_it_is(
    world: OrderWorld, ask: Callable[[OrderWorld], Awaitable[Preview]], left: str
) -> None:
    if left != "nothing":
        await world.journal.open(
            world.actor,
            world.store.record,
            "order",
            ORDER,
            "update",
            before={},
            meant={},
            paths=["email"],
        )
    rows = [(row.id, row.state) for row in await world.rows()]

    await ask(world)
    await preview_update(world, {"email": "new@example.com"})

    assert [(row.id, row.state) for row in await world.rows()] == rows
    assert not [served for method in WRITES for served in world.requests(method)]


@pytest.mark.parametrize(
    ("ask", "expected"),
    [
        (lambda world: preview_update(world, {"shipping": {"town": "Quito"}}), ValidationFailed),
        (
            lambda world: preview_update(
                world, {"email": "a@example.com"}, expected_date_updated="2020-01-01"
            ),
            Conflict,
        ),
        (lambda world: preview_create(world, {"email": "a@example.com"}), ValidationFailed),
        (lambda world: preview_delete(world, "999"), NotFound),
    ],
)
async def test_what_a_write_would_refuse_its_preview_refuses(
    world: OrderWorld,
    ask: Callable[[OrderWorld], Awaitable[Preview]],
    expected: type[OrderDeskAgentsError],
) -> None:
    with pytest.raises(expected):
        await ask(world)


async def test_the_difference_of_a_write_is_found_by_its_change_id(world: OrderWorld) -> None:
    before = await world.upstream()
    written = await world.update({"shipping": {"city": "Quito"}, "folder_name": "Shipped"})
    deleted = await world.delete("100000002")
    changes = Changes(world.journal)

    change = await changes.get(world.actor, written.change_id)
    gone = await changes.get(world.actor, deleted.change_id)

    assert change is not None
    assert gone is not None
    assert {made.path: (made.before, made.meant) for made in change.changes} == {
        "shipping.city": (before["shipping"]["city"], "Quito"),
        "folder_id": (before["folder_id"], 21658),
    }
    assert (gone.action, gone.object_id, gone.changes) == ("delete", "100000002", ())
    assert await changes.get(world.actor, "no such id") is None
