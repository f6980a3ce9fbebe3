"""What a browser brings back is ours and unchanged, or nothing."""

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from orderdesk_app.security.web import SessionCookies, SignedText, cookie_in

KEY = b"a key of thirty-two bytes, really"


@pytest.fixture
def cookies():
    return SessionCookies(KEY, clock=lambda: 1_000.0)


def test_a_cookie_names_its_session(cookies):
    assert cookies.read(cookies.sign("01SESSION", expires_at=2_000)) == "01SESSION"


def test_an_expired_cookie_is_nothing(cookies):
    assert cookies.read(cookies.sign("01SESSION", expires_at=1_000)) is None


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"sid": "s"},
        {"sid": "s", "exp": 9_999},
        {"sid": 1, "exp": 9_999, "aud": "orderdesk-web"},
        {"sid": "s", "exp": "9999", "aud": "orderdesk-web"},
    ],
)
def test_claims_that_say_something_else_are_nothing(cookies, claims):
    assert cookies.read(jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(KEY))) is None


def test_another_algorithm_is_nothing_even_with_our_key(cookies):
    claims = {"sid": "s", "exp": 9_999, "aud": "orderdesk-web"}
    token = jwt.encode({"alg": "HS512"}, claims, OctKey.import_key(KEY), algorithms=["HS512"])

    assert cookies.read(token) is None


def test_every_changed_character_is_noticed(cookies):
    cookie = cookies.sign("01SESSION", expires_at=2_000)

    for at in range(len(cookie) - 1):  # the last one carries spare bits
        changed = cookie[:at] + ("A" if cookie[at] != "A" else "B") + cookie[at + 1 :]
        assert cookies.read(changed) is None


def test_a_signed_text_serves_its_purpose_alone():
    links, forms = SignedText(KEY, "link"), SignedText(KEY, "form")

    assert links.read(links.sign("text")) == "text"
    assert forms.read(links.sign("text")) is None
    assert SignedText(KEY[::-1], "link").read(links.sign("text")) is None


@pytest.mark.parametrize("text", ["", "x", ".", "a.b", "é", "\x00", "x" * 100_000, "\ud800"])
def test_what_is_not_signed_is_nothing(cookies, text):
    assert SignedText(KEY, "link").read(text) is None
    assert cookies.read(text) is None


@pytest.mark.parametrize("other", ['a={"x": 1}', "b", "c=d e", "[x]=1", "y=\u00e9", "="])
def test_a_cookie_of_another_app_hides_not_ours(other):
    assert cookie_in(f"{other}; session=abc", "session") == "abc"
    assert cookie_in(f"session=abc; {other}", "session") == "abc"


@pytest.mark.parametrize(
    "header", ["session=a; session=b", "session=a; x=1; session=a", "session=;session=b"]
)
def test_two_cookies_of_one_name_are_none(header):
    assert cookie_in(header, "session") is None


def test_no_cookie_is_nobody():
    assert cookie_in("", "session") is None
