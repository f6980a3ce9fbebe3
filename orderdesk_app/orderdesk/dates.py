"""Order Desk's dates and ours: `2026-11-22 14:05:00` (UTC, no zone) there, `2026-11-22T14:05:00Z`
at our edges.
"""

import re
from datetime import UTC, datetime

from orderdesk_app.errors import ValidationFailed

_KNOWN = re.compile(
    r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?(?:Z|[+-]\d\d:?\d\d)?)?",
    re.ASCII | re.IGNORECASE,
)
_FRACTION = re.compile(r"[.,]\d+")


def to_upstream(text: str, field: str, *, end_of_day: bool = False) -> str:
    """ISO 8601 or Order Desk's own form in, `YYYY-MM-DD HH:MM:SS` in UTC out; without a zone it is
    UTC already.

    A bare date is its first second, or with `end_of_day` its last. Raises ValidationFailed naming
    `field`.
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
    """Order Desk's form in, `…T…Z` out.

    A bare date stays a date, and what is no date stays as it is: nothing is lost.
    """
    moment = _read(text)
    if moment is None or len(text.strip()) == 10:
        return text
    return moment.isoformat("T", "seconds") + "Z"


def is_same_moment(one: str, other: str) -> bool:
    """Whether two texts, in either form, mean the same second."""
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
