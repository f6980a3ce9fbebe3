"""Keys: shown once, found by digest, revoked at once, and never a neighbour's."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Engine, event

from orderdesk_app.context import (
    ALL_SCOPES,
    READING_SCOPES,
    Actor,
    Role,
    Scope,
    Secret,
    Via,
    now,
)
from orderdesk_app.db.keys import Credential
from orderdesk_app.db.memberships import Membership
from orderdesk_app.db.tenants import Tenant
from orderdesk_app.db.users import User
from orderdesk_app.errors import NotFound, PermissionDenied, RateLimited, ValidationFailed
from orderdesk_app.security.passwords import Passwords
from orderdesk_app.security.tokens import new_access_key, new_master_key
from orderdesk_app.security.web import SessionCookies
from orderdesk_app.services.keys import Keys
from orderdesk_app.services.limits import ROTATIONS, Limits
from orderdesk_app.services.members import Member
from orderdesk_app.services.sessions import Sessions
from tests.worlds import MadeUpActors


class CountedPasswords(Passwords):
    """Real ones, counted."""

    def __init__(self) -> None:
        super().__init__(rounds=4)
        self.checks = 0

    async def is_hash_of(self, hashed: bytes, key: Secret, *, account: str = "") -> bool:
        self.checks += 1
        return await super().is_hash_of(hashed, key, account=account)


@pytest.fixture
def passwords():
    return CountedPasswords()


@pytest.fixture
def counted(database, keyring, signals, passwords):
    return Keys(database, keyring, signals, passwords, MadeUpActors(database))


@pytest.fixture
def sessions(database, keyring):
    return Sessions(database, keyring, SessionCookies(keyring.purpose("jwt")), timeout=3600)


async def test_a_new_key_is_found_with_its_scopes(keys, tenant):
    view, key = await keys.create(tenant.actor, "  laptop ", {Scope.ORDERS_READ, Scope.STORES_READ})

    found = await keys.find(key.reveal())

    assert found is not None
    assert (found.tenant_id, found.kind, found.name) == (tenant.view.id, "access", "laptop")
    assert found.scopes == {Scope.ORDERS_READ, Scope.STORES_READ}
    assert view.hint == key.reveal()[-4:]
    assert key.reveal().startswith("odk_")


async def test_a_key_only_reads_unless_more_is_asked_for(keys, tenant):
    view, key = await keys.create(tenant.actor, "laptop")

    found = await keys.find(key.reveal())

    assert found is not None
    assert (found.scopes, set(view.scopes)) == (READING_SCOPES, READING_SCOPES)


async def test_a_persian_name_is_kept_without_the_half_spaces_that_nobody_sees(keys, tenant):
    view, _ = await keys.create(tenant.actor, "نرم\u200cافزار\u200cها")

    assert view.name == "نرم\u200cافزارها"


async def test_a_master_key_may_do_everything(keys, tenant):
    found = await keys.find(tenant.master_key.reveal())

    assert found is not None
    assert (found.kind, found.scopes) == ("master", ALL_SCOPES)


@pytest.mark.parametrize(
    "text", ["", "x", "odk_short", "é" * 50, "a" * 300, "a" * 40 + "\n", " " * 64]
)
async def test_what_is_no_key_is_not_found(keys, tenant, text):
    assert await keys.find(text) is None


async def test_an_unknown_key_never_reaches_bcrypt(counted, passwords, tenant):
    for key in (new_master_key(), new_access_key()):
        assert await counted.find(key.reveal()) is None

    assert passwords.checks == 0


async def test_bcrypt_runs_once_for_a_master_key_even_when_many_call_at_once(
    counted, passwords, tenant
):
    await asyncio.gather(*(counted.find(tenant.master_key.reveal()) for _ in range(64)))
    await counted.find(tenant.master_key.reveal())

    assert passwords.checks == 1


async def test_a_digest_alone_does_not_make_a_master_key(counted, database, tenant):
    """Whoever can write one column of a row cannot put their own key there."""
    async with database.write() as session:
        row = await session.get(Credential, (await counted.list(tenant.actor))[0].id)
        row.bcrypt = await Passwords(rounds=4).hash(Secret("another"))
        session.add(row)

    assert await counted.find(tenant.master_key.reveal()) is None


async def test_finding_a_key_reads_one_row_however_many_tenants_there_are(keys, tenants, tenant):
    _, key = await keys.create(tenant.actor, "laptop")
    await keys.find(key.reveal())  # its use is written down, and not again for a minute
    for number in range(30):
        await tenants.make_tenant(f"Tenant {number}")
    statements: list[str] = []

    def note(*call: Any) -> None:
        statements.append(call[2])

    event.listen(Engine, "before_cursor_execute", note)
    try:
        await keys.find(key.reveal())
    finally:
        event.remove(Engine, "before_cursor_execute", note)

    assert len(statements) == 1
    assert "credentials.digest" in statements[0]


async def test_a_revoked_key_is_not_found_any_more(keys, tenant):
    view, key = await keys.create(tenant.actor, "laptop")

    await keys.revoke(tenant.actor, view.id)

    assert await keys.find(key.reveal()) is None
    assert view.id not in [one.id for one in await keys.list(tenant.actor)]
    with pytest.raises(NotFound):
        await keys.revoke(tenant.actor, view.id)


async def test_revoking_is_news_to_who_remembers_keys(keys, signals, tenant):
    heard: list[str] = []
    signals.subscribe(heard.append)
    view, _ = await keys.create(tenant.actor, "laptop")

    await keys.revoke(tenant.actor, view.id)

    assert heard == [f"tenant:{tenant.view.id}"]


async def test_a_neighbour_sees_and_revokes_nothing(keys, two_tenants):
    ada, bert = two_tenants
    view, key = await keys.create(ada.actor, "laptop")

    assert view.id not in [one.id for one in await keys.list(bert.actor)]
    with pytest.raises(NotFound):
        await keys.revoke(bert.actor, view.id)
    assert await keys.find(key.reveal()) is not None


async def test_a_new_master_key_takes_the_place_of_the_old_one_and_ends_other_sessions(
    keys, sessions, two_tenants
):
    ada, bert = two_tenants
    here = await sessions.start(
        ada.view.id, ada.view.owner_id, credential_id=None, address="", user_agent=""
    )
    elsewhere = await sessions.start(
        ada.view.id, ada.view.owner_id, credential_id=None, address="", user_agent=""
    )
    next_door = await sessions.start(
        bert.view.id, bert.view.owner_id, credential_id=None, address="", user_agent=""
    )
    user = await sessions.resume(here)
    assert user is not None

    new = await keys.rotate_master(user.actor)

    assert await keys.find(ada.master_key.reveal()) is None
    assert await keys.find(new.reveal()) is not None
    assert [one.is_master for one in await keys.list(ada.actor)] == [True]
    assert await sessions.resume(here) is not None
    assert await sessions.resume(elsewhere) is None
    assert await sessions.resume(next_door) is not None
    assert await keys.find(bert.master_key.reveal()) is not None


async def test_two_rotations_at_once_leave_one_master_key(keys, tenant):
    made = await asyncio.gather(*(keys.rotate_master(tenant.actor) for _ in range(5)))

    assert len([one for one in await keys.list(tenant.actor) if one.is_master]) == 1
    assert sum([await keys.find(key.reveal()) is not None for key in made]) == 1


async def test_the_master_key_is_rotated_not_revoked(keys, tenant):
    [master] = await keys.list(tenant.actor)

    with pytest.raises(ValidationFailed, match="Rotate"):
        await keys.revoke(tenant.actor, master.id)


@pytest.mark.parametrize("via", [Via.MCP, Via.STDIO])
async def test_a_key_cannot_make_keys(keys, tenant, via):
    agent = Actor(tenant_id=tenant.view.id, via=via)

    for attempt in (keys.create(agent, "mine"), keys.rotate_master(agent), keys.revoke(agent, "x")):
        with pytest.raises(PermissionDenied):
            await attempt


async def test_nobody_gives_a_key_more_than_they_have(keys, tenant):
    reader = Actor(tenant_id=tenant.view.id, via=Via.WEB, scopes=frozenset({Scope.ORDERS_READ}))

    with pytest.raises(PermissionDenied):
        await keys.create(reader, "more", {Scope.ORDERS_READ, Scope.ORDERS_WRITE})


@pytest.mark.parametrize("name", ["", "  ", "a\tb", "x" * 81, "Cla\u200bude", "\u3164"])
async def test_a_key_has_a_name_that_people_can_read(keys, tenant, name):
    with pytest.raises(ValidationFailed) as caught:
        await keys.create(tenant.actor, name)

    assert caught.value.field == "name"


async def test_a_key_without_any_permission_is_refused(keys, tenant):
    with pytest.raises(ValidationFailed, match="permission"):
        await keys.create(tenant.actor, "useless", set())


async def test_keys_of_a_disabled_account_are_not_found(keys, database, tenant):
    _, key = await keys.create(tenant.actor, "laptop")
    async with database.write() as session:
        row = await session.get(Tenant, tenant.view.id)
        row.disabled_at = now()
        session.add(row)

    assert await keys.find(key.reveal()) is None
    assert await keys.find(tenant.master_key.reveal()) is None


async def test_keys_of_a_disabled_user_are_not_found(keys, database, tenant):
    _, key = await keys.create(tenant.actor, "laptop")
    async with database.write() as session:
        row = await session.get(User, tenant.view.owner_id)
        row.disabled_at = now()
        session.add(row)

    assert await keys.find(key.reveal()) is None
    assert await keys.find(tenant.master_key.reveal()) is None


async def test_an_access_key_acts_as_who_made_it_and_a_master_key_as_the_first_owner(
    keys, database, tenant
):
    colleague = await make_colleague(database, tenant, Role.MEMBER)
    other_owner = await make_colleague(database, tenant, Role.OWNER)
    _, key = await keys.create(colleague, "laptop")
    rotated = await keys.rotate_master(other_owner)

    by_key = await keys.find(key.reveal())
    by_master = await keys.find(rotated.reveal())

    assert by_key.member == Member(colleague.user_id, Role.MEMBER, is_operator=False)
    assert by_master.member == Member(tenant.view.owner_id, Role.OWNER, is_operator=False)


@pytest.mark.parametrize("role", [Role.MEMBER, Role.VIEWER])
async def test_only_an_owner_replaces_the_master_key(keys, database, tenant, role):
    """It acts as the owner, who may be an operator."""
    colleague = await make_colleague(database, tenant, role)

    with pytest.raises(PermissionDenied, match="owner"):
        await keys.rotate_master(colleague)

    assert await keys.find(tenant.master_key.reveal()) is not None


@pytest.mark.parametrize("table", ["memberships", "users"])
async def test_the_key_of_a_colleague_who_left_opens_nothing(keys, database, tenant, table):
    colleague = await make_colleague(database, tenant, Role.OWNER)
    _, key = await keys.create(colleague, "laptop")
    rotated = await keys.rotate_master(colleague)

    column = "id" if table == "users" else "user_id"
    await database.execute(
        f"DELETE FROM {table} WHERE {column} = :user", {"user": colleague.user_id}
    )

    assert await keys.find(key.reveal()) is None
    assert await keys.find(rotated.reveal()) is not None


async def make_colleague(database, tenant, role):
    """Somebody else in that account."""
    user = User(name="Cleo")
    async with database.write() as session:
        session.add(user)
        await session.flush()
        session.add(Membership(tenant_id=tenant.view.id, user_id=user.id, role=role.value))
    return Actor(tenant.view.id, user.id, role=role, via=Via.WEB)


async def test_the_database_knows_no_key(keys, database, tenant, everything_in):
    _, key = await keys.create(tenant.actor, "laptop")
    rotated = await keys.rotate_master(tenant.actor)
    await keys.find(rotated.reveal())

    kept = await everything_in(database)

    assert b"laptop" in kept
    for secret in (key, rotated, tenant.master_key):
        assert secret.reveal().encode() not in kept


async def test_news_of_the_account_asks_bcrypt_nothing_again(counted, passwords, signals, tenant):
    await counted.find(tenant.master_key.reveal())

    signals.deliver(f"tenant:{tenant.view.id}")
    signals.deliver("*")
    await counted.find(tenant.master_key.reveal())

    assert passwords.checks == 1


async def test_an_account_rotates_its_master_key_a_few_times_a_minute(
    database, keyring, signals, passwords, tenant, neighbour
):
    limits = Limits(rpm=60, login=5, console=30, clock=lambda: 0.0)
    keys = Keys(
        database,
        keyring,
        signals,
        passwords,
        MadeUpActors(database),
        rotations=limits.rotations,
    )
    ada = replace(tenant.actor, via=Via.WEB)

    for _ in range(ROTATIONS):
        await keys.rotate_master(ada)
    with pytest.raises(RateLimited) as error:
        await keys.rotate_master(ada)

    assert error.value.outcome == "not_done"
    assert await keys.rotate_master(replace(neighbour.actor, via=Via.WEB))
