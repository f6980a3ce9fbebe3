"""Only waiting costs patience."""

from orderdesk_app.orderdesk.patience import Patience


class Watch:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_only_the_time_in_line_counts() -> None:
    watch = Watch()
    patience = Patience(30, watch)

    watch.now += 20  # a slow answer
    with patience.waiting():
        watch.now += 4

    assert patience.remaining() == 26


def test_it_shrinks_while_one_waits_and_ends_at_zero() -> None:
    watch = Watch()
    patience = Patience(30, watch)

    with patience.waiting():
        watch.now += 10
        middle = patience.remaining()
        watch.now += 50
        end = patience.remaining()

    assert (middle, end) == (20, 0)


def test_waits_side_by_side_count_once() -> None:
    watch = Watch()
    patience = Patience(30, watch)

    with patience.waiting():
        watch.now += 3
        with patience.waiting():
            watch.now += 3
        watch.now += 3

    assert patience.remaining() == 21
