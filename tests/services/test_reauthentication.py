"""What makes keys, rotates or deletes needs a proof of identity of the last 15 minutes."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlmodel import col, update

from orderdesk_app.context import Actor, TenantId, Via
from orderdesk_app.db.sessions import Session
from orderdesk_app.errors import ReauthenticationRequired
from orderdesk_app.security.passwords import Passwords
from orderdesk_app.security.web import SessionCookies
from orderdesk_app.services.keys import Keys
from orderdesk_app.services.reauthentication import PROOF_MINUTES, Reauthentication
from orderdesk_app.services.sessions import Sessions
from tests.worlds import on_sqlite


class Clock:
    def __init__(self) -> None:
        self.time = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.time

    def pass_minutes(self, minutes: float) -> None:
        self.time += timedelta(minutes=minutes)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def reauthentication(database, clock):
    return Reauthentication(database, clock=clock)


@pytest.fixture
def sessions(database, keyring, clock):
    cookies = SessionCookies(keyring.purpose("jwt"), lambda: clock().timestamp())
    return Sessions(database, keyring, cookies, timeout=86_400, clock=clock)


@pytest.fixture
async def actor(sessions, tenant):
    """Signed in just now."""
    return await signed_in(sessions, tenant)


async def signed_in(sessions, tenant):
    cookie = await sessions.start(
        tenant.view.id,
        tenant.view.owner_id,
        credential_id=None,
        address="192.0.2.7",
        user_agent="Firefox",
    )
    return (await sessions.resume(cookie)).actor


async def test_a_sign_in_counts_for_fifteen_minutes(reauthentication, actor, clock):
    clock.pass_minutes(PROOF_MINUTES)
    await reauthentication.require_recent(actor)
    clock.pass_minutes(0.01)

    with pytest.raises(ReauthenticationRequired, match="Confirm that it is you") as refused:
        await reauthentication.require_recent(actor)

    assert (refused.value.code, refused.value.http_status) == ("PERMISSION_DENIED", 403)
    assert not await reauthentication.is_recent(actor)


@on_sqlite
async def test_a_session_that_is_used_all_the_time_grows_old_too(
    reauthentication, sessions, tenant, clock
):
    cookie = await sessions.start(
        tenant.view.id, tenant.view.owner_id, credential_id=None, address="", user_agent=""
    )
    for _ in range(4):
        clock.pass_minutes(PROOF_MINUTES / 3)
        user = await sessions.resume(cookie)

    with pytest.raises(ReauthenticationRequired):
        await reauthentication.require_recent(user.actor)


@on_sqlite
@pytest.mark.parametrize("via", [Via.WEB, Via.CONSOLE])
@pytest.mark.parametrize(
    "changed", [{"session_id": None}, {"session_id": "01UNKNOWN"}, {"tenant_id": TenantId("01X")}]
)
async def test_a_browser_without_a_session_of_that_account_has_proved_nothing(
    reauthentication, actor, via, changed
):
    with pytest.raises(ReauthenticationRequired):
        await reauthentication.require_recent(replace(actor, via=via, **changed))


@on_sqlite
async def test_a_session_that_has_ended_has_proved_nothing(reauthentication, actor, database):
    async with database.write() as session:
        ended = update(Session).where(col(Session.id) == actor.session_id)
        await session.exec(ended.values(ended_at=datetime.now(UTC)))

    with pytest.raises(ReauthenticationRequired):
        await reauthentication.require_recent(actor)


@on_sqlite
@pytest.mark.parametrize("via", [Via.MCP, Via.STDIO, Via.SYSTEM])
async def test_a_key_is_its_own_proof_and_the_shell_needs_none(reauthentication, tenant, via):
    await reauthentication.require_recent(Actor(tenant.view.id, via=via))


@on_sqlite
async def test_no_key_is_made_or_rotated_by_an_old_sign_in_but_revoked_at_once(
    database, keyring, signals, sessions, reauthentication, tenant, actor, clock
):
    keys = Keys(database, keyring, signals, Passwords(rounds=4), reauthentication)
    made, _ = await keys.create(actor, "made in time")
    clock.pass_minutes(PROOF_MINUTES + 1)

    for act in (keys.create(actor, "too late"), keys.rotate_master(actor)):
        with pytest.raises(ReauthenticationRequired):
            await act
    await keys.revoke(actor, made.id)

    assert [key.name for key in await keys.list(actor)] == ["Master key"]
    assert await keys.find(tenant.master_key.reveal())
