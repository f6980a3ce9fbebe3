"""Times and lengths in words; how they run on is assets/ui/times.js's (tests/web/scripts)."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from orderdesk_app.states.times import ago, minute, span, stamp

EVENING = datetime(2026, 11, 23, 2, 30, 5, 123456, tzinfo=UTC)


def test_a_moment_is_given_to_the_browser_in_utc() -> None:
    chicago = timezone(timedelta(hours=-6))

    assert stamp(EVENING) == "2026-11-23T02:30:05.123+00:00"
    assert stamp(EVENING.astimezone(chicago)) == stamp(EVENING)
    assert stamp(None) == ""


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "0 s ago"),
        (59, "59 s ago"),
        (60, "1 min ago"),
        (3600, "1 h ago"),
        (86400, "1 d ago"),
        (60 * 86400, "23 Nov 2026"),
    ],
)
def test_a_time_is_told_in_the_largest_unit(seconds: int, words: str) -> None:
    assert ago(EVENING, EVENING + timedelta(seconds=seconds)) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(86400, "24 h"), (21600, "6 h"), (5400, "90 min"), (45, "45 s"), (37.5, "38 s")],
)
def test_a_length_is_told_in_the_largest_unit_that_fits(seconds: float, words: str) -> None:
    assert span(seconds) == words


@pytest.mark.parametrize(
    ("then", "words"),
    [
        (None, ""),
        (datetime(2026, 5, 12, 9, tzinfo=UTC), "12 May, 09:00 UTC"),
        (datetime(2025, 5, 12, 9, tzinfo=UTC), "12 May 2025, 09:00 UTC"),
        (datetime(2026, 11, 27, 9, 5, tzinfo=timezone(timedelta(hours=1))), "27 Nov, 08:05 UTC"),
    ],
)
def test_a_minute_is_told_in_utc_with_the_year_of_another_one(
    then: datetime | None, words: str
) -> None:
    assert minute(then, datetime(2026, 11, 28, 12, tzinfo=UTC)) == words
