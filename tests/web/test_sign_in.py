"""Signing in and out, by plain forms."""

import asyncio
import gzip
import re
from http.cookies import SimpleCookie

import pytest
from markupsafe import escape
from starlette.requests import Request
from starlette.types import Message

from orderdesk_app.context import new_id
from orderdesk_app.errors import BodyEncoded, BodyTooSlow, DatabaseBusy, StorageFailed
from orderdesk_app.routes import all_routes, forms
from orderdesk_app.routes.forms import is_same_origin
from orderdesk_app.routes.oauth_registration import PATH as REGISTRATION
from orderdesk_app.routes.sign_in import KEY_WORDS, OTHER_WORDS, with_key
from orderdesk_app.services.limit_store import DelayRules
from orderdesk_app.services.sessions import COOKIE, DEVICE_COOKIE, SECURE_COOKIE
from orderdesk_app.settings_reader import load_settings
from orderdesk_app.wiring import Services
from tests.web.browser_session import ORIGIN, BrowserSession, Web, delayed


def link_for(session: BrowserSession) -> str:
    return str(session.web.do(session.web.services.sign_in.make_link, session.view.id).reveal())


def stranger(ada: BrowserSession) -> BrowserSession:
    """The same person in a browser that is not signed in."""
    return BrowserSession(ada.web, ada.view, ada.key)


def test_a_master_key_signs_in(ada: BrowserSession) -> None:
    browser = stranger(ada)

    answer = browser.post("/sign-in/key", key=f"  {ada.key.reveal()}\n", token=False)

    assert answer.status_code == 303
    assert answer.headers["location"] == "/"
    assert COOKIE in answer.headers["set-cookie"]


def test_no_script_and_no_other_site_gets_the_cookie(ada: BrowserSession) -> None:
    answer = stranger(ada).post("/sign-in/key", key=ada.key.reveal(), token=False)

    lines = answer.headers.get_list("set-cookie")
    for name, seconds in ((COOKIE, "86400"), (DEVICE_COOKIE, str(400 * 86_400))):
        [cookie] = [SimpleCookie(line)[name] for line in lines if line.startswith(f"{name}=")]
        assert cookie["httponly"]
        assert cookie["samesite"].lower() == "lax"
        assert cookie["path"] == "/"
        assert cookie["max-age"] == seconds


@pytest.mark.parametrize("key", ["", "wrong", "x" * 64, "é" * 40, "k" * 5000])
def test_a_key_that_is_not_known_says_so_at_the_field(ada: BrowserSession, key: str) -> None:
    answer = stranger(ada).post("/sign-in/key", key=key, token=False)

    assert answer.status_code == 303
    assert answer.headers["location"] == "/sign-in?error=unknown"
    assert "set-cookie" not in answer.headers


def test_signing_in_leads_to_the_page_that_was_wanted(ada: BrowserSession) -> None:
    wrong = stranger(ada).post(
        "/sign-in/key", key="wrong", next="/console?tool=orders_get", token=False
    )
    right = stranger(ada).post(
        "/sign-in/key", key=ada.key.reveal(), next="/console?tool=orders_get", token=False
    )

    assert wrong.headers["location"] == "/sign-in?error=unknown&next=%2Fconsole%3Ftool%3Dorders_get"
    assert right.headers["location"] == "/console?tool=orders_get"


def sign_in_page(session: BrowserSession, query: str = "") -> str:
    answer = session.get(f"/sign-in{query}")
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    return str(answer.text)


def test_the_sign_in_page_is_a_plain_form_without_the_framework(ada: BrowserSession) -> None:
    """It needs no websocket, and strangers get none."""
    page = sign_in_page(stranger(ada))

    assert '<form class="form" action="/sign-in/key" method="post">' in page
    assert re.findall(r'<script[^>]*src="([^"]*)"', page) == ["/ui.js"]
    assert 'role="alert"' not in page
    assert 'aria-invalid="false"' in page
    assert 'name="next" value=""' in page


@pytest.mark.parametrize("error", [*KEY_WORDS, *OTHER_WORDS])
def test_the_sign_in_page_says_what_went_wrong(ada: BrowserSession, error: str) -> None:
    page = sign_in_page(stranger(ada), f"?error={error}")

    words = {**KEY_WORDS, **OTHER_WORDS}[error]
    assert str(escape(words)) in page
    assert ('aria-invalid="true"' in page) == (error in KEY_WORDS)
    assert page.count('role="alert"') == 1


def test_the_sign_in_page_says_that_somebody_has_signed_out(ada: BrowserSession) -> None:
    assert "You are signed out." in sign_in_page(stranger(ada), "?out=1")


def test_the_sign_in_page_hands_on_which_page_was_wanted(ada: BrowserSession) -> None:
    page = sign_in_page(stranger(ada), "?next=%2Fconsole%3Ftool%3Dorders_get")

    assert 'name="next" value="/console?tool=orders_get"' in page


@pytest.mark.parametrize(
    "query", ["?error=<b>", "?next=%22%3E%3Cscript%3E", "?next=//evil.example"]
)
def test_the_sign_in_page_repeats_nothing_from_outside(ada: BrowserSession, query: str) -> None:
    assert sign_in_page(stranger(ada), query) == sign_in_page(stranger(ada))


@pytest.mark.parametrize(
    ("query", "there"),
    [("", "/"), ("?next=/stores", "/stores"), ("?next=//evil.example", "/"), ("?out=1", "/")],
)
def test_who_is_signed_in_needs_no_sign_in_page(
    ada: BrowserSession, query: str, there: str
) -> None:
    answer = ada.get(f"/sign-in{query}")

    assert (answer.status_code, answer.headers["location"]) == (303, there)


OUTSIDE = [
    "//evil.example",
    "//evil",
    "//evil/page",
    "///evil",
    "https://evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "/%09/evil.example",
    "javascript:alert(1)",
    "/stores\n//evil",
    "/sign-out",
    "/x.y",
    "stores",
]


@pytest.mark.parametrize("wanted", OUTSIDE)
def test_signing_in_leads_nowhere_else(ada: BrowserSession, wanted: str) -> None:
    answer = stranger(ada).post("/sign-in/key", key=ada.key.reveal(), next=wanted, token=False)

    assert answer.headers["location"] == "/"


def test_an_access_key_is_told_that_it_is_for_assistants(ada: BrowserSession) -> None:
    _, key = ada.web.do(ada.web.services.keys.create, ada.actor, "Claude")

    answer = stranger(ada).post("/sign-in/key", key=key.reveal(), token=False)

    assert answer.headers["location"] == "/sign-in?error=agents"


def test_too_many_tries_from_one_address_wait(ada: BrowserSession) -> None:
    with delayed(ada.web.services.limits.sign_in, DelayRules(2, 100, 100)):
        *answers, last = [
            stranger(ada).post("/sign-in/key", key="wrong", token=False) for _ in range(3)
        ]
        right = stranger(ada).post("/sign-in/key", key=ada.key.reveal(), token=False)

    assert [answer.headers["location"] for answer in answers] == ["/sign-in?error=unknown"] * 2
    assert (last.status_code, last.headers["retry-after"]) == (429, "100")
    assert "Try again in 2 minutes." in last.text
    assert 'aria-invalid="true"' in last.text
    assert right.headers["location"] == "/"  # nobody is locked out by a neighbour's tries


@pytest.mark.parametrize(
    ("way", "limit"),
    [("link", "sign_in"), ("passkey", "sign_in"), ("mail", "link_requests")],
)
def test_every_way_of_signing_in_says_how_long_to_wait(
    ada: BrowserSession, way: str, limit: str
) -> None:
    with delayed(getattr(ada.web.services.limits, limit), DelayRules(1, 40, 40)):
        answers = [
            stranger(ada).post(
                f"/sign-in/{way}", token=False, email=f"a{number}@{new_id()}.example"
            )
            for number in range(2)
        ]

    assert answers[0].status_code in (303, 404)
    assert (answers[1].status_code, answers[1].headers["retry-after"]) == (429, "40")
    assert "Try again in 40 s." in answers[1].text


@pytest.mark.parametrize("origin", [None, "http://evil.example", "null", "http://localhost:9999"])
def test_a_form_of_another_site_is_refused(ada: BrowserSession, origin: str | None) -> None:
    answer = stranger(ada).post("/sign-in/key", key=ada.key.reveal(), token=False, origin=origin)

    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("o.example.com:443", "https://o.example.com"),
        ("o.example.com", "https://o.example.com:443"),
        ("O.example.com", "https://o.example.com"),
        ("localhost:80", "http://localhost"),
        ("[::1]:8080", "http://[::1]:8080"),
    ],
)
def test_an_origin_with_and_without_the_port_that_its_scheme_implies_is_one(
    host: str, origin: str
) -> None:
    assert is_same_origin(origin, host)


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("o.example.com:443", "http://o.example.com"),
        ("o.example.com", "https://o.example.com:8443"),
        ("o.example.com", ""),
        ("", ""),
        ("o.example.com:x", "null"),
    ],
)
def test_an_origin_of_another_port_or_host_is_another(host: str, origin: str) -> None:
    assert not is_same_origin(origin, host)


def test_a_zero_character_in_a_form_is_refused_in_words(ada: BrowserSession) -> None:
    answer = ada.post("/settings/keys/revoke", key_id="\0")

    assert answer.status_code == 400
    assert "zero character" in answer.text


def test_a_link_shows_whom_it_signs_in_and_is_not_used_up_by_looking(ada: BrowserSession) -> None:
    token = link_for(ada)

    pages = [stranger(ada).get(f"/sign-in/link?token={token}") for _ in range(3)]

    assert {page.status_code for page in pages} == {200}
    assert "Ada&#39;s Teas" in pages[-1].text
    assert 'method="post"' in pages[-1].text
    assert token not in pages[-1].text
    assert "set-cookie" not in pages[-1].headers


def test_a_link_works_once(ada: BrowserSession) -> None:
    token = link_for(ada)

    # as the page's button sends it
    first, second = (
        stranger(ada).send(f"/sign-in/link?token={token}", {"as": "shown"}) for _ in range(2)
    )

    assert first.status_code == 303
    assert COOKIE in first.headers["set-cookie"]
    assert second.status_code == 410
    assert "used before" in second.text
    assert "`" not in second.text
    assert "set-cookie" not in second.headers


def test_a_link_that_nobody_made_leads_nowhere(ada: BrowserSession) -> None:
    answer = stranger(ada).get("/sign-in/link?token=<script>alert(1)</script>")

    assert answer.status_code == 404
    assert "<script>alert" not in answer.text


@pytest.mark.parametrize("way", ["key", "link"])
def test_a_new_sign_in_ends_the_session_that_it_replaces(ada: BrowserSession, way: str) -> None:
    other_browser = stranger(ada)
    other_browser.sign_in()

    if way == "key":
        ada.post("/sign-in/key", key=ada.key.reveal(), token=False)
    else:
        ada.send(f"/sign-in/link?token={link_for(ada)}", {"as": "shown"})

    assert ada.web.do(ada.web.services.sessions.resume, ada.cookie) is None
    assert ada.web.do(ada.web.services.sessions.resume, other_browser.cookie) is not None


def test_a_sign_in_that_fails_ends_nothing(ada: BrowserSession) -> None:
    ada.post("/sign-in/key", key="wrong", token=False)

    assert ada.web.do(ada.web.services.sessions.resume, ada.cookie) is not None


@pytest.mark.parametrize("other", ["of-another-host", ""])
def test_of_two_session_cookies_none_is_taken(ada: BrowserSession, other: str) -> None:
    def asks(*cookies: str) -> int:
        ada.web.client.cookies.clear()
        headers = [("cookie", f"{COOKIE}={cookie}") for cookie in cookies]
        return int(ada.web.client.get("/health/detailed", headers=headers).status_code)

    assert asks(ada.cookie) == 403  # a person who is no operator
    assert asks(ada.cookie, other) == 401
    assert asks(f"{ada.cookie}; {COOKIE}={other}") == 401
    assert asks(f"{other}; {COOKIE}={ada.cookie}") == 401


@pytest.fixture
def over_https(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = web.services.settings.model_copy(update={"session_cookie_secure": True})
    monkeypatch.setattr(web.services, "settings", settings)
    monkeypatch.setattr(web.services.sessions, "cookie_name", SECURE_COOKIE)


def test_no_other_host_can_set_the_cookie_over_https(ada: BrowserSession, over_https: None) -> None:
    answer = stranger(ada).post("/sign-in/key", key=ada.key.reveal(), token=False)

    (new,) = [
        line for line in answer.headers.get_list("set-cookie") if line.startswith(SECURE_COOKIE)
    ]
    cookie = SimpleCookie(new)[SECURE_COOKIE]
    assert SECURE_COOKIE.startswith("__Host-")
    assert cookie["secure"]
    assert cookie["httponly"]
    assert cookie["path"] == "/"
    assert cookie["domain"] == ""


def test_a_cookie_of_the_former_name_is_not_read_over_https_and_signing_in_replaces_it(
    ada: BrowserSession, over_https: None
) -> None:
    refused = ada.post("/sign-out")  # with a good cookie, by its former name

    answer = ada.post("/sign-in/key", key=ada.key.reveal(), token=False)

    lines = answer.headers.get_list("set-cookie")
    (new,) = [line for line in lines if line.startswith(SECURE_COOKIE)]
    (former,) = [line for line in lines if line.startswith(f"{COOKIE}=")]
    header = f"{COOKIE}={ada.cookie}; {new.split(';')[0]}"
    signed_in = ada.web.client.get("/health/detailed", headers={"cookie": header})
    assert refused.headers["location"] == "/sign-in?error=ended"
    assert "max-age=0" in former.lower()
    assert signed_in.status_code == 403  # a person who is no operator


def test_the_name_of_the_cookie_follows_the_address(web: Web) -> None:
    names = []
    for address in ("https://localhost:8443", "http://localhost:8080"):
        settings = load_settings({"PUBLIC_URL": address}, None)
        known = web.services
        services = Services(
            settings, known.database, known.keyring, http=None, passwords=known.passwords
        )
        names.append(services.sessions.cookie_name)

    assert names == [SECURE_COOKIE, COOKIE]


def test_sign_out_ends_the_session_and_empties_the_cookie(ada: BrowserSession) -> None:
    answer = ada.post("/sign-out")

    assert answer.headers["location"] == "/sign-in?out=1"
    assert 'orderdesk_session=""' in answer.headers["set-cookie"]
    assert ada.web.do(ada.web.services.sessions.resume, ada.cookie) is None


def test_sign_out_needs_the_form_of_its_own_session(
    ada: BrowserSession, bert: BrowserSession
) -> None:
    for form_token in ("", "nonsense", bert.form_token()):
        answer = ada.send("/sign-out", {"form_token": form_token})

        assert answer.status_code == 403
    assert ada.web.do(ada.web.services.sessions.resume, ada.cookie) is not None


def test_the_old_address_leads_home(web: Web) -> None:
    for path in ("/webui", "/webui/dashboard"):
        answer = web.client.get(path)

        assert answer.status_code == 307
        assert answer.headers["location"] == "/"


def test_forms_of_ended_sessions_lead_to_the_sign_in_page(ada: BrowserSession) -> None:
    token = ada.form_token()
    ada.post("/sign-out")

    answer = ada.send("/settings/keys/create", {"form_token": token, "name": "x"})

    assert answer.headers["location"] == "/sign-in?error=ended"


def test_a_wrong_key_is_never_written_back(ada: BrowserSession) -> None:
    answer = stranger(ada).post(
        "/sign-in/key", key="some-wrong-key-that-must-not-come-back", token=False
    )

    assert "some-wrong-key" not in answer.text + str(answer.headers)


def test_a_form_that_comes_in_drops_is_not_waited_for(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forms, "FORM_SECONDS", 0.05)

    async def never() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    headers = {
        "host": "localhost:8080",
        "origin": ORIGIN,
        "content-type": "application/x-www-form-urlencoded",
    }
    request = Request(
        {
            "type": "http",
            "method": "POST",
            "path": "/sign-in/key",
            "query_string": b"",
            "headers": [(k.encode(), v.encode()) for k, v in headers.items()],
        },
        never,
    )

    answer = web.do(with_key, request)

    assert answer.status_code == BodyTooSlow.http_status == 408
    assert "did not arrive" in bytes(answer.body).decode()


FORM = {"origin": ORIGIN, "content-type": "application/x-www-form-urlencoded"}
POSTS = sorted(route.path for route in all_routes() if "POST" in (route.methods or ()))


@pytest.mark.parametrize("path", sorted({*POSTS} - {REGISTRATION}))  # it takes JSON
@pytest.mark.parametrize(
    "body",
    [b"key=\xff\xfe", b"key=%FF%FE", b"k\xe9y=x", b"k%E9y=x", b"key=%ED%A0%80", b"key=\xc0\xaf"],
)
def test_a_form_that_is_not_utf8_is_refused(ada: BrowserSession, path: str, body: bytes) -> None:
    answer = ada.request("POST", path, content=body, headers=FORM)

    assert answer.status_code == 400
    assert "not UTF-8" in answer.text


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize("encoding", ["gzip", "br", "Deflate", "identity, x-gzip"])
def test_a_packed_form_is_refused_and_not_unpacked(
    ada: BrowserSession, path: str, encoding: str
) -> None:
    body = gzip.compress(b"key=x")

    answer = ada.request("POST", path, content=body, headers={**FORM, "content-encoding": encoding})

    assert answer.status_code == BodyEncoded.http_status == 415
    assert "without Content-Encoding" in answer.text
    assert answer.headers["accept-encoding"] == "identity"


def test_a_form_of_very_many_fields_is_refused(ada: BrowserSession) -> None:
    answer = ada.request("POST", "/sign-in/key", content=b"a=1&" * 300, headers=FORM)

    assert answer.status_code == 413


def test_a_form_larger_than_any_of_ours_is_refused(ada: BrowserSession) -> None:
    assert ada.post("/sign-in/key", token=False, key="x" * 300_000).status_code == 413


def test_a_database_that_is_busy_is_a_fault_of_ours_with_its_own_status(
    ada: BrowserSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def busy(*_: object, **__: object) -> None:
        raise DatabaseBusy("Our database is locked by another program. Try again in a minute.")

    monkeypatch.setattr(ada.web.services.sign_in, "with_key", busy)

    answer = stranger(ada).post("/sign-in/key", key=ada.key.reveal(), token=False)

    assert answer.status_code == 503
    assert "Our database is locked" in answer.text
    assert "Order Desk failed" not in answer.text


@pytest.mark.parametrize(
    "error", [StorageFailed("The disk is full, so nothing was written."), OSError()]
)
def test_on_a_full_disk_nobody_is_told_of_a_fault_that_nobody_expected(
    ada: BrowserSession, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    async def full(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(ada.web.services.sign_in, "with_key", full)

    answer = stranger(ada).post("/sign-in/key", key=ada.key.reveal(), token=False)

    assert answer.status_code == 503
    assert "Something went wrong" not in answer.text
