"""Another site has the browser of a signed-in person send a form of ours (CSRF), or open our
websocket. Guards: the Origin, the form token of the session, the type of a form, and POST alone.
"""

from typing import Any

import pytest
from starlette.websockets import WebSocketDisconnect

from orderdesk_app.routes import forms
from orderdesk_app.routes.request_middleware import RequestMiddleware
from orderdesk_app.services.callers import Callers, allowed_callers
from orderdesk_app.services.sessions import FormTokens
from tests.attacks.cast import NEIGHBOUR, OWNER, Cast, encoded, every_method, post, switched_off
from tests.attacks.cast import forms as every_form
from tests.web.browser_session import ORIGIN, Tab

OTHER_SITES = (
    "https://evil.example",
    "http://localhost:8080.evil.example",
    "http://evil.example:8080",
    "https://localhost:8080",
    "http://localhost:8081",
    "null",
)
_FORM_TYPE = "application/x-www-form-urlencoded"
# What a page of another site can send without asking us first: these types, and none.
_TYPES = ("text/plain", "multipart/form-data; boundary=x", "application/json", "")
_NEW_KEY = (("name", "Evil"), ("scopes", "orders:read"))


def names_of_keys(cast: Cast) -> list[str]:
    services = cast.web.services
    return [key.name for key in cast.web.do(services.keys.list, cast[OWNER].actor)]


@pytest.mark.parametrize("path", every_form())
def test_no_form_is_taken_from_another_site(cast: Cast, path: str) -> None:
    owner = cast[OWNER]
    fields = encoded(("form_token", owner.form_token()), *_NEW_KEY)

    for origin in OTHER_SITES:
        assert post(owner, path, fields, origin=origin).status_code == 403, origin
    for referer in ("", f"{ORIGIN}/settings"):
        assert post(owner, path, fields, origin="", referer=referer).status_code == 403
    twice = [("origin", ORIGIN), ("origin", "https://evil.example"), ("content-type", _FORM_TYPE)]
    assert owner.web.client.post(path, content=fields, headers=twice).status_code == 403


@pytest.mark.parametrize("path", every_form())
def test_no_form_is_taken_in_the_type_of_something_else(cast: Cast, path: str) -> None:
    owner = cast[OWNER]
    fields = encoded(("form_token", owner.form_token()), *_NEW_KEY)

    for kind in _TYPES:
        assert post(owner, path, fields, content_type=kind).status_code == 403, kind


@pytest.mark.parametrize("path", every_form())
def test_no_form_of_a_session_is_taken_without_its_own_token(cast: Cast, path: str) -> None:
    owner = cast[OWNER]
    theirs = cast[NEIGHBOUR].form_token()
    own = owner.form_token()
    before = names_of_keys(cast)

    for token in ("", "x", theirs, own[:-1], f"{own}x", own.upper(), f"{own},{own}"):
        answer = post(owner, path, encoded(("form_token", token), *_NEW_KEY))
        elsewhere = post(owner, f"{path}?{encoded(('form_token', own))}", encoded(*_NEW_KEY))

        if needs_token(path):
            assert (answer.status_code, elsewhere.status_code) == (403, 403), token
    assert names_of_keys(cast) == before


def needs_token(path: str) -> bool:
    """Whether the form is one of a session; those of strangers have none to be bound to."""
    return path in {
        address
        for method, address, route in every_method()
        if method == "POST" and allowed_callers(route.endpoint) is not Callers.ANYBODY
    }


def test_no_form_is_sent_by_a_link(cast: Cast) -> None:
    owner = cast[OWNER]
    readable = {address for method, address, _ in every_method() if method == "GET"}
    before = names_of_keys(cast)

    for path in set(every_form()) - readable:
        query = encoded(("form_token", owner.form_token()), *_NEW_KEY)
        for method in ("GET", "HEAD", "PUT", "PATCH", "DELETE"):
            answer = owner.request(method, f"{path}?{query}", headers={"accept": "text/html"})
            assert answer.status_code in (303, 405), (method, path)
    assert names_of_keys(cast) == before
    assert owner.web.do(owner.web.services.sessions.resume, owner.cookie) is not None


def test_no_page_of_another_site_gets_a_websocket(cast: Cast) -> None:
    owner = cast[OWNER]

    for origin in OTHER_SITES:
        with pytest.raises(WebSocketDisconnect):
            Tab(owner.web, owner.cookie, "forged", origin=origin).__enter__()


# ------------------------------------------------------------------ with a guard off, they work


def test_without_the_check_of_the_origin_the_form_would_be_taken(cast: Cast) -> None:
    owner = cast[OWNER]
    fields = encoded(("form_token", owner.form_token()), *_NEW_KEY)

    with switched_off(forms, "is_same_origin", lambda *_: True):
        post(owner, "/settings/keys/create", fields, origin="")

    assert "Evil" in names_of_keys(cast)


def test_without_the_token_the_form_would_be_taken(cast: Cast) -> None:
    owner, before = cast[OWNER], len(names_of_keys(cast))

    with switched_off(FormTokens, "check", lambda *_: None):
        post(owner, "/settings/keys/create", encoded(("form_token", "x"), *_NEW_KEY))

    assert len(names_of_keys(cast)) == before + 1


def test_without_the_middleware_another_site_would_have_a_websocket(cast: Cast) -> None:
    owner = cast[OWNER]
    serve = RequestMiddleware.__call__

    async def as_our_own(self: Any, scope: Any, receive: Any, send: Any) -> None:
        others = [pair for pair in scope.get("headers", ()) if pair[0] != b"origin"]
        scope["headers"] = [*others, (b"origin", ORIGIN.encode())]
        await serve(self, scope, receive, send)

    with (
        switched_off(RequestMiddleware, "__call__", as_our_own),
        Tab(owner.web, owner.cookie, "forged", origin="https://evil.example") as tab,
    ):
        tab.act("home_state.load")

    assert tab.vars["home_state.loaded"] is True
