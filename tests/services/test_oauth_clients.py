"""Clients register themselves, or are described by a document; what nobody uses is forgotten."""

import hmac
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlmodel import select

from orderdesk_app.context import now
from orderdesk_app.db.engine import Database
from orderdesk_app.db.leases import Leases
from orderdesk_app.db.oauth import OAuthClient
from orderdesk_app.errors import RateLimited
from orderdesk_app.security.audit_links import PURPOSE, AuditKey
from orderdesk_app.security.keyring import Keyring
from orderdesk_app.services.audit_chains import AuditChains
from orderdesk_app.services.client_registration import read_registration
from orderdesk_app.services.limits import CLIENT_DOCUMENTS, REGISTRATIONS, Limits
from orderdesk_app.services.oauth_client import secret_digest
from orderdesk_app.services.oauth_clients import UNUSED_LASTS, OAuthClients
from orderdesk_app.services.oauth_errors import OAuthError, OAuthRefused
from orderdesk_app.services.retention import Retention
from tests.public_site import metadata
from tests.services.test_client_metadata import CLIENT, Site, said
from tests.worlds import on_sqlite

NATIVE = {
    "client_name": "Cursor",
    "redirect_uris": ["http://127.0.0.1/callback", "cursor://anysphere.cursor-mcp/oauth/callback"],
    "token_endpoint_auth_method": "none",
    "grant_types": ["authorization_code", "refresh_token"],
    "response_types": ["code"],
    "scope": "orders:read",
    "software_id": "x",
}
ADDRESS = "203.0.113.7"


class Clients:
    """The service with a clock and a site that the test moves."""

    def __init__(self, database: Database, keyring: Keyring) -> None:
        self.now = now()
        self.seconds = 0.0
        self.site = Site(said(metadata(CLIENT)))
        self.keyring = keyring
        limits = Limits(rpm=120, login=5, console=60, clock=lambda: self.seconds)
        self.service = OAuthClients(
            database,
            keyring,
            self.site.documents,
            registrations=limits.registrations,
            documents_fetched=limits.client_documents,
            clock=lambda: self.now,
        )
        self._database = database
        self.retention = Retention(
            database,
            Leases(database),
            AuditChains(AuditKey(keyring.purpose(PURPOSE))),
            audit_days=0,
            journal_days=0,
            clock=lambda: self.now,
        )

    async def register(self, **changes: Any) -> dict[str, Any]:
        return await self.service.register({**NATIVE, **changes}, address=ADDRESS)

    async def rows(self) -> list[OAuthClient]:
        async with self._database.read() as session:
            return list((await session.exec(select(OAuthClient))).all())


@pytest.fixture
def clients(database: Database, keyring: Keyring) -> Clients:
    return Clients(database, keyring)


async def test_a_public_client_registers_itself(clients: Clients) -> None:
    told = await clients.register()

    found = await clients.service.find(told["client_id"])
    assert found is not None
    assert (found.name, found.auth_method) == ("Cursor", "none")
    assert list(found.redirect_uris) == NATIVE["redirect_uris"] == told["redirect_uris"]
    assert told["client_id_issued_at"] == int(clients.now.timestamp())
    assert told["grant_types"] == ["authorization_code", "refresh_token"]
    assert "client_secret" not in told
    assert not found.is_document


@pytest.mark.parametrize("method", ["client_secret_post", "client_secret_basic", None])
@on_sqlite
async def test_a_confidential_client_gets_a_secret_once(
    clients: Clients, method: str | None
) -> None:
    told = await clients.register(token_endpoint_auth_method=method)

    found = await clients.service.find(told["client_id"])
    assert found is not None
    assert found.secret_digest is not None
    assert told["client_secret_expires_at"] == 0
    assert told["token_endpoint_auth_method"] == method or "client_secret_basic"
    key = clients.keyring.digest_key
    assert hmac.compare_digest(found.secret_digest, secret_digest(key, told["client_secret"]))
    assert told["client_secret"] not in str(await clients.rows())


@on_sqlite
async def test_each_registration_is_a_client_of_its_own(clients: Clients) -> None:
    first, second = await clients.register(), await clients.register()

    assert first["client_id"] != second["client_id"]


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"redirect_uris": None}, OAuthError.INVALID_REDIRECT_URI),
        ({"redirect_uris": []}, OAuthError.INVALID_REDIRECT_URI),
        ({"redirect_uris": "https://a.example/"}, OAuthError.INVALID_REDIRECT_URI),
        ({"redirect_uris": [7]}, OAuthError.INVALID_REDIRECT_URI),
        ({"redirect_uris": ["javascript:alert(1)"]}, OAuthError.INVALID_REDIRECT_URI),
        ({"redirect_uris": ["http://a.example/"]}, OAuthError.INVALID_REDIRECT_URI),
        (
            {"redirect_uris": [f"https://a.example/{number}" for number in range(21)]},
            OAuthError.INVALID_REDIRECT_URI,
        ),
        ({"token_endpoint_auth_method": "private_key_jwt"}, OAuthError.INVALID_CLIENT_METADATA),
        ({"token_endpoint_auth_method": ["none"]}, OAuthError.INVALID_CLIENT_METADATA),
        ({"grant_types": ["implicit"]}, OAuthError.INVALID_CLIENT_METADATA),
        ({"grant_types": "authorization_code"}, OAuthError.INVALID_CLIENT_METADATA),
        ({"response_types": ["token"]}, OAuthError.INVALID_CLIENT_METADATA),
    ],
)
@on_sqlite
async def test_a_registration_that_breaks_a_rule_is_refused(
    clients: Clients, changes: dict[str, Any], error: OAuthError
) -> None:
    with pytest.raises(OAuthRefused) as refused:
        await clients.register(**changes)

    assert refused.value.error is error
    assert refused.value.description.endswith(".")
    assert await clients.rows() == []


def test_what_we_have_no_use_for_is_left_out() -> None:
    registration = read_registration(
        {
            **NATIVE,
            "client_name": " \u202eA\u0000 name " + "x" * 2000,
            "client_uri": "javascript:alert(1)",
            "grant_types": ["authorization_code", "urn:ietf:params:oauth:grant-type:device_code"],
            "logo_uri": "http://169.254.169.254/",
            "jwks": {"keys": []},
        }
    )

    assert registration.name.startswith("A name xxx")
    assert len(registration.name) == 80
    assert registration.uri is None


@pytest.mark.parametrize("name", [None, "", "\u200b", 7, {}])
def test_a_client_without_a_name_has_that_of_where_it_leads(name: Any) -> None:
    assert read_registration({**NATIVE, "client_name": name}).name == "127.0.0.1"


@on_sqlite
async def test_registrations_of_one_network_are_limited(clients: Clients) -> None:
    for _ in range(2 * REGISTRATIONS):
        await clients.register()

    with pytest.raises(RateLimited) as refused:
        await clients.register()
    clients.seconds += 60

    assert refused.value.retry_after
    await clients.register()


async def test_a_client_that_nobody_uses_is_forgotten_after_a_day(clients: Clients) -> None:
    told = await clients.register()
    clients.now += UNUSED_LASTS - timedelta(seconds=1)
    assert await clients.service.known(told["client_id"])

    clients.now += timedelta(seconds=2)

    assert await clients.service.known(told["client_id"]) is None
    assert await clients.retention.delete_old_rows() == 1
    assert await clients.rows() == []


@on_sqlite
async def test_one_that_was_used_is_kept_however_long_it_rests(clients: Clients) -> None:
    told = await clients.register()
    await clients.service.find(CLIENT)
    for client_id in (told["client_id"], CLIENT):
        await clients.service.note_use(client_id)

    clients.now += timedelta(days=3650)

    assert await clients.retention.delete_old_rows() == 0
    for client_id in (told["client_id"], CLIENT):
        assert await clients.service.known(client_id)


async def test_a_use_is_written_once_a_day(clients: Clients) -> None:
    told = await clients.register()

    async def last_use() -> datetime | None:
        await clients.service.note_use(told["client_id"])
        return (await clients.rows())[0].last_used_at

    first = await last_use()
    clients.now += timedelta(hours=23)
    assert await last_use() == first
    clients.now += timedelta(hours=2)

    assert await last_use() == clients.now
    await clients.service.note_use("odc_nobody")


@on_sqlite
async def test_a_document_is_a_public_client(clients: Clients) -> None:
    found = await clients.service.find(CLIENT, address=ADDRESS)

    assert found is not None
    assert found.is_document
    assert found.auth_method == "none"
    assert found.redirect_uris == ("https://client.example/callback",)


@on_sqlite
async def test_a_document_that_is_away_is_refused_to_people_and_known_to_its_program(
    clients: Clients,
) -> None:
    await clients.service.find(CLIENT)
    clients.site.answers = [said(b"", 503)]
    clients.site.now += 7200

    with pytest.raises(OAuthRefused, match="503"):
        await clients.service.find(CLIENT)

    found = await clients.service.known(CLIENT)
    assert found is not None
    assert found.is_document
    assert await clients.service.known("https://client.example/other.json") is None


async def test_a_document_that_changed_is_noted_again(clients: Clients) -> None:
    await clients.service.find(CLIENT)
    uris = ["https://client.example/new"]
    clients.site.answers = [said(metadata(CLIENT, client_name="New", redirect_uris=uris))]
    clients.site.now += 7200

    await clients.service.find(CLIENT)

    found = await clients.service.known(CLIENT)
    assert found is not None
    assert (found.name, list(found.redirect_uris)) == ("New", uris)


@on_sqlite
async def test_a_document_that_is_asked_for_again_is_kept(clients: Clients) -> None:
    await clients.service.find(CLIENT)
    clients.now += UNUSED_LASTS - timedelta(minutes=1)

    await clients.service.find(CLIENT)

    clients.now += timedelta(minutes=2)
    assert await clients.service.known(CLIENT)


@on_sqlite
async def test_fetches_for_one_network_are_limited(clients: Clients) -> None:
    for number in range(2 * CLIENT_DOCUMENTS):
        with pytest.raises(OAuthRefused):
            await clients.service.find(f"https://client.example/{number}", address=ADDRESS)

    with pytest.raises(RateLimited):
        await clients.service.find("https://client.example/more", address=ADDRESS)
    await clients.service.find(CLIENT, address="198.51.100.1")
    requests = clients.site.requests

    assert await clients.service.find(CLIENT, address=ADDRESS), "it is at hand"
    assert clients.site.requests == requests


async def test_an_unknown_client_is_none(clients: Clients) -> None:
    for client_id in ("", "odc_nobody", "x" * 10_000, "http://a.example/b", "\0", "odc_\0", "é"):
        assert await clients.service.find(client_id) is None, client_id
        assert await clients.service.known(client_id) is None, client_id
    assert await clients.service.known("https://client.example/\0") is None
