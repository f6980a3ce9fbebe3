"""Orders are read through the cache and changed safely: one at a time, nothing lost, nothing done
twice, and the truth told about it.
"""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update as update_rows

from orderdesk_app.context import SCOPE_PRESETS, Actor, OrderId, Scope, now
from orderdesk_app.db.changes import Change
from orderdesk_app.db.signals import Signals
from orderdesk_app.demo.rows import Change as Removal
from orderdesk_app.errors import (
    Conflict,
    Fault,
    NotFound,
    OrderDeskAgentsError,
    OutcomeUnknown,
    PermissionDenied,
    RateLimited,
    UpstreamFailed,
    ValidationFailed,
    VersionConflict,
)
from orderdesk_app.orderdesk import json_text
from orderdesk_app.orderdesk.wait_budget import WaitBudget
from orderdesk_app.services import journal as journal_service
from orderdesk_app.services.order_search import OrderQuery
from tests.services.conftest import A_NEW_ORDER, KEY, SHORT_TIMEOUT, OrderWorld, a_process, connect
from tests.worlds import PROMISED, eventually

ONE = "100000001"


async def until(has_come: Callable[[], bool]) -> None:
    """The request log says when."""
    for _ in range(3000):
        if has_come():
            return
        await asyncio.sleep(0.01)
    pytest.fail("it never came")


@pytest.fixture
def let_go() -> asyncio.Event:
    """A slow answer comes when a test lets it: so many seconds would be too few on a busy
    machine.
    """
    return asyncio.Event()


async def test_an_order_is_read_once_and_then_told_from_the_cache(world: OrderWorld) -> None:
    first = await world.orders.get(world.actor, world.store, OrderId(ONE), world.budget())
    again = await world.orders.get(world.actor, world.store, OrderId(ONE), world.budget())

    assert (first.cached, again.cached) == (False, True)
    assert again.order is first.order
    assert len(world.requests()) == 1


async def test_a_hundred_identical_reads_are_one_request(world: OrderWorld) -> None:
    await asyncio.gather(*(world.get() for _ in range(100)))

    assert len(world.requests()) == 1


async def test_an_unknown_order_is_not_found(world: OrderWorld) -> None:
    for call in (
        world.get("999"),
        world.update({"email": "x@example.com"}, "999"),
        world.delete("999"),
    ):
        with pytest.raises(NotFound) as error:
            await call
        assert error.value.field == "order_id"
    assert await world.rows() == []


async def test_a_key_that_may_only_read_writes_nothing(world: OrderWorld) -> None:
    world.actor = replace(world.actor, scopes=frozenset({Scope.ORDERS_READ}))

    for call in (world.update({"email": "x"}), world.delete(), world.create(A_NEW_ORDER)):
        with pytest.raises(PermissionDenied):
            await call

    assert (await world.get())["id"] == ONE
    assert {served.method for served in world.requests()} == {"GET"}


async def test_a_key_that_may_change_deletes_nothing(world: OrderWorld) -> None:
    world.actor = replace(world.actor, scopes=SCOPE_PRESETS["Read and change"])

    with pytest.raises(PermissionDenied, match="orders:delete"):
        await world.delete()
    await world.update({"email": "x@example.com"})

    assert "DELETE" not in {served.method for served in world.requests()}


async def test_an_update_takes_two_requests_and_changes_only_what_was_named(
    world: OrderWorld,
) -> None:
    before = await world.upstream()

    written = await world.update(
        {"shipping": {"city": "Salem"}, "order_metadata": {"agent": "yes"}}
    )

    after = await world.upstream()
    expected = {
        **before,
        "shipping": {**before["shipping"], "city": "Salem"},
        "order_metadata": {**dict(before["order_metadata"]), "agent": "yes"},
    }
    kept = [key for key in before if key != "date_updated"]
    assert json.dumps([after[key] for key in kept]) == json.dumps([expected[key] for key in kept])
    assert written.changed == ("shipping.city", "order_metadata.agent")
    assert written.order["shipping"]["city"] == "Salem"
    assert [served.method for served in world.requests()] == ["GET", "PUT"]


async def test_the_next_read_sees_the_change(world: OrderWorld) -> None:
    await world.get()

    await world.update({"email": "new@example.com"})

    assert (await world.get())["email"] == "new@example.com"


async def test_an_update_that_changes_nothing_writes_nothing(world: OrderWorld) -> None:
    order = await world.upstream()

    written = await world.update({"email": order["email"]})

    assert (written.changed, written.change_id) == ((), None)
    assert [served.method for served in world.requests()] == ["GET"]
    assert await world.rows() == []


async def test_what_cannot_be_merged_writes_nothing(world: OrderWorld) -> None:
    for changes in (
        {"shipping": {"citty": "x"}},
        {"tracking_number": "1Z"},
        {"order_items": [{"id": "1"}]},
    ):
        with pytest.raises(ValidationFailed):
            await world.update(changes)

    assert world.requests("PUT") == []
    assert await world.rows() == []


async def test_a_version_that_moved_on_is_a_conflict_with_both_versions(world: OrderWorld) -> None:
    seen = (await world.upstream())["date_updated"]
    await world.update({"email": "first@example.com"}, expected_date_updated=seen)

    with pytest.raises(Conflict) as error:
        await world.update({"email": "second@example.com"}, expected_date_updated=seen)

    assert error.value.outcome == "not_done"
    assert error.value.details["expected_date_updated"] == seen.replace(" ", "T") + "Z"
    assert error.value.details["date_updated"] != error.value.details["expected_date_updated"]
    assert error.value.details["order"] == json_text.loads(json.dumps(await world.upstream())), (
        "the version that stands there now"
    )
    assert (await world.upstream())["email"] == "first@example.com"


@pytest.mark.parametrize("text", ["yesterday", "", "2026-02-30"])
async def test_an_expectation_that_is_no_date_is_refused_before_anything_is_asked(
    world: OrderWorld, text: str
) -> None:
    with pytest.raises(ValidationFailed) as error:
        await world.update({"email": "x@example.com"}, expected_date_updated=text)

    assert error.value.field == "expected_date_updated"
    assert world.requests() == []


async def test_the_version_seen_may_be_iso(world: OrderWorld) -> None:
    seen = (await world.upstream())["date_updated"].replace(" ", "T") + "Z"

    written = await world.update({"email": "first@example.com"}, expected_date_updated=seen)

    assert written.changed == ("email",)


async def test_thirty_two_agents_in_two_processes_add_their_notes_and_lose_none(
    world: OrderWorld, keyring: Any
) -> None:
    other = await a_process(world.database, keyring, world.actor, world.store, world.app)
    made = await world.create(A_NEW_ORDER)
    order_id = made.order["id"]
    before = await world.upstream(order_id)
    world.faults.forget()

    await asyncio.gather(
        *(
            (world, other)[number % 2].update({"order_notes": [f"note {number}"]}, order_id)
            for number in range(32)
        )
    )

    after = await world.upstream(order_id)
    assert sorted(note["content"] for note in after["order_notes"]) == sorted(
        f"note {number}" for number in range(32)
    )
    assert json.dumps(
        [after[key] for key in ("order_items", "shipping", "customer", "order_metadata")]
    ) == json.dumps(
        [before[key] for key in ("order_items", "shipping", "customer", "order_metadata")]
    )
    assert len(world.requests()) == 64


async def test_another_process_hears_of_a_write_and_forgets(
    world: OrderWorld, keyring: Any
) -> None:
    signals = Signals(world.database)
    other = await a_process(
        world.database, keyring, world.actor, world.store, world.app, signals=signals
    )
    await signals.start()
    await other.get()

    await world.update({"email": "new@example.com"})

    async def has_heard() -> bool:
        return bool((await other.get())["email"] == "new@example.com")

    await eventually(has_heard, PROMISED)
    await signals.stop()


async def test_a_read_that_began_before_a_write_is_not_kept_after_it(
    world: OrderWorld, let_go: asyncio.Event
) -> None:
    world.fault("slow", method="GET", path="/orders/100000001", until=let_go)
    reading = asyncio.create_task(world.get())
    await until(lambda: bool(world.requests("GET")))

    await world.update({"email": "new@example.com"})
    let_go.set()
    await reading

    assert (await world.get())["email"] == "new@example.com"


async def test_a_write_is_in_the_journal_with_images_and_who_did_it(
    world: OrderWorld, sealer: Any
) -> None:
    world.actor = replace(world.actor, client_name="Claude", credential_id=None)
    before = await world.upstream()

    written = await world.update({"email": "new@example.com"})

    [row] = await world.rows()
    assert (row.id, row.state, row.action, row.object_id, row.paths, row.client_name, row.via) == (
        written.change_id,
        "done",
        "update",
        ONE,
        ["email"],
        "Claude",
        "web",
    )
    assert row.closed_at is not None
    images = {
        name: json_text.loads(
            sealer.open(row.tenant_id, "changes", name, row.id, getattr(row, name))
        )
        for name in ("before", "meant", "after")
    }
    assert (images["before"]["email"], images["meant"]["email"], images["after"]["email"]) == (
        before["email"],
        "new@example.com",
        "new@example.com",
    )


async def test_images_are_sealed_and_the_cache_too(world: OrderWorld, everything_in: Any) -> None:
    await world.update({"email": "very-secret@example.com"})
    await world.get()

    assert b"very-secret@example.com" not in await everything_in(world.database)
    assert world.cache.held
    assert all(b"very-secret@example.com" not in value for value in world.cache.held)


async def test_a_folder_is_moved_after_the_put(world: OrderWorld) -> None:
    written = await world.update({"folder_name": "shipped", "email": "new@example.com"})

    assert [served.method for served in world.requests()] == ["GET", "PUT", "POST", "GET"]
    assert set(written.changed) == {"email", "folder_id"}
    assert (written.order["folder_id"], (await world.upstream())["folder_id"]) == (21658, 21658)
    assert json.loads(world.requests("PUT")[0].body)["folder_id"] != 21658


async def test_a_folder_alone_needs_no_put(world: OrderWorld) -> None:
    written = await world.update({"folder_id": 21656})

    assert world.requests("PUT") == []
    assert written.changed == ("folder_id",)
    assert (await world.upstream())["folder_id"] == 21656


async def test_a_folder_that_is_new_in_the_store_is_found(world: OrderWorld) -> None:
    world.store = replace(
        world.store, record=replace(world.store.record, folders=(("21654", "New"),))
    )

    await world.update({"folder_name": "Closed"})

    assert (await world.upstream())["folder_id"] == 21656
    with pytest.raises(ValidationFailed) as error:
        await world.update({"folder_name": "Nowhere"})
    assert (error.value.field, "Closed" in error.value.message) == ("folder_name", True)


async def test_a_half_done_update_says_which_half(world: OrderWorld) -> None:
    world.fault("error_in_200", method="POST", path="/move-orders", times=9)

    with pytest.raises(UpstreamFailed) as error:
        await world.update({"email": "new@example.com", "folder_name": "Shipped"})

    assert error.value.outcome == "partly_done"
    assert error.value.details["changed"] == ["email"]
    assert "not moved to folder Shipped" in error.value.message
    assert (await world.upstream())["email"] == "new@example.com"
    [row] = await world.rows()
    assert (row.state, row.paths) == ("done", ["email"])


async def test_a_new_order_gets_a_source_id_of_ours(world: OrderWorld) -> None:
    made = await world.create(A_NEW_ORDER)

    order = await world.upstream(made.order["id"])
    assert order["source_id"].startswith("agent-")
    assert len(world.requests()) == 1
    [row] = await world.rows()
    assert (row.object_id, row.state, row.action) == (made.order["id"], "done", "create")


async def test_a_duplicate_is_a_conflict_that_names_the_order(world: OrderWorld) -> None:
    made = await world.create({**A_NEW_ORDER, "source_id": "W-1"})
    before = await world.upstream_ids()

    with pytest.raises(Conflict) as error:
        await world.create({**A_NEW_ORDER, "source_id": "W-1"})

    assert error.value.details["order_id"] == made.order["id"]
    assert made.order["id"] in error.value.message
    assert await world.upstream_ids() == before


async def test_order_desks_own_word_for_a_duplicate_is_a_conflict_too(world: OrderWorld) -> None:
    world.app.switches = world.app.switches.changed({"duplicates": "source_id"})
    made = await world.create({**A_NEW_ORDER, "source_id": "W-1", "source_name": "Shop"})

    with pytest.raises(Conflict) as error:
        await world.create({**A_NEW_ORDER, "source_id": "W-1", "source_name": "Other"})

    assert error.value.details["order_id"] == made.order["id"]


async def test_an_order_without_items_is_refused_before_any_request(world: OrderWorld) -> None:
    with pytest.raises(ValidationFailed):
        await world.create({"shipping": {"company": "A"}})

    assert world.requests() == []


async def test_a_deleted_order_is_gone_and_its_last_image_stays(world: OrderWorld) -> None:
    deleted = await world.delete()

    assert await world.upstream() is None
    [row] = await world.rows()
    assert (row.id, row.state, row.action, row.before is not None) == (
        deleted.change_id,
        "done",
        "delete",
        True,
    )
    with pytest.raises(NotFound):
        await world.get()


async def test_a_write_waits_no_longer_than_its_wait_budget(world: OrderWorld) -> None:
    async with world.locks.holding(world.store.access, OrderId(ONE), WaitBudget(5)):
        with pytest.raises(RateLimited) as error:
            await world.orders.update(
                world.actor, world.store, OrderId(ONE), {"email": "x"}, WaitBudget(0.05)
            )

    assert (error.value.outcome, error.value.retry_after is not None) == ("not_done", True)
    assert world.requests() == []


async def test_a_caller_who_leaves_does_not_leave_a_write_half_recorded(
    world: OrderWorld, let_go: asyncio.Event
) -> None:
    world.fault("slow", method="PUT", until=let_go)
    writing = asyncio.create_task(world.update({"email": "new@example.com"}))
    await until(lambda: bool(world.requests("PUT")))

    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    let_go.set()
    await world.unfinished.drain()

    assert (await world.upstream())["email"] == "new@example.com"
    assert [row.state for row in await world.rows()] == ["done"]


async def test_a_caller_who_leaves_before_the_write_stops_it(
    world: OrderWorld, let_go: asyncio.Event
) -> None:
    world.fault("slow", method="GET", until=let_go)
    writing = asyncio.create_task(world.update({"email": "new@example.com"}))
    await until(lambda: bool(world.requests()))

    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    let_go.set()
    await world.unfinished.drain()

    assert world.requests("PUT") == []
    assert await world.rows() == []


@pytest.mark.parametrize("action", ["create", "update"])
async def test_a_caller_who_leaves_while_the_journal_is_written_leaves_no_open_row(
    world: OrderWorld, let_go: asyncio.Event, monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    is_there, really_open = asyncio.Event(), world.journal.open

    async def slow_open(*args: Any, **values: Any) -> str:
        change_id = await really_open(*args, **values)
        is_there.set()  # committed, and the answer of the database is still on its way
        await let_go.wait()
        return change_id

    monkeypatch.setattr(world.journal, "open", slow_open)
    write = world.create(A_NEW_ORDER) if action == "create" else world.update({"email": "x@y.com"})
    writing = asyncio.create_task(write)
    await is_there.wait()

    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    let_go.set()
    await world.unfinished.drain()

    assert [row.state for row in await world.rows()] == ["done"]


async def test_an_unknown_outcome_is_settled_by_the_next_read(world: OrderWorld) -> None:
    world.fault("dropped", method="PUT", effect="done")
    world.fault("server_error", method="GET", path="/orders/100000001", skip=1, times=20)
    with pytest.raises(OutcomeUnknown) as error:
        await world.update({"email": "new@example.com"})
    world.faults.clear()

    read = await world.get()

    assert error.value.outcome == "unknown"
    assert "orders_get" in error.value.message
    assert read["email"] == "new@example.com"
    [row] = await world.rows()
    assert (row.id, row.state) == (error.value.details["change_id"], "done")


async def test_a_crash_before_the_write_is_settled_as_not_done(world: OrderWorld) -> None:
    order = await world.upstream()
    await world.journal.open(
        world.actor,
        world.store.record,
        "order",
        OrderId(ONE),
        "update",
        before=order,
        meant={**order, "email": "x@example.com"},
        paths=["email"],
    )

    await world.get()

    assert [row.state for row in await world.rows()] == ["not_done"]


@pytest.mark.parametrize("client_timeout", [SHORT_TIMEOUT])
async def test_a_write_that_may_still_arrive_stays_open_until_it_is_late(
    world: OrderWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.fault("slow", method="PUT", seconds=3600, effect="late")
    with pytest.raises(OutcomeUnknown):
        await world.update({"email": "new@example.com"})
    [opened] = [row.at for row in await world.rows()]
    # however long it took until here
    monkeypatch.setattr(journal_service, "now", lambda: opened + timedelta(seconds=SHORT_TIMEOUT))

    await world.get()
    early = [row.closed_at for row in await world.rows()]
    async with world.database.write() as session:
        await session.exec(update_rows(Change).values(at=now() - timedelta(minutes=1)))
    await world.reads.drop(world.store.access.upstream_id)
    await world.get()

    assert early == [None]
    assert [(row.state, row.closed_at is not None) for row in await world.rows()] == [
        ("not_done", True)
    ]


async def test_a_read_does_not_settle_what_is_being_written_just_now(
    world: OrderWorld, let_go: asyncio.Event
) -> None:
    world.fault("slow", method="PUT", until=let_go, effect="late")
    writing = asyncio.create_task(world.update({"email": "new@example.com"}))
    await until(lambda: bool(world.requests("PUT")))

    await world.get()
    during = [row.state for row in await world.rows()]
    let_go.set()
    await writing

    assert during == ["open"]
    assert [row.state for row in await world.rows()] == ["done"]


async def test_a_create_whose_answer_was_lost_is_settled_when_its_order_is_read(
    world: OrderWorld,
) -> None:
    world.fault("dropped", method="POST", effect="done")
    world.fault("server_error", method="GET", path="/orders", times=20)
    with pytest.raises(OutcomeUnknown) as error:
        await world.create(A_NEW_ORDER)
    world.faults.clear()
    source_id = str(error.value.details["source_id"])

    rows = await world.orders.list(
        world.actor, world.store, OrderQuery(source_id=source_id), world.budget()
    )
    await world.get(rows.orders[0]["id"])

    assert source_id in error.value.message
    assert len(rows.orders) == 1
    assert [(row.state, row.object_id) for row in await world.rows()] == [
        ("done", rows.orders[0]["id"])
    ]


@pytest.mark.parametrize("client_timeout", [SHORT_TIMEOUT])
async def test_the_advice_after_an_unknown_create_creates_one_order(world: OrderWorld) -> None:
    world.fault("slow", method="POST", seconds=3600, effect="late")
    with pytest.raises(OutcomeUnknown) as error:
        await world.create(A_NEW_ORDER)

    made = await world.create({**A_NEW_ORDER, "source_id": error.value.details["source_id"]})

    assert (await world.upstream(made.order["id"]))["source_id"] == error.value.details["source_id"]


async def test_an_answer_that_is_not_as_meant_is_written_again_and_then_told(
    world: OrderWorld,
) -> None:
    world.app.switches = world.app.switches.changed({"source_id_writable": False})

    with pytest.raises(UpstreamFailed) as error:
        await world.update({"source_id": "other", "email": "new@example.com"})

    assert error.value.outcome == "partly_done"
    assert (error.value.details["changed"], error.value.details["not_changed"]) == (
        ["email"],
        ["source_id"],
    )
    assert "source_id" in error.value.message
    assert len(world.requests("PUT")) == 6


async def test_a_repeated_write_adds_a_new_item_once(world: OrderWorld) -> None:
    world.app.switches = world.app.switches.changed({"source_id_writable": False})
    count = len((await world.upstream())["order_items"])

    with pytest.raises(UpstreamFailed) as error:
        await world.update(
            {"source_id": "other", "order_items": [{"name": "Sticker", "code": "STK"}]}
        )

    assert error.value.details["changed"] == ["order_items[+1]"]
    assert len((await world.upstream())["order_items"]) == count + 1


async def test_what_others_change_meanwhile_is_kept_by_the_next_attempt(world: OrderWorld) -> None:
    world.fault("dropped", method="PUT", effect="not_done")
    world.fault(
        "edit",
        method="GET",
        path="/orders/100000001",
        order_id=ONE,
        patch={"shipping": {"city": "Salem"}},
    )

    written = await world.update({"email": "new@example.com"})

    order = await world.upstream()
    assert written.changed == ("email",)
    assert (order["email"], order["shipping"]["city"]) == ("new@example.com", "Salem")
    [row] = await world.rows()
    assert row.state == "done"


@pytest.mark.parametrize("status", [409, 412, 423])
async def test_a_conflict_is_read_merged_and_written_again(world: OrderWorld, status: int) -> None:
    world.fault("status", method="PUT", path="/orders/*", status=status)
    world.fault(  # what the conflict is about: somebody adds a note while we write
        "edit",
        method="GET",
        path="/orders/*",
        order_id=ONE,
        patch={"order_notes": [{"username": "Bo", "content": "By somebody else"}]},
    )

    written = await world.update({"shipping": {"city": "Salem"}, "order_notes": ["By us"]})

    order = await world.upstream()
    assert order["shipping"]["city"] == "Salem"
    assert {"By somebody else", "By us"} <= {note["content"] for note in order["order_notes"]}
    assert set(written.changed) == {"shipping.city", "order_notes"}
    assert written.differing == ()
    assert len(world.requests("PUT")) == 2
    assert [row.state for row in await world.rows()] == ["done"]


CONFLICTS = {
    "update": ("PUT", "/orders/*", lambda world: world.update({"email": "new@example.com"})),
    "create": ("POST", "/orders", lambda world: world.create(A_NEW_ORDER)),
    "delete": ("DELETE", "/orders/*", lambda world: world.delete()),
    "move": ("POST", "/move-orders", lambda world: world.update({"folder_name": "Canceled"})),
}


@pytest.mark.parametrize("name", CONFLICTS)
async def test_a_conflict_that_lasts_is_a_conflict_error_that_wrote_nothing(
    world: OrderWorld, name: str
) -> None:
    method, path, write = CONFLICTS[name]
    before, began = await world.upstream(), world.time.seconds
    world.fault("status", method=method, path=path, times=99, message="Locked by Bo")

    with pytest.raises(Conflict) as error:
        await write(world)

    assert (error.value.code, error.value.outcome) == ("CONFLICT_ERROR", "not_done")
    assert "Locked by Bo" in error.value.message
    assert (error.value.fault, error.value.status) == (Fault.CONFLICT, 409)
    assert len(world.requests(method, path)) == 6  # MUTATION_MAX_RETRIES is 5
    assert world.time.seconds - began == pytest.approx(0.5 + 1 + 2 + 4 + 8)
    assert await world.upstream() == before
    assert [row.state for row in await world.rows()] == ["not_done"]


async def test_a_conflict_is_waited_for_no_longer_than_the_call_may_wait(
    world: OrderWorld,
) -> None:
    world.fault("status", method="PUT", path="/orders/*", times=99)

    with pytest.raises(Conflict) as error:
        await world.orders.update(
            world.actor, world.store, OrderId(ONE), {"email": "x"}, world.budget(3)
        )

    assert error.value.outcome == "not_done"
    assert len(world.requests("PUT")) == 3  # after 0.5 and 1 s; 2 s more would be over


async def test_a_conflict_on_a_field_that_somebody_else_changed_is_written_over_when_it_passes(
    world: OrderWorld,
) -> None:
    world.fault("status", method="PUT", path="/orders/*")
    world.fault(
        "edit", method="GET", path="/orders/*", order_id=ONE, patch={"email": "bo@example.com"}
    )

    await world.update({"email": "new@example.com"})

    assert (await world.upstream())["email"] == "new@example.com"
    assert [row.state for row in await world.rows()] == ["done"]


async def test_a_conflict_minds_the_version_that_was_expected(world: OrderWorld) -> None:
    seen = (await world.upstream())["date_updated"]
    world.fault("status", method="PUT", path="/orders/*")
    world.fault(
        "edit", method="GET", path="/orders/*", order_id=ONE, patch={"email": "bo@example.com"}
    )

    with pytest.raises(VersionConflict) as error:
        await world.update({"shipping": {"city": "Salem"}}, expected_date_updated=seen)

    assert error.value.outcome == "not_done"
    assert (await world.upstream())["email"] == "bo@example.com"
    assert len(world.requests("PUT")) == 1


async def test_a_conflict_minds_the_version_even_where_somebody_else_wrote_the_same(
    world: OrderWorld,
) -> None:
    seen = (await world.upstream())["date_updated"]
    theirs = {"email": "new@example.com", "customer_id": "77"}
    world.fault("status", method="PUT", path="/orders/*")
    world.fault("edit", method="GET", path="/orders/*", order_id=ONE, patch=theirs)

    with pytest.raises(VersionConflict) as error:
        await world.update(
            {"email": "new@example.com", "customer_id": "5"}, expected_date_updated=seen
        )

    assert error.value.outcome == "not_done"
    assert (await world.upstream())["customer_id"] == "77"
    assert len(world.requests("PUT")) == 1
    assert [row.state for row in await world.rows()] == ["not_done"]


@pytest.mark.parametrize("fields", [{}, {"email": "new@example.com"}])
async def test_a_move_in_conflict_minds_the_version_that_was_expected(
    world: OrderWorld, fields: dict[str, str]
) -> None:
    seen = (await world.upstream())["date_updated"]
    world.fault("status", method="POST", path="/move-orders")
    world.fault(  # somebody else moves it while we do
        "edit",
        method="PUT" if fields else "GET",
        path="/orders/*",
        order_id=ONE,
        patch={"folder_id": 21658},
    )

    with pytest.raises(VersionConflict) as error:
        await world.update({**fields, "folder_name": "Canceled"}, expected_date_updated=seen)

    assert (await world.upstream())["folder_id"] == 21658
    assert len(world.requests("POST", "/move-orders")) == 1
    assert error.value.outcome == ("partly_done" if fields else "not_done")
    assert error.value.details.get("changed", []) == [*fields]
    assert [row.state for row in await world.rows()] == ["done" if fields else "not_done"]


async def test_a_conflict_after_fields_came_through_says_which_half(world: OrderWorld) -> None:
    world.fault("status", method="POST", path="/move-orders", times=99, message="Locked")

    with pytest.raises(Conflict) as error:
        await world.update({"email": "new@example.com", "folder_name": "Canceled"})

    assert error.value.outcome == "partly_done"
    assert error.value.details["changed"] == ["email"]
    assert (await world.upstream())["email"] == "new@example.com"


async def test_a_conflict_that_is_a_duplicate_names_the_order_that_exists(
    world: OrderWorld,
) -> None:
    world.fault("status", method="POST", path="/orders", message=f"Order {ONE} already exists")

    with pytest.raises(Conflict) as error:
        await world.create(A_NEW_ORDER)

    assert error.value.details["order_id"] == ONE
    assert len(world.requests("POST")) == 1


async def test_an_order_that_is_deleted_under_a_write_is_told(
    world: OrderWorld, let_go: asyncio.Event
) -> None:
    world.fault("slow", method="PUT", until=let_go, effect="not_done")
    writing = asyncio.create_task(world.update({"email": "new@example.com"}))
    await until(lambda: bool(world.requests("PUT")))
    await world.app.rows.write("4711", [Removal("order", ONE, None, 0)])
    let_go.set()

    with pytest.raises(NotFound) as error:
        await writing

    assert error.value.outcome == "not_done"
    assert "deleted by somebody else" in error.value.message


async def test_a_database_that_fails_after_the_write_makes_no_failure_of_it(
    world: OrderWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: Any, **__: Any) -> None:
        raise OSError("disk")

    monkeypatch.setattr(world.journal, "close", broken)

    written = await world.update({"email": "new@example.com"})

    assert written.changed == ("email",)
    assert [row.state for row in await world.rows()] == ["open"]


async def test_a_database_that_fails_before_the_write_is_a_failure_that_wrote_nothing(
    world: OrderWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: Any, **__: Any) -> None:
        raise OSError("disk")

    monkeypatch.setattr(world.journal, "left_open", broken)

    with pytest.raises(OrderDeskAgentsError) as error:
        await world.update({"email": "new@example.com"})

    assert error.value.outcome == "not_done"
    assert "disk" not in error.value.message
    assert world.requests("PUT") == []


async def test_without_a_journal_nothing_is_written(
    world: OrderWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: Any, **__: Any) -> None:
        raise OSError("disk")

    monkeypatch.setattr(world.journal, "open", broken)

    with pytest.raises(OrderDeskAgentsError) as error:
        await world.update({"email": "new@example.com"})

    assert error.value.outcome == "not_done"
    assert world.requests("PUT") == []


async def test_a_neighbour_with_the_same_store_has_a_journal_and_a_cache_of_their_own(
    world: OrderWorld, keyring: Any, neighbour: Any
) -> None:
    theirs = await a_process(
        world.database,
        keyring,
        neighbour.actor,
        await connect(world.database, neighbour.actor),
        world.app,
    )
    await world.update({"email": "new@example.com"})
    await world.get()
    before = len(world.requests())

    seen = await world.orders.get(theirs.actor, theirs.store, OrderId(ONE), world.budget())

    assert (seen.cached, len(world.requests())) == (False, before + 1)
    assert await theirs.rows() == []


# ------------------------------------------------------------------ lists


async def listed(world: OrderWorld, **query: Any) -> Any:
    return await world.orders.list(world.actor, world.store, OrderQuery(**query), world.budget())


async def test_a_page_says_where_it_stands(world: OrderWorld) -> None:
    first = await listed(world, limit=20)
    last = await listed(world, limit=20, offset=490)
    again = await listed(world, limit=20)

    assert (first.total, len(first.orders), first.has_more, first.cached) == (500, 20, True, False)
    assert (len(last.orders), last.has_more) == (10, False)
    assert again.cached


async def test_filters_are_order_desks_own(world: OrderWorld) -> None:
    await listed(
        world,
        limit=5,
        customer_last_name=" Hopper ",
        search_start_date="2026-06-01T02:00:00+02:00",
        search_end_date="2026-07-01",
        order_by="order_total",
        order="asc",
    )

    assert dict(part.split("=") for part in world.requests()[0].query.split("&")) == {
        "limit": "5",
        "offset": "0",
        "customer_last_name": "Hopper",
        "search_start_date": "2026-06-01%2000%3A00%3A00",
        "search_end_date": "2026-07-01%2023%3A59%3A59",
        "order_by": "order_total",
        "order": "ASC",
    }


async def test_a_folder_made_since_is_named_and_asked_for_once(world: OrderWorld) -> None:
    old = replace(
        world.store, record=replace(world.store.record, folders=world.store.record.folders[:1])
    )

    lists = [
        await world.orders.list(
            world.actor, old, OrderQuery(folder_id="21655", offset=offset), world.budget()
        )
        for offset in (0, 1)
    ]

    assert all(dict(rows.folders)["21655"] == "Prepared" for rows in lists)
    assert len(world.faults.requests(method="GET", path="/store")) == 1


async def test_one_order_is_told_by_the_name_of_a_folder_that_is_newer_than_the_store(
    world: OrderWorld,
) -> None:
    old = replace(world.store, record=replace(world.store.record, folders=()))

    folders = await world.orders.folders(old, {"folder_id": 21655}, world.budget())

    assert dict(folders)["21655"] == "Prepared"


async def test_a_list_does_not_fail_for_want_of_a_folders_name(world: OrderWorld) -> None:
    old = replace(world.store, record=replace(world.store.record, folders=()))
    world.fault("server_error", path="/store", times=-1)

    rows = await world.orders.list(world.actor, old, OrderQuery(limit=2), world.budget())

    assert len(rows.orders) == 2


async def test_status_is_the_folder_of_that_name(world: OrderWorld) -> None:
    rows = await listed(world, status="shipped", limit=10)

    assert {order["folder_id"] for order in rows.orders} == {21658}
    assert (await listed(world, status="Shipped", folder_id="21658", limit=10)).total == rows.total


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"status": "paid"}, "status"),
        ({"folder_name": "Nowhere"}, "folder_name"),
        ({"status": "New", "folder_name": "Closed"}, "status"),
        ({"folder_id": "New"}, "folder_id"),
        ({"order_by": "status"}, "order_by"),
        ({"order": "up"}, "order"),
        ({"search_start_date": "soon"}, "search_start_date"),
        ({"search": "x", "limit": 100, "offset": 450}, "offset"),
    ],
)
async def test_a_query_that_cannot_be_is_refused_by_name(
    world: OrderWorld, query: dict[str, Any], field: str
) -> None:
    with pytest.raises(ValidationFailed) as error:
        await listed(world, **query)

    assert error.value.field == field


async def test_a_search_finds_an_order_by_its_number(world: OrderWorld) -> None:
    rows = await listed(world, search=ONE)

    assert [order["id"] for order in rows.orders] == [ONE]
    assert rows.matched_by == {ONE: ("id",)}
    assert (rows.total, len(world.requests())) == (1, 2)


async def test_a_search_finds_orders_by_name_mail_and_the_shops_number(world: OrderWorld) -> None:
    order = await world.upstream()

    by_name = await listed(world, search=order["shipping"]["last_name"], limit=100)
    questions = len(world.requests())
    by_source = await listed(world, search=order["source_id"])
    by_mail = await listed(world, search=order["email"])

    assert questions <= 4
    assert "shipping_last_name" in by_name.matched_by[ONE]
    assert (by_name.total, [row["date_added"] for row in by_name.orders]) == (
        len(by_name.orders),
        sorted((row["date_added"] for row in by_name.orders), reverse=True),
    )
    assert by_source.matched_by[ONE] == ("source_id",)
    assert by_mail.matched_by[ONE] == ("email",)
    assert await listed(world, search=order["email"]) == replace(by_mail, cached=True)


async def test_other_filters_still_apply_to_a_search(world: OrderWorld) -> None:
    order = await world.upstream()
    other = next(name for id_, name in world.store.record.folders if id_ != str(order["folder_id"]))

    assert (await listed(world, search=ONE, status=other)).orders == []
    assert (await listed(world, search=order["email"], email="other@example.com")).orders == []
    assert (await listed(world, search=ONE, search_end_date="2020-01-01")).orders == []
    assert (
        len(
            (
                await listed(
                    world, search=ONE, customer_last_name=order["customer"]["last_name"][:3]
                )
            ).orders
        )
        == 1
    )


async def test_a_search_that_has_not_seen_everything_knows_no_total(world: OrderWorld) -> None:
    rows = await listed(world, search="a", limit=3)

    assert (len(rows.orders), rows.total, rows.has_more) == (3, None, True)
    assert len(world.requests()) <= 4


async def test_nobody_sees_the_stores_key(world: OrderWorld) -> None:
    assert KEY not in repr(world.store)
    assert isinstance(world.actor, Actor)
