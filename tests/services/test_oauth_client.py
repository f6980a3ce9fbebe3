"""How a client proves who it is, and which resources and scopes a request may name."""

import base64
from urllib.parse import quote

import pytest

from orderdesk_app.context import Scope
from orderdesk_app.services.oauth_client import (
    Client,
    client_credentials,
    require_proved,
    secret_digest,
)
from orderdesk_app.services.oauth_errors import OAuthError, OAuthRefused
from orderdesk_app.services.oauth_resource import OAuthResource, as_text, asked_scopes

KEY = b"k" * 32
PUBLIC = Client("https://app.example/client.json", "App", ("http://127.0.0.1/callback",))
CONFIDENTIAL = Client(
    "a-client",
    "App",
    ("https://app.example/callback",),
    auth_method="client_secret_basic",
    secret_digest=secret_digest(KEY, "s:e%c r+t"),
)


def basic(client_id: str, secret: str) -> str:
    pair = f"{quote(client_id, safe='')}:{quote(secret, safe='')}"
    return "Basic " + base64.b64encode(pair.encode()).decode()


@pytest.mark.parametrize(
    ("authorization", "form"),
    [
        (basic("a-client", "s:e%c r+t"), {}),  # without client_id in the form
        (basic("a-client", "s:e%c r+t"), {"client_id": "a-client"}),
        ("", {"client_id": "a-client", "client_secret": "s:e%c r+t"}),
    ],
)
def test_a_secret_proves_a_client_in_the_header_or_in_the_form(
    authorization: str, form: dict[str, str]
) -> None:
    given = client_credentials(authorization, form)

    assert given.client_id == "a-client"
    assert require_proved(CONFIDENTIAL, given, KEY) is CONFIDENTIAL


@pytest.mark.parametrize(
    ("authorization", "form"),
    [
        ("", {"client_id": PUBLIC.client_id}),
        (basic(PUBLIC.client_id, ""), {}),
    ],
)
def test_a_public_client_is_taken_at_its_word(authorization: str, form: dict[str, str]) -> None:
    given = client_credentials(authorization, form)

    assert given.client_id == PUBLIC.client_id
    assert require_proved(PUBLIC, given, KEY) is PUBLIC


@pytest.mark.parametrize(
    ("authorization", "form"),
    [
        ("", {}),
        ("Basic !!!", {}),
        ("Basic " + base64.b64encode(b"no colon").decode(), {}),
        ("Basic " + base64.b64encode(b"\xff:\xff").decode(), {}),
        (basic("a-client", "wrong"), {}),
        (basic("a-client", ""), {}),
        (basic("a-client", "s:e%c r+t"), {"client_id": "another"}),
        (basic("a-client", "s:e%c r+t"), {"client_secret": "s:e%c r+t"}),
        ("", {"client_id": "a-client"}),
        ("", {"client_id": "a-client", "client_secret": "wrong"}),
        ("", {"client_id": "a-client", "client_secret": ""}),
    ],
)
def test_without_its_secret_a_client_is_not_known(authorization: str, form: dict[str, str]) -> None:
    with pytest.raises(OAuthRefused) as refused:
        require_proved(CONFIDENTIAL, client_credentials(authorization, form), KEY)

    assert (refused.value.error, refused.value.http_status) == (OAuthError.INVALID_CLIENT, 401)


@pytest.mark.parametrize(
    "resource",
    [
        "https://desk.example/mcp",
        "https://desk.example/mcp/",
        "https://desk.example:443/mcp",
        "https://DESK.example/mcp",
        "https://desk.example",
        "https://desk.example/",
        "",
    ],
)
def test_every_form_of_our_address_is_the_one_audience(resource: str) -> None:
    OAuthResource("https://desk.example").require([resource])


@pytest.mark.parametrize(
    "resource",
    [
        "https://evil.example/mcp",
        "http://desk.example/mcp",
        "https://desk.example:8443/mcp",
        "https://desk.example/other",
        "https://desk.example/mcp?x=1",
        "https://desk.example@evil.example/mcp",
        "https://evil.example@desk.example/mcp",
        "https://desk.example.evil.example/mcp",
        "https://desk.example:port/mcp",
        "https://[::1/mcp",
        "desk.example/mcp",
        "/mcp",
    ],
)
def test_another_resource_is_refused_also_beside_ours(resource: str) -> None:
    with pytest.raises(OAuthRefused) as refused:
        OAuthResource("https://desk.example").require(["https://desk.example/mcp", resource])

    assert refused.value.error is OAuthError.INVALID_TARGET


@pytest.mark.parametrize("text", [None, "", "openid offline_access"])
def test_who_asks_for_nothing_asks_for_what_an_assistant_usually_needs(text: str | None) -> None:
    scopes = asked_scopes(text)

    assert Scope.ORDERS_WRITE in scopes
    assert Scope.ORDERS_DELETE not in scopes


def test_scopes_that_nobody_knows_are_passed_over_beside_others() -> None:
    assert as_text(asked_scopes("orders:write mail:send orders:read")) == "orders:read orders:write"
    with pytest.raises(OAuthRefused) as refused:
        asked_scopes("mail:send")
    assert refused.value.error is OAuthError.INVALID_SCOPE
