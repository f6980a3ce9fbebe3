"""Only waiting costs budget."""

from orderdesk_app.orderdesk.wait_budget import WaitBudget


class Watch:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_only_the_time_in_line_counts() -> None:
    watch = Watch()
    budget = WaitBudget(30, watch)

    watch.now += 20  # a slow answer
    with budget.waiting():
        watch.now += 4

    assert budget.remaining() == 26


def test_it_shrinks_while_one_waits_and_ends_at_zero() -> None:
    watch = Watch()
    budget = WaitBudget(30, watch)

    with budget.waiting():
        watch.now += 10
        middle = budget.remaining()
        watch.now += 50
        end = budget.remaining()

    assert (middle, end) == (20, 0)


def test_waits_side_by_side_count_once() -> None:
    watch = Watch()
    budget = WaitBudget(30, watch)

    with budget.waiting():
        watch.now += 3
        with budget.waiting():
            watch.now += 3
        watch.now += 3

    assert budget.remaining() == 21
