"""A client whose id is the address of a document asks, is approved, and works on when its site is
away; the site of a test is not in the internet.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest

from orderdesk_app.outbound.public_fetch import PublicFetch
from orderdesk_app.services.client_metadata import ClientMetadata
from orderdesk_app.services.oauth_authorization import AuthorizationRequests
from orderdesk_app.services.oauth_clients import OAuthClients
from orderdesk_app.services.oauth_errors import OAuthRefused
from orderdesk_app.wiring import Services
from tests.oauth import REDIRECT, OAuthPerson, exchange, person, query, refresh
from tests.public_site import metadata
from tests.worlds import open_services, settings_for

CLIENT = "https://client.example/client.json"
OTHER = "https://client.example/callback"


@dataclass
class Site:
    body: bytes = b""
    status: int = 200
    now: float = 0.0

    async def answer(self, _: httpx.Request) -> httpx.Response:
        headers = {"content-type": "application/json", "cache-control": "max-age=60"}
        return httpx.Response(self.status, headers=headers, stream=httpx.ByteStream(self.body))


@pytest.fixture
def site() -> Site:
    return Site(metadata(CLIENT, client_name="Claude", redirect_uris=[REDIRECT]))


@pytest.fixture
async def services(sqlite_url: str, site: Site) -> AsyncIterator[Services]:
    async def resolve(_: str, __: int) -> list[str]:
        return ["8.8.8.8"]

    async with open_services(settings_for(sqlite_url)) as services:
        fetch = PublicFetch(resolve, lambda: httpx.MockTransport(site.answer))
        services.oauth_clients = OAuthClients(
            services.database,
            services.keyring,
            ClientMetadata(fetch, clock=lambda: site.now),
            registrations=services.limits.registrations,
            documents_fetched=services.limits.client_documents,
        )
        services.authorization_requests = AuthorizationRequests(
            services.database,
            services.keyring,
            services.oauth_clients,
            services.reauthentication,
            services.audit,
            services.oauth_resource,
        )
        yield services


@pytest.fixture
async def ada(services: Services) -> OAuthPerson:
    account, _ = await services.tenants.make_tenant("Ada's Teas")
    return person(services, account.id, account.owner_id)


async def test_a_client_with_a_document_is_connected_and_renews_when_its_site_is_away(
    services: Services, ada: OAuthPerson, site: Site
) -> None:
    request = await services.authorization_requests.look(query(CLIENT), ada.actor)
    code = await ada.approve(query(CLIENT))
    site.status = 503
    site.now += 3600
    known = await services.oauth_clients.known(CLIENT)
    assert known is not None
    pair = await exchange(services, known, code)

    renewed = await refresh(services, known, pair.refresh.reveal())

    assert request.client.name == "Claude"
    assert request.client.is_document
    assert renewed.access.reveal() != pair.access.reveal()
    with pytest.raises(OAuthRefused, match="503"):  # a person is asked of what stands there now
        await services.authorization_requests.look(query(CLIENT), ada.actor)


async def test_an_address_that_the_document_does_not_name_is_refused(
    services: Services, ada: OAuthPerson
) -> None:
    for wrong in (OTHER, REDIRECT + "/x", "https://client.example.evil.example/callback"):
        with pytest.raises(OAuthRefused):
            await services.authorization_requests.look(query(CLIENT, redirect_uri=wrong), ada.actor)


async def test_a_new_address_of_a_known_document_is_asked_for_again(
    services: Services, ada: OAuthPerson, site: Site
) -> None:
    code = await ada.approve(query(CLIENT))
    known = await services.oauth_clients.known(CLIENT)
    assert known is not None
    await exchange(services, known, code)
    site.body = metadata(CLIENT, client_name="Claude", redirect_uris=[REDIRECT, OTHER])
    site.now += 3600

    look = services.authorization_requests.look
    same = await look(query(CLIENT), ada.actor)
    new = await look(query(CLIENT, redirect_uri=OTHER), ada.actor)

    assert (same.is_new_redirect, new.is_new_redirect) == (False, True)
