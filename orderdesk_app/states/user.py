"""One user, for operators: what they have, what they did, and whether they may go on. Every change
is a plain form (routes/users.py, routes/own_data.py).
"""

from collections.abc import AsyncGenerator
from datetime import datetime, timedelta
from typing import TypedDict

import reflex as rx

from orderdesk_app import wiring
from orderdesk_app.context import UserId, now
from orderdesk_app.errors import NotFound
from orderdesk_app.services.key_views import APP
from orderdesk_app.services.user_list import DAYS, UserRow
from orderdesk_app.services.users import (
    AccountOfUser,
    KeyOfUser,
    SessionOfUser,
    StoreOfUser,
    UserDetail,
)
from orderdesk_app.states.deletion_view import NOT_LOOKED_YET, DeletionView, view_of_user
from orderdesk_app.states.signed_in import SignedInState, handler, operators_only
from orderdesk_app.states.times import ago, stamp
from orderdesk_app.states.users import ROLE_WORDS, STATE_TONES, STATE_WORDS

DELETE = "delete-user"  # the form, as routes/own_data.py names it
_WIDTH, _HEIGHT = 600, 80  # of the chart


class Fact(TypedDict):
    """A line of what is known of a user; `at` for a time."""

    label: str
    words: str
    at: str


class AccountLine(TypedDict):
    id: str
    name: str
    role: str
    since: str
    since_at: str
    is_disabled: bool


class StoreLine(TypedDict):
    name: str
    account: str
    kind: str
    since: str
    since_at: str


class KeyLine(TypedDict):
    name: str
    hint: str  # empty for a connected app
    account: str
    created: str
    created_at: str
    used: str
    used_at: str


class SessionLine(TypedDict):
    account: str
    address: str
    browser: str
    begun: str
    begun_at: str
    seen: str
    seen_at: str


class DayBar(TypedDict):
    """The calls of one day, as a bar and as words."""

    day: str
    calls: str
    x: str
    y: str
    width: str
    height: str


class UserState(SignedInState):
    loaded: bool = False
    user_row_id: str = ""  # empty where there is no such user
    user_name: str = ""
    state_words: str = ""
    tone: str = ""
    is_user_disabled: bool = False
    is_user_operator: bool = False
    is_you: bool = False
    facts: list[Fact] = []
    accounts: list[AccountLine] = []
    user_stores: list[StoreLine] = []
    user_keys: list[KeyLine] = []
    browsers: list[SessionLine] = []
    finding: str = ""  # what the chart says
    has_calls: bool = False
    bars: list[DayBar] = []
    deletion: DeletionView = NOT_LOOKED_YET

    @rx.event
    @handler
    @operators_only
    async def load(self) -> AsyncGenerator[None]:
        user_id = UserId(self.router.url.path.rstrip("/").rpartition("/")[2])
        services, actor = wiring.current(), self._require_actor()
        if self.user_row_id != user_id:  # nobody acts on the one who was shown before
            self.deletion = NOT_LOOKED_YET
            self.loaded = False
            yield
        try:
            self._show(await services.users.get(actor, user_id))
        except NotFound:
            self.user_row_id = self.user_name = ""
            self.loaded = True
            return
        self.is_you = actor.user_id == user_id
        if self.problem_form == DELETE:  # its dialog opens again
            await self._count()
        self.loaded = True

    @rx.event
    @handler
    @operators_only
    async def count(self) -> None:
        """What a deletion would take along, once somebody asks for it."""
        await self._count()

    async def _count(self) -> None:
        preview = await wiring.current().user_deletion.preview(
            self._require_actor(), UserId(self.user_row_id)
        )
        self.deletion = view_of_user(preview)

    def _show(self, detail: UserDetail) -> None:
        user, moment = detail.user, now()
        self.user_row_id, self.user_name = user.id, user.name
        self.state_words, self.tone = STATE_WORDS[user.state], STATE_TONES[user.state]
        self.is_user_disabled = user.state == "disabled"
        self.is_user_operator = detail.is_operator
        self.facts = _facts(user, moment)
        self.accounts = [_account(each, moment) for each in detail.accounts]
        self.user_stores = [_store(each, moment) for each in detail.stores]
        self.user_keys = [_key(each, moment) for each in detail.keys]
        self.browsers = [_browser(each, moment) for each in detail.sessions]
        self._draw(detail)

    def _draw(self, detail: UserDetail) -> None:
        calls, most = detail.calls_by_day, max(detail.calls_by_day)
        days = [detail.since + timedelta(days=number) for number in range(len(calls))]
        step = _WIDTH / DAYS
        self.has_calls = most > 0
        self.finding = f"No calls in {DAYS} days"
        if most:
            busiest = days[calls.index(most)]
            self.finding = (
                f"{sum(calls):,} calls in {DAYS} days, most on {busiest:%-d %b} ({most:,})"
            )
        self.bars = [
            DayBar(
                day=f"{day:%-d %b %Y}",
                calls=f"{count:,}",
                x=f"{number * step + 1:.1f}",
                y=f"{_HEIGHT - _height(count, most):.1f}",
                width=f"{step - 2:.1f}",
                height=f"{_height(count, most):.1f}",
            )
            for number, (day, count) in enumerate(zip(days, calls, strict=True))
        ]


def _facts(user: UserRow, moment: datetime) -> list[Fact]:
    times = (
        ("Created", user.created_at),
        ("Last sign-in", user.last_sign_in_at),
        ("Last activity", user.last_active_at),
    )
    return [
        Fact(label="E-mail", words=user.address_words or "None", at=""),
        Fact(label="Highest role", words=ROLE_WORDS.get(user.role, user.role), at=""),
        *[Fact(label=label, words=ago(at, moment) or "Never", at=stamp(at)) for label, at in times],
        Fact(label="User id", words=user.id, at=""),
    ]


def _account(each: AccountOfUser, moment: datetime) -> AccountLine:
    return AccountLine(
        id=each.id,
        name=each.name,
        role=ROLE_WORDS.get(each.role, each.role),
        since=ago(each.since, moment),
        since_at=stamp(each.since),
        is_disabled=each.is_disabled,
    )


def _store(each: StoreOfUser, moment: datetime) -> StoreLine:
    return StoreLine(
        name=each.name,
        account=each.account,
        kind="Sandbox" if each.is_sandbox else "Live",
        since=ago(each.since, moment),
        since_at=stamp(each.since),
    )


def _key(each: KeyOfUser, moment: datetime) -> KeyLine:
    return KeyLine(
        name=each.name,
        hint="" if each.kind == APP else f"…{each.hint}",
        account=each.account,
        created=ago(each.created_at, moment),
        created_at=stamp(each.created_at),
        used=ago(each.last_used_at, moment),
        used_at=stamp(each.last_used_at),
    )


def _browser(each: SessionOfUser, moment: datetime) -> SessionLine:
    return SessionLine(
        account=each.account,
        address=each.address,
        browser=each.device,
        begun=ago(each.created_at, moment),
        begun_at=stamp(each.created_at),
        seen=ago(each.seen_at, moment),
        seen_at=stamp(each.seen_at),
    )


def _height(count: int, most: int) -> float:
    """A day with calls is never invisible."""
    return max(2.0, count / most * _HEIGHT) if count else 0.0
