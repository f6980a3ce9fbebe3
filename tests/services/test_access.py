"""Who a key belongs to is known without asking the database, and never for longer than it is
true.
"""

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import col, update

from orderdesk_app.context import ALL_SCOPES, Actor, Role, Scope, Via, now
from orderdesk_app.db.engine import Database
from orderdesk_app.db.keys import Credential
from orderdesk_app.db.memberships import Membership
from orderdesk_app.db.signals import Signals
from orderdesk_app.db.tenants import Tenant
from orderdesk_app.db.users import User
from orderdesk_app.errors import AuthFailed
from orderdesk_app.security.keyring import Keyring
from orderdesk_app.security.passwords import Passwords
from orderdesk_app.services.access import Access
from orderdesk_app.services.keys import Keys
from orderdesk_app.services.loading_cache import LoadingCache
from tests.worlds import MadeUpActors


@dataclass
class CountingDatabase:
    """The database, and how often it is asked."""

    database: Database
    reads: int = 0

    def read(self) -> Any:
        self.reads += 1
        return self.database.read()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.database, name)


@pytest.fixture
def asked(database: Database) -> CountingDatabase:
    return CountingDatabase(database)


@pytest.fixture
def keys(asked: Any, keyring: Keyring, signals: Signals) -> Keys:
    return Keys(asked, keyring, signals, Passwords(rounds=4), MadeUpActors(asked))


@pytest.fixture
def access(asked: Any, keys: Keys, signals: Signals) -> Access:
    return Access(asked, keys, signals)


async def test_a_key_opens_its_own_account(access: Access, tenant: Any, neighbour: Any) -> None:
    ours, theirs = (
        await access.by_token(tenant.master_key.reveal()),
        await access.by_token(neighbour.master_key.reveal()),
    )

    assert (ours.actor.tenant_id, ours.account.name, ours.actor.scopes, ours.actor.role) == (
        tenant.view.id,
        "Ada's Teas",
        ALL_SCOPES,
        Role.OWNER,
    )
    assert theirs.actor.tenant_id == neighbour.view.id


async def test_the_second_question_asks_no_database(
    access: Access, asked: CountingDatabase, tenant: Any
) -> None:
    await access.by_token(tenant.master_key.reveal())
    before = asked.reads

    for _ in range(10):
        await access.by_token(tenant.master_key.reveal())

    assert asked.reads == before


@pytest.mark.parametrize(
    "token", ["", " ", "x", "x" * 64, "odk_" + "y" * 43, "a\x00b" * 20, "é" * 64, "x" * 100_000]
)
async def test_an_unknown_key_is_refused_in_words(access: Access, token: str) -> None:
    with pytest.raises(AuthFailed, match="not known here"):
        await access.by_token(token)


async def test_an_access_key_is_no_master_key(access: Access, keys: Keys, tenant: Any) -> None:
    _, key = await keys.create(tenant.actor, "an agent", [Scope.ORDERS_READ])

    principal = await access.by_token(key.reveal())

    assert (principal.actor.scopes, principal.credential_name) == (
        frozenset({Scope.ORDERS_READ}),
        "an agent",
    )
    with pytest.raises(AuthFailed):
        await access.by_token(key.reveal(), kind="master")


async def test_a_revoked_key_stops_at_once(access: Access, keys: Keys, tenant: Any) -> None:
    view, key = await keys.create(tenant.actor, "an agent")
    await access.by_token(key.reveal())

    await keys.revoke(tenant.actor, view.id)

    with pytest.raises(AuthFailed):
        await access.by_token(key.reveal())


async def test_an_expired_key_stops_at_its_second_though_it_is_cached(
    asked: Any, keys: Keys, signals: Signals, database: Database, tenant: Any
) -> None:
    moments = [now()]
    access = Access(asked, keys, signals, clock=lambda: moments[-1])
    view, key = await keys.create(tenant.actor, "an agent")
    ends = now() + timedelta(days=1)
    async with database.write() as session:
        row = await session.get(Credential, view.id)
        row.expires_at = ends
        session.add(row)
    principal = await access.by_token(key.reveal())
    before = asked.reads

    moments.append(ends - timedelta(microseconds=1))
    assert await access.by_token(key.reveal()) is principal
    moments.append(ends)
    with pytest.raises(AuthFailed, match="has expired"):
        await access.by_token(key.reveal())

    assert asked.reads == before


async def test_an_answer_that_was_read_before_a_change_is_not_kept_after_it(
    access: Access, keys: Keys, signals: Signals, tenant: Any
) -> None:
    """The row was read, then the key was revoked, then the answer arrived: it must not open the
    door for the next five minutes.
    """
    view, key = await keys.create(tenant.actor, "an agent")
    find, has_read, may_answer = keys.find, asyncio.Event(), asyncio.Event()

    async def slowly(token: str) -> Any:
        found = await find(token)
        has_read.set()
        await may_answer.wait()
        return found

    keys.find = slowly  # type: ignore[method-assign]
    first = asyncio.create_task(access.by_token(key.reveal()))
    await has_read.wait()
    await keys.revoke(tenant.actor, view.id)
    may_answer.set()
    await first

    with pytest.raises(AuthFailed):
        await access.by_token(key.reveal())


async def test_a_disabled_account_stops_when_the_news_are_heard(
    access: Access, database: Database, signals: Signals, tenant: Any
) -> None:
    await access.by_token(tenant.master_key.reveal())

    async with database.write() as session:
        await session.exec(
            update(Tenant).where(col(Tenant.id) == tenant.view.id).values(disabled_at=now())
        )
        await signals.publish(session, f"tenant:{tenant.view.id}")

    with pytest.raises(AuthFailed):
        await access.by_token(tenant.master_key.reveal())
    with pytest.raises(AuthFailed, match="no longer exists"):
        await access.of_actor(Actor(tenant.view.id, via=Via.WEB))


async def test_news_of_a_neighbour_empty_nothing_of_ours(
    access: Access, asked: CountingDatabase, database: Database, signals: Signals, tenant: Any
) -> None:
    await access.by_token(tenant.master_key.reveal())
    before = asked.reads

    async with database.write() as session:
        await signals.publish(session, "tenant:01SOMEBODYELSE")
    await access.by_token(tenant.master_key.reveal())

    assert asked.reads == before


async def test_after_news_were_lost_everything_is_asked_anew(
    access: Access, asked: CountingDatabase, signals: Signals, tenant: Any
) -> None:
    await access.by_token(tenant.master_key.reveal())
    before = asked.reads

    signals.deliver("*")
    await access.by_token(tenant.master_key.reveal())

    assert asked.reads > before


async def test_a_person_who_is_signed_in_has_the_rights_that_they_have_now(
    access: Access, database: Database, signals: Signals, tenant: Any
) -> None:
    claims = Actor(tenant.view.id, tenant.view.owner_id, is_operator=True, via=Via.WEB)
    before = (await access.of_actor(claims)).actor

    async with database.write() as session:
        await session.exec(
            update(Membership)
            .where(col(Membership.user_id) == tenant.view.owner_id)
            .values(role=Role.VIEWER.value)
        )
        await signals.publish(session, f"user:{tenant.view.owner_id}")
    after = (await access.of_actor(claims)).actor

    assert (before.role, before.is_operator) == (Role.OWNER, False)
    assert after.role is Role.VIEWER


async def test_a_disabled_user_stops_when_the_news_are_heard(
    access: Access, database: Database, keys: Keys, signals: Signals, tenant: Any
) -> None:
    _, key = await keys.create(tenant.actor, "an agent")
    for token in (tenant.master_key, key):
        await access.by_token(token.reveal())
    await access.of_actor(tenant.actor)

    async with database.write() as session:
        await session.exec(
            update(User).where(col(User.id) == tenant.view.owner_id).values(disabled_at=now())
        )
        await signals.publish(session, f"user:{tenant.view.owner_id}")

    for token in (tenant.master_key, key):
        with pytest.raises(AuthFailed):
            await access.by_token(token.reveal())
    with pytest.raises(AuthFailed, match="no longer belongs"):
        await access.of_actor(tenant.actor)


BY_HAND = {
    "the account is disabled": "UPDATE tenants SET disabled_at = created_at WHERE id = :tenant",
    "the account is deleted": "DELETE FROM tenants WHERE id = :tenant",
    "the user is disabled": "UPDATE users SET disabled_at = created_at WHERE id = :user",
    "the user is deleted": "DELETE FROM users WHERE id = :user",
    "the membership is deleted": "DELETE FROM memberships WHERE user_id = :user",
    "the key is revoked": (
        "UPDATE credentials SET revoked_at = created_at WHERE tenant_id = :tenant"
    ),
    "the key is deleted": "DELETE FROM credentials WHERE tenant_id = :tenant",
    "the key may do nothing": "UPDATE credentials SET scopes = '[]' WHERE tenant_id = :tenant",
}


@pytest.mark.parametrize("statement", BY_HAND.values(), ids=BY_HAND.keys())
async def test_what_is_done_by_sql_stops_keys_within_a_second(
    access: Access,
    database: Database,
    keys: Keys,
    signals: Signals,
    tenant: Any,
    neighbour: Any,
    statement: str,
) -> None:
    """As whoever runs the installation does it, in any process: no service publishes a signal."""
    _, key = await keys.create(tenant.actor, "an agent", {Scope.ORDERS_READ})
    before = await access.by_token(key.reveal())
    kept = await access.by_token(neighbour.master_key.reveal())
    await signals.start()
    await signals.wait_until_listening()
    given = {"tenant": tenant.view.id, "user": tenant.view.owner_id}

    await database.execute(statement, {n: v for n, v in given.items() if f":{n}" in statement})

    try:
        async with asyncio.timeout(1):
            while before.actor.scopes:
                await asyncio.sleep(0.02)
                before = await access.by_token(key.reveal())
    except AuthFailed:
        pass
    finally:
        await signals.stop()
    assert await access.by_token(neighbour.master_key.reveal()) is kept


@dataclass
class Clock:
    seconds: float = 0.0
    steps: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        return self.seconds


async def test_what_is_remembered_is_forgotten_after_its_time_and_never_grows_without_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock()
    monkeypatch.setattr("orderdesk_app.services.loading_cache.MOST_KEPT", 10)
    remembered: LoadingCache[str] = LoadingCache(seconds=300, clock=clock)

    async def read() -> str:
        return "value"

    for number in range(50):
        await remembered.load(f"key {number}", read)
    kept = [number for number in range(50) if remembered.get(f"key {number}") == "value"]
    clock.seconds += 301

    assert kept == list(range(40, 50))
    assert remembered.get("key 49") is None


async def test_a_change_of_others_puts_nobody_first_in_line_to_be_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("orderdesk_app.services.loading_cache.MOST_KEPT", 10)
    remembered: LoadingCache[str] = LoadingCache(seconds=300)

    async def read() -> str:
        return "value"

    for number in range(10):
        await remembered.load(f"key {number}", read)
    assert remembered.get("key 0") == "value"  # used last
    remembered.evict("tenant:another")
    await remembered.load("key 10", read)

    assert (remembered.get("key 0"), remembered.get("key 1")) == ("value", None)


async def test_a_change_forgets_the_values_of_its_topic_and_looks_at_no_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("orderdesk_app.services.loading_cache.MOST_KEPT", 100)
    looked_at: list[str] = []

    def topics(key: str, value: str) -> tuple[str, ...]:
        looked_at.append(key)
        return (f"tenant:{value}", "user:all")

    async def load(number: int) -> None:
        async def read() -> str:
            return f"tenant {number % 50}"

        await remembered.load(f"key {number}", read)

    remembered: LoadingCache[str] = LoadingCache(seconds=300, topics=topics)
    for number in range(130):  # thirty leave again, as there is no room
        await load(number)
    looked_at.clear()
    remembered.evict("tenant:tenant 7")

    assert sorted(looked_at) == ["key 107", "key 57"]
    assert remembered.get("key 57") is None
    assert remembered.get("key 58") == "tenant 8"
    remembered.evict("user:all")
    assert remembered.get("key 58") is None


async def test_many_who_come_at_once_share_one_question(
    access: Access, asked: CountingDatabase, signals: Signals, tenant: Any
) -> None:
    await access.by_token(tenant.master_key.reveal())
    signals.deliver("*")
    before = asked.reads
    await access.by_token(tenant.master_key.reveal())
    of_one = asked.reads - before
    signals.deliver("*")
    before = asked.reads

    await asyncio.gather(*(access.by_token(tenant.master_key.reveal()) for _ in range(64)))

    assert asked.reads - before == of_one


async def test_who_asks_after_a_change_does_not_share_what_was_read_before_it() -> None:
    remembered: LoadingCache[str] = LoadingCache(seconds=60)
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def slow() -> str:
        begun.set()
        await may_end.wait()
        return "before"

    async def quick() -> str:
        return "after"

    first = asyncio.create_task(remembered.load("key", slow))
    await begun.wait()
    remembered.evict("*")
    told = await remembered.load("key", quick)
    may_end.set()

    assert (told, await first, remembered.get("key")) == ("after", "before", "after")
