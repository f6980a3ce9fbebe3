"""Codes and refresh tokens work once, a second use ends what the first gave, and nothing of an app
works longer than its person, its account and its connection.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlmodel import col, delete, select, update

from orderdesk_app.context import Role, Scope, Secret, now
from orderdesk_app.db.audit import AuditEntry
from orderdesk_app.db.keys import Credential
from orderdesk_app.db.memberships import Membership
from orderdesk_app.db.oauth import OAuthToken
from orderdesk_app.db.retention import delete_expired_codes, delete_expired_tokens
from orderdesk_app.db.tenants import Tenant
from orderdesk_app.db.users import User
from orderdesk_app.errors import AuthFailed
from orderdesk_app.security.tokens import OAUTH_ACCESS, OAUTH_REFRESH
from orderdesk_app.services.access import Access, KeysAndTokens
from orderdesk_app.services.oauth_authorization import AuthorizationRequests
from orderdesk_app.services.oauth_client import Client
from orderdesk_app.services.oauth_errors import OAuthError, OAuthRefused
from orderdesk_app.services.oauth_tokens import ACCESS_SECONDS, OAuthTokens, TokenPair
from orderdesk_app.wiring import Services
from tests.oauth import ADDRESS, VERIFIER, OAuthPerson, add_client, exchange, person, query, refresh
from tests.worlds import (
    PROMISED,
    SLACK,
    eventually,
    on_sqlite,
    open_services,
    settings_for,
)


@dataclass
class Time:
    at: datetime = field(default_factory=now)

    def __call__(self) -> datetime:
        return self.at

    def passes(self, **amount: float) -> None:
        self.at += timedelta(**amount)


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
async def services(database_url: str, time: Time) -> AsyncIterator[Services]:
    async with open_services(settings_for(database_url)) as services:
        services.oauth_tokens = OAuthTokens(
            services.database,
            services.keyring,
            services.sealer,
            services.signals,
            services.audit,
            services.app_connections,
            pairs=services.limits.token_pairs,
            clock=time,
        )
        services.authorization_requests = AuthorizationRequests(
            services.database,
            services.keyring,
            services.oauth_clients,
            services.reauthentication,
            services.audit,
            services.oauth_resource,
            clock=time,
        )
        services.access = Access(
            services.database,
            KeysAndTokens(services.keys, services.oauth_tokens),
            services.signals,
            clock=time,
        )
        yield services


@pytest.fixture
async def ada(services: Services) -> OAuthPerson:
    account, _ = await services.tenants.make_tenant("Ada's Teas")
    return person(services, account.id, account.owner_id)


@pytest.fixture
async def client(services: Services) -> Client:
    return await add_client(services)


async def opens(services: Services, pair: TokenPair) -> bool:
    """Whether the access token works, as a process finds it that has not met it."""
    return await services.oauth_tokens.find(pair.access.reveal()) is not None


async def refused(act: Any) -> OAuthError:
    with pytest.raises(OAuthRefused) as error:
        await act
    return error.value.error


async def audited(services: Services, action: str) -> list[AuditEntry]:
    async with services.database.read() as session:
        rows = select(AuditEntry).where(col(AuditEntry.action) == action)
        return list((await session.exec(rows)).all())


async def changed(services: Services, statement: Any) -> None:
    async with services.database.write() as session:
        await session.exec(statement)


@on_sqlite
async def test_a_code_gives_tokens_that_lead_to_the_app(
    services: Services, ada: OAuthPerson, client: Client, everything_in: Callable[..., Any]
) -> None:
    code = await ada.approve(query())
    pair = await exchange(services, client, code)

    assert pair.access.reveal().startswith(OAUTH_ACCESS)
    assert pair.refresh.reveal().startswith(OAUTH_REFRESH)
    assert pair.answer() == {
        "access_token": pair.access.reveal(),
        "token_type": "Bearer",
        "expires_in": ACCESS_SECONDS,
        "refresh_token": pair.refresh.reveal(),
        "scope": "orders:read orders:write",
    }
    principal = await services.access.by_token(pair.access.reveal())
    assert principal.actor.tenant_id == ada.actor.tenant_id
    assert principal.actor.user_id == ada.actor.user_id
    assert principal.actor.scopes == {Scope.ORDERS_READ, Scope.ORDERS_WRITE}
    assert principal.credential_name == "Teapot"
    assert not principal.actor.is_operator
    [row] = await audited(services, "app.connect")
    assert (row.user_id, row.address) == (ada.actor.user_id, ADDRESS)
    stored = await everything_in(services.database)
    for secret in (code, pair.access.reveal(), pair.refresh.reveal()):
        assert secret.encode() not in stored


async def test_of_two_uses_of_a_code_at_once_the_second_ends_what_the_first_gave(
    services: Services, ada: OAuthPerson, client: Client
) -> None:
    code = await ada.approve(query())

    answers = await asyncio.gather(
        *[exchange(services, client, code) for _ in range(4)], return_exceptions=True
    )

    [pair] = [answer for answer in answers if isinstance(answer, TokenPair)]
    assert sum(isinstance(answer, OAuthRefused) for answer in answers) == 3
    assert not await opens(services, pair)
    assert await refused(refresh(services, client, pair.refresh.reveal())) == "invalid_grant"
    assert len(await audited(services, "app.replay")) == 3


@on_sqlite
async def test_a_code_works_for_a_minute_for_its_own_client_address_and_verifier(
    services: Services, ada: OAuthPerson, client: Client, time: Time
) -> None:
    other = await add_client(services, "another")
    code = await ada.approve(query())

    for verifier in ("", "x", VERIFIER + "x", VERIFIER[:-1], "ü" * 43, "x" * 129):
        assert await refused(exchange(services, client, code, verifier=verifier)) == "invalid_grant"
    for wrong in ("http://127.0.0.1:33418/other", "http://127.0.0.1:1/callback"):
        act = exchange(services, client, code, redirect_uri=wrong)
        assert await refused(act) == "invalid_grant"
    assert await refused(exchange(services, other, code)) == "invalid_grant"
    assert await refused(exchange(services, client, code + "x")) == "invalid_grant"
    time.passes(seconds=60)
    assert await refused(exchange(services, client, code)) == "invalid_grant"
    time.passes(seconds=-1)
    assert await exchange(services, client, code, redirect_uri=None)  # as OAuth 2.1 has it


async def test_refreshes_at_once_get_the_same_pair(
    services: Services, ada: OAuthPerson, client: Client
) -> None:
    first = await ada.connect(client)

    pairs = await asyncio.gather(
        *[refresh(services, client, first.refresh.reveal()) for _ in range(4)]
    )

    assert len({(pair.access.reveal(), pair.refresh.reveal()) for pair in pairs}) == 1
    assert pairs[0].refresh != first.refresh
    assert await opens(services, pairs[0])
    assert await opens(services, first)  # until its own second
    assert not await audited(services, "app.replay")


@on_sqlite
async def test_a_lost_answer_is_given_again_for_half_a_minute(
    services: Services, ada: OAuthPerson, client: Client, time: Time
) -> None:
    first = await ada.connect(client)
    second = await refresh(services, client, first.refresh.reveal())

    time.passes(seconds=30)
    again = await refresh(services, client, first.refresh.reveal())

    assert (again.access, again.refresh) == (second.access, second.refresh)
    assert again.expires_in == ACCESS_SECONDS - 30
    time.passes(seconds=1)
    assert await refused(refresh(services, client, first.refresh.reveal())) == "invalid_grant"
    assert not await opens(services, second)
    assert await refused(refresh(services, client, second.refresh.reveal())) == "invalid_grant"
    [row] = await audited(services, "app.replay")
    assert row.tenant_id == ada.actor.tenant_id


@on_sqlite
async def test_there_is_no_grace_once_the_new_pair_was_refreshed(
    services: Services, ada: OAuthPerson, client: Client
) -> None:
    first = await ada.connect(client)
    second = await refresh(services, client, first.refresh.reveal())
    third = await refresh(services, client, second.refresh.reveal())
    async with services.database.read() as session:
        rows = (await session.exec(select(OAuthToken))).all()
    assert sum(row.successor is not None for row in rows) == 1, "of no pair that nobody gets again"
    assert await refused(refresh(services, client, first.refresh.reveal())) == "invalid_grant"
    assert not await opens(services, third)


@on_sqlite
async def test_a_replay_ends_its_own_family_alone(
    services: Services, ada: OAuthPerson, client: Client, time: Time
) -> None:
    at_home, at_work = await ada.connect(client), await ada.connect(client)
    await refresh(services, client, at_home.refresh.reveal())
    time.passes(seconds=31)

    assert await refused(refresh(services, client, at_home.refresh.reveal())) == "invalid_grant"

    assert await opens(services, at_work)
    assert await refresh(services, client, at_work.refresh.reveal())


async def test_what_is_revoked_during_a_refresh_stays_revoked(
    services: Services, ada: OAuthPerson, client: Client
) -> None:
    first = await ada.connect(client)

    refreshed, _ = await asyncio.gather(
        refresh(services, client, first.refresh.reveal()),
        services.oauth_tokens.revoke(client, first.access.reveal(), address=ADDRESS),
        return_exceptions=True,
    )

    assert not await opens(services, first)
    if isinstance(refreshed, TokenPair):
        assert not await opens(services, refreshed)
        assert await refused(refresh(services, client, refreshed.refresh.reveal()))


@on_sqlite
@pytest.mark.parametrize("which", ["access", "refresh"])
async def test_a_client_revokes_by_either_token_and_the_app_is_disconnected(
    services: Services, ada: OAuthPerson, client: Client, which: str
) -> None:
    pair = await ada.connect(client)
    given: Secret = getattr(pair, which)
    await services.access.by_token(pair.access.reveal())

    await services.oauth_tokens.revoke(client, given.reveal(), address=ADDRESS)

    with pytest.raises(AuthFailed):
        await services.access.by_token(pair.access.reveal())
    assert await refused(refresh(services, client, pair.refresh.reveal())) == "invalid_grant"
    request = await services.authorization_requests.look(query(), ada.actor)
    assert request.before is None
    assert len(await audited(services, "app.disconnect")) == 1


@on_sqlite
async def test_another_client_revokes_and_refreshes_nothing(
    services: Services, ada: OAuthPerson, client: Client
) -> None:
    other = await add_client(services, "another")
    pair = await ada.connect(client)

    await services.oauth_tokens.revoke(other, pair.refresh.reveal(), address=ADDRESS)

    assert await refused(refresh(services, other, pair.refresh.reveal())) == "invalid_grant"
    assert await opens(services, pair)
    assert await refresh(services, client, pair.refresh.reveal())


@on_sqlite
async def test_an_access_token_ends_at_its_second_and_a_refresh_token_after_90_days(
    services: Services, ada: OAuthPerson, client: Client, time: Time
) -> None:
    pair = await ada.connect(client)
    await services.access.by_token(pair.access.reveal())

    time.passes(seconds=ACCESS_SECONDS - 1)
    await services.access.by_token(pair.access.reveal())
    time.passes(seconds=1)
    with pytest.raises(AuthFailed):  # out of the cache
        await services.access.by_token(pair.access.reveal())
    services.signals.deliver(f"tenant:{ada.actor.tenant_id}")
    with pytest.raises(AuthFailed):  # out of the database
        await services.access.by_token(pair.access.reveal())
    time.passes(days=89)
    later = await refresh(services, client, pair.refresh.reveal())
    time.passes(days=90)
    assert await refused(refresh(services, client, later.refresh.reveal())) == "invalid_grant"


def disconnected(ada: OAuthPerson) -> Any:
    return update(Credential).values(revoked_at=now()).where(col(Credential.kind) == "app")


def disabled_user(ada: OAuthPerson) -> Any:
    return update(User).values(disabled_at=now()).where(col(User.id) == ada.actor.user_id)


def disabled_account(ada: OAuthPerson) -> Any:
    return update(Tenant).values(disabled_at=now()).where(col(Tenant.id) == ada.actor.tenant_id)


def no_member(ada: OAuthPerson) -> Any:
    return delete(Membership).where(col(Membership.user_id) == ada.actor.user_id)


@on_sqlite
@pytest.mark.parametrize("change", [disconnected, disabled_user, disabled_account, no_member])
async def test_nothing_works_without_the_app_its_user_and_their_account(
    services: Services, ada: OAuthPerson, client: Client, change: Callable[..., Any]
) -> None:
    pair = await ada.connect(client)
    code = await ada.approve(query())

    await changed(services, change(ada))

    assert not await opens(services, pair)
    assert await refused(refresh(services, client, pair.refresh.reveal())) == "invalid_grant"
    if change is not disconnected:  # that was before the person approved once more
        assert await refused(exchange(services, client, code)) == "invalid_grant"


@on_sqlite
async def test_a_demoted_person_s_app_does_what_their_role_does(
    services: Services, ada: OAuthPerson, client: Client
) -> None:
    pair = await ada.connect(client)

    await changed(services, update(Membership).values(role=Role.VIEWER.value))

    found = await services.oauth_tokens.find(pair.access.reveal())
    assert found is not None
    assert found.scopes == {Scope.ORDERS_READ}


@on_sqlite
async def test_a_refresh_narrows_its_access_token_and_nothing_for_good(
    services: Services, ada: OAuthPerson, client: Client
) -> None:
    pair = await ada.connect(client)

    narrow = await refresh(services, client, pair.refresh.reveal(), frozenset({Scope.ORDERS_READ}))
    found = await services.oauth_tokens.find(narrow.access.reveal())
    wide = await refresh(services, client, narrow.refresh.reveal())

    assert narrow.answer()["scope"] == "orders:read"
    assert found is not None
    assert found.scopes == {Scope.ORDERS_READ}
    assert wide.answer()["scope"] == "orders:read orders:write"
    more = frozenset({Scope.ORDERS_DELETE})
    assert await refused(refresh(services, client, wide.refresh.reveal(), more)) == "invalid_scope"
    assert await refresh(services, client, wide.refresh.reveal())


@on_sqlite
async def test_connected_again_the_same_app_is_widened_and_narrowed(
    services: Services, ada: OAuthPerson, client: Client
) -> None:
    before = await ada.connect(client, scope="orders:read")
    found = await services.oauth_tokens.find(before.access.reveal())
    wide = await ada.connect(client, scope="orders:read orders:delete")
    widened = await services.access.by_token(before.access.reveal())
    code = await ada.approve(query(scope="orders:read orders:write"), is_read_only=True)
    await exchange(services, client, code)
    narrowed = await services.access.by_token(wide.access.reveal())

    assert found is not None
    assert found.credential_id == widened.actor.credential_id == narrowed.actor.credential_id
    assert widened.actor.scopes == {Scope.ORDERS_READ, Scope.ORDERS_DELETE}
    assert narrowed.actor.scopes == {Scope.ORDERS_READ}


async def test_expired_codes_and_tokens_are_deleted_and_their_app_is_disconnected(
    services: Services, ada: OAuthPerson, client: Client, time: Time
) -> None:
    database, code = services.database, await ada.approve(query())
    pair = await exchange(services, client, code)
    other = await add_client(services, "another")

    assert await delete_expired_codes(database, time()) == 0
    assert await delete_expired_tokens(database, time()) == 0
    time.passes(days=80)
    await refresh(services, client, pair.refresh.reveal())
    lasting = await ada.connect(other)
    time.passes(days=80)
    assert await delete_expired_codes(database, time()) == 2
    assert await delete_expired_tokens(database, time()) == 1  # the first of its family
    assert (await services.authorization_requests.look(query(), ada.actor)).before
    time.passes(days=9)
    await refresh(services, other, lasting.refresh.reveal())
    time.passes(days=2)
    assert await delete_expired_tokens(database, time()) == 2
    assert not (await services.authorization_requests.look(query(), ada.actor)).before
    assert (await services.authorization_requests.look(query("another"), ada.actor)).before


@on_sqlite
async def test_a_person_hears_by_mail_of_an_app_that_is_new_or_may_do_more(
    services: Services, ada: OAuthPerson, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    await changed(services, update(User).values(email="ada@example.com"))
    letters: list[Any] = []

    async def send(session: Any, letter: Any, **to: Any) -> bool:
        letters.append((letter, to["to"]))
        return True

    monkeypatch.setattr(services.mailer, "send", send)
    monkeypatch.setattr(services.mailer, "is_set_up", True)

    for scope, count in (
        ("orders:read", 1),
        ("orders:read", 1),
        ("orders:read orders:delete", 2),
        ("orders:read", 2),
    ):
        await ada.connect(client, scope=scope)
        assert len(letters) == count

    letter, to = letters[-1]
    assert to == "ada@example.com"
    assert (letter.app, letter.account) == ("Teapot", "Ada's Teas")
    assert letter.may == ("Read orders", "Delete orders")


async def test_a_revocation_is_heard_in_every_process(
    services: Services, ada: OAuthPerson, client: Client, database_url: str
) -> None:
    pair = await ada.connect(client)

    async def is_refused(elsewhere: Services) -> bool:
        try:
            await elsewhere.access.by_token(pair.access.reveal())
        except AuthFailed:
            return True
        return False

    async with open_services(settings_for(database_url)) as elsewhere:
        assert not await is_refused(elsewhere)

        await services.oauth_tokens.revoke(client, pair.refresh.reveal(), address=ADDRESS)

        assert await eventually(lambda: is_refused(elsewhere), PROMISED + SLACK)


async def test_what_was_used_in_one_process_was_used_in_every_other(
    services: Services, ada: OAuthPerson, client: Client, database_url: str
) -> None:
    code = await ada.approve(query())
    async with open_services(settings_for(database_url)) as elsewhere:
        pair = await exchange(elsewhere, client, code)
        both = [refresh(each, client, pair.refresh.reveal()) for each in (services, elsewhere)]
        one, other = await asyncio.gather(*both)
        assert (one.access, one.refresh) == (other.access, other.refresh)
        assert await refused(exchange(services, client, code)) == "invalid_grant"
        assert await refused(refresh(elsewhere, client, one.refresh.reveal())) == "invalid_grant"


@on_sqlite
async def test_a_token_whose_account_is_deleted_meanwhile_is_not_known(
    services: Services, ada: OAuthPerson, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = await ada.connect(client)

    async def deleted_meanwhile(session: Any, name: str) -> None:
        await session.exec(delete(OAuthToken))

    monkeypatch.setattr(services.database, "advisory_lock", deleted_meanwhile)

    assert await refused(refresh(services, client, pair.refresh.reveal())) == "invalid_grant"
