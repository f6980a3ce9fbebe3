"""What an address may ask the activity for: each filter, and what is wrong with a faulty one."""

from datetime import UTC, date, datetime
from urllib.parse import parse_qsl

import pytest

from orderdesk_app.errors import ValidationFailed
from orderdesk_app.services.activity_filter import (
    OUTCOMES,
    ActivityFilter,
    Place,
    read_filter,
    read_place,
)

EVERYTHING = {
    "tool": "orders_update",
    "client": "claude ai & friends",
    "outcome": "refused",
    "writes": "1",
    "store": "01STORE",
    "person": "01USER",
    "from": "2026-11-01",
    "to": "2026-11-28",
    "zone": "Europe/Berlin",
    "request": "01REQUEST",
}


def test_an_address_without_filters_asks_for_everything() -> None:
    found = read_filter({"page": "2", "utm_source": "x"})

    assert found == ActivityFilter()
    assert found.is_empty
    assert found.query() == ""


def test_every_filter_is_read_and_written_back_as_it_was() -> None:
    found = read_filter(EVERYTHING)

    assert dict(parse_qsl(found.query())) == EVERYTHING
    assert read_filter(dict(parse_qsl(found.query()))) == found
    assert dict(parse_qsl(found.query(before="x"))) == {**EVERYTHING, "before": "x"}


def test_days_are_whole_days_in_the_zone_of_the_person() -> None:
    found = read_filter({"from": "2026-03-29", "to": "2026-03-29", "zone": "Europe/Berlin"})

    # the day when the clocks went forward has 23 hours
    assert (found.begin, found.end) == (
        datetime(2026, 3, 28, 23, tzinfo=UTC),
        datetime(2026, 3, 29, 22, tzinfo=UTC),
    )
    assert read_filter({"from": "2026-03-29"}).begin == datetime(2026, 3, 29, tzinfo=UTC)


@pytest.mark.parametrize(
    ("query", "field", "words"),
    [
        ({"outcome": "great"}, "outcome", "There is no outcome “great”"),
        ({"writes": "yes"}, "writes", "is 1 for changes alone"),
        ({"from": "yesterday"}, "from", "“yesterday” is no day"),
        ({"from": "2026-02-30"}, "from", "“2026-02-30” is no day"),
        ({"to": "20261128"}, "to", "Write it as 2026-11-28"),
        ({"from": "2026-11-02", "to": "2026-11-01"}, "from", "Swap the two days"),
        ({"zone": "Mars/Olympus"}, "zone", "no time zone “Mars/Olympus”"),
        ({"zone": "../../etc/passwd"}, "zone", "no time zone"),
        ({"zone": "Zürich"}, "zone", "no time zone"),
        ({"zone": "."}, "zone", "no time zone"),
        ({"tool": "x" * 201}, "tool", "201 characters"),
        ({"client": "a\0b"}, "client", "a character that no row can hold"),
        ({"request": "\ud800"}, "request", "a character that no row can hold"),
    ],
)
def test_a_faulty_filter_is_named_with_what_is_wrong(
    query: dict[str, str], field: str, words: str
) -> None:
    with pytest.raises(ValidationFailed) as refused:
        read_filter(query)

    assert refused.value.field == field
    assert words in refused.value.message


@pytest.mark.parametrize("day", [date.min, date.max])
def test_the_ends_of_the_calendar_are_days(day: date) -> None:
    found = read_filter(
        {"from": day.isoformat(), "to": day.isoformat(), "zone": "Pacific/Kiritimati"}
    )

    assert found.begin is not None
    assert found.end is None or found.end > found.begin


def test_a_place_is_read_as_it_was_written() -> None:
    place = Place(datetime(2026, 11, 28, 9, 30, 1, 23, tzinfo=UTC), "01ABC")

    assert read_place({"before": str(place)}, "before") == place
    assert read_place({"before": ""}, "before") is None


@pytest.mark.parametrize(
    "text", ["x", "20261128T093001000023", "20269928T093001000023-01A", "-", "1"]
)
def test_a_faulty_place_is_told(text: str) -> None:
    with pytest.raises(ValidationFailed, match="no place in the activity"):
        read_place({"after": text}, "after")


def test_what_was_refused_here_is_no_failure_of_order_desk() -> None:
    refused, upstream = set(OUTCOMES["refused"]), set(OUTCOMES["ORDERDESK_API_ERROR"])

    assert not refused & (upstream | set(OUTCOMES["NOT_FOUND"]))
