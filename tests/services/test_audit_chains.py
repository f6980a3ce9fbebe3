"""Rows of the audit log are chained when they are committed, and leave a chain with a signature."""

import asyncio
import contextlib
import time
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from orderdesk_app.context import Actor, TenantId, Via, now
from orderdesk_app.db import retention as retention_rows
from orderdesk_app.db.audit import CHAINED, NAMELESS, PERSONAL, AuditEntry
from orderdesk_app.db.deletions import Doomed, RowDeletion
from orderdesk_app.db.engine import Database
from orderdesk_app.db.leases import Leases
from orderdesk_app.db.schema import METADATA
from orderdesk_app.errors import NotFound, ValidationFailed
from orderdesk_app.security.keyring import Keyring
from orderdesk_app.services import audit_chains, audit_verification
from orderdesk_app.services import retention as retention_module
from orderdesk_app.services.audit_links import PUBLIC
from orderdesk_app.services.retention import Retention
from tests.audit_worlds import ChainWorld, found_in

NOBODY = Actor(TenantId(""), via=Via.MCP, address="203.0.113.9")


@pytest.fixture
def chain(database: Database, keyring: Keyring, tenant: Any) -> ChainWorld:
    return ChainWorld(database, keyring, tenant.actor)


def deletion_of(chain: ChainWorld) -> RowDeletion:
    return RowDeletion(chain.database, METADATA, nameless=NAMELESS, erasure=chain.key.erasure)


def test_every_column_of_a_row_is_covered() -> None:
    columns = AuditEntry.__table__.columns.keys()  # type: ignore[attr-defined]

    assert sorted(columns) == sorted([*PUBLIC, *PERSONAL, *CHAINED])


async def test_rows_of_all_kinds_are_one_whole_chain(chain: ChainWorld, neighbour: Any) -> None:
    await chain.write(5)
    await chain.audit.write(chain.entry(outcome="NOT_FOUND", duration_ms=3, cached=True))
    await chain.write(2, actor=neighbour.actor, arguments=None)
    chain.audit.refuse_call(chain.entry(outcome="PERMISSION_DENIED", tool="x\x00\ud800"))
    chain.audit.refuse_key(refusal_of_nobody(chain), "203.0.113.0")
    await chain.audit.flush()

    reports = {report.tenant_id: report for report in await chain.reports()}

    assert {tenant: (report.state, report.whole) for tenant, report in reports.items()} == {
        chain.actor.tenant_id: ("whole", 7),
        neighbour.view.id: ("whole", 2),
        None: ("whole", 1),
    }
    assert [row.sequence for row in await chain.rows()] == [1, 2, 3, 4, 5, 6, 7]


def refusal_of_nobody(chain: ChainWorld) -> Any:
    return chain.entry(actor=NOBODY, action="key.refuse", tool=None, outcome="AUTH_ERROR")


async def test_a_batch_of_reads_changes_each_chain_once(
    chain: ChainWorld, neighbour: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored: list[int] = []
    store = audit_chains.store_last_rows

    async def counted(connection: Any, heads: Any) -> None:
        stored.append(len(heads))
        await store(connection, heads)

    monkeypatch.setattr(audit_chains, "store_last_rows", counted)

    for number in range(40):
        actor = neighbour.actor if number % 2 else chain.actor
        await chain.audit.queue(chain.entry(actor=actor))
    await chain.audit.flush()

    assert stored == [2]


async def test_processes_that_write_at_once_make_one_chain(chain: ChainWorld) -> None:
    others = [chain.audit, *(chain.another() for _ in range(3))]

    async def work(number: int) -> None:
        for _ in range(8):
            await others[number].queue(chain.entry())
            await others[number].write(chain.entry(outcome="NOT_FOUND"))
        await others[number].flush()

    await asyncio.gather(*(work(number) for number in range(4)))

    report = await chain.report()
    assert (report.state, report.whole) == ("whole", 64)


async def test_processes_that_begin_chains_at_once_count_each(
    chain: ChainWorld, neighbour: Any
) -> None:
    actors = [chain.actor, neighbour.actor, replace(NOBODY, client_name="Claude")]

    async def work(number: int) -> None:
        audit = chain.another()
        for step in range(3):  # each begins with another account
            actor = actors[(number + step) % 3]
            await audit.queue(chain.entry(actor=actor, arguments=None))
            await audit.write(chain.entry(actor=actors[(number + step + 1) % 3], arguments=None))
        await audit.flush()

    await asyncio.gather(*(work(number) for number in range(6)))

    reports = await chain.reports()
    assert sorted((report.state, report.whole) for report in reports) == [("whole", 12)] * 3


async def test_a_row_that_is_there_already_leaves_no_hole(chain: ChainWorld) -> None:
    entry = chain.entry()
    await chain.audit.write(entry)

    await chain.audit.write(entry)  # as a deletion does that is tried again after a crash
    await chain.another().write(entry)
    await chain.write()

    report = await chain.report()
    assert (report.state, report.whole) == ("whole", 2)


async def test_a_commit_that_fails_leaves_no_hole(
    chain: ChainWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = chain.database.write
    await chain.write()

    @contextlib.asynccontextmanager
    async def failing() -> Any:
        async with write() as session:
            yield session
            raise OSError("the connection broke")

    monkeypatch.setattr(chain.database, "write", failing)
    await chain.audit.queue(chain.entry())
    with pytest.raises(OSError, match="broke"):
        await chain.audit.flush()
    monkeypatch.setattr(chain.database, "write", write)
    await chain.audit.flush()

    report = await chain.report()
    assert (report.state, report.whole) == ("whole", 2)


async def test_an_erased_row_is_told_apart_and_says_nothing_about_a_person(
    chain: ChainWorld, neighbour: Any
) -> None:
    colleague = replace(chain.actor, user_id=neighbour.view.owner_id)
    await chain.write(2)
    await chain.write(3, actor=colleague)
    await chain.write()
    doomed = Doomed(neighbour.view.owner_id, ())
    assert await deletion_of(chain).delete_rows(doomed, until=time.monotonic() + 60)
    await chain.write(actor=colleague)  # and one that comes after the batches
    async with chain.database.write() as session:
        await deletion_of(chain).delete_rest(session, doomed)

    report = await chain.report()

    assert (report.state, report.whole, report.erased) == ("whole", 3, 4)
    for row in await chain.rows():
        if row.erasure is not None:
            assert (row.user_id, row.salt) == (None, None)
            assert {name: getattr(row, name) for name in NAMELESS} == NAMELESS


async def test_a_late_row_of_somebody_who_is_deleted_is_whole(
    chain: ChainWorld, neighbour: Any
) -> None:
    await chain.write(2)
    await chain.audit.queue(chain.entry(actor=neighbour.actor))
    await chain.audit.queue(
        chain.entry(actor=replace(chain.actor, user_id=neighbour.view.owner_id))
    )
    await chain.tamper("DELETE FROM tenants WHERE id = :id", id=neighbour.view.id)
    await chain.tamper("DELETE FROM users WHERE id = :id", id=neighbour.view.owner_id)
    await chain.audit.flush()

    reports = await chain.reports()

    assert {report.tenant_id: (report.state, report.whole) for report in reports} == {
        chain.actor.tenant_id: ("whole", 3),
        None: ("whole", 1),
    }


async def test_what_has_expired_is_told_apart_and_the_chain_goes_on(
    chain: ChainWorld, neighbour: Any
) -> None:
    old = now() - timedelta(days=91)
    await chain.write(7, at=old)
    await chain.write(2, at=old, actor=neighbour.actor)
    # behind a young row: it waits until that one is too old
    await chain.write(3)
    await chain.write(1, at=old)
    retention = Retention(
        chain.database, Leases(chain.database), chain.chains, audit_days=90, journal_days=0, pause=0
    )

    assert await retention.delete_old_rows() == 9
    await chain.write(2)

    report = await chain.report()
    assert (report.state, report.whole, report.expired) == ("whole", 6, 7)
    assert [row.sequence for row in await chain.rows()] == [8, 9, 10, 11, 12, 13]


@pytest.mark.parametrize("others", [1, 6])
async def test_rows_of_a_clock_that_was_wrong_keep_no_others_for_ever(
    chain: ChainWorld, monkeypatch: pytest.MonkeyPatch, others: int
) -> None:
    monkeypatch.setattr(retention_module, "AUDIT_BATCH", 4)
    await chain.write(others, at=now() + timedelta(days=400))
    await chain.write(6, at=now() - timedelta(days=91))
    await chain.write(2, at=now() + timedelta(days=400))
    await chain.write(2)
    retention = Retention(
        chain.database, Leases(chain.database), chain.chains, audit_days=90, journal_days=0, pause=0
    )

    assert await retention.delete_old_rows() == others + 6

    report = await chain.report()
    assert (report.state, report.whole, report.expired) == ("whole", 4, others + 6)


async def test_a_chain_that_waits_keeps_no_other_waiting(
    chain: ChainWorld, neighbour: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (retention_module, retention_rows):
        monkeypatch.setattr(module, "AUDIT_BATCH", 4)
    await chain.write(1, at=now() - timedelta(days=89))
    await chain.write(9, at=now() - timedelta(days=92))
    await chain.write(9, at=now() - timedelta(days=91), actor=neighbour.actor)
    retention = Retention(
        chain.database, Leases(chain.database), chain.chains, audit_days=90, journal_days=0, pause=0
    )

    assert await retention.delete_old_rows() == 9

    assert (await chain.report()).whole == 10
    assert await chain.rows(neighbour.view.id) == []


async def test_what_somebody_changed_is_still_known_when_it_has_expired(chain: ChainWorld) -> None:
    await chain.write(5, at=now() - timedelta(days=91))
    await chain.write(5)
    await chain.tamper("DELETE FROM audit_log WHERE sequence = 3")
    retention = Retention(
        chain.database, Leases(chain.database), chain.chains, audit_days=90, journal_days=0, pause=0
    )

    await retention.delete_old_rows()

    report = await chain.report()
    assert (report.state, found_in(report)) == ("tampered", [("chain", None)])


async def test_of_a_deleted_account_a_signed_end_remains_and_names_nobody(
    chain: ChainWorld,
) -> None:
    await chain.write(5)
    [before] = await chain.reports()
    doomed = Doomed(None, (chain.actor.tenant_id,))
    async with chain.database.write() as session:
        await deletion_of(chain).close(session, doomed, now())
        await chain.chains.end(session, doomed.tenant_ids)
    await chain.write(1)  # while it goes on
    await deletion_of(chain).delete_rows(doomed, until=time.monotonic() + 60)
    async with chain.database.write() as session:
        await deletion_of(chain).delete_rest(session, doomed)

    [report] = await chain.reports([before.checkpoint])

    assert (report.chain, report.state, report.tenant_id) == (before.chain, "deleted", None)
    left = await chain.database.query("SELECT * FROM audit_chains WHERE id <> 'register'", {})
    assert len(left) == 1
    assert not {chain.actor.tenant_id, chain.actor.user_id} & set(left[0])


async def test_rows_from_before_the_chain_are_counted_and_no_more_may_come(
    chain: ChainWorld,
) -> None:
    await chain.write(5)
    blank = ", ".join(f"{name} = NULL" for name in CHAINED)
    await chain.tamper(f"UPDATE audit_log SET {blank}")
    await chain.tamper("DELETE FROM audit_chains")
    await chain.tamper(  # as the migration leaves it
        "INSERT INTO audit_chains (id, tenant_id, unchained, expired_sequence, expired_link, "
        "sequence, link, faults) VALUES ('01CHAIN', :tenant, 5, 0, :none, 0, :none, 0)",
        tenant=chain.actor.tenant_id,
        none=b"",
    )
    unbegun = await chain.report()
    await chain.write(3)
    begun = await chain.report()
    await chain.tamper("UPDATE audit_log SET sequence = NULL WHERE sequence = 3")
    added = await chain.report()

    assert (unbegun.state, unbegun.unchained, unbegun.checkpoint) == ("whole", 5, "")
    assert (begun.state, begun.unchained, begun.whole) == ("whole", 5, 3)
    assert [finding.kind for finding in added.findings] == ["missing", "added"]


async def test_one_account_alone_is_followed(chain: ChainWorld, neighbour: Any) -> None:
    await chain.write(2)
    await chain.write(2, actor=neighbour.actor)

    found = [
        report.tenant_id async for report in chain.verification.verify(tenant_id=neighbour.view.id)
    ]
    with pytest.raises(NotFound, match="no audit log"):
        async for _ in chain.verification.verify(tenant_id=TenantId("01NOBODY")):
            pass

    assert found == [neighbour.view.id]


async def test_a_checkpoint_is_ours_or_refused(chain: ChainWorld) -> None:
    await chain.write(2)
    token = (await chain.report()).checkpoint

    for wrong in ("", "x", token[:-1], token.replace(".2.", ".1."), token + "0"):
        with pytest.raises(ValidationFailed, match="no checkpoint"):
            chain.verification.read_checkpoint(wrong)

    assert chain.verification.read_checkpoint(f" {token}\n").sequence == 2


async def test_from_a_checkpoint_on_only_what_came_later_is_read(chain: ChainWorld) -> None:
    await chain.write(6)
    token = (await chain.report()).checkpoint
    await chain.write(3)

    report = await chain.report([token])

    assert (report.state, report.whole) == ("whole", 3)


async def test_rows_that_expire_while_it_reads_are_no_fault(
    chain: ChainWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    await chain.write(6, at=now() - timedelta(days=91))
    await chain.write(3)
    read, reads = audit_verification.rows_after, 0

    async def and_expires(connection: Any, *given: Any) -> Any:
        nonlocal reads
        reads += 1
        if reads == 2:
            async with chain.database.write() as session:
                before = now() - timedelta(days=90)
                assert await chain.chains.expire(session, chain.actor.tenant_id, before, 200) == 6
        return await read(connection, *given)

    monkeypatch.setattr(audit_verification, "rows_after", and_expires)

    report = await chain.report()

    assert (report.state, report.findings, report.expired) == ("whole", [], 6)


async def test_an_account_that_is_deleted_while_it_reads_is_no_fault(
    chain: ChainWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    await chain.write(9)
    doomed = Doomed(None, (chain.actor.tenant_id,))
    read, reads = audit_verification.rows_after, 0

    async def and_deletes(connection: Any, *given: Any) -> Any:
        nonlocal reads
        reads += 1
        if reads == 2:
            async with chain.database.write() as session:
                await deletion_of(chain).close(session, doomed, now())
                await chain.chains.end(session, doomed.tenant_ids)
            await deletion_of(chain).delete_rows(doomed, until=time.monotonic() + 60)
            async with chain.database.write() as session:
                await deletion_of(chain).delete_rest(session, doomed)
        return await read(connection, *given)

    monkeypatch.setattr(audit_verification, "rows_after", and_deletes)

    [report] = await chain.reports()

    assert (report.state, report.findings) == ("deleted", [])


async def test_a_checkpoint_that_expires_while_it_reads_is_no_fault(
    chain: ChainWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    await chain.write(6, at=now() - timedelta(days=91))
    token = (await chain.report()).checkpoint
    await chain.write(3, at=now() - timedelta(days=91))
    before = now() - timedelta(days=90)
    read, reads = chain.database.read, 0

    @contextlib.asynccontextmanager
    async def and_expires() -> Any:
        nonlocal reads
        reads += 1
        if reads == 3:  # the chain and its head are known, and no row yet
            async with chain.database.write() as session:
                assert await chain.chains.expire(session, chain.actor.tenant_id, before, 200) == 9
        async with read() as session:
            yield session

    monkeypatch.setattr(chain.database, "read", and_expires)

    report = await chain.report([token])

    assert (report.state, report.findings, report.expired) == ("whole", [], 9)
