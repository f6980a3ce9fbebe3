"""Somebody with an account of their own fills the database: renews an app's tokens, sends forms and
signs in without end. Each leaves rows that are kept for months.

Guards: limits of each account and session (services/limits.py), and most sessions and browsers of a
person (services/sessions.py, services/devices.py).
"""

import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from sqlmodel import col, func, select

from orderdesk_app.context import Secret
from orderdesk_app.db.devices import Device
from orderdesk_app.db.sessions import Session
from orderdesk_app.services import devices, sessions
from orderdesk_app.services.limits import Limit
from orderdesk_app.token_bucket import TokenBucket
from tests.attacks.cast import switched_off
from tests.web.browser_session import BrowserSession, Web
from tests.web.oauth_app import App, ask

_NUMBERS = itertools.count(1)
TRIES = 8
FEW = 3


def renewals(who: BrowserSession) -> Callable[[], Any]:
    """Renews the pair of the time before; a refused one is tried again."""
    app = App(who, f"an-app-without-end-{next(_NUMBERS)}")
    pair = app.connect()

    def renew() -> Any:
        nonlocal pair
        answer = app.send(grant_type="refresh_token", refresh_token=pair["refresh_token"])
        pair = answer.json() if answer.status_code == 200 else pair
        return answer

    return renew


def exchanges(who: BrowserSession) -> Callable[[], Any]:
    app = App(who, f"an-app-without-end-{next(_NUMBERS)}")
    return lambda: app.exchange(app.code())


def sign_ins(who: BrowserSession) -> Callable[[], Any]:
    stranger = BrowserSession(who.web, who.view, Secret(""))  # no cookie: nothing is replaced
    return lambda: stranger.post("/sign-in/key", token=False, key=who.key.reveal())


def renames(who: BrowserSession) -> Callable[[], Any]:
    return lambda: who.post("/account/name", name="Ada")


# what is done, and the limit that ends it
ACTS: Mapping[str, tuple[Callable[[BrowserSession], Callable[[], Any]], str]] = {
    "renewals": (renewals, "token_pairs"),
    "exchanges": (exchanges, "token_pairs"),
    "sign-ins": (sign_ins, "sign_ins"),
    "forms": (renames, "forms"),
}


@contextmanager
def few(limit: Limit) -> Iterator[None]:
    before, limit.rules = limit.rules, TokenBucket(FEW, 1 / 60)
    try:
        yield
    finally:
        limit.rules = before


def answered(who: BrowserSession, act: str) -> int:
    """How many of some tries are not refused."""
    begin, limit = ACTS[act]
    again = begin(who)
    with few(getattr(who.web.services.limits, limit)):
        return [again().status_code for _ in range(TRIES)].count(429)


@pytest.mark.parametrize("act", ACTS)
def test_nobody_does_it_without_end(ada: BrowserSession, act: str) -> None:
    assert TRIES - answered(ada, act) <= FEW


@pytest.mark.parametrize("act", ACTS)
def test_without_its_limit_it_goes_on(ada: BrowserSession, act: str) -> None:
    async def take_nothing(*_: Any, **__: Any) -> None:
        """As if there was no limit."""

    with switched_off(Limit, "spend", take_nothing):
        assert answered(ada, act) == 0


def test_the_neighbour_has_a_limit_of_their_own(ada: BrowserSession, bert: BrowserSession) -> None:
    with few(ada.web.services.limits.forms):
        assert [renames(ada)().status_code for _ in range(TRIES)][-1] == 429
        assert renames(bert)().status_code == 303


def test_a_copy_is_recognised_also_when_the_limit_is_used_up(ada: BrowserSession) -> None:
    app = App(ada, f"an-app-without-end-{next(_NUMBERS)}")
    code = app.code()
    pair = app.exchange(code).json()

    with few(ada.web.services.limits.token_pairs):
        renewed = renewals(ada)
        for _ in range(TRIES):
            renewed()
        stolen = app.exchange(code)

    assert stolen.json()["error"] == "invalid_grant"
    assert ask(ada.web, pair["access_token"]).status_code == 401


# ------------------------------------------------------------------ sessions and browsers


def rows(web: Web, table: type[Session] | type[Device], user_id: str) -> int:
    async def count() -> int:
        async with web.services.database.read() as session:
            question = select(func.count()).where(col(table.user_id) == user_id)
            return (await session.exec(question)).one()

    found: int = web.do(count)
    return found


def sign_in_often(who: BrowserSession) -> None:
    again = sign_ins(who)
    for _ in range(TRIES):
        assert again().status_code == 303


@pytest.fixture
def room_for_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "MOST_SESSIONS", FEW)
    monkeypatch.setattr(devices, "MOST_DEVICES", FEW)


@pytest.mark.usefixtures("room_for_few")
def test_a_person_has_few_sessions_and_browsers(ada: BrowserSession) -> None:
    sign_in_often(ada)

    assert rows(ada.web, Session, ada.view.owner_id) == FEW
    assert rows(ada.web, Device, ada.view.owner_id) == FEW
    assert ada.form_token() == "", "the first one made room for the others"


def test_without_that_they_have_as_many_as_they_like(ada: BrowserSession) -> None:
    sign_in_often(ada)

    assert rows(ada.web, Session, ada.view.owner_id) > FEW
    assert rows(ada.web, Device, ada.view.owner_id) > FEW


@pytest.mark.usefixtures("room_for_few")
def test_a_session_that_was_signed_out_makes_room_first(ada: BrowserSession) -> None:
    for _ in range(TRIES):
        other = BrowserSession(ada.web, ada.view, ada.key)
        other.sign_in()
        other.post("/sign-out")

    assert ada.form_token()


@pytest.mark.usefixtures("room_for_few")
def test_a_master_key_pushes_out_no_session_that_is_the_persons_own(ada: BrowserSession) -> None:
    """Another owner may have the key (test_master_key_of_several_owners.py)."""
    ada.cookie = ada.web.do(
        ada.web.services.sessions.start,
        ada.view.id,
        ada.view.owner_id,
        credential_id=None,
        address="203.0.113.9",
        user_agent="Firefox",
    )

    sign_in_often(ada)

    assert ada.form_token()
