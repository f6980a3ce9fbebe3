"""Somebody reads a code on its way (another app has taken the same scheme) and gets tokens for it,
after a request without PKCE, or with a challenge that needs no secret. Guards: S256 alone, always.
"""

import pytest

from orderdesk_app.services import oauth_authorization, oauth_tokens
from orderdesk_app.services.oauth_errors import AuthorizationRedirect
from tests.attacks.cast import OWNER, Cast, switched_off
from tests.oauth import CHALLENGE, VERIFIER
from tests.web.oauth_app import App

WEAK: dict[str, dict[str, str | None]] = {
    "none": {"code_challenge": None, "code_challenge_method": None},
    "plain": {"code_challenge": VERIFIER, "code_challenge_method": "plain"},
    "plain by default": {"code_challenge": VERIFIER, "code_challenge_method": None},
    "empty": {"code_challenge": "", "code_challenge_method": "S256"},
    "short": {"code_challenge": "x", "code_challenge_method": "S256"},
}


@pytest.fixture(scope="module")
def app(cast: Cast) -> App:
    return App(cast[OWNER], "an-app-on-a-shared-phone")


@pytest.mark.parametrize("weak", WEAK)
def test_no_code_is_given_without_s256(app: App, weak: str) -> None:
    with pytest.raises(AuthorizationRedirect):
        app.code(**WEAK[weak])


@pytest.mark.parametrize("verifier", ["", "x" * 43, CHALLENGE])
def test_a_code_that_was_read_on_its_way_is_worth_nothing(app: App, verifier: str) -> None:
    answer = app.exchange(app.code(), code_verifier=verifier)

    assert answer.status_code == 400
    assert "access_token" not in answer.text


# ------------------------------------------------------------------ with the guards off


@pytest.mark.parametrize("weak", WEAK)
def test_without_the_guard_a_request_is_weakened(app: App, weak: str) -> None:
    with switched_off(oauth_authorization, "_challenge", lambda _: ""):
        assert app.code(**WEAK[weak])


@pytest.mark.parametrize("verifier", ["x" * 43, CHALLENGE])
def test_without_the_guard_the_code_is_enough(app: App, verifier: str) -> None:
    code = app.code()

    with switched_off(oauth_tokens, "is_verified", lambda *_: True):
        answer = app.exchange(code, code_verifier=verifier)

    assert answer.json()["access_token"]
