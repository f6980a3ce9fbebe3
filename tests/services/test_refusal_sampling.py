"""Ten refusals of a kind in a minute have rows; the others are counted, and none is lost."""

from dataclasses import dataclass

import pytest

from orderdesk_app.services.refusal_sampling import OWN_ROWS, WINDOW_SECONDS, RefusalSampling


@dataclass
class Clock:
    seconds: float = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sampling(clock: Clock) -> RefusalSampling[int]:
    return RefusalSampling(most_kinds=3, clock=clock)


def refuse(sampling: RefusalSampling[int], count: int, kind: str = "a") -> int:
    """How many of so many refusals get a row of their own."""
    return sum(sampling.has_own_row(number, kind, "others") for number in range(count))


def test_the_first_ten_have_rows_and_the_others_one_with_their_count(
    sampling: RefusalSampling[int], clock: Clock
) -> None:
    assert refuse(sampling, 1_000) == OWN_ROWS
    assert sampling.take_due() == []
    assert sampling.is_counting

    clock.seconds += WINDOW_SECONDS

    assert sampling.take_due() == [(999, 990)]
    assert sampling.take_due() == []
    assert not sampling.is_counting


def test_each_kind_is_counted_by_itself(sampling: RefusalSampling[int], clock: Clock) -> None:
    assert refuse(sampling, 12, "a") == refuse(sampling, 15, "b") == OWN_ROWS
    clock.seconds += WINDOW_SECONDS

    assert sampling.take_due() == [(11, 2), (14, 5)]


def test_the_next_minute_begins_anew_and_the_former_is_not_lost(
    sampling: RefusalSampling[int], clock: Clock
) -> None:
    refuse(sampling, 20)
    clock.seconds += WINDOW_SECONDS

    assert refuse(sampling, 20) == OWN_ROWS
    assert sampling.take_due() == [(19, 10)]
    assert sampling.take_due(with_open=True) == [(19, 10)]


def test_who_shows_many_kinds_makes_few_rows(sampling: RefusalSampling[int]) -> None:
    rows = sum(refuse(sampling, 1, f"address {number}") for number in range(10_000))

    assert rows == 3 + OWN_ROWS
    assert sampling.take_due(with_open=True) == [(0, 10_000 - 3 - OWN_ROWS)]
