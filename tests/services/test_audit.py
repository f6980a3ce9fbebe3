"""What happened is written down: writes before their answer, reads within a second, and nothing is
lost on the way.
"""

import asyncio
import contextlib
import gc
import json
import weakref
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError
from sqlmodel import col, select

from orderdesk_app.context import Actor, RequestContext, TenantId, Via, new_id, serving
from orderdesk_app.db.activity_slots import ActivitySlot
from orderdesk_app.db.audit import CHAINED, NAMELESS, AuditEntry
from orderdesk_app.db.engine import Database
from orderdesk_app.db.keyring import KeyRows
from orderdesk_app.db.signals import Signals
from orderdesk_app.errors import DatabaseBusy
from orderdesk_app.security.keyring import Keyring
from orderdesk_app.security.sealing import Sealer
from orderdesk_app.services import audit as audit_service
from orderdesk_app.services import refusal_sampling
from orderdesk_app.services.audit import AuditLog, Entry
from tests.worlds import counted, eventually

MakeEntry = Callable[..., Entry]


@pytest.fixture
def actor(tenant: Any) -> Actor:
    return replace(
        tenant.actor,
        via=Via.MCP,
        credential_id="01KEY",
        client_name="Claude",
        client_version="1.2",
        address="203.0.113.9",
    )


@pytest.fixture
def entry(actor: Actor) -> MakeEntry:
    return lambda **values: Entry(
        **{"actor": actor, "action": "tool", "tool": "orders_get", **values}
    )


class WatchedDatabase:
    """The database, its writes counted, and with what a test wants to happen around each."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.writes = 0
        self.before = nothing_happens
        self.after = nothing_happens

    @contextlib.asynccontextmanager
    async def write(self) -> AsyncIterator[Any]:
        self.writes += 1
        await self.before()
        async with self.database.write() as session:
            yield session
        await self.after()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.database, name)


async def nothing_happens() -> Any:
    pass


@pytest.fixture
def watched(database: Database) -> Any:
    return WatchedDatabase(database)


@pytest.fixture
async def stranger(database: Database, data_dir: Path) -> Sealer:
    """A sealer that holds no tenant's key yet."""
    return Sealer(await Keyring.open(KeyRows(database), kms_key="", data_dir=data_dir))


@pytest.fixture
async def audit(watched: Any, sealer: Sealer) -> AsyncIterator[AuditLog]:
    audit = AuditLog(watched, sealer, enabled=True)
    await audit.start()
    yield audit
    await audit.stop()


async def calls_counted(database: Database) -> int:
    async with database.read() as session:
        return sum(slot.calls for slot in (await session.exec(select(ActivitySlot))).all())


async def rows(database: Database) -> list[AuditEntry]:
    async with database.read() as session:
        return list(
            (
                await session.exec(
                    select(AuditEntry).order_by(col(AuditEntry.at), col(AuditEntry.id))
                )
            ).all()
        )


async def test_a_row_says_who_did_what_through_what(
    audit: AuditLog, database: Database, sealer: Sealer, actor: Actor, entry: MakeEntry
) -> None:
    with serving(RequestContext("request-12345")):
        await audit.write(
            entry(
                arguments={"order_id": "5"},
                outcome="NOT_FOUND",
                duration_ms=12.5,
                store_row_id="01STORE",
                change_id="01CHANGE",
                upstream_requests=2,
            )
        )

    [row] = await rows(database)
    assert (
        row.tenant_id,
        row.via,
        row.credential_id,
        row.client_name,
        row.client_version,
        row.address,
    ) == (
        actor.tenant_id,
        "mcp",
        "01KEY",
        "Claude",
        "1.2",
        "203.0.113.9",
    )
    assert (row.user_id, row.role) == (actor.user_id, "owner")
    assert (row.action, row.tool, row.outcome, row.duration_ms, row.request_id) == (
        "tool",
        "orders_get",
        "NOT_FOUND",
        12.5,
        "request-12345",
    )
    assert (row.store_row_id, row.change_id, row.upstream_requests, row.cached) == (
        "01STORE",
        "01CHANGE",
        2,
        False,
    )
    assert row.arguments is not None
    assert json.loads(
        sealer.open(row.tenant_id or "", "audit_entries", "arguments", row.id, row.arguments)
    ) == {"order_id": "5"}


@pytest.mark.parametrize("is_key_held", [True, False])
@pytest.mark.parametrize("gone", ["tenants", "users"])
async def test_rows_of_who_was_deleted_hold_no_others_up(
    database: Database,
    sealer: Sealer,
    stranger: Sealer,
    actor: Actor,
    entry: MakeEntry,
    neighbour: Any,
    gone: str,
    is_key_held: bool,
) -> None:
    audit = AuditLog(database, sealer if is_key_held else stranger, enabled=True)
    await audit.queue(entry(arguments={"limit": 1}))
    await audit.queue(entry(actor=neighbour.actor))
    own_id = actor.tenant_id if gone == "tenants" else actor.user_id
    await database.execute(f"DELETE FROM {gone} WHERE id = :id", {"id": own_id})

    await audit.flush()

    ours, theirs = await rows(database)
    assert (ours.tenant_id, ours.user_id) == (
        (None, actor.user_id) if gone == "tenants" else (actor.tenant_id, None)
    )
    assert (theirs.tenant_id, theirs.user_id) == (neighbour.view.id, neighbour.view.owner_id)


@pytest.mark.parametrize("gone", ["tenants", "users"])
async def test_a_row_of_who_was_deleted_says_nothing_about_them(
    database: Database, sealer: Sealer, actor: Actor, entry: MakeEntry, neighbour: Any, gone: str
) -> None:
    audit = AuditLog(database, sealer, enabled=True)
    await audit.queue(entry(arguments={"search": "Ada"}))
    audit.refuse_call(entry(outcome="PERMISSION_DENIED"))
    await audit.queue(entry(actor=neighbour.actor, arguments={"search": "Bert"}))
    own_id = actor.tenant_id if gone == "tenants" else actor.user_id
    await database.execute(f"DELETE FROM {gone} WHERE id = :id", {"id": own_id})

    await audit.flush()

    *ours, theirs = sorted(await rows(database), key=lambda row: row.tenant_id == neighbour.view.id)
    for row in ours:
        assert {name: getattr(row, name) for name in NAMELESS} == NAMELESS
        assert (row.tool, row.action) == ("orders_get", "tool")
    assert len(ours) == 2
    assert theirs.arguments is not None


async def test_what_is_recorded_is_committed_when_it_returns(
    audit: AuditLog, database: Database, entry: MakeEntry
) -> None:
    await audit.write(entry())

    assert len(await rows(database)) == 1


async def test_what_is_noted_is_committed_within_a_second(
    audit: AuditLog, database: Database, entry: MakeEntry
) -> None:
    await audit.queue(entry())

    async def committed() -> bool:
        return len(await rows(database)) == 1

    await eventually(committed, 2)


async def test_arguments_do_not_stand_in_the_clear(
    audit: AuditLog, database: Database, everything_in: Any, entry: MakeEntry
) -> None:
    await audit.write(entry(arguments={"email": "ada@example.com"}))

    assert b"ada@example.com" not in await everything_in(database)


async def test_who_flushes_sees_what_was_noted_just_now(
    audit: AuditLog, database: Database, entry: MakeEntry
) -> None:
    await audit.queue(entry())
    await asyncio.sleep(0.05)  # the flusher has woken, and lets more come
    await audit.queue(entry())

    await audit.flush()

    assert len(await rows(database)) == 2


async def test_a_full_queue_makes_the_call_wait(
    watched: Any, sealer: Sealer, monkeypatch: pytest.MonkeyPatch, entry: MakeEntry
) -> None:
    let_go = asyncio.Event()
    watched.before = let_go.wait
    monkeypatch.setattr(audit_service, "MOST_QUEUED", 3)
    audit = AuditLog(watched, sealer, enabled=True)
    await audit.start()
    for _ in range(3):
        await audit.queue(entry())
    flushing = asyncio.create_task(audit.flush())
    await asyncio.sleep(0)
    for _ in range(3):  # the queue is full while the rows before are being committed
        await audit.queue(entry())

    one_more = asyncio.create_task(audit.queue(entry()))
    _, waiting = await asyncio.wait([one_more], timeout=0.1)
    let_go.set()
    await asyncio.gather(one_more, flushing)
    await audit.stop()

    assert waiting, "the call went on though its row had no place"
    assert len(await rows(watched)) == 7


async def test_stopping_flushes_what_waits_at_once(
    database: Database, sealer: Sealer, monkeypatch: pytest.MonkeyPatch, entry: MakeEntry
) -> None:
    monkeypatch.setattr(audit_service, "FLUSH_SECONDS", 3600)
    audit = AuditLog(database, sealer, enabled=True)
    await audit.start()
    for _ in range(10):
        await audit.queue(entry())

    await asyncio.wait_for(audit.stop(), 10)

    assert len(await rows(database)) == 10


async def test_a_busy_minute_is_not_waited_out(
    database: Database, sealer: Sealer, monkeypatch: pytest.MonkeyPatch, entry: MakeEntry
) -> None:
    monkeypatch.setattr(audit_service, "FLUSH_SECONDS", 3600)
    audit = AuditLog(database, sealer, enabled=True)
    await audit.start()

    for _ in range(audit_service.MOST_QUEUED * 2):
        await asyncio.wait_for(audit.queue(entry()), 20)
    await audit.stop()

    assert len(await rows(database)) == audit_service.MOST_QUEUED * 2


async def test_rows_outlive_a_database_that_is_away_for_a_while(
    audit: AuditLog, watched: Any, monkeypatch: pytest.MonkeyPatch, entry: MakeEntry
) -> None:
    monkeypatch.setattr(audit_service, "FLUSH_SECONDS", 0.01)
    failures = iter(range(3))

    async def away() -> None:
        if next(failures, None) is not None:
            raise OSError("connection refused")

    watched.before = away
    await audit.queue(entry(tool="first"))
    await asyncio.sleep(0.02)
    await audit.queue(entry(tool="second"))

    async def committed() -> bool:
        return [row.tool for row in await rows(watched)] == ["first", "second"]

    await eventually(committed, 3)


async def test_rows_whose_commit_was_cut_off_but_happened_stop_nobody(
    audit: AuditLog, watched: Any, entry: MakeEntry
) -> None:
    async def hears_nothing() -> None:
        raise OSError("the connection was lost")

    watched.after = hears_nothing
    await audit.queue(entry(tool="first"))
    with pytest.raises(OSError, match="lost"):
        await audit.flush()
    watched.after = nothing_happens
    await audit.queue(entry(tool="second"))
    await audit.flush()

    assert [row.tool for row in await rows(watched)] == ["first", "second"]
    assert await calls_counted(watched) == 2


async def test_a_write_whose_commit_was_cut_off_but_happened_is_counted_once(
    audit: AuditLog, watched: Any, entry: MakeEntry
) -> None:
    async def hears_nothing() -> None:
        watched.after = nothing_happens
        raise OSError("the connection was lost")

    watched.after = hears_nothing
    await audit.write_or_queue(entry(tool="only"))
    await audit.flush()

    assert [row.tool for row in await rows(watched)] == ["only"]
    assert await calls_counted(watched) == 1


@pytest.mark.parametrize("does_wait", [True, False])
async def test_what_waits_holds_no_large_arguments(
    database: Database, sealer: Sealer, entry: MakeEntry, does_wait: bool
) -> None:
    class Text(str):
        """One that can be seen to go."""

    audit = AuditLog(database, sealer, enabled=True)  # not started: the row waits for `flush`
    text = Text("x" * (1_000_000 if does_wait else 1))
    seen = weakref.ref(text)

    await audit.queue(entry(arguments={"search": text}))
    del text
    gc.collect()

    assert (seen() is None) == does_wait
    await audit.flush()
    assert len(await rows(database)) == 1


async def test_a_write_whose_row_cannot_be_committed_is_told(
    audit: AuditLog, watched: Any, entry: MakeEntry
) -> None:
    async def away() -> None:
        raise OSError("connection refused")

    watched.before = away

    with pytest.raises(OSError, match="refused"):
        await audit.write(entry())


@pytest.mark.parametrize("nasty", ["a\x00b", "half a pair \ud800", "🦊" * 100, "x" * 5000])
async def test_no_text_of_a_caller_stops_the_rows_of_others(
    audit: AuditLog, database: Database, nasty: str, actor: Actor, entry: MakeEntry
) -> None:
    named = replace(actor, client_name=nasty, client_version=nasty)

    await audit.queue(
        Entry(actor=named, action="tool", tool=nasty[:80], arguments={"search": nasty, nasty: 1})
    )
    await audit.queue(entry(tool="after"))
    await audit.flush()

    assert [row.tool for row in await rows(database)][1] == "after"


async def test_arguments_too_large_to_keep_are_named_only(
    audit: AuditLog, database: Database, sealer: Sealer, actor: Actor, entry: MakeEntry
) -> None:
    await audit.write(entry(arguments={"changes": {"note": "x" * 20_000}}))

    [row] = await rows(database)
    assert row.arguments is not None
    assert json.loads(
        sealer.open(row.tenant_id or "", "audit_entries", "arguments", row.id, row.arguments)
    ) == {
        "cut": True,
        "bytes": 20_025,
        "names": ["changes"],
    }


async def test_a_tenant_whose_key_was_put_away_is_written_down_too(
    database: Database, stranger: Sealer, entry: MakeEntry
) -> None:
    audit = AuditLog(database, stranger, enabled=True)

    await audit.queue(entry(arguments={"limit": 1}))
    await audit.flush()

    assert len(await rows(database)) == 1


async def test_without_an_audit_log_nothing_is_kept(
    database: Database, sealer: Sealer, entry: MakeEntry
) -> None:
    audit = AuditLog(database, sealer, enabled=False)

    await audit.write(entry())
    await audit.queue(entry())
    await audit.flush()

    assert await rows(database) == []


async def test_rows_committed_are_counted_by_kind(audit: AuditLog, entry: MakeEntry) -> None:
    before = counted("audit_rows", kind="write"), counted("audit_rows", kind="read")

    await audit.write(entry())
    await audit.queue(entry())
    await audit.flush()

    assert (counted("audit_rows", kind="write"), counted("audit_rows", kind="read")) == (
        before[0] + 1,
        before[1] + 1,
    )
    assert counted("audit_waiting") == 0


async def test_rows_recorded_at_the_same_time_are_committed_together(
    audit: AuditLog, watched: Any, entry: MakeEntry
) -> None:
    before = counted("audit_rows", kind="write")

    await asyncio.gather(*(audit.write(entry()) for _ in range(64)))
    together = watched.writes
    await audit.write(entry())

    assert together < 4
    assert len(await rows(watched)) == 65
    assert counted("audit_rows", kind="write") - before == 65, "none is committed a second time"


@pytest.mark.parametrize("place", [0, 1, 5])
async def test_a_row_that_cannot_be_committed_fails_alone(
    audit: AuditLog, entry: MakeEntry, place: int
) -> None:
    entries = [entry() for _ in range(6)]
    entries[place] = entry(outcome=None)  # the column takes none

    told = await asyncio.gather(*(audit.write(each) for each in entries), return_exceptions=True)

    failed = [number for number, answer in enumerate(told) if answer is not None]
    assert failed == [place]
    assert isinstance(told[place], IntegrityError)


# ------------------------------------------------------------------ refusals


def refuse_calls(audit: AuditLog, entry: MakeEntry, count: int, **values: Any) -> None:
    for _ in range(count):
        audit.refuse_call(entry(**{"outcome": "VALIDATION_ERROR", **values}))


async def test_of_many_refused_calls_ten_have_a_row_and_the_others_share_one(
    database: Database, sealer: Sealer, entry: MakeEntry
) -> None:
    audit = AuditLog(database, sealer, enabled=True)
    await audit.start()

    refuse_calls(audit, entry, 1_000)
    await audit.stop()

    assert sorted(row.times for row in await rows(database)) == [1] * 10 + [990]


async def test_another_tool_reason_or_key_has_rows_of_its_own(
    audit: AuditLog, database: Database, actor: Actor, entry: MakeEntry
) -> None:
    refuse_calls(audit, entry, 20)
    refuse_calls(audit, entry, 1, tool="orders_list")
    refuse_calls(audit, entry, 1, outcome="PERMISSION_DENIED")
    refuse_calls(audit, entry, 1, actor=replace(actor, credential_id="01OTHER"))
    await audit.flush()

    assert len(await rows(database)) == 10 + 3


async def test_counts_are_committed_when_their_minute_is_over(
    audit: AuditLog, database: Database, entry: MakeEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusal_sampling, "WINDOW_SECONDS", 0.2)
    monkeypatch.setattr(audit_service, "WINDOW_SECONDS", 0.2)
    refuse_calls(audit, entry, 15)

    async def counted_rows() -> bool:
        return sorted(row.times for row in await rows(database)) == [1] * 10 + [5]

    await eventually(counted_rows, 3)


@pytest.mark.parametrize("client", ["", "Claude", "🦊" * 80])
@pytest.mark.parametrize("address", ["203.0.113.9", "2001:db8:85a3:1111:2222:8a2e:370:7334"])
@pytest.mark.parametrize("request_id", ["01KB0000000000000000000000", "r" * 64])
@pytest.mark.parametrize("way", ["key", "session", "nobody"])
async def test_a_row_of_a_refusal_is_short_and_still_says_who_and_what(
    audit: AuditLog,
    database: Database,
    actor: Actor,
    way: str,
    request_id: str,
    address: str,
    client: str,
) -> None:
    who = replace(actor, client_name=client, client_version="9" * 40, address=address)
    if way == "key":
        who = replace(who, credential_id="01KB0000000000000000000001")
    else:
        who = replace(who, credential_id=None, session_id="01KB0000000000000000000002")
    entry = Entry(
        actor=who,
        action="tool",
        tool="tenant_use_master_key",
        outcome="RATE_LIMIT_EXCEEDED",
        arguments={"changes": {"note": "x" * 5000}},
        request_id=request_id,
    )
    if way == "nobody":
        audit.refuse_key(entry, address)
    else:
        audit.refuse_call(entry)
    await audit.flush()

    [row] = await rows(database)
    texts = [
        str(value)
        for value in row.model_dump(exclude=set(CHAINED)).values()
        if value is not None and not isinstance(value, bool | int | float)
    ]
    assert sum(len(text.encode()) for text in texts) <= 200 + len("+00:00")
    assert sum(len(value) for value in (row.link, row.salt, row.personal_digest) if value) == 48
    assert row.arguments is None
    assert (row.tenant_id, row.tool, row.outcome) == (
        actor.tenant_id,
        "tenant_use_master_key",
        "RATE_LIMIT_EXCEEDED",
    )
    assert row.credential_id == who.credential_id
    assert way == "key" or row.user_id == actor.user_id


async def test_the_refusal_of_a_person_who_signed_in_with_a_key_names_the_person(
    audit: AuditLog, database: Database, actor: Actor
) -> None:
    person = replace(actor, via=Via.CONSOLE, session_id="01SESSION")

    audit.refuse_call(Entry(actor=person, action="tool", tool="x", outcome="PERMISSION_DENIED"))
    await audit.flush()

    [row] = await rows(database)
    assert (row.user_id, row.credential_id) == (actor.user_id, None)


async def test_wrong_keys_are_sampled_by_network_however_many_there_are(
    audit: AuditLog, database: Database, actor: Actor
) -> None:
    entry = Entry(actor=replace(actor, address="203.0.113.9"), action="key.check", outcome="X")
    for number in range(3_000):
        own = replace(entry, id=new_id())
        audit.refuse_key(own, f"2001:db8:0:{number % 1000:x}::/64")
    await audit.stop()

    found = await rows(database)
    assert len(found) < 300
    assert sum(row.times for row in found) == 3_000


async def test_refusals_never_wait_for_the_database(
    database: Database, sealer: Sealer, entry: MakeEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_service, "MOST_QUEUED", 3)
    audit = AuditLog(database, sealer, enabled=True)

    for number in range(50):
        audit.refuse_call(entry(outcome="PERMISSION_DENIED", tool=f"tool {number}"))
    await audit.stop()

    assert sum(row.times for row in await rows(database)) == 50


async def test_a_row_for_which_there_is_no_place_in_time_is_told(
    database: Database, sealer: Sealer, entry: MakeEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_service, "LONGEST_WAIT", 0.1)
    monkeypatch.setattr(audit_service, "MOST_QUEUED", 1)
    audit = AuditLog(database, sealer, enabled=True)
    await audit.queue(entry())

    with pytest.raises(DatabaseBusy) as error:
        await audit.queue(entry())

    assert error.value.outcome == "not_done"


# ------------------------------------------------------------------ signals of what happened


@pytest.mark.parametrize("kind", ["write", "queue"])
async def test_this_process_and_others_hear_of_a_row_within_a_second(
    database: Database, sealer: Sealer, actor: Actor, entry: MakeEntry, kind: str
) -> None:
    """The other process is another connection to the same database, with signals of its own."""

    async def both_have_heard() -> bool:
        return all(heard.values())

    here, there = Signals(database), Signals(database)
    heard: dict[str, list[str]] = {"here": [], "there": []}
    here.subscribe(heard["here"].append)
    there.subscribe(heard["there"].append)
    audit = AuditLog(database, sealer, enabled=True, signals=here)
    other = AuditLog(database, sealer, enabled=True, signals=there)
    await here.start()
    await there.start()
    await audit.start()
    try:
        mark = other.mark(actor.tenant_id)
        began = asyncio.get_running_loop().time()
        await getattr(audit, kind)(entry())
        heard_at_once = list(heard["here"])
        await eventually(both_have_heard, 10, every=0.01)
        took = asyncio.get_running_loop().time() - began
        await asyncio.sleep(0.3)
    finally:
        await audit.stop()
        await there.stop()
        await here.stop()

    assert took < 1.0
    assert heard == {name: [f"activity:{actor.tenant_id}"] for name in ("here", "there")}
    assert heard_at_once == (heard["here"] if kind == "write" else [])
    assert other.mark(actor.tenant_id) != mark  # numbers that were kept are read again


async def test_nothing_is_published_when_nothing_happens(
    watched: Any, sealer: Sealer, entry: MakeEntry
) -> None:
    audit = AuditLog(watched, sealer, enabled=True, signals=Signals(watched.database))
    await audit.flush()
    before = watched.writes
    await audit.queue(entry())
    await audit.flush()
    await audit.flush()

    assert (before, watched.writes) == (0, 1)


async def test_many_accounts_fit_into_few_signals(
    database: Database, sealer: Sealer, signals: Signals, actor: Actor, entry: MakeEntry
) -> None:
    heard: list[str] = []
    signals.subscribe(heard.append)
    audit = AuditLog(database, sealer, enabled=True, signals=signals)
    stranger = replace(actor, tenant_id=TenantId(""))
    ids = [TenantId(f"01KB{number:022d}") for number in range(450)]

    for tenant_id in ids:
        audit.refuse_key(entry(actor=replace(stranger, tenant_id=tenant_id)), str(tenant_id))
    audit.refuse_key(entry(actor=stranger), "nobody")
    await audit.stop()

    assert heard.count("strangers") == 1  # a row of no account
    heard = [topic for topic in heard if topic != "strangers"]
    told = [name for topic in heard for name in topic.removeprefix("activity:").split(",")]
    assert set(told) <= set(ids)
    assert all(topic.startswith("activity:") and len(topic) < 7_900 for topic in heard)
