"""A page of ours is drawn inside another site, which has somebody click in it; or a page with a
secret stays in a cache, where the next user of the machine or a proxy finds it. Guards: the headers
of every answer, and `no-store` on all that differs by session.
"""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.routing import Route

from orderdesk_app.routes import html_pages
from orderdesk_app.routes.headers import SecurityHeaders
from orderdesk_app.routes.oauth import is_for_programs
from tests.attacks.cast import (
    ANONYMOUS,
    OWNER,
    Cast,
    ask,
    encoded,
    every_method,
    post,
    switched_off,
)
from tests.web.browser_session import Web

ALWAYS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
PUBLIC = "cache-control: public, max-age=300"
# What the developer's outbox frames is its own: a mail, in a sandbox (routes/outbox.py).
FRAMED_BY_US = "/outbox/{mail_id}/html"


def answers(cast: Cast, who: str) -> Iterator[tuple[str, Route, Any]]:
    for method, address, route in every_method():
        if method in ("GET", "POST"):
            yield f"{method} {address}", route, ask(cast, who, method, route)
            cast.sign_in_again(who)


def faults_of(answer: Any, *, may_be_framed: bool = False) -> list[str]:
    headers = answer.headers
    found = [name for name, value in ALWAYS.items() if headers.get(name) != value]
    policy = headers.get("content-security-policy", "")
    if not may_be_framed and "frame-ancestors 'none'" not in policy:
        found.append("frame-ancestors")
    if not may_be_framed and headers.get("x-frame-options") != "DENY":
        found.append("x-frame-options")
    if re.search(r"script-src[^;]*'unsafe", policy) or "default-src" not in policy:
        found.append("scripts")
    if "no-store" not in headers.get("cache-control", ""):
        found.append(f"cache-control: {headers.get('cache-control')}")
    return found


@pytest.mark.parametrize("who", [ANONYMOUS, OWNER])
def test_every_answer_is_framed_by_nobody_and_kept_by_nobody(cast: Cast, who: str) -> None:
    wrong = {
        name: faults
        for name, route, answer in answers(cast, who)
        if (faults := faults_of(answer, may_be_framed=route.path == FRAMED_BY_US))
        # metadata is the same for everybody
        and not (is_for_programs(route.path) and faults == [PUBLIC])
    }

    assert not wrong, wrong


def test_no_answer_lets_another_site_read_it(cast: Cast) -> None:
    for name, route, answer in answers(cast, OWNER):
        if not is_for_programs(route.path):
            assert "access-control-allow-origin" not in answer.headers, name


def test_a_page_that_shows_a_key_is_kept_by_nobody(cast: Cast) -> None:
    owner = cast[OWNER]
    fields = [("form_token", owner.form_token()), ("name", "Claude"), ("scopes", "orders:read")]

    answer = post(owner, "/settings/keys/create", encoded(*fields))

    assert "odk_" in answer.text
    assert faults_of(answer) == []
    assert answer.headers["cache-control"] == "no-store"
    assert "etag" not in answer.headers
    assert "last-modified" not in answer.headers


# ------------------------------------------------------------------ with the guards off


def test_without_its_headers_a_page_could_be_framed_and_kept(
    cast: Cast, served: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def bare(self: Any, scope: Any, receive: Any, send: Any) -> None:
        await self._app(scope, receive, send)

    monkeypatch.setattr(SecurityHeaders, "__call__", bare)
    plain = html_pages.HTMLResponse

    with switched_off(html_pages, "HTMLResponse", lambda body, status, _: plain(body, status)):
        answer = cast[ANONYMOUS].get("/sign-in")

    assert {"frame-ancestors", "x-frame-options", "cache-control: None"} <= set(faults_of(answer))
