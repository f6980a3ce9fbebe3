"""Converts dates: Order Desk writes `2026-11-22 14:05:00` (UTC, no zone; docs/orderdesk-api.md
section 4), we write `2026-11-22T14:05:00Z`.
"""

import re
from datetime import UTC, datetime

from orderdesk_app.errors import ValidationFailed

_KNOWN = re.compile(
    r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?(?:Z|[+-]\d\d:?\d\d)?)?",
    re.ASCII | re.IGNORECASE,
)
NO_DATE = "0000-00-00 00:00:00"  # as MySQL, and so perhaps Order Desk, writes none
_FRACTION = re.compile(r"[.,]\d+")


def to_upstream(text: str, field: str, *, end_of_day: bool = False) -> str:
    """`YYYY-MM-DD HH:MM:SS` in UTC, from ISO 8601 or Order Desk's own form; a text without a zone
    counts as UTC.

    A bare date means its first second, or with `end_of_day` its last. Raises ValidationFailed that
    names `field`.
    """
    moment = _read(text)
    if moment is None:
        raise ValidationFailed(
            f"{field} must be a date such as 2026-11-22 or 2026-11-22T14:05:00Z.", field=field
        )
    if end_of_day and len(text.strip()) == 10:
        moment = moment.replace(hour=23, minute=59, second=59)
    return moment.isoformat(" ", "seconds")


def to_iso(text: str) -> str:
    """`YYYY-MM-DDTHH:MM:SSZ`, from Order Desk's form.

    A bare date, and a text that is no date, are returned unchanged.
    """
    moment = _read(text)
    if moment is None or len(text.strip()) == 10:
        return text
    return moment.isoformat("T", "seconds") + "Z"


def is_same_moment(one: str, other: str) -> bool:
    """Whether two dates, each in either form, mean the same second; False where one is no date."""
    first, second = _read(one), _read(other)
    return first is not None and first == second


def _read(text: str) -> datetime | None:
    plain = text.strip()
    if not _KNOWN.fullmatch(plain):
        return None
    try:
        moment = datetime.fromisoformat(_FRACTION.sub("", plain).upper())
        if moment.tzinfo is not None:
            moment = moment.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        return None  # the 30th of February, the zero date, the edge of the calendar
    return moment
