"""OAuth clients register themselves at `/register`, from any origin."""

import gzip
import json
from typing import Any

import pytest

from orderdesk_app.services.client_registration import LARGEST_BODY
from tests.web.browser_session import Web

CLIENT = {
    "client_name": "Cursor",
    "redirect_uris": ["cursor://anysphere.cursor-mcp/oauth/callback"],
    "token_endpoint_auth_method": "none",
}


def register(web: Web, content: bytes | None = None, **headers: str) -> Any:
    return web.client.post(
        "/register",
        content=json.dumps(CLIENT).encode() if content is None else content,
        headers={"content-type": "application/json", **headers},
    )


def test_a_client_registers_itself_from_any_origin(web: Web) -> None:
    answer = register(web, origin="https://inspector.example")

    assert answer.status_code == 201
    assert int(answer.headers["ratelimit-remaining"]) < int(answer.headers["ratelimit-limit"])
    assert answer.json()["redirect_uris"] == CLIENT["redirect_uris"]
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["cache-control"] == "no-store"
    assert "set-cookie" not in answer.headers


def test_a_browser_may_ask_first(web: Web) -> None:
    answer = web.client.request(
        "OPTIONS",
        "/register",
        headers={
            "origin": "https://inspector.example",
            "access-control-request-method": "POST",
            "access-control-request-headers": "content-type",
        },
    )

    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "content-type" in answer.headers["access-control-allow-headers"].lower()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"null",
        b"{",
        b"\xff",
        b"[" * 10_000,
        b'{"a": ' * 2_000 + b"1" + b"}" * 2_000,
        b"redirect_uris=https%3A%2F%2Fa.example%2F",
    ],
)
def test_what_is_no_metadata_is_refused(web: Web, content: bytes) -> None:
    answer = register(web, content)

    assert answer.status_code == 400
    assert answer.json()["error"] in ("invalid_client_metadata", "invalid_redirect_uri")
    assert answer.headers["access-control-allow-origin"] == "*"


def test_metadata_that_are_too_large_are_refused(web: Web) -> None:
    answer = register(web, b'{"client_name": "' + b"x" * LARGEST_BODY + b'"}')

    assert answer.status_code == 413
    assert answer.json()["error"] == "invalid_client_metadata"


def test_a_packed_body_is_refused(web: Web) -> None:
    packed = gzip.compress(json.dumps(CLIENT).encode())

    answer = register(web, packed, **{"content-encoding": "gzip"})

    assert answer.json()["error"] == "invalid_client_metadata"


def test_a_redirect_that_runs_a_script_is_named(web: Web) -> None:
    answer = register(
        web, json.dumps({**CLIENT, "redirect_uris": ["javascript:alert(1)"]}).encode()
    )

    assert answer.status_code == 400
    assert answer.json() == {
        "error": "invalid_redirect_uri",
        "error_description": "A redirect URI cannot lead to javascript:.",
    }


def test_too_many_registrations_are_told_when_to_come_again(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        web.services.limits.registrations,
        "rules",
        type(web.services.limits.registrations.rules)(0.5, 0.01),
    )

    answer = register(web)

    assert answer.status_code == 429
    assert answer.json()["error"] == "temporarily_unavailable"
    assert int(answer.headers["retry-after"]) > 0
