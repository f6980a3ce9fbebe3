"""Connected apps, as people see them."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from orderdesk_app.services.oauth_client import Client
from orderdesk_app.services.oauth_errors import OAuthRefused
from orderdesk_app.wiring import Services
from tests.oauth import ADDRESS, OAuthPerson, add_client, exchange, person, query, refresh
from tests.worlds import open_services, settings_for


@pytest.fixture
async def services(sqlite_url: str) -> AsyncIterator[Services]:
    async with open_services(settings_for(sqlite_url)) as services:
        yield services


@pytest.fixture
async def ada(services: Services) -> OAuthPerson:
    account, _ = await services.tenants.make_tenant("Ada's Teas")
    return person(services, account.id, account.owner_id)


async def revoked(services: Services, client: Client, code: str) -> None:
    pair = await exchange(services, client, code)
    await services.oauth_tokens.revoke(client, pair.access.reveal(), address=ADDRESS)


async def code_used_again(services: Services, client: Client, code: str) -> None:
    await exchange(services, client, code)
    await exchange(services, client, code)


async def refresh_used_again(services: Services, client: Client, code: str) -> None:
    first = await exchange(services, client, code)
    second = await refresh(services, client, first.refresh.reveal())
    await refresh(services, client, second.refresh.reveal())
    await refresh(services, client, first.refresh.reveal())


@pytest.mark.parametrize("end", [revoked, code_used_again, refresh_used_again])
async def test_an_app_whose_tokens_have_all_ended_is_connected_no_more(
    services: Services,
    ada: OAuthPerson,
    end: Callable[[Services, Client, str], Awaitable[None]],
) -> None:
    alone, elsewhere = await add_client(services, "alone"), await add_client(services, "elsewhere")
    working = await ada.connect(elsewhere)

    for client in (alone, elsewhere):
        code = await ada.approve(query(client.client_id))
        with contextlib.suppress(OAuthRefused):
            await end(services, client, code)

    [app] = await services.connected_apps.list(ada.actor)
    still = await services.access.by_token(working.access.reveal())
    assert app.id == still.actor.credential_id
