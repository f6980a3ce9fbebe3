"""An owner who is not the first makes a new master key, signs in with it, and so acts as the first
owner: an operator, or somebody with other accounts. Guard: what a master key begins reaches as far
as its account, and where there are other owners it makes nobody an operator.
"""

import pytest

from orderdesk_app.context import Role
from orderdesk_app.services import members
from tests.attacks.cast import switched_off
from tests.web.browser_session import BrowserSession, Web
from tests.web.colleagues import add_colleague


@pytest.fixture
def first(web: Web) -> BrowserSession:
    """The first owner of an account, who is an operator."""
    return web.make_account("The house", is_operator=True)


def signed_in_with_a_key_of_the_second(first: BrowserSession) -> BrowserSession:
    """The second owner's browser, with the master key that they have just made."""
    second = add_colleague(first, Role.OWNER, "Mallory")
    key = first.web.do(first.web.services.keys.rotate_master, second.actor)
    browser = BrowserSession(first.web, first.view, key)
    browser.sign_in()
    return browser


def is_operator(browser: BrowserSession) -> list[bool]:
    """In the web app, and by the key itself."""
    header = {"authorization": f"Bearer {browser.key.reveal()}"}
    browser.web.client.cookies.clear()
    answers = [
        browser.get("/health/detailed"),
        browser.web.client.get("/health/detailed", headers=header),
    ]
    return [browser.actor.is_operator, *(answer.status_code == 200 for answer in answers)]


def test_the_key_of_an_only_owner_makes_an_operator(first: BrowserSession) -> None:
    assert is_operator(first) == [True, True, True]


def test_a_key_that_another_owner_can_make_makes_no_operator(first: BrowserSession) -> None:
    mallory = signed_in_with_a_key_of_the_second(first)

    assert mallory.actor.user_id == first.view.owner_id
    assert is_operator(mallory) == [False, False, False]


def test_a_session_that_was_open_before_is_no_operators_either(first: BrowserSession) -> None:
    """The key that began it is known to another owner from now on, as far as we know."""
    add_colleague(first, Role.OWNER, "Mallory")

    assert first.actor.is_operator is False


def test_without_the_guard_the_second_owner_would_be_an_operator(first: BrowserSession) -> None:
    with switched_off(members, "is_only_owner", lambda _: True):
        mallory = signed_in_with_a_key_of_the_second(first)

        assert is_operator(mallory) == [True, True, True]
