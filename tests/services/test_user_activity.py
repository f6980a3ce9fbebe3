"""When users were active last, and how much they called."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import Engine, event
from sqlmodel import col, select

from orderdesk_app.context import Actor, TenantId, UserId, Via, now
from orderdesk_app.db.credential_days import SHOWN_DAYS, count_calls_of_keys
from orderdesk_app.db.engine import Database
from orderdesk_app.db.user_days import KEPT_DAYS, UserDay
from orderdesk_app.db.users import User
from orderdesk_app.security.keyring import Keyring
from orderdesk_app.security.web import SessionCookies
from orderdesk_app.services.audit import Entry
from orderdesk_app.services.keys import Keys
from orderdesk_app.services.sessions import Sessions
from orderdesk_app.services.user_activity import UserActivity
from tests.conftest import TenantAccount
from tests.worlds import FIRST_ORDER, open_world, settings_for

NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)


@pytest.fixture
def activity(database: Database) -> UserActivity:
    return UserActivity(database)


def call(
    account: TenantAccount, at: datetime = NOON, action: str = "tool", times: int = 1
) -> Entry:
    return Entry(actor=account.actor, action=action, at=at, times=times)


async def days(database: Database, user_id: str) -> dict[date, int]:
    async with database.read() as session:
        found = await session.exec(select(UserDay).where(col(UserDay.user_id) == user_id))
        return {row.day: row.calls for row in found.all()}


async def last_active(database: Database, user_id: str) -> datetime | None:
    async with database.read() as session:
        user = await session.get(User, user_id)
        assert user is not None
        return user.last_active_at


async def test_calls_are_counted_by_user_and_day(
    database: Database, activity: UserActivity, two_tenants: tuple[TenantAccount, TenantAccount]
) -> None:
    ada, bert = two_tenants
    for at in (NOON, NOON, NOON + timedelta(days=1)):
        activity.note(call(ada, at))
    activity.note(call(bert, times=7))
    activity.note(call(bert, action="sign_out"))

    await activity.flush()
    activity.note(call(ada))
    await activity.flush()

    assert await days(database, ada.view.owner_id) == {NOON.date(): 3, date(2026, 11, 29): 1}
    assert await days(database, bert.view.owner_id) == {NOON.date(): 7}
    assert await last_active(database, ada.view.owner_id) == NOON + timedelta(days=1)


async def test_calls_are_counted_by_key_and_day_too(
    database: Database,
    activity: UserActivity,
    two_tenants: tuple[TenantAccount, TenantAccount],
    keys: Keys,
) -> None:
    ada, bert = two_tenants
    (mine, _), (theirs, _) = [
        await keys.create(account.view.owner(Via.WEB), "Claude") for account in two_tenants
    ]
    agent = replace(ada.actor, credential_id=mine.id)
    for entry in (
        Entry(actor=agent, action="tool", at=NOON, times=2),
        Entry(actor=agent, action="tool", at=NOON - timedelta(days=SHOWN_DAYS)),
        Entry(actor=agent, action="key.revoke", at=NOON),
        Entry(actor=replace(agent, session_id="a person's"), action="tool", at=NOON),
        Entry(actor=replace(bert.actor, credential_id=theirs.id), action="tool", at=NOON),
        Entry(actor=replace(bert.actor, credential_id="gone"), action="tool", at=NOON),
    ):
        activity.note(entry)

    await activity.flush()
    activity.note(Entry(actor=agent, action="tool", at=NOON))
    await activity.flush()

    async with database.read() as session:
        counted = await count_calls_of_keys(session, [mine.id, "gone"], NOON)
    assert counted == {mine.id: 3}


async def test_the_last_activity_is_written_once_a_minute(
    database: Database, activity: UserActivity, tenant: TenantAccount
) -> None:
    owner = tenant.view.owner_id
    activity.note(call(tenant))
    await activity.flush()

    activity.note(call(tenant, NOON + timedelta(seconds=59)))
    await activity.flush()
    within_the_minute = await last_active(database, owner)
    activity.note(call(tenant, NOON + timedelta(seconds=61)))
    await activity.flush()

    assert within_the_minute == NOON
    assert await last_active(database, owner) == NOON + timedelta(seconds=61)


async def test_days_older_than_a_month_are_deleted(
    database: Database, activity: UserActivity, tenant: TenantAccount
) -> None:
    for back in (0, KEPT_DAYS - 1, KEPT_DAYS, KEPT_DAYS + 9):
        activity.note(call(tenant, NOON - timedelta(days=back)))
        await activity.flush()
    activity.note(call(tenant))

    await activity.flush()

    assert sorted(await days(database, tenant.view.owner_id)) == [
        NOON.date() - timedelta(days=KEPT_DAYS - 1),
        NOON.date(),
    ]


async def test_a_user_who_is_gone_holds_up_nobody(
    database: Database, activity: UserActivity, tenant: TenantAccount
) -> None:
    gone = Actor(TenantId("x"), UserId("nobody"), via=Via.MCP)
    activity.note(Entry(actor=gone, action="tool"))
    activity.note(call(tenant))

    await activity.flush()

    assert await days(database, tenant.view.owner_id) == {NOON.date(): 1}


async def test_what_cannot_be_written_is_kept(
    database: Database,
    activity: UserActivity,
    tenant: TenantAccount,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    activity.note(call(tenant))
    with monkeypatch.context() as broken:
        broken.setattr(Database, "write", None)
        with pytest.raises(TypeError):
            await activity.flush()

    await activity.flush()

    assert await days(database, tenant.view.owner_id) == {NOON.date(): 1}


async def test_a_cached_read_makes_no_query_for_it(sqlite_url: str) -> None:
    async with open_world(settings_for(sqlite_url), None) as world:
        database, owner = world.services.database, world.owner
        await owner.get("orders_get", order_id=FIRST_ORDER)
        await world.services.audit.flush()
        statements: list[str] = []

        def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
            statements.append(statement)

        event.listen(Engine, "before_cursor_execute", note)
        try:
            await owner.get("orders_get", order_id=FIRST_ORDER)
            during = list(statements)
            await world.services.user_activity.flush()
        finally:
            event.remove(Engine, "before_cursor_execute", note)

        assert during == []
        assert any("user_days" in statement for statement in statements)
        user_id = (await owner.principal()).actor.user_id
        assert user_id is not None
        assert (await days(database, user_id))[now().date()] >= 2
        assert await last_active(database, user_id) is not None


async def test_a_session_that_begins_and_is_used_is_activity(
    database: Database, keyring: Keyring, tenant: TenantAccount
) -> None:
    moments = [NOON]
    cookies = SessionCookies(keyring.purpose("jwt"), lambda: moments[0].timestamp())
    sessions = Sessions(database, keyring, cookies, timeout=4000, clock=lambda: moments[0])
    owner = tenant.view.owner_id
    cookie = await sessions.start(
        tenant.view.id, owner, credential_id=None, address="192.0.2.7", user_agent="Firefox"
    )
    at_first = await last_active(database, owner)
    moments[0] = NOON + timedelta(seconds=500)

    await sessions.resume(cookie)

    async with database.read() as session:
        user = await session.get(User, owner)
    assert user is not None
    assert (at_first, user.last_sign_in_at) == (NOON, NOON)
    assert user.last_active_at == moments[0]


async def test_the_highest_role_of_a_user_is_kept(
    database: Database, two_tenants: tuple[TenantAccount, TenantAccount]
) -> None:
    ada, bert = two_tenants
    owner = ada.view.owner_id
    found: list[str] = []

    for statement in (
        "INSERT INTO memberships (tenant_id, user_id, role, created_at) "
        "SELECT :bert, id, 'viewer', created_at FROM users WHERE id = :ada",
        "UPDATE memberships SET role = 'member' WHERE tenant_id = :own",
        "UPDATE memberships SET role = 'owner' WHERE tenant_id = :bert AND user_id = :ada",
        "DELETE FROM tenants WHERE id = :bert",
        "DELETE FROM memberships WHERE user_id = :ada",
    ):
        names = {"bert": bert.view.id, "ada": owner, "own": ada.view.id}
        given = {name: value for name, value in names.items() if f":{name}" in statement}
        await database.execute(statement, given)
        async with database.read() as session:
            found.append((await session.exec(select(User.top_role).where(User.id == owner))).one())

    assert found == ["owner", "member", "owner", "member", ""]
