"""A cookie names a row, and the row decides at every event."""

import base64
import json
from datetime import UTC, datetime, timedelta

import pytest

from orderdesk_app.context import Role, Via, now
from orderdesk_app.db.tenants import Tenant
from orderdesk_app.db.users import User
from orderdesk_app.errors import Conflict, PermissionDenied
from orderdesk_app.security.web import SessionCookies
from orderdesk_app.services.sessions import FormTokens, Sessions


class Clock:
    def __init__(self) -> None:
        self.time = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.time


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def sessions(database, keyring, clock):
    return Sessions(
        database,
        keyring,
        SessionCookies(keyring.purpose("jwt"), lambda: clock().timestamp()),
        timeout=4000,
        clock=clock,
    )


@pytest.fixture
async def cookie(sessions, tenant):
    return await sessions.start(
        tenant.view.id,
        tenant.view.owner_id,
        credential_id=None,
        address="192.0.2.7" * 20,
        user_agent="Firefox" * 100,
    )


async def test_a_cookie_tells_who_it_is(sessions, cookie, tenant):
    user = await sessions.resume(cookie)

    assert user is not None
    assert (user.name, user.actor.tenant_id, user.actor.via, user.actor.session_id) == (
        "Ada's Teas",
        tenant.view.id,
        Via.WEB,
        user.session_id,
    )
    assert (user.actor.user_id, user.actor.role, user.actor.is_operator) == (
        tenant.view.owner_id,
        Role.OWNER,
        False,
    )


@pytest.mark.parametrize("value", [None, "", "x", "a.b.c", "é" * 10, "x" * 100_000])
async def test_what_is_no_cookie_is_nobody(sessions, cookie, value):
    assert await sessions.resume(value) is None


async def test_sign_out_acts_on_every_copy_of_the_cookie(sessions, cookie):
    await sessions.end(cookie)

    assert await sessions.resume(cookie) is None


async def test_signing_out_twice_or_without_a_cookie_is_no_fault(sessions, cookie):
    await sessions.end(cookie)
    await sessions.end(cookie)
    await sessions.end(None)


async def test_an_idle_session_ends_after_a_quarter_of_its_time(sessions, cookie, clock):
    clock.time += timedelta(seconds=999)
    assert await sessions.resume(cookie) is not None
    clock.time += timedelta(seconds=999)
    assert await sessions.resume(cookie) is not None

    clock.time += timedelta(seconds=1001)

    assert await sessions.resume(cookie) is None


async def test_a_look_that_is_no_use_keeps_no_session_alive(sessions, cookie, clock):
    clock.time += timedelta(seconds=999)
    assert await sessions.resume(cookie, is_use=False) is not None

    clock.time += timedelta(seconds=2)

    assert await sessions.resume(cookie) is None


async def test_a_busy_session_ends_with_its_time(sessions, cookie, clock):
    for _ in range(7):
        clock.time += timedelta(seconds=500)
        assert await sessions.resume(cookie) is not None

    clock.time += timedelta(seconds=500)

    assert await sessions.resume(cookie) is None


async def test_a_disabled_account_is_signed_out(sessions, cookie, database, tenant):
    async with database.write() as session:
        row = await session.get(Tenant, tenant.view.id)
        row.disabled_at = now()
        session.add(row)

    assert await sessions.resume(cookie) is None


async def test_a_disabled_user_is_signed_out(sessions, cookie, database, tenant):
    async with database.write() as session:
        row = await session.get(User, tenant.view.owner_id)
        row.disabled_at = now()
        session.add(row)

    assert await sessions.resume(cookie) is None


async def test_who_is_no_member_any_more_is_signed_out(sessions, cookie, database, tenant):
    await database.execute(
        "DELETE FROM memberships WHERE user_id = :user", {"user": tenant.view.owner_id}
    )

    assert await sessions.resume(cookie) is None


async def test_a_cookie_signed_by_another_key_is_nobody(sessions, cookie, keyring):
    user = await sessions.resume(cookie)
    assert user is not None
    forged = SessionCookies(b"another key of 32 bytes and more").sign(
        user.session_id, expires_at=datetime.now(UTC).timestamp() + 1000
    )

    assert await sessions.resume(forged) is None


async def test_a_cookie_cannot_choose_how_it_is_checked(sessions, cookie):
    def part(value: dict[str, object]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    _, claims, signature = cookie.split(".")
    for algorithm in ("none", "None", "HS512", "RS256"):
        assert await sessions.resume(f"{part({'alg': algorithm, 'typ': 'JWT'})}.{claims}.") is None
        assert (
            await sessions.resume(f"{part({'alg': algorithm, 'typ': 'JWT'})}.{claims}.{signature}")
            is None
        )


async def test_a_form_value_serves_its_own_session_alone():
    forms = FormTokens(b"a key of thirty-two bytes, really")
    token = forms.issue("session one")

    forms.check("session one", token)

    for session_id, value in (
        ("session two", token),
        ("session one", ""),
        ("session one", token[:-2]),
        ("session one", FormTokens(b"x" * 32).issue("session one")),
    ):
        with pytest.raises(PermissionDenied, match="Reload"):
            forms.check(session_id, value)


def test_a_form_value_that_is_spent_serves_no_second_time():
    forms = FormTokens(b"a key of thirty-two bytes, really")
    token, other = forms.issue("session one"), forms.issue("session one")

    forms.spend(token)

    with pytest.raises(Conflict, match="sent before"):
        forms.spend(token)
    forms.spend(other)


async def test_sessions_that_are_long_over_are_cleared_away(
    sessions, cookie, tenant, database, clock
):
    clock.time += timedelta(days=40)

    await sessions.start(
        tenant.view.id, tenant.view.owner_id, credential_id=None, address="", user_agent=""
    )

    assert await database.execute("SELECT count(*) FROM sessions", {}) == [(1,)]
