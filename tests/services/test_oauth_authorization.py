"""A request to authorize: nobody is led anywhere until the redirect address is known to be the
client's, and a person gives no more than was asked for, and than they may.
"""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import update

from orderdesk_app.context import Role, Scope, StoreRowId, Via, now
from orderdesk_app.db.sessions import Session
from orderdesk_app.errors import (
    Conflict,
    NotFound,
    PermissionDenied,
    ReauthenticationRequired,
    ValidationFailed,
)
from orderdesk_app.services import oauth_authorization
from orderdesk_app.services.oauth_client import Client
from orderdesk_app.services.oauth_errors import AuthorizationRedirect, OAuthRefused
from orderdesk_app.wiring import Services
from tests.oauth import (
    CHALLENGE,
    REDIRECT,
    OAuthPerson,
    add_client,
    answer_in,
    as_role,
    exchange,
    person,
    query,
)
from tests.worlds import open_services, settings_for

ISSUER = "https://desk.example"


@pytest.fixture
async def services(sqlite_url: str) -> AsyncIterator[Services]:
    settings = settings_for(sqlite_url).model_copy(update={"public_url": ISSUER})
    async with open_services(settings) as services:
        yield services


@pytest.fixture
async def ada(services: Services) -> OAuthPerson:
    account, _ = await services.tenants.make_tenant("Ada's Teas")
    return person(services, account.id, account.owner_id)


@pytest.fixture
async def client(services: Services) -> Client:
    return await add_client(services)


@pytest.mark.usefixtures("client")
@pytest.mark.parametrize(
    "asked",
    [
        "",
        "%",
        "&" * 60,
        "state=" + "x" * 10_000,
        query("unknown"),
        query(client_id=None),
        query() + "&client_id=a-client",
        query(redirect_uri="https://evil.example/callback"),
        query(redirect_uri=REDIRECT + "/.."),
        query(redirect_uri=REDIRECT + "#x"),
        query(redirect_uri="javascript:alert(1)"),
        query() + "&redirect_uri=https%3A%2F%2Fevil.example",
        "redirect_uri=https%3A%2F%2Fevil.example&" + query(),
        query(redirect_uri="http://127.0.0.1@evil.example/callback"),
    ],
)
async def test_an_unknown_client_or_redirect_address_is_a_page_and_leads_nowhere(
    services: Services, asked: str
) -> None:
    with pytest.raises(OAuthRefused) as refused:
        await services.authorization_requests.look(asked)

    assert not isinstance(refused.value, AuthorizationRedirect)


@pytest.mark.usefixtures("client")
@pytest.mark.parametrize(
    ("changes", "more", "error"),
    [
        ({"response_type": None}, "", "invalid_request"),
        ({"response_type": "token"}, "", "unsupported_response_type"),
        ({"response_mode": "fragment"}, "", "invalid_request"),
        ({"code_challenge": None}, "", "invalid_request"),
        ({"code_challenge": "short"}, "", "invalid_request"),
        ({"code_challenge": CHALLENGE + "="}, "", "invalid_request"),
        ({"code_challenge_method": None}, "", "invalid_request"),
        ({"code_challenge_method": "plain"}, "", "invalid_request"),
        ({"code_challenge_method": "s256"}, "", "invalid_request"),
        ({}, "&code_challenge_method=plain", "invalid_request"),
        ({}, "&scope=orders:delete", "invalid_request"),
        ({}, "&resource=https://desk.example/mcp&resource=https://evil.example", "invalid_target"),
        ({"resource": "https://evil.example/mcp"}, "", "invalid_target"),
        ({"scope": "mail:send"}, "", "invalid_scope"),
        ({"prompt": "none"}, "", "interaction_required"),
        ({"request": "x.y.z"}, "", "request_not_supported"),
        ({"request_uri": "urn:x"}, "", "request_uri_not_supported"),
        ({"state": "x" * 5_000}, "", "invalid_request"),
    ],
)
async def test_any_other_mistake_leads_back_with_state_and_issuer(
    services: Services, changes: dict[str, str | None], more: str, error: str
) -> None:
    asked = query(**changes) + more

    with pytest.raises(AuthorizationRedirect) as refused:
        await services.authorization_requests.look(asked)

    assert refused.value.address.startswith(f"{REDIRECT}?")
    answer = answer_in(refused.value.address)
    assert (answer["error"], answer["iss"]) == (error, ISSUER)
    assert answer["state"] == changes.get("state", "a state & more")
    assert "code" not in answer


@pytest.mark.usefixtures("client")
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"resource": None},
        {"resource": f"{ISSUER}/mcp"},
        {"resource": f"{ISSUER}/mcp/"},
        {"redirect_uri": "http://127.0.0.1:50001/callback"},  # RFC 8252: any port
        {"redirect_uri": None},  # of a client that has one alone
        {"state": None},
        {"response_mode": "query"},
    ],
)
async def test_an_approved_request_leads_back_with_a_code(
    services: Services, ada: OAuthPerson, changes: dict[str, str | None]
) -> None:
    request = await services.authorization_requests.look(query(**changes), ada.actor)
    address = await services.authorization_requests.approve(
        ada.actor, request, scopes=request.scopes, store_ids=None, is_read_only=False
    )

    expected = changes.get("redirect_uri", REDIRECT) or REDIRECT
    assert address.startswith(f"{expected}?")
    answer = answer_in(address)
    assert answer["iss"] == ISSUER
    assert answer.get("state") == changes.get("state", "a state & more")
    assert len(answer["code"]) == 43


async def test_a_redirect_address_keeps_its_query(services: Services, ada: OAuthPerson) -> None:
    own = "https://app.example/callback?tenant=7"
    client = await add_client(services, redirect_uris=[own, "cursor://anysphere.cursor-mcp/oauth"])
    request = await services.authorization_requests.look(query(redirect_uri=own), ada.actor)

    address = await services.authorization_requests.refuse(ada.actor, request)

    assert address.startswith(f"{own}&error=access_denied&")
    assert answer_in(address)["state"] == "a state & more"
    with pytest.raises(OAuthRefused):  # one of several has to be named
        await services.authorization_requests.look(query(client.client_id, redirect_uri=None))


async def test_a_known_client_with_another_redirect_address_is_new(
    services: Services, ada: OAuthPerson
) -> None:
    other = "https://app.example/callback"
    client = await add_client(services, redirect_uris=[REDIRECT, other])
    look = services.authorization_requests.look
    first = await look(query(), ada.actor)
    code = await ada.approve(query())
    await exchange(services, client, code)

    same = await look(query(redirect_uri="http://127.0.0.1:1/callback"), ada.actor)
    new = await look(query(redirect_uri=other), ada.actor)

    assert (first.before, first.is_new_redirect) == (None, False)
    assert same.before is not None
    assert set(same.before.scopes) == {Scope.ORDERS_READ, Scope.ORDERS_WRITE}
    assert (same.is_new_redirect, new.is_new_redirect) == (False, True)
    assert new.redirect.shown == "app.example"


@pytest.mark.usefixtures("client")
async def test_a_person_gives_at_most_what_was_asked_for_and_what_they_may(
    services: Services, ada: OAuthPerson
) -> None:
    manage = query(scope="orders:read stores:manage")

    assert await ada.approve(query(), scopes=[Scope.ORDERS_READ])
    with pytest.raises(ValidationFailed):
        await ada.approve(query(), scopes=[Scope.ORDERS_READ, Scope.ORDERS_DELETE])
    with pytest.raises(ValidationFailed):
        await ada.approve(query(), scopes=[])
    with pytest.raises(ValidationFailed):
        await ada.approve(query(), store_ids=[])
    with pytest.raises(NotFound):
        await ada.approve(query(), store_ids=[StoreRowId("a neighbour's")])
    with pytest.raises(PermissionDenied):
        await as_role(ada, Role.VIEWER).approve(query())
    with pytest.raises((PermissionDenied, ValidationFailed)):
        await as_role(ada, Role.MEMBER).approve(manage)


@pytest.mark.usefixtures("client")
@pytest.mark.parametrize("change", [{"via": Via.MCP}, {"session_id": None}, {"user_id": None}])
async def test_only_a_person_with_a_session_answers(
    services: Services, ada: OAuthPerson, change: dict[str, Any]
) -> None:
    actor = replace(ada.actor, **change)
    request = await services.authorization_requests.look(query())

    with pytest.raises(PermissionDenied):
        await replace(ada, actor=actor).approve(query())
    with pytest.raises(PermissionDenied):
        await services.authorization_requests.refuse(actor, request)


async def test_an_account_that_is_full_of_apps_connects_those_again_and_no_more(
    services: Services, ada: OAuthPerson, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oauth_authorization, "MOST_APPS", 1)
    other = await add_client(services, "another")
    await ada.connect(client)

    assert await ada.connect(client, scope="orders:read orders:delete")
    with pytest.raises(Conflict, match="at most 1"):
        await ada.approve(query(other.client_id))


@pytest.mark.usefixtures("client")
async def test_to_connect_an_app_takes_a_recent_proof(services: Services, ada: OAuthPerson) -> None:
    cookie = await services.sessions.start(
        ada.actor.tenant_id, ada.actor.user_id, credential_id=None, address="", user_agent=""
    )
    user = await services.sessions.resume(cookie)
    assert user is not None
    async with services.database.write() as session:
        await session.exec(update(Session).values(proved_at=now() - timedelta(hours=1)))

    with pytest.raises(ReauthenticationRequired):
        await replace(ada, actor=user.actor).approve(query())
