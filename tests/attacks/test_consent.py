"""An app gets what nobody meant to give it: its consent page is drawn inside another site, its form
is sent by another site or filled with another request, a key that is held down approves it, it has
our name, or its faulty request makes a link to us a link to it. Guards: the headers of the page,
Origin and form token, the consent's own token, a recent proof, the role, the order of the buttons,
the names of apps, and a click.
"""

import re
from collections.abc import Mapping
from typing import Any

import pytest

from orderdesk_app.routes import consent, consent_page, forms
from orderdesk_app.routes.consent import request_address
from orderdesk_app.routes.headers import SecurityHeaders
from orderdesk_app.services import app_names, oauth_authorization
from orderdesk_app.services.consent import ConsentTokens
from orderdesk_app.services.reauthentication import Reauthentication
from orderdesk_app.services.sessions import FormTokens
from tests.attacks.cast import (
    ANONYMOUS,
    MEMBER,
    NEIGHBOUR,
    OPERATOR,
    OWNER,
    VIEWER,
    Cast,
    encoded,
    post,
    switched_off,
)
from tests.attacks.test_forged_forms import OTHER_SITES
from tests.attacks.test_framing_and_caches import faults_of
from tests.web.test_consent import App, codes, open_page, register

EVIL = "https://evil.example/callback"


@pytest.fixture
def evil(cast: Cast) -> App:
    """The attacker's own app."""
    return register(cast.web, "Claude", EVIL)


def answered(cast: Cast, who: str, fields: Mapping[str, str], **headers: str) -> Any:
    return post(cast[who], "/authorize", encoded(*fields.items()), **headers)


def shown(cast: Cast, who: str, app: App, **changes: str) -> dict[str, str]:
    """What that person's browser would send to approve the app."""
    return open_page(cast[who], app.address(**changes)).fields(decision="approve")


# ------------------------------------------------------------------ the page in another site


def test_the_page_is_framed_by_nobody_and_kept_by_nobody(cast: Cast, evil: App) -> None:
    for who in (OWNER, MEMBER, VIEWER, NEIGHBOUR, OPERATOR):
        found = faults_of(open_page(cast[who], evil.address()).answer)
        # the app's own window stays joined to it, and can do no more than lead it elsewhere
        assert found == ["cross-origin-opener-policy"]


def test_a_key_that_is_held_down_approves_nothing(cast: Cast, evil: App) -> None:
    """A window of another site leads to the page while somebody presses Enter or Space."""
    text = open_page(cast[OWNER], evil.address()).answer.text

    assert re.findall(r'name="decision" value="(\w+)"', text) == ["cancel", "approve"]
    assert "autofocus" not in text
    # and no double click that was meant for a window above it (tests/web/scripts)
    assert re.search(r'value="approve" class="button primary" data-settle="\d+"', text)
    buttons = re.findall(r"<button[^>]*>", text)
    assert not [button for button in buttons if " id=" in button]  # `#id` would focus it


# ------------------------------------------------------------------ a forged answer


def test_no_answer_is_taken_from_another_site(cast: Cast, evil: App) -> None:
    fields = shown(cast, OWNER, evil)

    for origin in (*OTHER_SITES, ""):
        assert answered(cast, OWNER, fields, origin=origin).status_code == 403, origin
    assert codes(cast.web, evil) == []


@pytest.mark.parametrize("who", [ANONYMOUS, MEMBER, VIEWER, NEIGHBOUR, OPERATOR])
def test_the_form_of_somebody_else_is_no_answer(cast: Cast, evil: App, who: str) -> None:
    """Whoever fills it in: their own form given to the owner, and the owner's taken by them."""
    owners = shown(cast, OWNER, evil)
    given = [(who, owners), (who, {**owners, "form_token": cast.form_token(who)})]
    if who != ANONYMOUS:
        theirs = open_page(cast[who], evil.address()).fields(decision="approve")
        given += [
            (OWNER, theirs),
            (OWNER, {**theirs, "form_token": cast.form_token(OWNER)}),
            (OWNER, {**owners, "consent": theirs["consent"]}),
        ]

    for sender, fields in given:
        answer = answered(cast, sender, fields)
        assert "code=" not in answer.headers.get("location", "")

    assert codes(cast.web, evil) == []


def test_an_answer_to_one_app_connects_no_other(cast: Cast, evil: App) -> None:
    honest = register(cast.web, "Honest", "https://honest.example/callback")
    fields = shown(cast, OWNER, honest)
    theirs = shown(cast, OWNER, evil)

    answer = answered(cast, OWNER, {**fields, "next": theirs["next"]})

    assert answer.status_code == 403
    assert codes(cast.web, evil) == []


def test_a_browser_that_was_left_open_approves_nothing(cast: Cast, evil: App) -> None:
    cast[OWNER].grow_old()
    try:
        answer = answered(cast, OWNER, shown(cast, OWNER, evil))
    finally:
        cast[OWNER].grow_old(0)

    assert answer.headers["location"].startswith("/confirm")
    assert codes(cast.web, evil) == []


def test_nobody_gives_an_app_what_they_may_not(cast: Cast, evil: App) -> None:
    for who in (VIEWER, MEMBER):
        fields = shown(cast, who, evil, scope="orders:read stores:manage")
        answered(cast, who, {**fields, "scopes": "orders:read,stores:manage"})
        answered(cast, who, {**fields, "scopes": "stores:manage"})

    assert codes(cast.web, evil) == []


def test_a_faulty_request_is_no_link_to_another_site(cast: Cast, evil: App) -> None:
    for who in (ANONYMOUS, OWNER):
        for fault in ({"scope": "x"}, {"code_challenge": None}, {"prompt": "none"}):
            answer = cast[who].get(evil.address(**fault))
            assert "location" not in answer.headers, fault


def test_an_app_does_not_look_like_ours(cast: Cast) -> None:
    ours = register(cast.web, "Order Desk agents", EVIL)

    assert "“Order Desk agents”" not in open_page(cast[OWNER], ours.address()).text


# ------------------------------------------------------------------ with a guard off, they work


def test_without_its_headers_the_page_could_be_framed(
    cast: Cast, evil: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def bare(self: Any, scope: Any, receive: Any, send: Any) -> None:
        await self._app(scope, receive, send)

    monkeypatch.setattr(SecurityHeaders, "__call__", bare)

    with switched_off(consent_page, "content_policy", lambda *_, **__: "default-src 'self'"):
        found = faults_of(open_page(cast[OWNER], evil.address()).answer)

    assert {"frame-ancestors", "x-frame-options"} <= set(found)


def test_without_the_consents_token_another_request_would_be_approved(
    cast: Cast, evil: App
) -> None:
    honest = register(cast.web, "Honest", "https://honest.example/callback")
    fields = {**shown(cast, OWNER, honest), "next": shown(cast, OWNER, evil)["next"]}

    with switched_off(ConsentTokens, "check", lambda *_: None):
        answer = answered(cast, OWNER, fields)

    assert answer.headers["location"].startswith(f"{EVIL}?code=")


def test_without_origin_and_tokens_another_site_would_approve(cast: Cast, evil: App) -> None:
    address = request_address(evil.address().partition("?")[2]) or ""
    fields = {"next": address, "scopes": "orders:read", "which": "all", "decision": "approve"}

    with (
        switched_off(forms, "is_same_origin", lambda *_: True),
        switched_off(FormTokens, "check", lambda *_: None),
        switched_off(ConsentTokens, "check", lambda *_: None),
    ):
        answer = answered(cast, OWNER, fields, origin="")

    assert answer.headers["location"].startswith(f"{EVIL}?code=")


def test_without_the_table_of_roles_a_member_would_give_what_they_may_not(
    cast: Cast, evil: App
) -> None:
    fields = shown(cast, MEMBER, evil, scope="orders:read stores:manage")

    with switched_off(oauth_authorization, "require_scopes", lambda *_: None):
        answered(cast, MEMBER, {**fields, "scopes": "stores:manage"})

    assert codes(cast.web, evil)[0].scopes == ["stores:manage"]


def test_without_the_proof_a_browser_that_was_left_open_would_approve(
    cast: Cast, evil: App
) -> None:
    async def nothing(*_: Any) -> None:
        return None

    cast[OWNER].grow_old()
    with switched_off(Reauthentication, "require_recent", nothing):
        answer = answered(cast, OWNER, shown(cast, OWNER, evil))
    cast[OWNER].grow_old(0)

    assert answer.headers["location"].startswith(f"{EVIL}?code=")


def test_without_the_click_a_link_to_us_would_be_one_to_them(cast: Cast, evil: App) -> None:
    with switched_off(consent, "read_redirect", lambda _: "not looked at"):
        answer = cast[ANONYMOUS].get(evil.address(scope="x"))

    assert answer.headers["location"].startswith(EVIL)


def test_without_the_rule_of_names_an_app_would_look_like_ours(cast: Cast) -> None:
    ours = register(cast.web, "Order Desk agents", EVIL)

    with switched_off(app_names, "looks_like_ours", lambda _: False):
        page = open_page(cast[OWNER], ours.address())

    assert "“Order Desk agents”" in page.text
