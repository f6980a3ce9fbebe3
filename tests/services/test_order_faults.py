"""The fault table: every write, every way in which Order Desk can fail.

Nothing is done twice, nothing is lost, no success is claimed that did not happen, and no failure
that did."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from orderdesk_app.db.engine import Database
from orderdesk_app.demo.server import StandaloneSandbox, serving
from orderdesk_app.demo.switches import Switches
from orderdesk_app.errors import (
    Conflict,
    NotFound,
    OrderDeskAgentsError,
    OutcomeUnknown,
    RateLimited,
)
from tests.services.conftest import (
    A_NEW_ORDER,
    KEY,
    SHORT_TIMEOUT,
    TIMEOUT,
    OrderWorld,
    a_process,
    connect,
    sandbox,
)
from tests.worlds import eventually

ONE = "100000001"
SLOW = SHORT_TIMEOUT + 0.2  # beyond the client's timeout


@dataclass(frozen=True)
class Write:
    """A write, and how often its effect is found in Order Desk."""

    method: str
    path: str
    run: Callable[[OrderWorld], Awaitable[Any]]
    count: Callable[[OrderWorld], Awaitable[int]]


async def _created(world: OrderWorld) -> int:
    return len(await world.upstream_ids()) - 500


async def _stickers(world: OrderWorld) -> int:
    return len(
        [item for item in (await world.upstream())["order_items"] if item["code"] == "STICKER"]
    )


async def _changed(world: OrderWorld) -> int:
    order = await world.upstream()
    notes = [note for note in order["order_notes"] if note["content"] == "By fault"]
    assert len(notes) == (order["shipping"]["city"] == "Salem"), "half of a write"
    return len(notes)


async def _deleted(world: OrderWorld) -> int:
    return int(await world.upstream() is None)


async def _moved(world: OrderWorld) -> int:
    return int((await world.upstream())["folder_id"] == 21657)


WRITES = {
    "create": Write("POST", "/orders", lambda world: world.create(A_NEW_ORDER), _created),
    "create with a source id": Write(
        "POST", "/orders", lambda world: world.create({**A_NEW_ORDER, "source_id": "W-1"}), _created
    ),
    "update": Write(
        "PUT",
        "/orders/*",
        lambda world: world.update({"shipping": {"city": "Salem"}, "order_notes": ["By fault"]}),
        _changed,
    ),
    "update with a new item": Write(
        "PUT",
        "/orders/*",
        lambda world: world.update({"order_items": [{"name": "Sticker", "code": "STICKER"}]}),
        _stickers,
    ),
    "delete": Write("DELETE", "/orders/*", lambda world: world.delete(), _deleted),
    "move": Write(
        "POST", "/move-orders", lambda world: world.update({"folder_name": "Canceled"}), _moved
    ),
}
# Each fault with its effect, and what a caller hears if it strikes once and the order can be read:
# "done", "not_done" or "unknown".
FAULTS = {
    "429 with header": ("rate_limited", "not_done", "done"),
    "429 without header": ("rate_limited_bare", "not_done", "done"),
    "500 before the effect": ("server_error", "not_done", "done"),
    "500 after the effect": ("server_error", "done", "done"),
    "HTML 502 before the effect": ("bad_gateway", "not_done", "done"),
    "HTML 502 after the effect": ("bad_gateway", "done", "done"),
    "dropped before the effect": ("dropped", "not_done", "done"),
    "dropped after the effect": ("dropped", "done", "done"),
    "broken JSON before the effect": ("broken_json", "not_done", "done"),
    "broken JSON after the effect": ("broken_json", "done", "done"),
    "error in a 200 before the effect": ("error_in_200", "not_done", "not_done"),
    "error in a 200 after the effect": ("error_in_200", "done", "done"),
    "conflict before the effect": ("status", "not_done", "done"),
    "conflict after the effect": ("status", "done", "done"),
    "slow after the effect": ("slow", "done", "done"),
    "slow before the effect": ("slow", "late", "unknown"),
}


@pytest.fixture
def client_timeout(request: pytest.FixtureRequest) -> float:
    """Short where the fault is an answer that comes too late."""
    return (
        SHORT_TIMEOUT
        if request.node.callspec.params.get("fault", "").startswith("slow")
        else TIMEOUT
    )


@pytest.fixture
async def world(
    sqlite_url: str,
    data_dir: Any,
    database: Database,
    keyring: Any,
    tenant: Any,
    client_timeout: float,
) -> OrderWorld:
    store = await connect(database, tenant.actor)
    return await a_process(
        database, keyring, tenant.actor, store, sandbox(), repeats=2, client_timeout=client_timeout
    )


@pytest.fixture
async def served_world(
    database: Database, keyring: Any, tenant: Any, client_timeout: float
) -> AsyncIterator[OrderWorld]:
    """Order Desk behind a real socket: there an effect can come after the client has left."""
    app = StandaloneSandbox({"4711": KEY}, control=True, switches=Switches(rate_limited=False))
    async with serving(app) as api_url:
        store = await connect(database, tenant.actor, api_url)
        yield await a_process(
            database,
            keyring,
            tenant.actor,
            store,
            app.app,
            repeats=2,
            client_timeout=client_timeout,
        )


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """One engine is enough here: the table is about Order Desk."""
    return sqlite_url


async def outcome_of(write: Write, world: OrderWorld) -> tuple[str, OrderDeskAgentsError | None]:
    try:
        await write.run(world)
    except OrderDeskAgentsError as error:
        return error.outcome or "untold", error
    return "done", None


@pytest.mark.parametrize(("times", "reads"), [(1, "readable"), (1, "unreadable"), (99, "readable")])
@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(fault, marks=pytest.mark.slow) if kind == "slow" else fault
        for fault, (kind, _, _) in FAULTS.items()
    ],
)
@pytest.mark.parametrize("name", WRITES)
async def test_whatever_fails_the_truth_is_told(
    world: OrderWorld, name: str, fault: str, times: int, reads: str
) -> None:
    write, (kind, effect, expected) = WRITES[name], FAULTS[fault]
    before = await world.upstream()
    # one outcome is the right one: an effect that comes late comes after the test
    is_told = times == 1 and reads == "readable"
    world.fault(
        kind,
        method=write.method,
        path=write.path,
        effect=effect,
        times=times,
        seconds=3600 if effect == "late" and is_told else SLOW,
    )
    if reads == "unreadable":  # from the first write on
        world.fault(
            "server_error",
            method="GET",
            path="/orders/*",
            skip=0 if name.startswith("create") else 1,
            times=999,
        )
        world.fault(
            "server_error",
            method="GET",
            path="/orders",
            skip=1 if name == "create with a source id" else 0,
            times=999,
        )

    outcome, error = await outcome_of(write, world)
    effects = await write.count(world)
    writes = world.requests(write.method, write.path)
    world.faults.clear()

    assert outcome in ("done", "not_done", "unknown")
    assert isinstance(error, OutcomeUnknown) == (outcome == "unknown")
    # Nothing twice, and what is claimed is true.
    assert effects in (0, 1)
    assert outcome != "done" or effects == 1
    assert outcome != "not_done" or effects == 0
    assert len(writes) <= 4
    if isinstance(error, RateLimited):
        assert error.retry_after
    if is_told:
        assert outcome == ("done" if name == "delete" and expected == "unknown" else expected)
    if times == 99 and effect == "not_done" and reads == "readable":
        assert outcome == "not_done"
    # Nothing lost.
    after = await world.upstream()
    if name not in ("delete", "update", "update with a new item"):
        touched = ("folder_id", "date_updated")
        assert {k: v for k, v in after.items() if k not in touched} == {
            k: v for k, v in before.items() if k not in touched
        }
    elif name != "delete" and after is not None:
        kept = [
            key
            for key in before
            if key not in ("date_updated", "shipping", "order_notes", "order_items")
            and not key.endswith("_total")
        ]
        assert json.dumps([after[key] for key in kept]) == json.dumps([before[key] for key in kept])
        assert [item["id"] for item in before["order_items"]] == [
            item["id"] for item in after["order_items"]
        ][: len(before["order_items"])]
    # The journal agrees, once an unknown outcome has been settled by the next read.
    await settled_by_a_read(world, name)
    [row] = await world.rows()
    if row.closed_at is not None:
        assert row.state == ("done" if await write.count(world) else "not_done")
    else:
        assert outcome == "unknown"
        assert fault == "slow before the effect" or name.startswith("create")


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault",
    [
        "dropped before the effect",
        "dropped after the effect",
        "broken JSON after the effect",
        "slow before the effect",
    ],
)
@pytest.mark.parametrize("name", WRITES)
async def test_the_truth_is_told_over_a_real_socket_too(
    served_world: OrderWorld, name: str, fault: str
) -> None:
    world, write, (kind, effect, expected) = served_world, WRITES[name], FAULTS[fault]
    world.fault(kind, method=write.method, path=write.path, effect=effect, seconds=SLOW)

    outcome, _ = await outcome_of(write, world)

    async def is_over() -> bool:  # the effect comes long after we stopped waiting for the answer
        return not world.app.late

    await eventually(is_over, 20)
    effects = await write.count(world)
    await settled_by_a_read(world, name)

    assert outcome in ("done", expected)  # a late effect may come just in time to be read
    assert effects == 1
    assert [row.state for row in await world.rows()] == ["done"]


async def settled_by_a_read(world: OrderWorld, name: str) -> None:
    ids = (
        [order_id for order_id in await world.upstream_ids() if order_id > "2"]
        if name.startswith("create")
        else [ONE]
    )
    for order_id in ids:
        try:
            await world.get(order_id)
        except NotFound:
            assert name == "delete"


@pytest.mark.parametrize("name", ["create", "create with a source id"])
async def test_a_create_that_is_repeated_by_hand_makes_one_order(
    world: OrderWorld, name: str
) -> None:
    world.fault("dropped", method="POST", path="/orders", effect="done")
    world.fault(
        "server_error", method="GET", path="/orders", skip=1 if "source" in name else 0, times=9
    )
    with pytest.raises(OutcomeUnknown) as error:
        await WRITES[name].run(world)
    world.faults.clear()

    with pytest.raises(Conflict) as conflict:
        await world.create({**A_NEW_ORDER, "source_id": error.value.details["source_id"]})

    assert await _created(world) == 1
    assert conflict.value.details["order_id"] in await world.upstream_ids()
    assert [row.state for row in await world.rows()] == ["done"]
