"""A person's own sessions: seen and ended by nobody else."""

from dataclasses import replace
from datetime import timedelta

import pytest

from orderdesk_app.db.memberships import Membership
from orderdesk_app.errors import AuthFailed, NotFound
from orderdesk_app.security.web import SessionCookies
from orderdesk_app.services import own_sessions as module
from orderdesk_app.services.audit import Entry
from orderdesk_app.services.own_sessions import OwnSessions
from orderdesk_app.services.sessions import Sessions, SignInMethod
from tests.services.test_sessions import Clock
from tests.worlds import on_sqlite

pytestmark = on_sqlite
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0"


class AuditTrail:
    def __init__(self) -> None:
        self.entries: list[Entry] = []

    async def write_or_queue(self, entry: Entry) -> None:
        self.entries.append(entry)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def trail():
    return AuditTrail()


@pytest.fixture
def sessions(database, keyring, signals, clock):
    cookies = SessionCookies(keyring.purpose("jwt"), lambda: clock().timestamp())
    return Sessions(database, keyring, cookies, timeout=4000, signals=signals, clock=clock)


@pytest.fixture
def own(database, sessions, signals, trail):
    return OwnSessions(database, sessions, signals, trail)


@pytest.fixture
def begin(database, sessions):
    """Signs somebody in; returns the cookie and the actor."""

    async def begin(account, *, user_id=None, **given):
        given = {"credential_id": None, "address": "192.0.2.7", "user_agent": FIREFOX, **given}
        user_id = user_id or account.view.owner_id
        async with database.write() as session:
            cookie = await sessions.begin(session, account.view.id, user_id, **given)
        return cookie, (await sessions.resume(cookie)).actor

    return begin


@pytest.fixture
async def credential(keys, tenant):
    [master] = await keys.list(tenant.actor)
    return master.id


async def test_each_session_says_device_address_and_way_of_signing_in(
    own, begin, tenant, clock, credential
):
    await begin(tenant, credential_id=credential, user_agent="", address="2001:db8::1")
    clock.time += timedelta(seconds=60)
    await begin(tenant, method=SignInMethod.PASSKEY)
    _, actor = await begin(tenant)
    clock.time += timedelta(seconds=60)
    await begin(tenant)

    found = await own.list(actor)

    assert [
        (view.device, view.address, view.method.value, view.is_this) for view in found.shown
    ] == [
        ("Firefox on Linux", "192.0.2.7", "link", True),
        ("Firefox on Linux", "192.0.2.7", "link", False),
        ("Firefox on Linux", "192.0.2.7", "passkey", False),
        ("A browser", "2001:db8::1", "key", False),
    ]
    assert {view.account for view in found.shown} == {"Ada's Teas"}
    assert found.shown[0].seen_at == clock.time - timedelta(seconds=60)
    assert found.total == 4


async def test_sessions_that_are_over_are_not_listed(own, begin, sessions, tenant, clock):
    await begin(tenant)  # idle for too long
    clock.time += timedelta(seconds=900)
    cookie, _ = await begin(tenant)
    await sessions.end(cookie)
    clock.time += timedelta(seconds=200)
    _, actor = await begin(tenant)

    assert [view.id for view in (await own.list(actor)).shown] == [actor.session_id]


async def test_of_very_many_the_last_used_are_listed_and_all_are_counted(
    own, begin, tenant, clock, monkeypatch
):
    monkeypatch.setattr(module, "MOST_SHOWN", 2)
    _, actor = await begin(tenant)
    for _ in range(3):
        clock.time += timedelta(seconds=1)
        _, latest = await begin(tenant)

    found = await own.list(actor)

    assert [view.id for view in found.shown] == [actor.session_id, latest.session_id]
    assert found.total == 4


async def test_one_is_ended_at_once_and_leaves_a_row(own, begin, sessions, signals, trail, tenant):
    _, actor = await begin(tenant)
    other, other_actor = await begin(tenant)
    third, _ = await begin(tenant)
    heard: list[str] = []
    signals.subscribe(heard.append)

    device = await own.end(actor, other_actor.session_id)

    assert device == "Firefox on Linux"
    assert await sessions.resume(other) is None
    assert await sessions.resume(third) is not None
    assert heard == [f"user:{actor.user_id}"]
    [row] = trail.entries
    assert (row.actor, row.action, row.arguments) == (actor, "session.end", {"device": device})


async def test_one_that_has_ended_stays_ended(own, begin, sessions, tenant):
    _, actor = await begin(tenant)
    other, other_actor = await begin(tenant)
    await sessions.end(other)

    await own.end(actor, other_actor.session_id)

    assert await sessions.resume(other) is None


async def test_all_others_are_ended_and_this_one_lives(own, begin, sessions, trail, tenant):
    mine, actor = await begin(tenant)
    others = [(await begin(tenant))[0] for _ in range(3)]

    count = await own.end_others(actor)

    assert count == 3
    assert [await sessions.resume(other) for other in others] == [None] * 3
    assert await sessions.resume(mine) is not None
    assert await own.end_others(actor) == 0
    assert [(row.action, row.arguments) for row in trail.entries] == [
        ("session.end_others", {"count": 3})
    ]


async def test_nobody_sees_or_ends_the_session_of_another(own, begin, sessions, two_tenants):
    ada, bert = two_tenants
    _, actor = await begin(ada)
    theirs, their_actor = await begin(bert)

    listed = (await own.list(actor)).shown
    with pytest.raises(NotFound) as refused:
        await own.end(actor, their_actor.session_id)
    with pytest.raises(NotFound) as unknown:
        await own.end(actor, "no-such-session")
    await own.end_others(actor)

    assert [view.id for view in listed] == [actor.session_id]
    assert refused.value.message == unknown.value.message
    assert await sessions.resume(theirs) is not None


async def test_a_colleague_of_the_same_account_is_another(
    own, begin, sessions, database, two_tenants
):
    ada, bert = two_tenants
    async with database.write() as session:
        session.add(Membership(tenant_id=ada.view.id, user_id=bert.view.owner_id, role="owner"))
    _, actor = await begin(ada)
    colleague, colleagues_actor = await begin(ada, user_id=bert.view.owner_id)

    with pytest.raises(NotFound):
        await own.end(actor, colleagues_actor.session_id)
    await own.end_others(actor)

    assert await sessions.resume(colleague) is not None


async def test_a_person_sees_all_accounts_and_a_master_key_only_its_own(
    own, begin, sessions, database, two_tenants, credential
):
    ada, bert = two_tenants
    async with database.write() as session:
        session.add(Membership(tenant_id=bert.view.id, user_id=ada.view.owner_id, role="viewer"))
    elsewhere, elsewheres_actor = await begin(bert, user_id=ada.view.owner_id)
    _, by_key = await begin(ada, credential_id=credential)
    _, by_link = await begin(ada)

    of_key = {view.account for view in (await own.list(by_key)).shown}
    of_person = {view.account for view in (await own.list(by_link)).shown}
    with pytest.raises(NotFound):
        await own.end(by_key, elsewheres_actor.session_id)
    await own.end_others(by_key)
    left_by_key = await sessions.resume(elsewhere)
    await own.end(by_link, elsewheres_actor.session_id)

    assert of_key == {"Ada's Teas"}
    assert of_person == {"Ada's Teas", "Bert's Bikes"}
    assert left_by_key is not None
    assert await sessions.resume(elsewhere) is None


async def test_who_has_no_session_has_none_to_see(own, tenant):
    for stranger in (tenant.actor, replace(tenant.actor, user_id=None, session_id="x")):
        for act in (own.list(stranger), own.end(stranger, "x"), own.end_others(stranger)):
            with pytest.raises(AuthFailed):
                await act
