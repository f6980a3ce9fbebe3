"""A client that knows two servers is led to ours while it believes that it speaks to the other, and
would give that one the code of ours (RFC 9207). Guard: every answer says who gives it.
"""

from typing import Any

import pytest

from orderdesk_app.services.oauth_authorization import AuthorizationRequests
from tests.attacks.cast import OWNER, Cast, switched_off
from tests.oauth import answer_in, query
from tests.web.browser_session import ORIGIN
from tests.web.oauth_app import App

EVIL = "https://evil.example"


@pytest.fixture(scope="module")
def app(cast: Cast) -> App:
    return App(cast[OWNER], "an-app-of-two-servers")


def where_the_code_goes(answer: dict[str, str], expected: str, *, needs_issuer: bool) -> str | None:
    """The server to which a client sends the code that began with `expected`; None where it stops
    (RFC 9207 section 2.4).
    """
    issuer = answer.get("iss")
    if issuer is None and needs_issuer:
        return None
    return expected if issuer in (None, expected) else None


def answers(app: App) -> list[dict[str, str]]:
    """To a request that the person approves, one that they refuse, and one with a mistake."""
    requests, actor = app.web.services.authorization_requests, app.person.actor
    client_id = app.client.client_id

    async def both() -> list[str]:
        request = await requests.look(query(client_id), actor)
        approved = await requests.approve(
            actor, request, scopes=request.scopes, store_ids=None, is_read_only=False
        )
        return [approved, await requests.refuse(actor, request)]

    found = app.web.do(both)
    mistake = app.person.get(f"/authorize?{query(client_id, response_type='token')}")
    return [answer_in(address) for address in (*found, mistake.headers["location"])]


def test_every_answer_names_our_server(app: App) -> None:
    for answer in answers(app):
        assert answer["iss"] == ORIGIN
        assert where_the_code_goes(answer, EVIL, needs_issuer=False) is None
        assert where_the_code_goes(answer, ORIGIN, needs_issuer=True) == ORIGIN


def test_without_the_issuer_the_other_server_gets_the_code(app: App) -> None:
    plain = AuthorizationRequests.approve

    async def nameless(self: Any, *arguments: Any, **choice: Any) -> str:
        return (await plain(self, *arguments, **choice)).partition("&iss=")[0]

    with switched_off(AuthorizationRequests, "approve", nameless):
        [approved, *_] = answers(app)

    assert approved["code"]
    assert where_the_code_goes(approved, EVIL, needs_issuer=False) == EVIL
