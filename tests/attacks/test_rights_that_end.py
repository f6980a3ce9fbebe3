"""Somebody loses their role, their membership or their user while the consent page of an app is
open, or between their consent and the app's exchange, and the app is connected all the same.
Guards: who they are is asked for again at both, inside the write.
"""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

import pytest

from orderdesk_app.context import Role
from orderdesk_app.services import connected_apps, oauth_authorization
from tests.attacks.cast import encoded, post, switched_off
from tests.web import oauth_app
from tests.web.browser_session import BrowserSession
from tests.web.colleagues import Colleague, add_colleague
from tests.web.test_consent import codes, open_page, register

End = Callable[[BrowserSession, Colleague, BrowserSession], None]


def demote(owner: BrowserSession, colleague: Colleague, _: BrowserSession) -> None:
    people = owner.web.services.people
    owner.web.do(people.change_role, owner.actor, colleague.user_id, Role.VIEWER)


def remove(owner: BrowserSession, colleague: Colleague, _: BrowserSession) -> None:
    owner.web.do(owner.web.services.people.remove, owner.actor, colleague.user_id)


def disable(owner: BrowserSession, colleague: Colleague, operator: BrowserSession) -> None:
    owner.web.do(owner.web.services.users.disable, operator.actor, colleague.user_id)


ENDS: Mapping[str, End] = {"demoted": demote, "removed": remove, "disabled": disable}


@pytest.fixture
def cleo(ada: BrowserSession) -> Colleague:
    return add_colleague(ada, Role.MEMBER)


@pytest.mark.parametrize("end", ENDS)
def test_a_form_that_was_open_connects_nothing(
    ada: BrowserSession, cleo: Colleague, admin: BrowserSession, end: str
) -> None:
    app = register(ada.web, "Claude", "https://claude.example/callback")
    fields = open_page(cleo, app.address()).fields(decision="approve")

    ENDS[end](ada, cleo, admin)
    answer = post(cleo, "/authorize", encoded(*fields.items()))

    assert "code=" not in answer.headers.get("location", "")
    assert codes(ada.web, app) == []


@pytest.mark.parametrize("end", ENDS)
def test_a_code_that_was_given_before_gives_no_tokens(
    ada: BrowserSession, cleo: Colleague, admin: BrowserSession, end: str
) -> None:
    answer = exchanged_after(ENDS[end], ada, cleo, admin)

    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


# a viewer's app reads, as they do (tests/services/test_oauth_tokens.py)
@pytest.mark.parametrize("end", ["removed", "disabled"])
def test_an_app_that_is_connected_ends_with_them(
    ada: BrowserSession, cleo: Colleague, admin: BrowserSession, end: str
) -> None:
    app = oauth_app.App(cleo, f"an-app-of-{cleo.user_id}")
    pair = app.connect(scope="orders:read orders:write")

    ENDS[end](ada, cleo, admin)
    again = app.send(grant_type="refresh_token", refresh_token=pair["refresh_token"])

    assert oauth_app.ask(ada.web, pair["access_token"]).status_code == 401
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")


def exchanged_after(
    end: End, owner: BrowserSession, colleague: Colleague, operator: BrowserSession
) -> Any:
    app = oauth_app.App(colleague, f"an-app-of-{colleague.user_id}")
    code = app.code()
    end(owner, colleague, operator)
    return app.exchange(code)


# ------------------------------------------------------------------ with the guards off


async def still(*_: Any) -> None:
    """As if nothing had changed."""


def test_without_the_second_look_a_form_would_connect_the_app(
    ada: BrowserSession, cleo: Colleague, admin: BrowserSession
) -> None:
    app = register(ada.web, "Claude", "https://claude.example/callback")
    fields = open_page(cleo, app.address()).fields(decision="approve")
    demote(ada, cleo, admin)

    with ExitStack() as off:
        off.enter_context(switched_off(oauth_authorization, "require_still", still))
        for name in ("require", "require_scopes"):
            off.enter_context(switched_off(oauth_authorization, name, lambda *_: None))
        answer = post(cleo, "/authorize", encoded(*fields.items()))

    assert codes(ada.web, app) != [], answer.status_code


def test_without_the_second_look_a_code_would_give_tokens(
    ada: BrowserSession, cleo: Colleague, admin: BrowserSession
) -> None:
    with switched_off(connected_apps, "require_still", still):
        assert exchanged_after(demote, ada, cleo, admin).status_code == 200
