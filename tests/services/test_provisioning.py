"""AUTO_PROVISION_TENANT: a strong master key that nobody has used opens an account, at each entry
point, and nothing else does.
"""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from sqlmodel import col, func, select
from starlette.applications import Starlette

from orderdesk_app.context import Actor, Role, Secret, Via
from orderdesk_app.db.audit import AuditEntry
from orderdesk_app.db.memberships import Membership
from orderdesk_app.db.tenants import Tenant
from orderdesk_app.db.users import User
from orderdesk_app.errors import AuthFailed, RateLimited, SignInFailed, WeakKey
from orderdesk_app.routes import sign_in as sign_in_routes
from orderdesk_app.security.passwords import Passwords
from orderdesk_app.security.tokens import new_access_key, new_master_key
from orderdesk_app.server import create_app
from orderdesk_app.wiring import Services
from tests.mcp_server import living
from tests.worlds import on_sqlite, open_services, settings_for

ON = {"AUTO_PROVISION_TENANT": "true", "SIGNUP_RATE_LIMIT_PER_HOUR": "100"}
HERE, THERE = "203.0.113.9", "203.0.113.10"
WEAK = {
    "short": "aB3$" * 7,
    "words": "correct-horse-battery-staple-correct",
    "simple": "ThisIsMyVerySecretMasterKey12345678",
}


@pytest.fixture
async def services(database_url: str) -> AsyncIterator[Services]:
    async with open_services(settings_for(database_url, **ON)) as services:
        yield services


@pytest.fixture
async def closed(database_url: str) -> AsyncIterator[Services]:
    """An installation that opens no account by itself."""
    async with open_services(settings_for(database_url)) as services:
        yield services


async def count(services: Services, table: type = Tenant) -> int:
    async with services.database.read() as session:
        return (await session.exec(select(func.count()).select_from(table))).one()


async def opened(services: Services) -> list[AuditEntry]:
    async with services.database.read() as session:
        question = select(AuditEntry).where(col(AuditEntry.action) == "account.open")
        return list((await session.exec(question)).all())


async def at_mcp(services: Services, key: Secret, address: str = HERE) -> Actor:
    found = await services.key_check.principal(key.reveal(), address=address, opens_accounts=True)
    return found.actor


async def at_sign_in(services: Services, key: Secret, address: str = HERE) -> Actor:
    cookie = await services.sign_in.with_key(key, address=address, user_agent="Firefox")
    user = await services.sessions.resume(cookie)
    assert user is not None
    return user.actor


async def in_a_tool(services: Services, key: Secret, address: str = HERE) -> Actor:
    outcome = await services.runner.run(
        None, "tenant_use_master_key", {"master_key": key.reveal()}, sign_in=lambda _: None
    )
    if outcome.error is not None:
        raise outcome.error
    return (await services.access.by_token(key.reveal())).actor


ENTRY_POINTS = pytest.mark.parametrize("enter", [at_mcp, at_sign_in, in_a_tool])


@on_sqlite
@ENTRY_POINTS
async def test_a_new_key_opens_an_account_with_an_owner(services: Services, enter) -> None:
    key = new_master_key()

    actor = await enter(services, key)
    again = await enter(services, key)

    assert (actor.role, actor.is_operator) == (Role.OWNER, False)
    assert (again.tenant_id, again.user_id) == (actor.tenant_id, actor.user_id)
    assert [await count(services, table) for table in (Tenant, User, Membership)] == [1, 1, 1]
    [row] = await opened(services)
    assert (row.tenant_id, row.user_id, row.outcome) == (actor.tenant_id, actor.user_id, "ok")
    assert row.address == ("" if enter is in_a_tool else HERE)
    assert key.reveal() not in repr(row)


@on_sqlite
@ENTRY_POINTS
async def test_without_the_setting_nothing_opens_and_nothing_is_hashed(
    closed: Services, enter, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hashes(*given: object, **named: object) -> bytes:
        raise AssertionError("an unknown key must never reach bcrypt")

    monkeypatch.setattr(Passwords, "hash", hashes)
    monkeypatch.setattr(Passwords, "is_hash_of", hashes)

    with pytest.raises(AuthFailed, match="not known here"):
        await enter(closed, new_master_key())

    assert await count(closed) == 0


@on_sqlite
@ENTRY_POINTS
@pytest.mark.parametrize("kind", WEAK)
async def test_a_weak_key_is_refused_in_words(services: Services, enter, kind: str) -> None:
    with pytest.raises(WeakKey) as refused:
        await enter(services, Secret(WEAK[kind]))

    words = "too short" if kind == "short" else "too simple"
    assert words in refused.value.message
    assert "openssl rand" in refused.value.message
    assert WEAK[kind] not in refused.value.message
    assert await count(services) == 0


@on_sqlite
@ENTRY_POINTS
async def test_an_access_key_opens_nothing(services: Services, enter) -> None:
    for key in (new_access_key(), Secret(new_access_key().reveal().upper())):
        with pytest.raises(AuthFailed):
            await enter(services, key)

    assert await count(services) == 0


@on_sqlite
@ENTRY_POINTS
async def test_a_key_that_was_used_before_opens_no_new_account(services: Services, enter) -> None:
    key = new_master_key()
    account, _ = await services.tenants.make_tenant("Ada's Teas", master_key=key)
    await services.keys.rotate_master(Actor(account.id, account.owner_id, role=Role.OWNER))

    with pytest.raises(AuthFailed, match="not known here"):
        await enter(services, key)

    assert await count(services) == 1


@on_sqlite
async def test_a_disabled_account_does_not_open_again(services: Services) -> None:
    key = new_master_key()
    actor = await at_mcp(services, key)
    async with services.database.write() as session:
        tenant = await session.get(Tenant, actor.tenant_id)
        assert tenant is not None
        tenant.disabled_at = tenant.created_at
        session.add(tenant)
        await services.signals.publish(session, f"tenant:{actor.tenant_id}")

    with pytest.raises(AuthFailed):
        await at_mcp(services, key)

    assert await count(services) == 1


async def test_of_many_at_once_with_one_key_one_opens_an_account(services: Services) -> None:
    key = new_master_key()
    enter = (at_mcp, at_sign_in, in_a_tool)

    actors = await asyncio.gather(*[enter[number % 3](services, key) for number in range(12)])

    assert len({actor.tenant_id for actor in actors}) == 1
    assert [await count(services, table) for table in (Tenant, User, Membership)] == [1, 1, 1]
    assert len(await opened(services)) == 1


@on_sqlite
async def test_new_accounts_are_limited_by_network_address(database_url: str) -> None:
    settings = settings_for(database_url, AUTO_PROVISION_TENANT="true")
    async with open_services(settings) as services:
        for _ in range(3):
            await at_mcp(services, new_master_key())

        for enter in (at_mcp, at_sign_in):
            with pytest.raises(RateLimited, match="Too many new accounts"):
                await enter(services, new_master_key())
        await at_mcp(services, new_master_key(), THERE)

        assert await count(services) == 4


@on_sqlite
async def test_a_key_that_has_an_account_is_never_limited_by_new_ones(database_url: str) -> None:
    settings = settings_for(database_url, AUTO_PROVISION_TENANT="true")
    async with open_services(settings) as services:
        keys = [new_master_key() for _ in range(3)]
        for key in keys:
            await at_mcp(services, key)

        for key in keys:
            await at_sign_in(services, key)


@on_sqlite
async def test_the_address_of_health_opens_nothing(services: Services) -> None:
    actor = await services.actor_of_request(f"Bearer {new_master_key().reveal()}", "", address=HERE)

    assert actor is None
    assert await count(services) == 0


@on_sqlite
async def test_a_weak_key_at_sign_in_is_in_the_audit_log(services: Services) -> None:
    with pytest.raises(SignInFailed):
        await at_sign_in(services, Secret(WEAK["simple"]))

    async with services.database.read() as session:
        [row] = (await session.exec(select(AuditEntry))).all()
    assert (row.action, row.outcome, row.via, row.address) == (
        "sign_in.key",
        "AUTH_ERROR",
        str(Via.WEB),
        HERE,
    )


# ------------------------------------------------------------------ what people and agents read


@on_sqlite
@pytest.mark.parametrize(("kind", "error"), [("short", "short"), ("words", "simple")])
async def test_the_sign_in_page_says_what_is_wrong_with_a_key(
    services: Services, kind: str, error: str
) -> None:
    app = Starlette(routes=sign_in_routes.ROUTES)
    origin = "http://localhost:8080"
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=origin) as browser:
        answer = await browser.post(
            "/sign-in/key", data={"key": WEAK[kind]}, headers={"origin": origin}
        )
        page = await browser.get(answer.headers["location"])

    assert answer.headers["location"] == f"/sign-in?error={error}"
    assert f"it is too {error} to open an account" in page.text


@on_sqlite
async def test_mcp_answers_a_new_key_and_says_why_it_refuses_a_weak_one(database_url: str) -> None:
    app = create_app(
        settings_for(database_url, ENABLE_WEBUI="false", **ON), open_services=open_services
    )
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    async with (
        living(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://localhost:8080"
        ) as http,
    ):
        answers = [
            await http.post("/mcp", json=body, headers={"authorization": f"Bearer {key}"})
            for key in (new_master_key().reveal(), WEAK["short"], WEAK["simple"])
        ]

    assert [answer.status_code for answer in answers] == [200, 401, 401]
    assert "too short to open an account" in answers[1].text
    assert "too simple to open an account" in answers[2].text
