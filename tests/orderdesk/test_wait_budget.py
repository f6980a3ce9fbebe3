"""Only waiting costs budget."""

from orderdesk_app.orderdesk.wait_budget import WaitBudget


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_only_the_time_in_line_counts() -> None:
    clock = Clock()
    budget = WaitBudget(30, clock)

    clock.now += 20  # a slow answer
    with budget.waiting():
        clock.now += 4

    assert budget.remaining() == 26


def test_it_shrinks_while_one_waits_and_ends_at_zero() -> None:
    clock = Clock()
    budget = WaitBudget(30, clock)

    with budget.waiting():
        clock.now += 10
        middle = budget.remaining()
        clock.now += 50
        end = budget.remaining()

    assert (middle, end) == (20, 0)


def test_waits_side_by_side_count_once() -> None:
    clock = Clock()
    budget = WaitBudget(30, clock)

    with budget.waiting():
        clock.now += 3
        with budget.waiting():
            clock.now += 3
        clock.now += 3

    assert budget.remaining() == 21
