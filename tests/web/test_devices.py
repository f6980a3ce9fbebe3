"""Every way of signing in notes the browser, and mails its person where the browser is new."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from orderdesk_app.services.sessions import COOKIE, DEVICE_COOKIE
from tests.web.browser_session import BrowserSession
from tests.web.test_sign_in import link_for
from tests.web.test_sign_in_mail import give_address, mails_to, stranger

SUBJECT = "New sign-in to your account"


def by_key(ada: BrowserSession, cookie: str) -> Any:
    return post(ada, "/sign-in/key", {"key": ada.key.reveal()}, cookie)


def by_link(ada: BrowserSession, cookie: str) -> Any:
    return post(ada, f"/sign-in/link?token={link_for(ada)}", {"as": "shown"}, cookie)


def post(ada: BrowserSession, path: str, fields: dict[str, str], cookie: str) -> Any:
    headers = {"origin": "http://localhost:8080", "cookie": cookie}
    ada.web.client.cookies.clear()
    return ada.web.client.post(path, data=fields, headers=headers)


def device_of(answer: Any) -> str:
    [line] = [each for each in answer.headers.get_list("set-cookie") if DEVICE_COOKIE in each]
    return str(line.split(";")[0])


@pytest.mark.parametrize("way", [by_key, by_link])
def test_a_new_browser_is_told_and_a_known_one_is_not(
    ada: BrowserSession, way: Callable[[BrowserSession, str], Any]
) -> None:
    address = give_address(ada)  # she has signed in before, with a key

    first = way(ada, "")
    [mail] = mails_to(ada.web, address)
    again = way(ada, device_of(first))

    assert mail.subject == SUBJECT
    assert "http://localhost:8080/account" in mail.text
    assert not re.search(r"token=", mail.text)
    assert device_of(again) == device_of(first)
    assert len(mails_to(ada.web, address)) == 1


@pytest.mark.parametrize("cookie", ["x", "a" * 43 + "; orderdesk_device=" + "b" * 43])
def test_a_cookie_that_is_none_of_ours_is_replaced(ada: BrowserSession, cookie: str) -> None:
    answer = by_key(ada, f"{DEVICE_COOKIE}={cookie}")

    new = device_of(answer).removeprefix(f"{DEVICE_COOKIE}=")
    assert new not in cookie
    assert len(new) == 43


def test_signing_out_keeps_the_browser_known(ada: BrowserSession) -> None:
    answer = ada.post("/sign-out")

    assert [line.split("=")[0] for line in answer.headers.get_list("set-cookie")] == [COOKIE]


def test_a_sign_in_that_fails_makes_no_browser_known(ada: BrowserSession) -> None:
    answer = stranger(ada).post("/sign-in/key", key="wrong", token=False)

    assert "set-cookie" not in answer.headers
