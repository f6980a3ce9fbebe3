"""What somebody asks the activity for, as the address of the page says it: one filter a name."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from orderdesk_app.errors import (
    AuthFailed,
    Conflict,
    InternalError,
    NotFound,
    PermissionDenied,
    RateLimited,
    UpstreamFailed,
    ValidationFailed,
)

_LONGEST = 200
_PLACE = re.compile(r"(\d{8}T\d{12})-([0-9A-Za-z]{1,64})")
_TIME = "%Y%m%dT%H%M%S%f"
REFUSED = "refused"
# what the address may ask for as an outcome, and the codes of the rows that it means
OUTCOMES: dict[str, tuple[str, ...]] = {
    "ok": ("ok",),
    REFUSED: (ValidationFailed.code, PermissionDenied.code, RateLimited.code),
    **{
        code: (code,)
        for code in (
            NotFound.code,
            UpstreamFailed.code,
            AuthFailed.code,
            Conflict.code,
            InternalError.code,
            "NOT_DONE",
            "UNKNOWN",
            "CANCELLED",
            ValidationFailed.code,
            PermissionDenied.code,
            RateLimited.code,
        )
    },
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page of the activity begins or ends: the key of a row."""

    at: datetime
    id: str

    def __str__(self) -> str:
        return f"{self.at.astimezone(UTC).strftime(_TIME)}-{self.id}"


@dataclass(frozen=True, slots=True)
class ActivityFilter:
    """Empty fields ask for nothing. Days are whole days in `zone`."""

    tool: str = ""  # the name of a tool, or of what a person did, such as key.create
    client: str = ""  # the program, as it calls itself
    outcome: str = ""  # one of OUTCOMES
    writes: bool = False  # only what is meant to change something
    store: str = ""  # our own id of the store
    person: str = ""  # the user who did it, in the console and on the pages
    since: date | None = None
    until: date | None = None  # inclusive
    zone: str = ""
    request: str = ""  # the whole request id

    @property
    def codes(self) -> tuple[str, ...]:
        """The outcomes of the rows that are meant."""
        return OUTCOMES[self.outcome] if self.outcome else ()

    @property
    def begin(self) -> datetime | None:
        """The first moment that is meant, in UTC."""
        return _midnight(self.since, self.zone) if self.since else None

    @property
    def end(self) -> datetime | None:
        """The first moment that is no longer meant, in UTC."""
        if self.until is None or self.until == date.max:
            return None
        return _midnight(self.until + timedelta(days=1), self.zone)

    @property
    def is_empty(self) -> bool:
        return not self.query()

    def query(self, **more: str) -> str:
        """The query of the address that asks for the same, with `more` names; empty for nothing."""
        has_days = self.since is not None or self.until is not None
        given = {
            "tool": self.tool,
            "client": self.client,
            "outcome": self.outcome,
            "writes": "1" if self.writes else "",
            "store": self.store,
            "person": self.person,
            "from": self.since.isoformat() if self.since else "",
            "to": self.until.isoformat() if self.until else "",
            "zone": self.zone if has_days else "",
            "request": self.request,
            **more,
        }
        return urlencode({name: value for name, value in given.items() if value})


def read_filter(query: Mapping[str, str]) -> ActivityFilter:
    """The filter that an address asks for; names that are no filter are nothing of ours.

    Raises ValidationFailed, with the name as its `field`.
    """
    given = {name: _text(query, name) for name in ("tool", "client", "store", "person", "request")}
    outcome = _text(query, "outcome")
    if outcome and outcome not in OUTCOMES:
        raise ValidationFailed(
            f"There is no outcome “{outcome[:40]}”. Choose one from the list.", field="outcome"
        )
    writes = _text(query, "writes")
    if writes not in ("", "0", "1"):
        raise ValidationFailed("“writes” is 1 for changes alone, or left out.", field="writes")
    found = ActivityFilter(
        outcome=outcome,
        writes=writes == "1",
        since=_day(query, "from"),
        until=_day(query, "to"),
        zone=_zone_name(query),
        **given,
    )
    if found.since and found.until and found.since > found.until:
        raise ValidationFailed(
            f"From {found.since} to {found.until} there is no day. Swap the two days.", field="from"
        )
    return found


def read_place(query: Mapping[str, str], name: str) -> Place | None:
    """The key under that name in an address; None without one. Raises ValidationFailed."""
    text = _text(query, name)
    if not text:
        return None
    found = _PLACE.fullmatch(text)
    try:
        if found is not None:
            return Place(datetime.strptime(found[1], _TIME).replace(tzinfo=UTC), found[2])
    except ValueError:
        pass
    raise ValidationFailed(
        f"“{text[:40]}” is no place in the activity. Go to the newest rows and on from there.",
        field=name,
    )


def _text(query: Mapping[str, str], name: str) -> str:
    text = str(query.get(name) or "").strip()
    if len(text) > _LONGEST:
        raise ValidationFailed(
            f"“{name}” has {len(text):,} characters; at most {_LONGEST} are looked for.", field=name
        )
    # U+0000 and half a surrogate pair are in no row, and some databases take neither
    if any(character == "\0" or "\ud800" <= character <= "\udfff" for character in text):
        raise ValidationFailed(f"“{name}” holds a character that no row can hold.", field=name)
    return text


def _day(query: Mapping[str, str], name: str) -> date | None:
    text = _text(query, name)
    if not text:
        return None
    try:
        # the form of a date field; fromisoformat alone takes others too
        return datetime.strptime(text, "%Y-%m-%d").date()  # noqa: DTZ007  a day has no zone
    except ValueError:
        raise ValidationFailed(
            f"“{text[:40]}” is no day. Write it as 2026-11-28.", field=name
        ) from None


def _zone_name(query: Mapping[str, str]) -> str:
    name = _text(query, "zone")
    try:
        if name:
            _zone(name)
    except (LookupError, ValueError, OSError):
        raise ValidationFailed(
            f"There is no time zone “{name[:40]}”. Write it as Europe/Berlin, or leave it out for "
            "UTC.",
            field="zone",
        ) from None
    return name


def _zone(name: str) -> ZoneInfo:
    if not name.isascii():
        raise ValueError(name)
    return ZoneInfo(name or "UTC")


def _midnight(day: date, zone: str) -> datetime:
    try:
        return datetime.combine(day, time(), _zone(zone)).astimezone(UTC)
    except OverflowError:  # the first and the last day of all
        return datetime.combine(day, time(), UTC)
