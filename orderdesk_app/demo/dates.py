"""Order Desk's form of a time, `YYYY-MM-DD HH:MM:SS` in UTC, and what it accepts beside it (section
4).
"""

from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo


def stamp(seconds: float) -> str:
    """Seconds since 1970 as Order Desk writes a time."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


def read(text: str, zone: tzinfo = UTC) -> str | None:
    """A time as people and clients send it (short, long or ISO 8601; in `zone` unless it names
    one), in Order Desk's form; None when it is no time.
    """
    try:
        moment = datetime.fromisoformat(text.strip())
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=zone)
        return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError):
        return None


def zone_named(name: str) -> tzinfo:
    """The time zone of that IANA name; UTC where the machine has no zone files."""
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):  # ZoneInfoNotFoundError is a KeyError
        return UTC
