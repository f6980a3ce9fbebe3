"""Times and amounts as people read them."""

from datetime import UTC, datetime


def ago(then: datetime | None, now: datetime) -> str:
    """As in 12 s ago, 3 min ago, 5 h ago, 4 d ago; then the date; empty for never."""
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
    return then.strftime("%-d %b %Y")


def exact(then: datetime | None) -> str:
    """As in 22 Nov 2026, 21:49:03 UTC; empty for never."""
    return "" if then is None else then.astimezone(UTC).strftime("%-d %b %Y, %H:%M:%S UTC")


def duration(milliseconds: float) -> str:
    """As in under 1 ms, 38 ms, 1.24 s."""
    if milliseconds < 1:
        return "under 1 ms"
    return f"{milliseconds:.0f} ms" if milliseconds < 1000 else f"{milliseconds / 1000:.2f} s"
