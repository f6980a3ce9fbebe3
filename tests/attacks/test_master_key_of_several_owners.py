"""An owner who is not the first makes a new master key, signs in with it, and so acts as the first
owner: an operator, or somebody with other accounts. Guard: what a master key begins reaches as far
as its account, and where there are other owners it makes nobody an operator.
"""

from typing import Any

import pytest

from orderdesk_app.context import Role
from orderdesk_app.errors import OrderDeskAgentsError, PermissionDenied
from orderdesk_app.services import invitations, members, passkeys
from tests.attacks.cast import switched_off
from tests.web.browser_session import ORIGIN, BrowserSession, Web
from tests.web.colleagues import add_colleague, join, set_role


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


@pytest.mark.parametrize("by_key", [False, True])
def test_a_key_of_somebody_who_was_an_owner_makes_no_operator_afterwards(
    first: BrowserSession, by_key: bool
) -> None:
    """Made in a session of their own, or in one that a key began, which acts as the first owner."""
    second = add_colleague(first, Role.OWNER, "Mallory")
    key = first.web.do(first.web.services.keys.rotate_master, second.actor)
    mallory = BrowserSession(first.web, first.view, key)
    mallory.sign_in()
    if by_key:
        mallory.key = first.web.do(first.web.services.keys.rotate_master, mallory.actor)
    set_role(first, second.user_id, Role.VIEWER)
    first.web.services.signals.deliver(f"tenant:{first.view.id}")

    assert is_operator(mallory) == [False, False, False]
    assert "add a passkey" in refused(mallory)


def test_without_the_guard_the_second_owner_would_be_an_operator(first: BrowserSession) -> None:
    with switched_off(members, "has_key_alone", is_alone):
        mallory = signed_in_with_a_key_of_the_second(first)

        assert is_operator(mallory) == [True, True, True]


# ------------------------------------------------------------------ what is a person's own


def acts_of_a_person(browser: BrowserSession) -> dict[str, Any]:
    """What reaches beyond the account, as the browser's actor would do it."""
    services, actor = browser.web.services, browser.actor
    user_id = browser.view.owner_id
    return {
        "add a passkey": lambda: services.passkeys.ask_for_new(actor),
        "remove a passkey": lambda: services.passkeys.remove(actor, "x"),
        "see what goes with the user": lambda: services.user_deletion.preview(actor, user_id),
        "delete the user": lambda: services.user_deletion.delete(actor, user_id, "The house"),
    }


def refused(browser: BrowserSession) -> list[str]:
    """The acts that are refused, as the session does not prove the person."""
    found = []
    for name, act in acts_of_a_person(browser).items():
        try:
            browser.web.do(act)
        except PermissionDenied:
            found.append(name)
        except OrderDeskAgentsError:
            continue
    return found


def test_a_key_that_another_owner_can_make_proves_no_person(web: Web) -> None:
    first = web.make_account("Ada's Teas")
    mallory = signed_in_with_a_key_of_the_second(first)

    assert refused(mallory) == list(acts_of_a_person(mallory))


def test_a_key_of_one_account_does_nothing_to_a_person_of_two(web: Web) -> None:
    first = web.make_account("Ada's Teas")
    other = web.make_account("Ada's Coffees")
    join(other, first.view.owner_id, Role.VIEWER)

    assert refused(first) == list(acts_of_a_person(first))


def test_the_key_of_an_only_owner_proves_the_person(web: Web) -> None:
    assert "add a passkey" not in refused(web.make_account("Ada's Teas"))


def test_without_the_guard_the_second_owner_could_add_a_passkey(web: Web) -> None:
    first = web.make_account("Ada's Teas")
    mallory = signed_in_with_a_key_of_the_second(first)

    with switched_off(passkeys, "require_person", let_through):
        assert "add a passkey" not in refused(mallory)


def test_an_invitation_makes_no_session_of_a_person_from_one_of_a_key(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where mail is not set up the inviter has the link, and could be the second owner."""
    monkeypatch.setattr(web.services.mailer, "is_set_up", False)
    first = web.make_account("Ada's Teas")
    mallory = signed_in_with_a_key_of_the_second(first)
    elsewhere = web.make_account("Mallory's")
    answer = elsewhere.post("/people/invite", email="ada@example.com", role="viewer")
    token = answer.text.partition("/invitation?token=")[2].partition("<")[0]
    path = f"/invitation?token={token}"

    refused_answer = mallory.request("POST", path, headers={"origin": ORIGIN}, data={"name": "x"})

    assert refused_answer.status_code == 403
    with switched_off(invitations, "require_person", let_through):
        taken = mallory.request("POST", path, headers={"origin": ORIGIN}, data={"name": "x"})
    assert taken.status_code == 303


async def is_alone(*_: Any) -> bool:
    return True


async def let_through(*_: Any) -> None:
    pass
