"""Order Desk's form there, ISO 8601 here, UTC throughout."""

import pytest

from orderdesk_app.errors import ValidationFailed
from orderdesk_app.orderdesk.dates import is_same_moment, to_iso, to_upstream


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("2026-11-22 14:05:00", "2026-11-22 14:05:00"),
        ("2026-11-22T14:05:00Z", "2026-11-22 14:05:00"),
        ("2026-11-22t14:05:00z", "2026-11-22 14:05:00"),
        ("2026-11-22T14:05:00.987654321Z", "2026-11-22 14:05:00"),
        ("2026-11-22T14:05:00,5Z", "2026-11-22 14:05:00"),
        ("2026-11-22T14:05:00+02:00", "2026-11-22 12:05:00"),
        ("2026-11-22T23:05:00-0800", "2026-11-23 07:05:00"),
        ("2026-11-22T14:05", "2026-11-22 14:05:00"),
        (" 2026-11-22 ", "2026-11-22 00:00:00"),
        ("0999-01-01", "0999-01-01 00:00:00"),
    ],
)
def test_every_known_form_is_sent_in_order_desks(given: str, sent: str) -> None:
    assert to_upstream(given, "search_start_date") == sent


def test_a_bare_date_can_mean_the_whole_day() -> None:
    assert to_upstream("2026-11-22", "search_end_date", end_of_day=True) == "2026-11-22 23:59:59"
    assert (
        to_upstream("2026-11-22 10:00", "search_end_date", end_of_day=True) == "2026-11-22 10:00:00"
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "2026-02-30",
        "0000-00-00 00:00:00",
        "2026-11-22T25:00:00Z",
        "22.11.2026",
        "20261122",
        "2026-W47",
        "0001-01-01T00:00:00+05:00",
        "١٢٣٤-11-22",
    ],
)
def test_what_is_no_date_is_refused_by_name(text: str) -> None:
    with pytest.raises(ValidationFailed) as refused:
        to_upstream(text, "modified_start_date")

    assert refused.value.field == "modified_start_date"
    assert "2026-11-22" in refused.value.message


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        ("2026-11-22 14:05:00", "2026-11-22T14:05:00Z"),
        ("2026-11-22T14:05:00Z", "2026-11-22T14:05:00Z"),
        ("2026-11-22", "2026-11-22"),
        ("0000-00-00 00:00:00", "0000-00-00 00:00:00"),
        ("", ""),
        ("n/a", "n/a"),
    ],
)
def test_dates_are_shown_in_iso_and_nothing_else_is_touched(stored: str, shown: str) -> None:
    assert to_iso(stored) == shown


def test_both_forms_of_a_moment_are_the_same() -> None:
    assert is_same_moment("2026-11-22 14:05:00", "2026-11-22T15:05:00.5+01:00")
    assert not is_same_moment("2026-11-22 14:05:00", "2026-11-22T14:05:01Z")
    assert not is_same_moment("", "")
