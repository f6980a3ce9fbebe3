"""Whoever holds a stolen cookie goes from account to account while its owner ends all other
sessions: the session that begins meanwhile would survive. Guard: a user's sessions move and end one
after the other.
"""

import asyncio

import pytest
from sqlmodel import col, select

from orderdesk_app.db.engine import Database
from orderdesk_app.db.memberships import Membership
from orderdesk_app.db.sessions import Session
from orderdesk_app.db.signals import Signals
from orderdesk_app.db.users import User
from orderdesk_app.errors import AuthFailed, SignInFailed
from orderdesk_app.security.keyring import Keyring
from orderdesk_app.security.web import SessionCookies
from orderdesk_app.services.audit import AuditLog, Entry
from orderdesk_app.services.own_sessions import OwnSessions
from orderdesk_app.services.sessions import Sessions
from tests.attacks.cast import switched_off
from tests.conftest import TenantAccount


class NoTrail(AuditLog):
    def __init__(self) -> None:
        pass

    async def write_or_queue(self, entry: Entry) -> None:
        pass


@pytest.fixture
def sessions(database: Database, keyring: Keyring) -> Sessions:
    cookies = SessionCookies(keyring.purpose("jwt"))
    return Sessions(database, keyring, cookies, timeout=4000)


async def sign_in(sessions: Sessions, account: TenantAccount) -> str:
    return await sessions.start(
        account.view.id,
        account.view.owner_id,
        credential_id=None,
        address="192.0.2.7",
        user_agent="Firefox",
    )


async def live_after_the_race(
    database: Database,
    sessions: Sessions,
    signals: Signals,
    account: TenantAccount,
    other: TenantAccount,
) -> int:
    """How many sessions live, once the thief's has moved while its owner ended all others."""
    async with database.write() as session:
        session.add(
            Membership(tenant_id=other.view.id, user_id=account.view.owner_id, role="viewer")
        )
    own = OwnSessions(database, sessions, signals, NoTrail())
    thief = await sessions.resume(await sign_in(sessions, account))
    owner = await sessions.resume(await sign_in(sessions, account))
    assert thief is not None
    assert owner is not None

    async with database.write() as session:
        await sessions.move(session, thief.session_id, other.view.id)
        ending = asyncio.create_task(own.end_others(owner.actor))
        await asyncio.sleep(0.1)  # it waits for us, or has read what was there before
    await ending

    async with database.read() as session:
        live = select(Session).where(
            col(Session.user_id) == account.view.owner_id, col(Session.ended_at).is_(None)
        )
        return len((await session.exec(live)).all())


async def test_all_other_sessions_end_also_one_that_moves_meanwhile(
    database: Database,
    sessions: Sessions,
    signals: Signals,
    tenant: TenantAccount,
    neighbour: TenantAccount,
) -> None:
    assert await live_after_the_race(database, sessions, signals, tenant, neighbour) == 1


async def test_without_the_lock_the_one_that_moved_would_live(
    database: Database,
    sessions: Sessions,
    signals: Signals,
    tenant: TenantAccount,
    neighbour: TenantAccount,
) -> None:
    if database.is_sqlite:
        return  # there only one write goes on at once

    async def no_lock(*_: object) -> None:
        pass

    with switched_off(Sessions, "lock", no_lock):
        assert await live_after_the_race(database, sessions, signals, tenant, neighbour) == 2


async def test_a_session_that_has_ended_moves_nowhere(
    database: Database, sessions: Sessions, tenant: TenantAccount
) -> None:
    cookie = await sign_in(sessions, tenant)
    user = await sessions.resume(cookie)
    assert user is not None
    await sessions.end(cookie)

    with pytest.raises(AuthFailed):
        async with database.write() as session:
            await sessions.move(session, user.session_id, tenant.view.id)


@pytest.mark.parametrize("way", ["signs in", "moves"])
async def test_none_begins_for_a_user_who_is_disabled_meanwhile(
    database: Database,
    sessions: Sessions,
    tenant: TenantAccount,
    way: str,
) -> None:
    """It would live again once the user is enabled. Guard: both write the user's row first."""
    user = await sessions.resume(await sign_in(sessions, tenant))
    assert user is not None

    async def begin() -> None:
        if way == "signs in":
            await sign_in(sessions, tenant)
        else:
            async with database.write() as session:
                await sessions.move(session, user.session_id, tenant.view.id)

    async with database.write() as session:
        owner = await session.get_one(User, tenant.view.owner_id)
        owner.disabled_at = owner.created_at
        await session.flush()
        beginning = asyncio.create_task(begin())
        await asyncio.sleep(0.05)  # it waits for us, or has read what was there before

    with pytest.raises(SignInFailed):
        await beginning
