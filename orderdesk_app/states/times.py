"""Times and amounts as people read them. assets/ui/times.js lets the times run on, and says them in
the zone that the browser is in.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

_FULL = 20


def ago(then: datetime | None, now: datetime) -> str:
    """As in 12 s ago, 3 min ago, 5 h ago, 4 d ago; then the date in UTC; empty for never."""
    if then is None:
        return ""
    seconds = max(0, int((now - then).total_seconds()))
    if seconds < 60:
        return f"{seconds} s ago"
    if seconds < 3600:
        return f"{seconds // 60} min ago"
    if seconds < 86400:
        return f"{seconds // 3600} h ago"
    if seconds < 30 * 86400:
        return f"{seconds // 86400} d ago"
    return then.astimezone(UTC).strftime("%-d %b %Y")


def minute(then: datetime | None, now: datetime) -> str:
    """As in 12 May, 14:02 UTC; of other years with the year; empty for never."""
    if then is None:
        return ""
    moment = then.astimezone(UTC)
    year = "" if moment.year == now.year else f" {moment.year}"
    return f"{moment:%-d %b}{year}, {moment:%H:%M} UTC"


def stamp(then: datetime | None) -> str:
    """The moment for `datetime` of a time element, in UTC; empty for never."""
    return "" if then is None else then.astimezone(UTC).isoformat(timespec="milliseconds")


def changes_in(free: Sequence[int], calls: int) -> float | None:
    """In how many seconds numbers of the last day change though nothing happens; None where they
    do not. The `free` requests of stores, of 20, fill up again, and calls leave the day.
    """
    if any(count < _FULL for count in free):
        return 3.0
    return 300.0 if calls else None


def duration(milliseconds: float) -> str:
    """As in under 1 ms, 38 ms, 1.24 s."""
    if milliseconds < 1:
        return "under 1 ms"
    return f"{milliseconds:.0f} ms" if milliseconds < 1000 else f"{milliseconds / 1000:.2f} s"


def span(seconds: float) -> str:
    """A setting's length, as in 24 h, 90 min, 45 s: the largest unit that tells it whole."""
    for unit, name in ((3600, "h"), (60, "min")):
        if seconds >= unit and seconds % unit == 0:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds:.0f} s"
