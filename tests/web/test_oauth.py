"""OAuth over HTTP: what clients read before they connect, the addresses where they fetch tokens,
and what `/mcp` says to a caller who lacks something. Pages of other sites may use these, and no
others.
"""

import base64
import re
from typing import Any

import pytest
from mcp.shared.auth import OAuthMetadata, OAuthToken, ProtectedResourceMetadata
from sqlmodel import col, update

from orderdesk_app.context import Role, Scope
from orderdesk_app.db.memberships import Membership
from orderdesk_app.routes import all_routes
from orderdesk_app.routes.oauth import FOR_PROGRAMS, is_for_programs
from orderdesk_app.services.limits import Limit
from orderdesk_app.services.oauth_client import secret_digest
from orderdesk_app.services.oauth_resource import USUAL_SCOPES
from tests.oauth import VERIFIER
from tests.web.browser_session import ORIGIN, BrowserSession, Web
from tests.web.oauth_app import App, ask, calling
from tests.worlds import counted

TOKENS = ("/token", "/revoke")
FOREIGN = "https://inspector.example"
AUDIENCE = f"{ORIGIN}/mcp"
MODERN = "2026-07-28"


@pytest.fixture
def app(ada: BrowserSession) -> App:
    return App(ada, f"an-app-{ada.view.id}")


def modern(body: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """The same request as of 2026-07-28, and its headers."""
    meta = {
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientInfo": {"name": "tests", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    headers = {
        "mcp-protocol-version": MODERN,
        "mcp-method": body["method"],
        "mcp-name": body["params"]["name"],
    }
    return {**body, "params": {**body["params"], "_meta": meta}}, headers


def challenge(answer: Any) -> dict[str, str]:
    """The parameters of WWW-Authenticate."""
    scheme, _, rest = answer.headers["www-authenticate"].partition(" ")
    assert scheme == "Bearer"
    return dict(re.findall(r'(\w+)="([^"]*)"', rest))


# ------------------------------------------------------------------ metadata

ASKED = [
    f"{form}{end}"
    for form in ("/.well-known/{name}", "/.well-known/{name}/mcp", "/mcp/.well-known/{name}")
    for end in ("", "/", "?client=any")
]


@pytest.mark.parametrize("form", ASKED)
def test_the_protected_resource_is_one_audience_in_every_form(web: Web, form: str) -> None:
    answer = web.client.get(form.format(name="oauth-protected-resource"))

    assert answer.status_code == 200
    said = answer.json()
    assert said["resource"] == AUDIENCE
    assert said["authorization_servers"] == [ORIGIN]  # to the byte: without a slash
    assert said["bearer_methods_supported"] == ["header"]
    # what is asked for at first; the rest is asked for when it is needed (MCP, authorization)
    assert set(said["scopes_supported"]) == {scope.value for scope in USUAL_SCOPES}
    ProtectedResourceMetadata.model_validate(said)


@pytest.mark.parametrize("name", ["oauth-authorization-server", "openid-configuration"])
@pytest.mark.parametrize("form", ASKED)
def test_the_authorization_server_is_described_in_every_form(
    web: Web, form: str, name: str
) -> None:
    said = web.client.get(form.format(name=name)).json()

    assert said["issuer"] == ORIGIN
    assert set(said["scopes_supported"]) == {scope.value for scope in Scope}
    for endpoint in ("authorization", "token", "registration", "revocation"):
        assert said[f"{endpoint}_endpoint"].startswith(f"{ORIGIN}/")
    assert said["code_challenge_methods_supported"] == ["S256"]
    assert "none" in said["token_endpoint_auth_methods_supported"]
    assert said["authorization_response_iss_parameter_supported"] is True
    assert said["client_id_metadata_document_supported"] is True
    OAuthMetadata.model_validate(said)


# ------------------------------------------------------------------ other sites

OPEN = sorted({route.path for route in all_routes() if is_for_programs(route.path)})


@pytest.mark.parametrize("path", OPEN)
def test_pages_of_other_sites_may_use_what_clients_need(web: Web, path: str) -> None:
    method = "POST" if path in FOR_PROGRAMS else "GET"
    before = web.client.options(
        path, headers={"origin": FOREIGN, "access-control-request-method": method}
    )
    answer = web.client.request(method, path, headers={"origin": FOREIGN})

    assert before.status_code == 204
    for each in (before, answer):
        assert each.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in each.headers
    assert answer.status_code != 403


def test_and_nothing_else(ada: BrowserSession) -> None:
    others = {route.path for route in all_routes()} - set(OPEN)

    for path in sorted(others | {"/mcp", "/", "/stores", "/_event"}):
        answer = ada.request("GET", path, headers={"origin": FOREIGN})
        assert answer.status_code == 403, path
        assert "access-control-allow-origin" not in answer.headers, path


# ------------------------------------------------------------------ tokens


def test_a_code_and_a_refresh_give_tokens_that_nobody_caches(app: App) -> None:
    answer = app.exchange(app.code(), resource=AUDIENCE)
    first = OAuthToken.model_validate(answer.json())
    refreshed = app.send(grant_type="refresh_token", refresh_token=first.refresh_token or "")

    assert answer.headers["cache-control"] == refreshed.headers["cache-control"] == "no-store"
    assert refreshed.status_code == 200
    second = refreshed.json()
    assert second["refresh_token"] != first.refresh_token
    assert ask(app.web, second["access_token"]).status_code == 200
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"grant_type": ""}, "invalid_request"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"code": ""}, "invalid_request"),
        ({"code": "x"}, "invalid_grant"),
        ({"code": "x" * 5_000}, "invalid_request"),
        ({"code_verifier": ""}, "invalid_request"),
        ({"code_verifier": "x" * 43}, "invalid_grant"),
        ({"redirect_uri": "https://evil.example"}, "invalid_grant"),
        ({"resource": "https://evil.example/mcp"}, "invalid_target"),
        ({"client_id": "unknown"}, "invalid_client"),
        ({"client_id": ""}, "invalid_client"),
    ],
)
def test_a_wrong_request_is_told_by_the_codes_of_oauth_and_the_code_still_works(
    app: App, form: dict[str, str], error: str
) -> None:
    code = app.code()
    before = counted("oauth_refused", reason=error)

    answer = app.exchange(**{"code": code, **form})

    assert answer.status_code == (401 if error == "invalid_client" else 400)
    assert answer.json()["error"] == error
    assert answer.json()["error_description"]
    assert counted("oauth_refused", reason=error) == before + 1
    assert app.exchange(code).status_code == 200


def test_a_refresh_is_never_refused_for_what_the_person_has_taken_away(app: App) -> None:
    """Some clients name at each refresh what they asked for at first."""
    asked = "orders:read orders:write"
    first = app.connect(scope=asked)["refresh_token"]
    app.connect(scope="orders:read")

    def refreshed(token: str, scope: str) -> Any:
        return app.send(grant_type="refresh_token", refresh_token=token, scope=scope)

    narrowed = refreshed(first, asked)

    assert narrowed.json()["scope"] == "orders:read"
    token = narrowed.json()["refresh_token"]
    for other in ("orders:delete", "no:scope"):
        assert refreshed(token, other).json()["error"] == "invalid_scope"
    assert refreshed(token, "offline_access openid").json()["scope"] == "orders:read"


@pytest.mark.parametrize("name", ["grant_type", "code", "client_id", "code_verifier", "scope"])
def test_a_value_that_is_sent_twice_is_no_request(app: App, name: str) -> None:
    form = {
        "grant_type": "authorization_code",
        "client_id": app.client.client_id,
        "code": app.code(),
        "code_verifier": VERIFIER,
        "scope": "orders:read",
    }
    ours = {"resource": [AUDIENCE, f"{AUDIENCE}/"]}

    twice = app.web.client.post("/token", data={**form, **ours, name: [form[name]] * 2})
    once = app.web.client.post("/token", data={**form, **ours})

    assert (twice.status_code, twice.json()["error"]) == (400, "invalid_request")
    assert once.status_code == 200


def test_a_form_is_one_in_any_spelling_of_its_type(app: App) -> None:
    kind = "Application/X-WWW-Form-Urlencoded; charset=UTF-8"

    assert app.exchange(app.code(), headers={"content-type": kind}).status_code == 200  # type: ignore[arg-type]


def test_whoever_is_not_known_is_told_how_to_prove_it(app: App) -> None:
    answer = app.exchange(app.code(), client_id="nobody")

    assert answer.headers["www-authenticate"] == 'Basic realm="orderdesk"'


def test_a_body_that_is_no_form_is_refused(app: App) -> None:
    for given in ({"json": {"grant_type": "refresh_token"}}, {"content": b"\xff=1"}):
        answer = app.web.client.post("/token", **given)  # type: ignore[arg-type]
        assert 400 <= answer.status_code < 500
        assert answer.json()["error"] == "invalid_request"


def test_a_confidential_client_proves_itself_in_the_header_or_in_the_form(
    ada: BrowserSession,
) -> None:
    secret = "a secret of a client"
    app = App(
        ada,
        f"confidential-{ada.view.id}",
        auth_method="client_secret_basic",
        secret_digest=secret_digest(ada.web.services.keyring.digest_key, secret),
    )
    pair = base64.b64encode(f"{app.client.client_id}:{secret}".encode()).decode()
    wrong = base64.b64encode(f"{app.client.client_id}:wrong".encode()).decode()

    refused = app.exchange(app.code())
    misled = app.exchange(app.code(), client_id="", headers={"authorization": f"Basic {wrong}"})  # type: ignore[arg-type]
    in_form = app.exchange(app.code(), client_secret=secret)
    in_header = app.exchange(app.code(), client_id="", headers={"authorization": f"Basic {pair}"})  # type: ignore[arg-type]

    assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")
    assert (misled.status_code, misled.headers["www-authenticate"]) == (
        401,
        'Basic realm="orderdesk"',
    )
    assert (in_form.status_code, in_header.status_code) == (200, 200)


def test_a_revoked_token_is_refused_at_once_and_an_unknown_one_is_no_error(app: App) -> None:
    pair = app.connect()
    assert ask(app.web, pair["access_token"]).status_code == 200

    unknown = app.send("/revoke", token="oda_unknown")
    revoked = app.send("/revoke", token=pair["refresh_token"], token_type_hint="access_token")
    nothing = app.send("/revoke")

    assert (unknown.status_code, revoked.status_code, revoked.content) == (200, 200, b"")
    assert (nothing.status_code, nothing.json()["error"]) == (400, "invalid_request")
    answer = ask(app.web, pair["access_token"])
    assert answer.status_code == 401
    assert challenge(answer)["error"] == "invalid_token"


def test_many_failures_of_a_network_are_told_to_wait_and_successes_cost_nothing(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = Limit("token_requests", per_minute=1, burst=2, words="Too many.")
    monkeypatch.setattr(app.web.services.limits, "token_requests", few)

    for _ in range(3):
        assert app.exchange(app.code()).status_code == 200
    for _ in range(2):
        assert app.exchange("wrong").status_code == 400
    answer = app.exchange(app.code())

    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.json()["error"] == "temporarily_unavailable"


@pytest.mark.parametrize("path", ["/token", "/revoke", "/register"])
def test_every_answer_says_what_the_network_has_left_to_any_page(app: App, path: str) -> None:
    def left() -> list[int]:
        answer = app.send(path, {"origin": "https://inspector.example"})
        assert answer.status_code == 400
        exposed = answer.headers["access-control-expose-headers"].lower().split(", ")
        names = ("ratelimit-limit", "ratelimit-remaining", "ratelimit-reset")
        assert {*names, "retry-after"} <= set(exposed)
        return [int(answer.headers[name]) for name in names]

    limits = app.web.services.limits
    limit = limits.registrations if path == "/register" else limits.token_requests
    first, second = left(), left()

    assert first[0] == second[0] == limit.rules.capacity
    assert 0 <= second[1] <= first[1] <= first[0]


def test_success_says_what_is_left_too(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    few = Limit("token_requests", per_minute=1, burst=5, words="Too many.")
    monkeypatch.setattr(app.web.services.limits, "token_requests", few)
    app.exchange("wrong")

    answer = app.exchange(app.code())

    assert answer.status_code == 200
    assert answer.headers["ratelimit-remaining"] == "4"
    assert "retry-after" not in answer.headers


def test_a_person_who_opens_an_address_of_programs_gets_a_page(ada: BrowserSession) -> None:
    for path in TOKENS:
        answer = ada.request("GET", path, headers={"accept": "text/html"})
        assert answer.status_code == 405
        assert "That cannot be done here" in answer.text


# ------------------------------------------------------------------ /mcp


@pytest.mark.parametrize("path", ["/mcp", "/mcp/"])
def test_a_401_says_where_tokens_come_from_and_no_error_without_one(web: Web, path: str) -> None:
    web.client.cookies.clear()
    for answer in (web.client.post(path), web.client.get(path)):
        said = challenge(answer)
        assert answer.status_code == 401
        assert "error" not in said
        assert said["resource_metadata"] == f"{ORIGIN}/.well-known/oauth-protected-resource/mcp"
        assert "orders:write" in said["scope"].split()
        assert "orders:delete" not in said["scope"].split()
    wrong = challenge(ask(web, "oda_" + "x" * 43))
    assert wrong["error"] == "invalid_token"
    assert wrong["resource_metadata"]
    assert web.client.get(wrong["resource_metadata"].removeprefix(ORIGIN)).status_code == 200


def test_a_token_is_for_mcp_alone(app: App) -> None:
    token = app.connect(scope=" ".join(Scope))["access_token"]
    bearer = {"authorization": f"Bearer {token}"}

    assert ask(app.web, token).status_code == 200
    assert app.web.client.get("/health/detailed", headers=bearer).status_code == 401
    app.web.client.cookies.clear()
    assert app.web.client.post(f"/mcp?token={token}", json={}).status_code == 401
    for path in ("/account/export", "/stores"):
        assert app.web.client.get(path, headers=bearer).status_code != 200
    refresh = app.connect()["refresh_token"]
    assert ask(app.web, refresh).status_code == 401


@pytest.mark.parametrize("is_modern", [False, True])
def test_an_app_without_a_permission_is_asked_to_come_back_with_it(
    app: App, is_modern: bool
) -> None:
    token = app.connect(scope="orders:read orders:write")["access_token"]
    body, headers = calling("orders_delete", order_id="1"), {}
    if is_modern:
        body, headers = modern(body)

    refusals = {"tool": "orders_delete", "outcome": "PERMISSION_DENIED", "via": "mcp"}
    before = counted("tool_calls", **refusals)

    answer = ask(app.web, token, body, **headers)

    assert answer.status_code == 403
    assert counted("tool_calls", **refusals) == before + 1
    said = challenge(answer)
    assert said["error"] == "insufficient_scope"
    assert said["scope"].split() == ["orders:read", "orders:write", "orders:delete"]
    assert said["resource_metadata"]
    assert "Connect the app once more" in answer.json()["error"]["message"]
    wider = app.connect(scope=said["scope"])["access_token"]
    for each in (token, wider):  # it is the same app
        assert ask(app.web, each, body, **headers).status_code == 200


@pytest.mark.parametrize("headers", [{}, {"mcp-protocol-version": "2025-03-26"}], ids=["", "named"])
def test_of_a_batch_nothing_is_done_before_the_app_has_every_permission(
    app: App, headers: dict[str, str]
) -> None:
    token = app.connect(scope="stores:read orders:read")["access_token"]
    batch = [
        calling("stores_list"),
        7,
        calling("orders_delete", order_id="1"),
        calling("products_list"),
        calling("orders_delete", order_id="2"),
        calling("no_such_tool"),
    ]
    done = {"tool": "stores_list", "via": "mcp"}
    before = counted("tool_calls", **done)

    answer = ask(app.web, token, batch, **headers)

    assert answer.status_code == 403
    assert counted("tool_calls", **done) == before
    said = challenge(answer)
    assert said["error"] == "insufficient_scope"
    assert said["scope"].split() == ["stores:read", "orders:read", "orders:delete", "products:read"]
    assert "orders_delete, products_list" in answer.json()["error"]["message"]
    wider = app.connect(scope=said["scope"])["access_token"]
    assert ask(app.web, wider, batch, **headers).status_code == 200
    assert counted("tool_calls", **done) == before + 1


def test_a_batch_of_a_key_is_answered_message_by_message(ada: BrowserSession) -> None:
    _, key = ada.web.do(
        ada.web.services.keys.create, ada.actor, "Reader", frozenset({Scope.ORDERS_READ})
    )

    answer = ask(ada.web, key.reveal(), [calling("orders_delete", order_id="1")])

    assert answer.status_code == 200
    assert answer.json()[0]["result"]["isError"] is True


def test_who_sends_a_key_gets_the_tools_own_error(ada: BrowserSession) -> None:
    _, key = ada.web.do(
        ada.web.services.keys.create, ada.actor, "Reader", frozenset({Scope.ORDERS_READ})
    )

    answer = ask(ada.web, key.reveal(), calling("orders_delete", order_id="1"))

    assert answer.status_code == 200
    assert answer.json()["result"]["isError"] is True


def test_nobody_is_asked_for_what_their_role_does_not_allow(app: App) -> None:
    token = app.connect()["access_token"]

    async def demote() -> None:
        async with app.web.services.database.write() as session:
            await session.exec(
                update(Membership)
                .where(col(Membership.tenant_id) == app.person.view.id)
                .values(role=Role.MEMBER.value)
            )
            await app.web.services.signals.publish(session, f"tenant:{app.person.view.id}")

    app.web.do(demote)
    answer = ask(app.web, token, calling("stores_delete", store_identifier="x"))

    assert answer.status_code == 200
    assert answer.json()["result"]["isError"] is True


def test_an_app_hears_of_what_it_may_ask_for_later_and_not_of_what_was_taken_away(
    app: App,
) -> None:
    def listed(scope: str) -> set[str]:
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
        answer = ask(app.web, app.connect(scope=scope)["access_token"], body)
        return {tool["name"] for tool in answer.json()["result"]["tools"]}

    narrow, read_only = listed("orders:read orders:write"), listed("orders:read")

    assert {"orders_get", "orders_update", "orders_delete"} <= narrow
    assert "products_list" not in narrow
    assert "orders_get" in read_only
    assert not {"orders_update", "orders_delete"} & read_only
