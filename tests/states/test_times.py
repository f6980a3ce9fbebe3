"""Times are told in the store's zone, and never without saying which."""

import builtins
import io
from datetime import UTC, datetime, timedelta

import pytest

from orderdesk_app.states.times import ago, exact, span

EVENING = datetime(2026, 11, 23, 2, 30, 5, tzinfo=UTC)


def test_the_exact_time_is_the_stores_and_names_its_zone() -> None:
    assert exact(EVENING, "America/Chicago") == "22 Nov 2026, 20:30:05 America/Chicago"
    # summer time
    assert (
        exact(EVENING - timedelta(days=150), "America/Chicago")
        == "25 Jun 2026, 21:30:05 America/Chicago"
    )


def test_without_a_store_the_exact_time_is_marked_utc() -> None:
    assert exact(EVENING) == "23 Nov 2026, 02:30:05 UTC"
    assert exact(EVENING, "UTC") == "23 Nov 2026, 02:30:05 UTC"
    assert exact(None, "America/Chicago") == ""


@pytest.mark.parametrize(
    "told",
    ["Mars/Olympus", "America", "../../etc/passwd", "/etc/passwd", "x" * 5000, "Köln", "a\0b", " "],
)
def test_a_zone_that_nobody_knows_is_told_as_utc(told: str) -> None:
    assert exact(EVENING, told).endswith("02:30:05 UTC")


def test_an_old_date_is_the_stores_date() -> None:
    assert ago(EVENING, EVENING + timedelta(days=60), "America/Chicago") == "22 Nov 2026"
    assert ago(EVENING, EVENING + timedelta(days=60)) == "23 Nov 2026"


def test_a_zone_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    exact(EVENING, "Pacific/Auckland")

    def no_file(*_: object, **__: object) -> None:
        raise AssertionError("a file was opened")

    monkeypatch.setattr(builtins, "open", no_file)
    monkeypatch.setattr(io, "open", no_file)

    assert exact(EVENING, "Pacific/Auckland").endswith("Pacific/Auckland")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(86400, "24 h"), (21600, "6 h"), (5400, "90 min"), (45, "45 s"), (37.5, "38 s")],
)
def test_a_length_is_told_in_the_largest_unit_that_fits(seconds: float, words: str) -> None:
    assert span(seconds) == words
