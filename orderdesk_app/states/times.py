"""Times and amounts as people read them: a store's times in the store's zone, all others in UTC."""

from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo


def ago(then: datetime | None, now: datetime, zone: str = "") -> str:
    """As in 12 s ago, 3 min ago, 5 h ago, 4 d ago; then the date in that zone; empty for never."""
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
    return then.astimezone(_zone(zone)[0]).strftime("%-d %b %Y")


def exact(then: datetime | None, zone: str = "") -> str:
    """As in 22 Nov 2026, 15:49:03 America/Chicago; without a zone, or with one that does not exist,
    21:49:03 UTC; empty for never.
    """
    if then is None:
        return ""
    place, name = _zone(zone)
    return f"{then.astimezone(place).strftime('%-d %b %Y, %H:%M:%S')} {name}"


@lru_cache(1024)  # a zone is a file: it is read once in a process, not at every event
def _zone(name: str) -> tuple[tzinfo, str]:
    """The zone and how it is called. Order Desk's value may be any text."""
    try:
        return (ZoneInfo(name), name) if name and name.isascii() else (UTC, "UTC")
    except (LookupError, ValueError, OSError):
        return UTC, "UTC"


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
