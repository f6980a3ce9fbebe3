"""An OAuth client as tests are one: registered, with a verifier, and a person who approves."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from urllib.parse import parse_qs, urlencode, urlsplit

from authlib.oauth2.rfc7636 import create_s256_code_challenge

from orderdesk_app.context import Actor, Role, Scope, StoreRowId, TenantId, UserId, Via
from orderdesk_app.db.oauth import OAuthClient
from orderdesk_app.services.oauth_client import Client
from orderdesk_app.services.oauth_tokens import TokenPair
from orderdesk_app.wiring import Services

REDIRECT = "http://127.0.0.1:33418/callback"
VERIFIER = "a-verifier-of-the-tests-with-enough-characters"
CHALLENGE = create_s256_code_challenge(VERIFIER)
ADDRESS = "203.0.113.9"


async def add_client(services: Services, client_id: str = "a-client", **values: object) -> Client:
    """A client that registered itself."""
    row = OAuthClient(
        client_id=client_id, **{"name": "Teapot", "redirect_uris": [REDIRECT], **values}
    )
    async with services.database.write() as session:
        session.add(row)
    client = await services.oauth_clients.find(client_id)
    assert client is not None
    return client


def query(client_id: str = "a-client", **changes: str | None) -> str:
    """The query of a request to authorize; a change to None leaves a parameter out."""
    given: dict[str, str | None] = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": REDIRECT,
        "scope": "orders:read orders:write",
        "state": "a state & more",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
        **changes,
    }
    return urlencode({name: value for name, value in given.items() if value is not None})


def answer_in(address: str) -> dict[str, str]:
    """The parameters that a redirect leads back with."""
    return {name: value for name, [value] in parse_qs(urlsplit(address).query).items()}


@dataclass(frozen=True)
class OAuthPerson:
    """An owner who is signed in, and approves what a client asks for."""

    services: Services
    actor: Actor

    async def approve(
        self,
        asked: str,
        *,
        scopes: Collection[Scope] | None = None,
        store_ids: Collection[StoreRowId] | None = None,
        is_read_only: bool = False,
    ) -> str:
        """The code."""
        requests = self.services.authorization_requests
        request = await requests.look(asked, self.actor)
        address = await requests.approve(
            self.actor,
            request,
            scopes=request.scopes if scopes is None else scopes,
            store_ids=store_ids,
            is_read_only=is_read_only,
        )
        return answer_in(address)["code"]

    async def connect(self, client: Client, **asked: str | None) -> TokenPair:
        code = await self.approve(query(client.client_id, **asked))
        return await exchange(self.services, client, code)


async def exchange(
    services: Services,
    client: Client,
    code: str,
    *,
    verifier: str = VERIFIER,
    redirect_uri: str | None = REDIRECT,
) -> TokenPair:
    return await services.oauth_tokens.exchange(
        client, code, verifier=verifier, redirect_uri=redirect_uri, address=ADDRESS
    )


async def refresh(
    services: Services, client: Client, token: str, scopes: frozenset[Scope] | None = None
) -> TokenPair:
    return await services.oauth_tokens.refresh(client, token, scopes=scopes, address=ADDRESS)


def person(services: Services, tenant_id: TenantId, user_id: UserId) -> OAuthPerson:
    actor = Actor(tenant_id, user_id, role=Role.OWNER, via=Via.WEB, session_id="a session")
    return OAuthPerson(services, actor)


def as_role(somebody: OAuthPerson, role: Role) -> OAuthPerson:
    return replace(somebody, actor=replace(somebody.actor, role=role))
