"""A token bucket as arithmetic, by times that the test names."""

from orderdesk_app.token_bucket import Level, TokenBucket

BUCKET = TokenBucket(capacity=20.0, per_second=3.0)


def test_a_bucket_without_a_level_is_full() -> None:
    assert BUCKET.tokens(None, 100.0) == 20.0
    assert BUCKET.take(None, 100.0) == Level(19.0, 100.0)


def test_tokens_grow_with_time_up_to_the_capacity() -> None:
    assert BUCKET.tokens(Level(2.0, 100.0), 101.0) == 5.0
    assert BUCKET.tokens(Level(2.0, 100.0), 200.0) == 20.0


def test_a_clock_that_goes_back_takes_nothing_away() -> None:
    assert BUCKET.tokens(Level(2.0, 100.0), 90.0) == 2.0


def test_too_few_tokens_are_not_taken_and_the_wait_is_known() -> None:
    level = Level(0.5, 100.0)

    assert BUCKET.take(level, 100.0) is None
    assert abs(BUCKET.wait(level, 100.0) - 0.5 / 3) < 1e-9


def test_sums_of_floats_that_fall_short_by_a_trifle_still_pay() -> None:
    level = Level(0.0, 0.0)
    now = 0.0
    for _ in range(10):
        now += 1 / 30

    assert BUCKET.take(level, now) is not None


def test_a_lowered_level_never_rises_and_may_be_a_debt() -> None:
    assert BUCKET.lower(Level(2.0, 100.0), 100.0, 7.0) == Level(2.0, 100.0)
    debt = BUCKET.lower(None, 100.0, -5.0)
    assert BUCKET.take(debt, 101.0) is None
    assert BUCKET.take(debt, 102.0) == Level(0.0, 102.0)
