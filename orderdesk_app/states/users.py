"""All users of the installation, for operators: narrowed and sorted as the address says it, page by
page.
"""

from dataclasses import replace
from typing import Any, TypedDict

import reflex as rx
from reflex.event import EventSpec

from orderdesk_app import wiring
from orderdesk_app.context import Role, now
from orderdesk_app.errors import ValidationFailed
from orderdesk_app.services.deletions import BEING_DELETED
from orderdesk_app.services.user_filter import (
    MOMENTS,
    SORTS,
    UserFilter,
    UserPlace,
    read_user_filter,
    read_user_place,
)
from orderdesk_app.services.user_list import UserPage, UserRow
from orderdesk_app.states.signed_in import SignedInState, handler, operators_only
from orderdesk_app.states.times import ago, stamp

ADDRESS = "/users"
STATE_WORDS = {"active": "Active", "operator": "Operator", "disabled": "Disabled"}
STATE_TONES = {"active": "green", "operator": "blue", "disabled": "amber"}
ROLE_WORDS = {**{role.value: role.words for role in Role}, "": "No account"}
SORT_WORDS = {
    "name": "Name",
    "email": "E-mail",
    "created": "Created",
    "signed_in": "Last sign-in",
    "active": "Last activity",
}


class UserLine(TypedDict):
    """A user of the list for the screen."""

    id: str
    name: str
    email: str
    role: str
    state: str
    tone: str
    stores: str
    calls: str
    created: str
    created_at: str
    signed_in: str
    signed_in_at: str
    active: str
    active_at: str
    address: str


class SortHead(TypedDict):
    """A column that sorts: where a click on it leads, and how it is sorted now."""

    words: str
    address: str
    order: str  # "ascending", "descending" or "none"


class UsersState(SignedInState):
    loaded: bool = False
    fault: str = ""  # what is wrong with the address
    form_fault: str = ""  # what is wrong with the form, and at which filter
    form_field: str = ""
    rows: list[UserLine] = []
    heads: list[SortHead] = []
    # the filters as the address names them
    query: str = ""
    search: str = ""
    role: str = ""
    account_state: str = ""
    sort: str = "name"
    is_descending: bool = False
    is_cut: bool = False
    # addresses of other pages, empty where there is none
    first: str = ""
    previous: str = ""
    following: str = ""

    @rx.event
    @handler
    @operators_only
    async def load(self) -> None:
        query = {name: str(value) for name, value in self.router.url.query_parameters.items()}
        self.fault = self.form_fault = self.form_field = ""
        try:
            wanted = read_user_filter(query)
            after = read_user_place(query, "after", wanted.sort)
            before = read_user_place(query, "before", wanted.sort)
        except ValidationFailed as error:
            self.fault = error.message
            self.rows, self.heads = [], []
            self.first = self.previous = self.following = ""
            self.loaded = True
            return
        page = await wiring.current().users.page(
            self._require_actor(), wanted, after=after, before=before
        )
        self._show(wanted, page, is_first=after is None and page.previous is None)
        self.loaded = True

    @rx.event
    @handler
    @operators_only
    async def apply(self, form: dict[str, Any]) -> EventSpec | None:
        """Goes to the address of what was chosen."""
        query = {name: str(value) for name, value in form.items() if value}
        try:
            wanted = read_user_filter(query)
        except ValidationFailed as error:
            self.form_fault, self.form_field = error.message, error.field or ""
            return None
        return rx.redirect(_address(wanted))

    def _show(self, wanted: UserFilter, page: UserPage, *, is_first: bool) -> None:
        self.query = wanted.query()
        self.search, self.role, self.account_state = wanted.search, wanted.role, wanted.state
        self.sort, self.is_descending = wanted.sort, wanted.is_descending
        self.is_cut = page.is_cut
        self.rows = [_line(row) for row in page.rows]
        self.heads = [_head(wanted, sort) for sort in SORTS]
        self.first = "" if is_first else _address(wanted)
        self.previous = _address(wanted, before=page.previous) if page.previous else ""
        self.following = _address(wanted, after=page.next) if page.next else ""


def _line(row: UserRow) -> UserLine:
    moment = now()
    return UserLine(
        id=row.id,
        name="Being deleted" if row.name == BEING_DELETED else row.name,
        email=row.address_words,
        role=ROLE_WORDS.get(row.role, row.role),
        state=STATE_WORDS[row.state],
        tone=STATE_TONES[row.state],
        stores=f"{row.stores:,}",
        calls=f"{row.calls:,}",
        created=ago(row.created_at, moment),
        created_at=stamp(row.created_at),
        signed_in=ago(row.last_sign_in_at, moment),
        signed_in_at=stamp(row.last_sign_in_at),
        active=ago(row.last_active_at, moment),
        active_at=stamp(row.last_active_at),
        address=f"{ADDRESS}/{row.id}",
    )


def _head(wanted: UserFilter, sort: str) -> SortHead:
    """A click sorts by that column; a second one turns it round. Times begin with the newest."""
    is_sorted = wanted.sort == sort
    is_descending = not wanted.is_descending if is_sorted else sort in MOMENTS
    order = "none"
    if is_sorted:
        order = "descending" if wanted.is_descending else "ascending"
    turned = replace(wanted, sort=sort, is_descending=is_descending)
    return SortHead(words=SORT_WORDS[sort], address=_address(turned), order=order)


def _address(wanted: UserFilter, **places: UserPlace) -> str:
    query = wanted.query(**{name: str(place) for name, place in places.items()})
    return f"{ADDRESS}?{query}" if query else ADDRESS
