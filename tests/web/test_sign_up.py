"""Public sign-up, by plain forms: one answer for everybody, and the key in one answer alone."""

import asyncio
import re
from collections.abc import Callable
from dataclasses import replace
from html import unescape
from typing import Any
from urllib.parse import unquote

import pytest
from starlette.testclient import TestClient

from orderdesk_app.mail.message import Mail
from orderdesk_app.mail.outbox import OutboxSender
from orderdesk_app.mail.sender import MailFailed
from orderdesk_app.services.limits import Limits, SignUpLimits
from orderdesk_app.services.magic_links import LinkPurpose
from orderdesk_app.services.sessions import COOKIE
from orderdesk_app.services.sign_up import SignUpRules
from tests.web.browser_session import ORIGIN, BrowserSession, Web
from tests.worlds import eventually

OPEN = SignUpRules(is_open=True, needs_proof=True, works_for=900.0)
_NUMBERS = iter(range(1, 10_000))


def limits(an_hour: int = 1000, uses: int = 1000) -> SignUpLimits:
    return Limits(
        rpm=9, login=uses, console=9, accounts_an_hour=an_hour, sign_ups_a_minute=1000
    ).sign_up


@pytest.fixture
def opened(web: Web, monkeypatch: pytest.MonkeyPatch) -> Web:
    """The served app with public sign-up, and with room for many."""
    monkeypatch.setattr(web.services.sign_up, "rules", OPEN)
    monkeypatch.setattr(web.services.sign_up, "limits", limits())
    return web


def new_address() -> str:
    return f"ada-{next(_NUMBERS)}@example.net"


def post(web: Web, path: str, *, origin: str | None = ORIGIN, **fields: str) -> Any:
    web.client.cookies.clear()
    headers = {"origin": origin} if origin else {}
    return web.client.post(path, data={"as": "shown", **fields}, headers=headers)


def get(web: Web, path: str) -> Any:
    web.client.cookies.clear()
    return web.client.get(path)


def mail_to(web: Web, address: str, *, count: int = 1) -> Mail:
    """The last of so many mails to the address, once they were sent."""
    sender = web.services.mail_sender
    assert isinstance(sender, OutboxSender)

    async def arrived() -> list[Mail]:
        mails = [mail for mail in sender.mails if mail.to == address]
        return mails if len(mails) >= count else []

    found: list[Mail] = web.do(eventually, arrived, 20)
    return found[-1]


def link_in(mail: Mail) -> str:
    [link] = set(re.findall(rf"{ORIGIN}(/[\w/-]+\?token=[\w.-]+)", mail.text))
    return str(link)


def sign_up(web: Web, address: str) -> str:
    """The path of the link that is mailed."""
    answer = post(web, "/sign-up", email=address)
    assert answer.status_code == 200
    return link_in(mail_to(web, address))


def key_in(page: str) -> str:
    [key] = re.findall(r'id="new-key"[^>]*>([\w-]{64})<', page)
    return str(key)


# ------------------------------------------------------------------ from the form to the key


def test_a_stranger_gets_an_account_a_key_and_a_session(opened: Web) -> None:
    address = new_address()
    link = sign_up(opened, address)

    looked = [get(opened, link) for _ in range(3)]  # mail scanners look too
    answer = post(opened, link, name="Ada's Teas")

    assert [page.status_code for page in looked] == [200] * 3
    assert address in looked[0].text
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    key = key_in(answer.text)
    found = opened.do(opened.services.keys.find, key)
    assert found is not None
    cookie = answer.headers["set-cookie"].split(";")[0].removeprefix(f"{COOKIE}=")
    user = opened.do(opened.services.sessions.resume, cookie)
    assert (user.actor.tenant_id, user.name) == (found.tenant_id, "Ada's Teas")
    welcome = mail_to(opened, address, count=2)
    assert welcome.subject == "Your account is ready"
    assert key not in welcome.text + welcome.html


def test_the_key_may_be_downloaded_and_is_stored_before_going_on(opened: Web) -> None:
    answer = post(opened, sign_up(opened, new_address()), name="Ada's Teas")

    key = key_in(answer.text)
    file = re.search(
        r'download="([\w.-]+)" href="data:text/plain;charset=utf-8,([^"]*)"', answer.text
    )
    assert file is not None
    assert file[1].endswith(".txt")
    assert key in unquote(file[2])
    assert "Ada's Teas" in unquote(file[2])
    assert re.search(r'<input type="checkbox" required>I have stored it', answer.text)
    assert answer.text.index("I have stored it") < answer.text.index(">Continue<")


def test_a_reload_shows_no_key_and_says_what_to_do(opened: Web) -> None:
    link = sign_up(opened, new_address())
    first = post(opened, link)
    cookie = first.headers["set-cookie"].split(";")[0]

    here = opened.client.post(
        link, data={"as": "shown"}, headers={"origin": ORIGIN, "cookie": cookie}
    )
    elsewhere = post(opened, link)
    looked = get(opened, link)

    key = key_in(first.text)
    assert [here.status_code, elsewhere.status_code, looked.status_code] == [410] * 3
    assert "make a new one under Settings" in here.text
    assert "have a link mailed to you on the sign-in page" in elsewhere.text
    assert 'href="/sign-in"' in elsewhere.text
    assert not any(key in page.text for page in (here, elsewhere, looked))


def test_a_link_that_nobody_made_and_one_that_expired_lead_on(opened: Web) -> None:
    # A mail whose link has expired is not sent, so its token is made here.
    token = opened.do(_expired_token, opened)

    for link, status, words in (
        (f"/verify?token={token}", 410, "too old"),
        ("/verify?token=<script>", 404, "not known here"),
        ("/verify", 404, "not known here"),
    ):
        for answer in (get(opened, link), post(opened, link)):
            assert answer.status_code == status
            assert words in answer.text
            assert 'href="/sign-up"' in answer.text
            assert "<script>" not in answer.text.split("<body>")[1]


async def _expired_token(web: Web) -> str:
    async with web.services.database.write() as session:
        token = await web.services.magic_links.make(
            session, LinkPurpose.SIGN_UP, works_for=0.0, payload={"email": "ada@example.net"}
        )
    return token.reveal()


def test_a_name_that_cannot_be_used_is_said_at_its_field_and_the_link_stays_good(
    opened: Web,
) -> None:
    link = sign_up(opened, new_address())

    refused = post(opened, link, name="x" * 81)
    done = post(opened, link, name="Ada's Teas")

    assert refused.status_code == 400
    assert 'id="name-wrong" role="alert"' in refused.text
    assert "x" * 81 in refused.text
    assert key_in(done.text)


# ------------------------------------------------------------------ one answer for everybody


def test_known_and_unknown_addresses_get_the_same_answer(opened: Web) -> None:
    known, unknown = (f"{name}-{next(_NUMBERS)}@example.net" for name in ("known", "newer"))
    post(opened, sign_up(opened, known))

    for path in ("/sign-up", "/sign-up/again"):
        answers = [post(opened, path, email=address) for address in (known, unknown)]

        shown = [
            (
                answer.status_code,
                {name: value for name, value in answer.headers.items() if name != "x-request-id"},
                answer.text.replace(address, "…"),
            )
            for answer, address in zip(answers, (known, unknown), strict=True)
        ]
        assert shown[0] == shown[1]


def test_an_address_with_an_account_gets_a_link_that_signs_in(opened: Web) -> None:
    address = new_address()
    post(opened, sign_up(opened, address))
    mail_to(opened, address, count=2)

    post(opened, "/sign-up", email=address)

    mail = mail_to(opened, address, count=3)
    assert mail.subject == "You already have an account"
    link = link_in(mail)
    assert link.startswith("/sign-in/link?")
    assert get(opened, link).status_code == 200
    assert post(opened, link).headers["location"] == "/"


def test_a_resend_counts_and_says_when_to_come_back(
    opened: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opened.services.sign_up, "limits", limits(an_hour=2))
    address = new_address()

    first = post(opened, "/sign-up", email=address)
    again = post(opened, "/sign-up/again", email=address)
    refused = post(opened, "/sign-up/again", email=address)
    form = post(opened, "/sign-up", email=address)

    assert 'data-countdown="60"' in first.text
    assert "Sent again." in again.text
    for answer in (refused, form):
        assert answer.status_code == 429
        assert 1700 < int(answer.headers["retry-after"]) <= 1800
        assert "Try again in 30 minutes." in answer.text
        assert address in answer.text
    assert mail_to(opened, address, count=2)


def test_a_mail_server_that_is_down_changes_no_answer(
    opened: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_mail: Mail) -> None:
        raise MailFailed("the server is away")

    async def was_tried() -> bool:
        rows = await opened.services.database.query("SELECT reason FROM jobs", {})
        return [tuple(row) for row in rows] == [("the server is away",)]

    address = new_address()
    with monkeypatch.context() as patched:
        patched.setattr(opened.services.mail_sender, "send", fail)
        first = post(opened, "/sign-up", email=address)
        opened.do(eventually, was_tried, 20)
    # It waits for its next try (tests/services/test_mailer.py), which other tests need not see.
    opened.do(opened.services.database.execute, "DELETE FROM jobs", {})
    second = post(opened, "/sign-up", email=address)

    assert first.status_code == 200
    assert first.text == second.text


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "ada",
        "ada@example.net\r\nBcc: eve@example.net",
        'a"><script>alert(1)</script>@x.example',
    ],
)
def test_what_is_no_address_is_said_at_its_field(opened: Web, typed: str) -> None:
    for path in ("/sign-up", "/sign-up/again"):
        answer = post(opened, path, email=typed)

        assert answer.status_code == 400
        assert 'aria-invalid="true"' in answer.text
        assert 'id="email-wrong" role="alert"' in answer.text
        assert "<script>alert" not in answer.text


# ------------------------------------------------------------------ closed, and without proof


def test_where_sign_up_is_closed_the_page_says_so_and_the_route_refuses(
    web: Web, ada: BrowserSession
) -> None:
    page = get(web, "/sign-up")

    assert page.status_code == 200
    assert "Sign-up is closed" in page.text
    assert "<form" not in page.text
    for path in ("/sign-up", "/sign-up/again"):
        assert post(web, path, email=new_address()).status_code == 403
    assert "Create an account" not in get(web, "/sign-in").text


def test_without_proof_the_key_comes_at_once_and_no_mail_is_sent(
    opened: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opened.services.sign_up, "rules", replace(OPEN, needs_proof=False))
    address = new_address()

    form = get(opened, "/sign-up")
    wrong = post(opened, "/sign-up", email=address, name="x" * 81)
    answer = post(opened, "/sign-up", email=address, name="Ada's Teas")

    assert 'name="name"' in form.text
    assert wrong.status_code == 400
    assert 'id="name-wrong" role="alert"' in wrong.text
    assert opened.do(opened.services.keys.find, key_in(answer.text)) is not None
    assert post(opened, "/sign-up/again", email=address).headers["location"] == "/sign-up"
    rows = opened.do(opened.services.database.execute, "SELECT count(*) FROM jobs", {})
    sent = [mail for mail in opened.services.mail_sender.mails if mail.to == address]
    assert (rows[0][0], sent) == (0, [])


def test_a_reload_without_proof_opens_no_second_account(
    opened: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opened.services.sign_up, "rules", replace(OPEN, needs_proof=False))
    fields = {"email": new_address(), "name": "Ada's Teas"}
    first = post(opened, "/sign-up", **fields)
    cookie = first.headers["set-cookie"].split(";")[0]

    again = opened.client.post(
        "/sign-up", data=fields, headers={"origin": ORIGIN, "cookie": cookie}
    )

    assert again.status_code == 409
    assert "make a new one under Settings" in again.text
    assert "new-key" not in again.text
    assert "set-cookie" not in again.headers
    assert opened.do(opened.services.sessions.resume, cookie.removeprefix(f"{COOKIE}="))


def test_the_sign_in_page_leads_to_sign_up_where_it_is_open(
    opened: Web, ada: BrowserSession
) -> None:
    assert 'href="/sign-up">Create an account' in get(opened, "/sign-in").text
    assert ada.get("/sign-up").headers["location"] == "/"


@pytest.mark.parametrize("path", ["/sign-up", "/sign-up/again", "/verify?token=x"])
def test_no_other_site_sends_these_forms(opened: Web, path: str) -> None:
    for origin in (None, "https://evil.example", "null"):
        answer = post(opened, path, origin=origin, email=new_address())

        assert answer.status_code == 403
        assert "set-cookie" not in answer.headers


def test_a_network_that_tries_too_often_to_open_accounts_is_told_to_wait(
    opened: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = sign_up(opened, new_address())

    with monkeypatch.context() as patched:
        few = limits(uses=1)
        asyncio.run(few.uses.check("testclient"))
        patched.setattr(opened.services.sign_up, "limits", few)
        answer = post(opened, link)

    assert answer.status_code == 429
    assert 50 < int(answer.headers["retry-after"]) <= 60
    assert answer.headers["ratelimit-remaining"] == "0"
    assert post(opened, link).status_code == 200


# ------------------------------------------------------------------ the outbox


@pytest.fixture
def here(opened: Web) -> Callable[[str], Any]:
    """GET from this machine."""
    client = TestClient(
        opened.client.app, base_url=ORIGIN, client=("127.0.0.1", 5), follow_redirects=False
    )
    client.portal = opened.client.portal
    return lambda path: client.get(path)


def test_the_outbox_shows_a_developer_each_mail(opened: Web, here: Callable[[str], Any]) -> None:
    address = new_address()
    link = sign_up(opened, address)
    mail = mail_to(opened, address)

    listed, page, html = (
        here(path) for path in ("/outbox", f"/outbox/{mail.id}", f"/outbox/{mail.id}/html")
    )

    assert [answer.status_code for answer in (listed, page, html)] == [200] * 3
    assert f"/outbox/{mail.id}" in listed.text
    assert address in listed.text
    assert link in unescape(page.text)
    assert f'src="/outbox/{mail.id}/html" sandbox="' in page.text
    assert "allow-scripts" not in page.text + html.headers["content-security-policy"]
    policy = html.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "sandbox" in policy
    assert '<base target="_top">' in html.text
    assert {answer.headers["cache-control"] for answer in (listed, page, html)} == {"no-store"}


def test_nobody_but_a_developer_sees_the_outbox(
    opened: Web, here: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    address = new_address()
    sign_up(opened, address)
    mail = mail_to(opened, address)
    paths = ("/outbox", f"/outbox/{mail.id}", f"/outbox/{mail.id}/html", "/outbox/x")

    from_elsewhere = [opened.client.get(path) for path in paths]
    unknown = here("/outbox/x")
    with monkeypatch.context() as patched:
        patched.setattr(
            opened.services,
            "settings",
            opened.services.settings.model_copy(update={"app_env": "production"}),
        )
        in_production = [here(path) for path in paths]
    monkeypatch.setattr(opened.services, "mail_sender", object())
    with_smtp = [here(path) for path in paths]

    for answer in (*from_elsewhere, unknown, *in_production, *with_smtp):
        assert answer.status_code == 404
        assert address not in answer.text
