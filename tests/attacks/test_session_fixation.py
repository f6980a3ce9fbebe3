"""Session fixation: an attacker makes somebody use a session, or a browser's token, that the
attacker knows. Every sign-in begins a session of its own.
"""

from collections.abc import Callable
from typing import Any

import pytest

from orderdesk_app.services.sessions import COOKIE, DEVICE_COOKIE, Sessions
from tests.attacks.cast import switched_off
from tests.authenticator import Authenticator
from tests.web.browser_session import ORIGIN, BrowserSession
from tests.web.test_passkeys import add, ask
from tests.web.test_sign_in import link_for
from tests.web.test_sign_in_mail import give_address, mails_to
from tests.web.test_sign_up import new_address, opened, sign_up

__all__ = ["opened"]


def with_key(victim: BrowserSession) -> tuple[str, dict[str, str]]:
    return "/sign-in/key", {"key": victim.key.reveal()}


def with_link(victim: BrowserSession) -> tuple[str, dict[str, str]]:
    return f"/sign-in/link?token={link_for(victim)}", {"as": "shown"}


WAYS = [with_key, with_link]
Way = Callable[[BrowserSession], tuple[str, dict[str, str]]]


def sign_in(victim: BrowserSession, way: Way, **cookies: str) -> dict[str, str]:
    """The cookies that the victim's browser has after a sign-in with those that were planted."""
    path, fields = way(victim)
    victim.web.client.cookies.clear()
    header = "; ".join(f"{name}={value}" for name, value in cookies.items())
    answer = victim.web.client.post(path, data=fields, headers={"origin": ORIGIN, "cookie": header})
    assert answer.status_code == 303
    lines = [line.split(";")[0] for line in answer.headers.get_list("set-cookie")]
    return {**cookies, **dict(line.split("=", 1) for line in lines)}


def user_of(victim: BrowserSession, cookie: str) -> Any:
    return victim.web.do(victim.web.services.sessions.resume, cookie)


@pytest.mark.parametrize("way", WAYS)
def test_a_planted_session_is_not_the_one_that_the_victim_uses(
    ada: BrowserSession, bert: BrowserSession, way: Way
) -> None:
    planted = bert.cookie  # the attacker's own, in the victim's browser

    held = sign_in(ada, way, **{COOKIE: planted})[COOKIE]

    victim = user_of(ada, held)
    assert victim.actor.tenant_id == ada.view.id
    assert held != planted
    assert user_of(ada, planted) is None  # the attacker's copy opens nothing any more


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("planted", ["known-to-the-attacker", "", "a.b.c"])
def test_the_name_of_a_session_is_never_chosen_from_outside(
    ada: BrowserSession, way: Way, planted: str
) -> None:
    held = sign_in(ada, way, **{COOKIE: planted})[COOKIE]

    assert user_of(ada, held) is not None
    assert user_of(ada, planted) is None


@pytest.mark.parametrize("way", WAYS)
def test_each_sign_in_begins_another_session(ada: BrowserSession, way: Way) -> None:
    sessions = [user_of(ada, sign_in(ada, way)[COOKIE]).session_id for _ in range(3)]

    assert len(set(sessions)) == 3


def by_passkey(victim: BrowserSession, planted: str) -> Any:
    phone = Authenticator()
    add(victim, phone)
    browser = BrowserSession(victim.web, victim.view, victim.key)
    question = ask(browser, "/sign-in/passkey")
    challenge = question.headers["set-cookie"].split(";")[0]
    victim.web.client.cookies.clear()
    return victim.web.client.post(
        "/sign-in/passkey",
        data={"credential": phone.get(question.text)},
        headers={"origin": ORIGIN, "cookie": f"{COOKIE}={planted}; {challenge}"},
    )


def by_signing_up(victim: BrowserSession, planted: str) -> Any:
    path = sign_up(victim.web, new_address())
    victim.web.client.cookies.clear()
    return victim.web.client.post(
        path,
        data={"name": "Ada's own"},
        headers={"origin": ORIGIN, "cookie": f"{COOKIE}={planted}"},
    )


@pytest.mark.usefixtures("opened")
@pytest.mark.parametrize("is_guarded", [True, False], ids=["guarded", "unguarded"])
@pytest.mark.parametrize("enter", [by_passkey, by_signing_up])
def test_the_other_ways_in_end_a_planted_session_too(
    ada: BrowserSession,
    bert: BrowserSession,
    enter: Callable[[BrowserSession, str], Any],
    is_guarded: bool,
) -> None:
    begin = Sessions.begin

    async def keeping_the_former(*given: Any, **named: Any) -> str:
        return await begin(*given, **{**named, "replaces": None})

    with switched_off(Sessions, "begin", begin if is_guarded else keeping_the_former):
        answer = enter(ada, bert.cookie)

    [line] = [each for each in answer.headers.get_list("set-cookie") if each.startswith(COOKIE)]
    held = line.split(";")[0].removeprefix(f"{COOKIE}=")
    assert held != bert.cookie
    assert user_of(ada, held).actor.tenant_id != bert.view.id
    assert (user_of(ada, bert.cookie) is None) is is_guarded


def test_without_the_end_of_the_former_session_the_planted_one_would_live(
    ada: BrowserSession, bert: BrowserSession
) -> None:
    begin = Sessions.begin

    async def keeping_the_former(*given: Any, **named: Any) -> str:
        return await begin(*given, **{**named, "replaces": None})

    with switched_off(Sessions, "begin", keeping_the_former):
        sign_in(ada, with_key, **{COOKIE: bert.cookie})

    assert user_of(ada, bert.cookie) is not None


def test_a_planted_token_of_a_browser_hides_no_sign_in(
    ada: BrowserSession, bert: BrowserSession
) -> None:
    """The attacker's browser is known for the attacker alone."""
    token = sign_in(bert, with_key)[DEVICE_COOKIE]
    address = give_address(ada)

    sign_in(ada, with_key, **{DEVICE_COOKIE: token})  # with a stolen key, say

    assert [mail.subject for mail in mails_to(ada.web, address)] == ["New sign-in to your account"]
