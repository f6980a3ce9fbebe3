"""Somebody has read a code or a refresh token of an app (in a log, a backup, a copied folder) and
uses it after the app did. Guards: each works once, and a second use ends all that the first gave.
"""

from typing import Any

import pytest
from sqlmodel import update

from orderdesk_app.context import now
from orderdesk_app.db.oauth import OAuthToken
from orderdesk_app.services.oauth_tokens import GRACE, OAuthTokens
from tests.attacks.cast import OWNER, Cast, switched_off
from tests.web.oauth_app import App, ask


@pytest.fixture(scope="module")
def app(cast: Cast) -> App:
    return App(cast[OWNER], "an-app-that-is-copied")


def grow_old(app: App) -> None:
    """The last refresh was longer ago than the grace."""

    async def age() -> None:
        async with app.web.services.database.write() as session:
            await session.exec(update(OAuthToken).values(refreshed_at=now() - 2 * GRACE))

    app.web.do(age)


def refresh(app: App, token: str) -> Any:
    return app.send(grant_type="refresh_token", refresh_token=token)


def test_a_code_that_was_used_ends_what_it_gave(app: App) -> None:
    code = app.code()
    own = app.exchange(code).json()
    assert ask(app.web, own["access_token"]).status_code == 200

    stolen = app.exchange(code)

    assert (stolen.status_code, stolen.json()["error"]) == (400, "invalid_grant")
    assert ask(app.web, own["access_token"]).status_code == 401
    assert refresh(app, own["refresh_token"]).status_code == 400


def test_a_refresh_token_that_was_used_ends_its_family(app: App) -> None:
    copied = app.connect()["refresh_token"]
    own = refresh(app, copied).json()
    grow_old(app)

    stolen = refresh(app, copied)

    assert (stolen.status_code, stolen.json()["error"]) == (400, "invalid_grant")
    assert ask(app.web, own["access_token"]).status_code == 401
    assert refresh(app, own["refresh_token"]).status_code == 400


def test_and_so_does_the_app_itself_once_the_copy_was_used(app: App) -> None:
    copied = app.connect()["refresh_token"]
    stolen = refresh(app, copied).json()
    grow_old(app)

    assert refresh(app, copied).status_code == 400

    assert ask(app.web, stolen["access_token"]).status_code == 401


# ------------------------------------------------------------------ with the guards off


def test_without_the_guard_a_code_gives_tokens_again(app: App) -> None:
    code = app.code()
    app.exchange(code)

    async def given_again(self: Any, session: Any, what: Any, row: Any, *_: Any) -> Any:
        return await self._first_pair(session, app.client, row, now(), "")

    with switched_off(OAuthTokens, "_replayed", given_again):
        stolen = app.exchange(code)

    assert ask(app.web, stolen.json()["access_token"]).status_code == 200


def test_without_the_guard_a_refresh_token_works_for_ever(app: App) -> None:
    copied = app.connect()["refresh_token"]
    refresh(app, copied)
    grow_old(app)

    async def given_again(self: Any, session: Any, row: Any, credential: Any, moment: Any) -> Any:
        return await self._next_pair(session, row, credential, None, moment)

    with switched_off(OAuthTokens, "_same_pair", given_again):
        stolen = refresh(app, copied)

    assert ask(app.web, stolen.json()["access_token"]).status_code == 200
