"""A token of an app is used where it was not meant to be: at another server of the same issuer, at
another entry point of ours, or after its time. Guards: one audience, asked in each request; expiry
in each call, also of a token that is cached; and signals, by which a revocation is heard at once.
"""

from typing import Any

import pytest
from sqlmodel import update

from orderdesk_app.context import Scope, Via, now
from orderdesk_app.db.oauth import OAuthToken
from orderdesk_app.db.signals import Signals
from orderdesk_app.errors import AuthFailed
from orderdesk_app.services.access import Access
from orderdesk_app.services.oauth_errors import AuthorizationRedirect
from orderdesk_app.services.oauth_resource import OAuthResource
from tests.attacks.cast import OWNER, Cast, switched_off
from tests.web.oauth_app import App, ask

FOREIGN = "https://evil.example/mcp"


@pytest.fixture(scope="module")
def app(cast: Cast) -> App:
    return App(cast[OWNER], "an-app-that-wanders")


def let_it_expire(app: App) -> None:
    """Every token of the database has expired a second ago."""

    async def age() -> None:
        async with app.web.services.database.write() as session:
            await session.exec(update(OAuthToken).values(access_expires_at=now()))

    app.web.do(age)
    app.web.services.signals.deliver(f"tenant:{app.person.view.id}")


def over_stdio(app: App, token: str) -> Any:
    return app.web.do(app.web.services.access.by_token, token, via=Via.STDIO)


def test_a_token_of_another_server_is_not_given(app: App) -> None:
    with pytest.raises(AuthorizationRedirect):
        app.code(resource=FOREIGN)
    answer = app.exchange(app.code(), resource=FOREIGN)
    assert answer.json()["error"] == "invalid_target"


def test_a_token_opens_no_other_entry_point(app: App) -> None:
    token = app.connect(scope=" ".join(Scope))["access_token"]

    with pytest.raises(AuthFailed):
        over_stdio(app, token)
    detailed = app.web.client.get("/health/detailed", headers={"authorization": f"Bearer {token}"})
    assert detailed.status_code == 401


def test_a_token_ends_with_its_time_and_at_its_revocation(app: App) -> None:
    first, second = app.connect()["access_token"], app.connect()["access_token"]
    assert ask(app.web, first).status_code == ask(app.web, second).status_code == 200

    app.send("/revoke", token=first)
    assert ask(app.web, first).status_code == 401
    assert ask(app.web, second).status_code == 200
    let_it_expire(app)
    assert ask(app.web, second).status_code == 401


# ------------------------------------------------------------------ with the guards off


def test_without_the_guard_a_code_is_given_for_another_server(app: App) -> None:
    with switched_off(OAuthResource, "require", lambda *_: None):
        assert app.code(resource=FOREIGN)


def test_without_the_guard_a_token_opens_more_and_for_longer(app: App) -> None:
    token = app.connect()["access_token"]

    with switched_off(Access, "_require_valid", lambda *_: None):
        assert over_stdio(app, token).actor.user_id == app.person.actor.user_id
        let_it_expire(app)
        assert ask(app.web, token).status_code == 200


def test_without_the_signal_a_revoked_token_works_on(app: App) -> None:
    token = app.connect()["access_token"]
    assert ask(app.web, token).status_code == 200

    async def in_silence(*_: Any, **__: Any) -> None:
        return None

    with switched_off(Signals, "publish", in_silence):
        app.send("/revoke", token=token)
        assert ask(app.web, token).status_code == 200
