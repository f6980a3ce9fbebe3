"""Links that sign in: replayed, opened by a mail scanner, raced for, forged, and used for what they
were not made for.
"""

import asyncio
import re
from collections.abc import Iterator
from typing import Any

import pytest

from orderdesk_app.errors import LinkUsed
from orderdesk_app.security.web import SignedText
from orderdesk_app.services.magic_links import LinkPurpose, MagicLinks
from orderdesk_app.services.sessions import COOKIE
from tests.attacks.cast import switched_off
from tests.attacks.letters import Letters, record_letters
from tests.web.browser_session import BrowserSession
from tests.web.test_sign_in_mail import give_address, is_quiet, set_column


@pytest.fixture
def letters(ada: BrowserSession, monkeypatch: pytest.MonkeyPatch) -> Letters:
    return record_letters(ada.web.services, monkeypatch)


@pytest.fixture
def address(ada: BrowserSession) -> str:
    return give_address(ada)


@pytest.fixture
def mallory(ada: BrowserSession) -> BrowserSession:
    """A stranger's browser."""
    return BrowserSession(ada.web, ada.view, ada.key)


@pytest.fixture
def path(ada: BrowserSession, address: str, letters: Letters, mallory: BrowserSession) -> str:
    """A link that was mailed to her."""
    mallory.post("/sign-in/mail", token=False, email=address)
    is_quiet(ada.web)
    return f"/sign-in/link?token={letters.token_for(address)}"


def use(browser: BrowserSession, path: str, **fields: str) -> Any:
    return browser.send(path, {"as": "shown", **fields})


def signs_in(answer: Any) -> bool:
    return any(line.startswith(COOKIE) for line in answer.headers.get_list("set-cookie"))


def test_a_link_that_was_used_is_worth_nothing(mallory: BrowserSession, path: str) -> None:
    assert signs_in(use(mallory, path))

    for _ in range(3):
        replayed = use(mallory, path)
        assert replayed.status_code == 410
        assert not signs_in(replayed)


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_a_mail_scanner_uses_no_link_up(
    ada: BrowserSession, mallory: BrowserSession, path: str, method: str
) -> None:
    for agent in ("Mozilla/5.0", "SafeLinks", ""):
        assert not signs_in(mallory.request(method, path, headers={"user-agent": agent}))

    assert signs_in(use(ada, path))


def test_a_scanner_that_sends_the_form_from_elsewhere_signs_nobody_in(
    ada: BrowserSession, mallory: BrowserSession, path: str
) -> None:
    for origin in ("https://scanner.example", None):
        refused = mallory.send(path, {"as": "shown"}, origin=origin)
        assert refused.status_code == 403
        assert not signs_in(refused)

    assert signs_in(use(ada, path))


def test_of_many_who_race_for_one_link_one_gets_in(ada: BrowserSession, path: str) -> None:
    token = path.partition("=")[2]

    async def race() -> list[object]:
        uses = (
            ada.web.services.sign_in.use_link(token, address=f"192.0.2.{n}", user_agent="x")
            for n in range(20)
        )
        return await asyncio.gather(*uses, return_exceptions=True)

    results = ada.web.do(race)

    assert sum(isinstance(result, str) for result in results) == 1
    assert sum(isinstance(result, LinkUsed) for result in results) == 19


def forgeries(token: str, other: str) -> Iterator[str]:
    secret, _, signature = token.rpartition(".")
    yield ""
    yield "x" * 5000
    yield secret
    yield f"{secret}."
    yield f"{secret}.{signature[::-1]}"
    yield f"{other.rpartition('.')[0]}.{signature}"
    # its first character: the last one has bits that say nothing
    yield f"{secret}.{'A' if signature[0] != 'A' else 'B'}{signature[1:]}"
    yield token.swapcase()
    yield SignedText(b"k" * 32, "sign-in link").sign("x" * 43)


def test_a_forged_link_signs_nobody_in(
    ada: BrowserSession, mallory: BrowserSession, path: str
) -> None:
    token = path.partition("=")[2]
    other = ada.web.do(ada.web.services.sign_in.make_link, ada.view.id).reveal()

    for forged in forgeries(token, other):
        answer = use(mallory, f"/sign-in/link?token={forged}")
        assert answer.status_code in (404, 410, 429), forged
        assert not signs_in(answer)

    assert signs_in(use(ada, path))


@pytest.mark.parametrize(
    "purpose", [purpose for purpose in LinkPurpose if purpose != LinkPurpose.SIGN_IN]
)
def test_a_link_of_another_purpose_signs_nobody_in(
    ada: BrowserSession, mallory: BrowserSession, purpose: LinkPurpose
) -> None:
    services = ada.web.services

    async def make() -> str:
        async with services.database.write() as session:
            token = await services.magic_links.make(
                session,
                purpose,
                works_for=900,
                tenant_id=ada.view.id,
                user_id=ada.view.owner_id,
                payload={"email": "a@example.net"},
            )
        return token.reveal()

    path = f"/sign-in/link?token={ada.web.do(make)}"
    answer = use(mallory, path)

    assert answer.status_code == 404
    assert not signs_in(answer)
    look = MagicLinks.look

    async def whatever_it_is_for(links: MagicLinks, session: Any, token: str, _: Any) -> Any:
        return await look(links, session, token, purpose)

    with (
        switched_off(MagicLinks, "look", whatever_it_is_for),
        switched_off(MagicLinks, "use", whatever_it_is_for),
    ):
        assert signs_in(use(mallory, path))


def test_a_link_opens_no_account_of_others(
    ada: BrowserSession, bert: BrowserSession, mallory: BrowserSession, path: str
) -> None:
    answer = use(mallory, path, account=bert.view.id)

    assert answer.status_code == 410
    assert not signs_in(answer)


@pytest.mark.parametrize(
    ("table", "of"), [("users", "owner_id"), ("tenants", "id")], ids=["user", "account"]
)
def test_a_link_of_who_was_disabled_meanwhile_is_worth_nothing(
    ada: BrowserSession, mallory: BrowserSession, path: str, table: str, of: str
) -> None:
    set_column(ada, table, "disabled_at", "created_at", getattr(ada.view, of))

    looked, used = mallory.get(path), use(mallory, path)

    assert (looked.status_code, used.status_code) == (410, 410)
    assert "disabled" not in looked.text + used.text
    assert not signs_in(used)


def test_a_link_leads_to_no_other_site(mallory: BrowserSession, path: str) -> None:
    answer = use(mallory, path, next="https://evil.example/")

    assert answer.headers["location"] == "/"


def test_the_page_that_is_wanted_makes_no_html(
    ada: BrowserSession, address: str, letters: Letters, mallory: BrowserSession
) -> None:
    fields = {"email": address, "next": '/"><script>alert(1)</script>'}
    mallory.post("/sign-in/mail", token=False, **fields)
    is_quiet(ada.web)

    page = mallory.get(f"/sign-in/link?token={letters.token_for(address)}").text

    assert "alert(1)" not in page
    assert re.findall(r'name="next" value="([^"]*)"', page) == ["/"]


def test_a_header_is_not_made_of_an_address(mallory: BrowserSession, letters: Letters) -> None:
    for email in ("a@example.net\nBcc: all@example.net", "a@example.net,b@example.net"):
        answer = mallory.post("/sign-in/mail", token=False, email=email)
        assert answer.status_code == 400
    is_quiet(mallory.web)

    assert letters.sent == []


def test_without_the_post_alone_a_scanner_would_use_the_link_up(
    ada: BrowserSession, mallory: BrowserSession, path: str
) -> None:
    sign_in = ada.web.services.sign_in
    only_look = sign_in.look_at_link

    async def use_it_up(token: str) -> Any:
        seen = await only_look(token)
        await sign_in.use_link(token, address="192.0.2.7", user_agent="scanner")
        return seen

    with switched_off(sign_in, "look_at_link", use_it_up):
        mallory.get(path)

    assert use(ada, path).status_code == 410


def test_without_the_mark_of_its_use_a_link_would_work_twice(
    ada: BrowserSession, mallory: BrowserSession, path: str
) -> None:
    with switched_off(MagicLinks, "use", MagicLinks.look):
        assert signs_in(use(mallory, path))

    assert signs_in(use(mallory, path))
