"""An address that takes forms alone leads a person back, and tells a program what it takes; one
that is nobody's says so.
"""

from typing import Any

import pytest

from orderdesk_app.routes import all_routes
from orderdesk_app.routes.oauth import FOR_PROGRAMS
from tests.web.browser_session import ORIGIN, BrowserSession

BROWSER = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
FORMS = sorted(
    {route.path for route in all_routes() if "POST" in (route.methods or ())}
    - {route.path for route in all_routes() if "GET" in (route.methods or ())}
    - FOR_PROGRAMS
)
PAGES = {
    "account": "/account",
    "apps": "/apps",
    "confirm": "/confirm",
    "console": "/console",
    "people": "/people",
    "settings": "/settings",
    "connect": "/connect",
    "stores": "/stores",
    "sign-in": "/sign-in",
    "sign-out": "/",
    "sign-up": "/sign-up",
    "users": "/users",
}


@pytest.mark.parametrize("path", FORMS)
def test_the_address_of_a_form_leads_to_its_page(ada: BrowserSession, path: str) -> None:
    answer = ada.request("GET", path, headers=BROWSER)

    assert (answer.status_code, answer.headers["location"]) == (303, PAGES[path.split("/")[1]])


@pytest.mark.parametrize("path", FORMS)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_a_program_is_told_that_the_address_takes_forms(
    ada: BrowserSession, method: str, path: str
) -> None:
    answer = ada.request(method, path, headers={"accept": "*/*"})

    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert answer.json() == {
        "error": "method_not_allowed",
        "message": "This address takes POST alone.",
    }


def test_an_address_of_two_routes_takes_the_methods_of_both(ada: BrowserSession) -> None:
    answer = ada.request("PUT", "/sign-in/link", headers=BROWSER)

    assert answer.headers["allow"] == "GET, HEAD, POST"


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_agents_address_is_served_with_a_slash_too(ada: BrowserSession, method: str) -> None:
    headers = {"authorization": f"Bearer {ada.key.reveal()}"}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}

    answers = [
        ada.request(method, path, headers=headers, **({"json": body} if method == "POST" else {}))
        for path in ("/mcp", "/mcp/")
    ]

    assert [answer.status_code for answer in answers] == [200 if method == "POST" else 405] * 2
    assert answers[0].json() == answers[1].json()


METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
NOWHERE = ("/no/such/page", "/nowhere", "/.env", "/mcp/tools", "/health/", "/assets/x.js", "/a.php")
PROGRAMS: tuple[dict[str, Any], ...] = (
    {"headers": {"accept": "application/json"}},
    {"headers": {"accept": "application/json, text/plain, */*"}},
    {"headers": {"accept": "text/html;q=0.5, application/problem+json"}},
    {"headers": {"accept": "*/*"}, "json": {"a": 1}},
    {"headers": {**BROWSER, "content-type": "Application/JSON; charset=utf-8"}},
    {"headers": {"accept": "*/*"}},
    {"headers": {"accept": ""}},
)


@pytest.mark.parametrize("given", PROGRAMS, ids=range(len(PROGRAMS)))
@pytest.mark.parametrize("method", METHODS)
def test_a_program_is_answered_in_json_at_every_unknown_address(
    ada: BrowserSession, method: str, given: dict[str, Any]
) -> None:
    for path in NOWHERE:
        answer = ada.request(method, path, **given)

        assert answer.status_code == 404, path
        assert answer.headers["content-type"] == "application/json", path
        if method != "HEAD":
            assert answer.json()["error"] == "not_found"


@pytest.mark.parametrize(("path", "status"), [("/", 405), ("/sse", 404), ("/api/mcp", 404)])
def test_an_agent_at_the_wrong_address_is_told_the_right_one(
    ada: BrowserSession, path: str, status: int
) -> None:
    answer = ada.request("POST", path, json={"jsonrpc": "2.0", "id": 1, "method": "initialize"})

    assert answer.status_code == status
    assert answer.json()["message"].endswith(" An MCP client connects to /mcp.")


@pytest.mark.parametrize("method", METHODS)
def test_a_person_is_shown_a_page_at_every_unknown_address(
    ada: BrowserSession, method: str
) -> None:
    for path in NOWHERE:
        answer = ada.request(method, path, headers=BROWSER)

        assert answer.status_code == 404, path
        assert answer.headers["content-type"].startswith("text/html"), path


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("path", ["/health", "/sign-in/link", "/ping"])  # the last: Reflex's
def test_the_wrong_method_is_told_in_the_form_that_was_asked_for(
    ada: BrowserSession, path: str, method: str
) -> None:
    if (path, method) == ("/sign-in/link", "POST"):
        return
    for given in PROGRAMS:
        program = ada.request(method, path, **given)
        assert program.status_code == 405
        assert program.json()["error"] == "method_not_allowed"
    person = ada.request(method, path, headers=BROWSER)

    assert person.status_code == 405
    assert person.headers["content-type"].startswith("text/html")
    assert "GET" in person.headers["allow"]
    assert "GET" in program.headers["allow"]


@pytest.mark.parametrize("path", FORMS)
def test_a_form_that_comes_from_a_program_is_refused_in_json(
    ada: BrowserSession, path: str
) -> None:
    answer = ada.request("POST", path, json={"key": "x"}, headers={"origin": ORIGIN, **BROWSER})

    assert answer.status_code == 403
    assert "accepts forms only" in answer.json()["message"]


# What clients guess where they have not read our metadata, and what it does not name.
OAUTH = (
    ("GET", "/.well-known/jwks.json", 404),
    ("GET", "/.well-known/oauth-authorization-server/other", 404),
    ("GET", "/other/.well-known/openid-configuration", 404),
    ("POST", "/oauth/register", 403),
    ("POST", "/mcp/register", 403),
    ("GET", "/oauth2/authorize", 403),
    ("POST", "/oauth/token/", 403),
    ("POST", "/introspect", 403),
    ("POST", "/device_authorization", 403),
)


@pytest.mark.parametrize(("method", "path", "status"), OAUTH)
def test_clients_that_look_for_oauth_elsewhere_are_told_where_it_is(
    ada: BrowserSession, method: str, path: str, status: int
) -> None:
    for given in (*PROGRAMS, {"data": {"grant_type": "refresh_token"}}):
        if method == "GET" and ("json" in given or "data" in given):
            continue
        answer = ada.request(method, path, **given)

        assert answer.status_code == status
        assert "/.well-known/oauth-authorization-server" in answer.json()["error_description"]
        assert answer.json()["message"] == answer.json()["error_description"]
        # mcp-remote takes these for the sign of an older transport or of a sign-in to come
        for word in ("404", "405", "Not Found", "Method Not Allowed", "Unauthorized"):
            assert word not in answer.text
    person = ada.request(method, path, headers=BROWSER)

    assert person.status_code == status
    assert "Nothing is here" in person.text


def test_an_address_that_is_nobodys_is_told_with_a_reference(ada: BrowserSession) -> None:
    person = ada.request("GET", "/no/such/page", headers=BROWSER)
    program = ada.request("GET", "/no/such/page", headers={"accept": "*/*"})

    assert person.status_code == 404
    assert "There is no such page" in person.text
    assert f"<code>{person.headers['x-request-id']}</code>" in person.text
    assert (program.status_code, program.json()["error"]) == (404, "not_found")
