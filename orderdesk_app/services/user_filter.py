"""What an operator asks the list of users for, as the address of the page says it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from orderdesk_app.context import Role
from orderdesk_app.errors import ValidationFailed

LONGEST_SEARCH = 100
# What the address may ask for, and the states of the rows that it means: operators are active too.
STATES: dict[str, tuple[str, ...]] = {
    "active": ("active", "operator"),
    "operator": ("operator",),
    "disabled": ("disabled",),
}
EVERY_STATE = ("active", "operator", "disabled")
EVERY_ROLE = (*(str(role) for role in Role), "")
# What the list can be sorted by, and the column that has it. The first is where it begins.
SORTS: dict[str, str] = {
    "name": "name_key",
    "email": "email_key",
    "created": "created_at",
    "signed_in": "last_sign_in_at",
    "active": "last_active_at",
}
MOMENTS = frozenset({"created", "signed_in", "active"})  # sorts by a time
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PLACE = re.compile(r"([nvm])-([0-9A-Za-z]{1,64})-(.{0,300})", re.DOTALL)
_MICROSECONDS = re.compile(r"-?[0-9]{1,16}")  # three centuries around _EPOCH
_STEP = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class UserPlace:
    """Where a page of users begins or ends: a row's value of the column that sorts, and its id.
    Rows without a value come last, whichever way the list is sorted.
    """

    value: str | datetime | None
    id: str

    def __str__(self) -> str:
        if self.value is None:
            return f"n-{self.id}-"
        if isinstance(self.value, datetime):
            return f"m-{self.id}-{(self.value - _EPOCH) // _STEP}"
        return f"v-{self.id}-{self.value}"


@dataclass(frozen=True, slots=True)
class UserFilter:
    """Empty fields ask for nothing. `search` is how a name or an e-mail address begins."""

    search: str = ""
    role: str = ""  # the highest that a user has in any account
    state: str = ""  # one of STATES
    sort: str = "name"
    is_descending: bool = False

    @property
    def states(self) -> tuple[str, ...]:
        return STATES[self.state] if self.state else EVERY_STATE

    @property
    def roles(self) -> tuple[str, ...]:
        return (self.role,) if self.role else EVERY_ROLE

    @property
    def column(self) -> str:
        return SORTS[self.sort]

    def query(self, **more: str) -> str:
        """The query of the address that asks for the same, with `more` names; empty for nothing."""
        given = {
            "search": self.search,
            "role": self.role,
            "state": self.state,
            "sort": "" if self.sort == "name" else self.sort,
            "order": "descending" if self.is_descending else "",
            **more,
        }
        return urlencode({name: value for name, value in given.items() if value})


def read_user_filter(query: Mapping[str, str]) -> UserFilter:
    """The filter that an address asks for. Raises ValidationFailed, with the name as its
    `field`.
    """
    search = _text(query, "search", LONGEST_SEARCH)
    role = _choice(query, "role", [str(role) for role in Role])
    state = _choice(query, "state", list(STATES))
    sort = _choice(query, "sort", list(SORTS)) or "name"
    order = _choice(query, "order", ["ascending", "descending"])
    return UserFilter(search, role, state, sort, is_descending=order == "descending")


def read_user_place(query: Mapping[str, str], name: str, sort: str) -> UserPlace | None:
    """The place under that name in an address; None without one. Raises ValidationFailed."""
    text = str(query.get(name) or "")  # as it is: a name may end in a space
    if not text:
        return None
    _check_text(text, name, 400)
    found = _PLACE.fullmatch(text)
    if found is not None:
        kind, user_id, value = found.groups()
        if kind == "n" and sort != "name":
            return UserPlace(None, user_id)
        if kind == "v" and sort not in MOMENTS:
            return UserPlace(value, user_id)
        if kind == "m" and sort in MOMENTS and _MICROSECONDS.fullmatch(value):
            return UserPlace(_EPOCH + int(value) * _STEP, user_id)
    raise ValidationFailed(
        f"“{text[:40]}” is no place in this list. Go to its first page and on from there.",
        field=name,
    )


def beginnings(search: str) -> list[str]:
    """What the keys of the rows that are meant begin with. A database may lower the letters a to z
    alone, so that what is typed small also has to be looked for as it is written.
    """
    forms = (search, search.lower(), search.upper(), search.title(), search.capitalize())
    lowered = [_lower_ascii(form) for form in forms] + [search.lower()]
    return list(dict.fromkeys(lowered))


def _lower_ascii(text: str) -> str:
    return "".join(letter.lower() if letter.isascii() else letter for letter in text)


def _choice(query: Mapping[str, str], name: str, choices: list[str]) -> str:
    text = _text(query, name, 40)
    if text and text not in choices:
        raise ValidationFailed(
            f"There is no {name} “{text}”. Choose one from the list.", field=name
        )
    return text


def _text(query: Mapping[str, str], name: str, most: int) -> str:
    text = str(query.get(name) or "").strip()
    _check_text(text, name, most)
    return text


def _check_text(text: str, name: str, most: int) -> None:
    if len(text) > most:
        raise ValidationFailed(
            f"“{name}” has {len(text):,} characters; at most {most} are looked for.", field=name
        )
    # U+0000 and half a surrogate pair are in no row, and some databases take neither
    if any(character == "\0" or "\ud800" <= character <= "\udfff" for character in text):
        raise ValidationFailed(f"“{name}” holds a character that no row can hold.", field=name)
