"""Wrong keys are limited by network address and written down in few rows; keys that work go on."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlmodel import col, select

from orderdesk_app.context import Via
from orderdesk_app.db.audit import AuditEntry
from orderdesk_app.db.engine import Database
from orderdesk_app.db.signals import Signals
from orderdesk_app.errors import AuthFailed, RateLimited
from orderdesk_app.security.sealing import Sealer
from orderdesk_app.security.tokens import new_access_key
from orderdesk_app.services.access import Access
from orderdesk_app.services.audit import AuditLog
from orderdesk_app.services.former_keys import FormerKeys
from orderdesk_app.services.key_check import ACTION, KeyCheck
from orderdesk_app.services.limits import WRONG_KEYS, Limits


@pytest.fixture
async def audit(database: Database, sealer: Sealer) -> AsyncIterator[AuditLog]:
    audit = AuditLog(database, sealer, enabled=True)
    await audit.start()
    yield audit
    await audit.stop()


@pytest.fixture
def check(database: Database, keys: Any, signals: Any, audit: AuditLog) -> KeyCheck:
    limits = Limits(rpm=60, login=5, console=30, clock=lambda: 0.0)
    return KeyCheck(Access(database, keys, signals), limits.wrong_keys, audit)


async def tries(check: KeyCheck, address: str, count: int = 2 * WRONG_KEYS) -> int:
    """How many of so many wrong keys are looked up."""
    found = 0
    for _ in range(count):
        try:
            await check.principal(new_access_key().reveal(), address=address)
        except AuthFailed:
            found += 1
        except RateLimited:
            continue
    return found


async def rows(database: Database) -> list[AuditEntry]:
    async with database.read() as session:
        question = select(AuditEntry).where(col(AuditEntry.action) == ACTION)
        return list((await session.exec(question)).all())


async def test_a_key_that_no_longer_works_is_refused_in_the_sight_of_its_account(
    database: Database, keys: Any, keyring: Any, signals: Any, audit: AuditLog, tenant: Any
) -> None:
    limits = Limits(rpm=60, login=5, console=30, clock=lambda: 0.0)
    former = FormerKeys(database, keyring)
    access = Access(database, keys, signals)
    check = KeyCheck(access, limits.wrong_keys, audit, former_keys=former)
    view, key = await keys.create(tenant.view.owner(Via.WEB), "Claude")
    await keys.revoke(tenant.view.owner(Via.WEB), view.id)

    for token in (key.reveal(), new_access_key().reveal(), "no key"):
        with pytest.raises(AuthFailed):
            await check.principal(token, address="203.0.113.9")
    await audit.flush()

    found = {(row.tenant_id, row.credential_id) for row in await rows(database)}
    assert found == {(tenant.view.id, view.id), (None, None)}


async def test_wrong_keys_are_limited_by_network_address(check: KeyCheck) -> None:
    assert await tries(check, "203.0.113.9") == WRONG_KEYS
    assert await tries(check, "203.0.113.10") == WRONG_KEYS
    assert await tries(check, "2001:db8:0:1::1") == WRONG_KEYS
    assert await tries(check, "2001:db8:0:1::2") == 0
    assert await tries(check, "2001:db8:0:2::1") == WRONG_KEYS


async def test_a_key_that_works_costs_nothing_and_goes_on(check: KeyCheck, tenant: Any) -> None:
    for _ in range(3 * WRONG_KEYS):
        await check.principal(tenant.master_key.reveal(), address="203.0.113.9")

    assert await tries(check, "203.0.113.9") == WRONG_KEYS
    found = await check.principal(tenant.master_key.reveal(), address="203.0.113.9")
    assert found.actor.tenant_id == tenant.view.id


async def test_a_key_that_was_let_in_is_looked_up_again_as_soon_as_anything_changed(
    check: KeyCheck, tenant: Any, database: Database, signals: Signals
) -> None:
    token = tenant.master_key.reveal()
    look = check.look()
    known = await check.principal(token, address="203.0.113.9")
    at_once = await check.principal_now(token, known, look)
    await database.execute("DELETE FROM credentials", {})

    signals.deliver(f"tenant:{tenant.view.id}")

    assert at_once is known
    with pytest.raises(AuthFailed):
        await check.principal_now(token, known, look)


async def test_a_key_that_works_may_come_many_times_at_once(check: KeyCheck, tenant: Any) -> None:
    token = tenant.master_key.reveal()
    requests = [check.principal(token, address="203.0.113.9") for _ in range(2 * WRONG_KEYS)]

    found = await asyncio.gather(*requests)

    assert {principal.actor.tenant_id for principal in found} == {tenant.view.id}
    assert await tries(check, "203.0.113.9") == WRONG_KEYS


async def test_a_wrong_key_many_times_at_once_is_counted_each_time(check: KeyCheck) -> None:
    token = new_access_key().reveal()
    requests = [check.principal(token, address="203.0.113.9") for _ in range(2 * WRONG_KEYS)]

    errors = await asyncio.gather(*requests, return_exceptions=True)

    assert [type(error) for error in errors].count(AuthFailed) == WRONG_KEYS
    assert [type(error) for error in errors].count(RateLimited) == WRONG_KEYS


async def test_wrong_keys_leave_ten_rows_and_a_count(
    check: KeyCheck, audit: AuditLog, database: Database
) -> None:
    await tries(check, "203.0.113.9", 40)
    await audit.stop()

    found = await rows(database)
    assert sorted(row.times for row in found) == [1] * 10 + [30]
    assert {(row.tenant_id, row.via, row.outcome, row.address) for row in found} == {
        (None, "mcp", "AUTH_ERROR", "203.0.113.9")
    }


async def test_a_refused_key_was_not_used(
    database: Database, keys: Any, keyring: Any, signals: Any, sealer: Sealer, tenant: Any
) -> None:
    noted: list[Any] = []
    audit = AuditLog(database, sealer, enabled=True, note=noted.append)
    limits = Limits(rpm=60, login=5, console=30, clock=lambda: 0.0)
    former = FormerKeys(database, keyring)
    access = Access(database, keys, signals)
    check = KeyCheck(access, limits.wrong_keys, audit, former_keys=former)
    view, key = await keys.create(tenant.view.owner(Via.WEB), "Claude")
    await keys.revoke(tenant.view.owner(Via.WEB), view.id)

    with pytest.raises(AuthFailed):
        await check.principal(key.reveal(), address="203.0.113.9")

    assert noted == []
