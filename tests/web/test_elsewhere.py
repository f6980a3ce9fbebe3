"""An address that takes forms alone leads a person back, and tells a program what it takes; one
that is nobody's says so.
"""

import pytest

from orderdesk_app.routes import all_routes
from tests.web.browser_session import BrowserSession

BROWSER = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
FORMS = sorted(
    {route.path for route in all_routes() if "POST" in (route.methods or ())} - {"/sign-in/link"}
)
PAGES = {
    "console": "/console",
    "settings": "/settings",
    "stores": "/stores",
    "sign-in": "/sign-in",
    "sign-out": "/",
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
def test_the_agents_address_with_a_slash_is_told_to_go_without(
    ada: BrowserSession, method: str
) -> None:
    answer = ada.request(method, "/mcp/")

    assert answer.status_code == 404
    assert answer.json() == {
        "error": "not_found",
        "message": "The address is http://localhost:8080/mcp, without a slash at its end.",
    }


def test_an_address_that_is_nobodys_is_told_with_a_reference(ada: BrowserSession) -> None:
    person = ada.request("GET", "/no/such/page", headers=BROWSER)
    program = ada.request("GET", "/no/such/page", headers={"accept": "*/*"})

    assert person.status_code == 404
    assert "There is no such page" in person.text
    assert f"<code>{person.headers['x-request-id']}</code>" in person.text
    assert (program.status_code, program.json()["error"]) == (404, "not_found")
