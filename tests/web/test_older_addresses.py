"""Addresses of the older system lead on."""

import pytest

from tests.web.browser_session import Web


@pytest.mark.parametrize(
    ("old", "page"),
    [
        ("/signup", "/sign-up"),
        ("/webui/signup", "/sign-up"),
        ("/webui/signup/", "/sign-up"),
        ("/webui/login", "/sign-in"),
        ("/webui/users", "/users"),
        ("/webui/stores", "/stores"),
        ("/webui/console?tool=orders_get", "/console?tool=orders_get"),
        ("/webui/settings", "/settings"),
        ("/webui/settings?next=https://evil.example/<b>", "/settings"),
        ("/webui/verify/abc.DEF-1_2", "/verify?token=abc.DEF-1_2"),
        ("/webui/verify/a%22b", "/sign-up"),
        ("/webui//evil.example", "/"),
        ("/webui", "/"),
        ("/webui/", "/"),
        ("/webui/dashboard?x=1", "/"),
    ],
)
def test_an_older_address_leads_to_the_page_of_that_name(web: Web, old: str, page: str) -> None:
    answer = web.client.get(old)

    assert answer.status_code == 307
    assert answer.headers["location"] == page
