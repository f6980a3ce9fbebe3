"""The account of an update over its attempts: nothing is sent again that stands there in whatever
form, and every path keeps its first name.
"""

from orderdesk_app.orderdesk.comparison import Comparison
from orderdesk_app.orderdesk.partial_update import PartialUpdate


def verdict(
    arrived: tuple[str, ...] = (), absent: tuple[str, ...] = (), other: tuple[str, ...] = ()
) -> Comparison:
    return Comparison("partly", arrived, absent, other)


CHANGES = {
    "email": "x@example.com",
    "order_items": [{"id": "1", "quantity": 3}, {"name": "A"}, {"name": "B"}, {"name": "C"}],
    "order_notes": ["N"],
}
PATHS = (
    "email",
    "order_items[id=1].quantity",
    "order_items[+1]",
    "order_items[+2]",
    "order_items[+3]",
    "order_notes",
)


def test_what_was_added_is_not_sent_again_and_the_rest_is() -> None:
    progress = PartialUpdate(CHANGES, PATHS)

    progress.note(
        verdict(
            arrived=("order_items[+1]", "email"),
            absent=("order_items[+2]", "order_items[+3]", "order_items[id=1].quantity"),
            other=("order_notes",),
        )
    )

    assert progress.changes == {
        "email": "x@example.com",
        "order_items": [{"id": "1", "quantity": 3}, {"name": "B"}, {"name": "C"}],
    }
    assert CHANGES["order_items"][1] == {"name": "A"}  # type: ignore[index]
    assert progress.rewritten == ("order_notes",)


def test_a_new_item_keeps_its_number_when_the_rest_is_planned_anew() -> None:
    progress = PartialUpdate(CHANGES, PATHS)
    progress.note(
        verdict(arrived=("order_items[+1]",), absent=("order_items[+2]", "order_items[+3]"))
    )

    # B and C, as the second plan counts them
    progress.note(verdict(absent=("order_items[+1]",), other=("order_items[+2]",)))

    assert progress.arrived == ("order_items[+1]",)
    assert progress.rewritten == ("order_items[+3]",)
    assert "order_items[+2]" in progress.missing
    assert progress.changes["order_items"] == [{"id": "1", "quantity": 3}, {"name": "B"}]


def test_a_value_that_came_through_at_last_is_no_longer_another() -> None:
    progress = PartialUpdate({"email": "x@example.com"}, ("email",))
    assert not progress.has_left_marks
    progress.note(verdict(other=("email",)))
    assert (progress.has_left_marks, progress.is_done, progress.rewritten) == (
        True,
        False,
        ("email",),
    )

    progress.note(verdict(arrived=("email",)))

    assert (progress.is_done, progress.rewritten, progress.missing) == (True, (), ())
