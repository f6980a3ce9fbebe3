"""Whether a write was done is told from the order before, as meant, and as found, however Order
Desk writes its values.
"""

import copy
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orderdesk_app.errors import Fault, RateLimited, UpstreamFailed, UpstreamUnreachable
from orderdesk_app.orderdesk.comparison import (
    compare,
    differences,
    is_alike,
    is_refusal,
    is_same,
    likeness,
    may_still_happen,
)
from tests.work import MOST_CALLS, counted_work

BEFORE: dict[str, Any] = {
    "id": "1",
    "email": "ada@example.com",
    "shipping_total": 5,
    "order_total": 15,
    "date_updated": "2026-11-02 10:00:00",
    "folder_id": 21654,
    "shipping": {"city": "austin", "phone": "5125550100", "postal_code": "02134"},
    "order_metadata": [],
    "order_notes": [{"content": "Ring twice"}],
    "order_items": [{"id": "11", "name": "Mug", "quantity": 1, "metadata": []}],
}


def with_(**changes: Any) -> dict[str, Any]:
    order = {**BEFORE, **changes}
    order["shipping"] = {**BEFORE["shipping"], **changes.get("shipping", {})}
    return order


MEANT = with_(
    email="new@example.com",
    shipping={"city": "Portland"},
    order_notes=[{"content": "Ring twice"}, {"content": "Leave it"}],
    order_items=[
        {"id": "11", "name": "Mug", "quantity": 2, "metadata": {"a": "b"}},
        {"name": "Sticker", "price": Decimal("1.20")},
    ],
)


def as_found(order: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """As Order Desk would tell it: ids for new items, totals and dates anew, numbers as they
    please.
    """
    items = [
        {"id": f"9{number}", "quantity": 1, "delivery_type": "ship", **item}
        for number, item in enumerate(order["order_items"])
    ]
    return {
        **order,
        "order_items": items,
        "date_updated": "2026-11-22 12:00:00",
        "order_total": "99.10",
        "email_count": "4",
        **changes,
    }


def test_what_changed_is_named_by_dotted_paths() -> None:
    paths = [difference.path for difference in differences(BEFORE, MEANT)]

    assert paths == [
        "email",
        "shipping.city",
        "order_notes",
        "order_items[id=11].quantity",
        "order_items[id=11].metadata.a",
        "order_items[+1]",
    ]


def test_done_is_done_however_it_is_written() -> None:
    found = as_found(
        MEANT, email="new@example.com ", shipping={**BEFORE["shipping"], "city": "PORTLAND"}
    )
    found["order_items"][0]["quantity"] = "2"
    found["order_items"][1]["price"] = "1.2"

    comparison = compare(BEFORE, MEANT, found)

    assert (comparison.status, comparison.differing) == ("done", ())


def test_an_untouched_order_is_not_done() -> None:
    comparison = compare(BEFORE, MEANT, as_found(BEFORE))

    assert (comparison.status, comparison.arrived, comparison.other) == ("not_done", (), ())


def test_a_part_is_neither_done_nor_not_done() -> None:
    comparison = compare(BEFORE, MEANT, as_found(MEANT, email="ada@example.com"))

    assert (comparison.status, comparison.absent) == ("partly", ("email",))


def test_somebody_elses_value_is_neither_old_nor_new() -> None:
    comparison = compare(
        BEFORE, with_(email="new@example.com"), as_found(with_(email="third@example.com"))
    )

    assert (comparison.status, comparison.other) == ("changed_by_other", ("email",))


def test_a_change_of_capitals_alone_is_seen() -> None:
    meant = with_(shipping={"city": "Austin"})

    assert compare(BEFORE, meant, as_found(BEFORE)).status == "not_done"
    assert compare(BEFORE, meant, as_found(meant)).status == "done"


def test_a_phone_number_in_another_shape_is_the_same_and_a_lost_zero_is_not() -> None:
    phone, code = (
        with_(shipping={"phone": "(512) 555-0199"}),
        with_(shipping={"postal_code": "01234"}),
    )

    assert (
        compare(BEFORE, phone, as_found(with_(shipping={"phone": "5125550199"}))).status == "done"
    )
    assert (
        compare(BEFORE, code, as_found(with_(shipping={"postal_code": 1234}))).status
        == "changed_by_other"
    )


def test_two_equal_new_items_need_two_rows() -> None:
    sticker = {"name": "Sticker", "price": 1}
    meant = with_(order_items=[*BEFORE["order_items"], sticker, dict(sticker)])
    once = as_found(with_(order_items=[*BEFORE["order_items"], sticker]))

    comparison = compare(BEFORE, meant, once)

    assert (comparison.status, comparison.arrived, comparison.absent) == (
        "partly",
        ("order_items[+1]",),
        ("order_items[+2]",),
    )
    assert compare(BEFORE, meant, as_found(meant)).status == "done"


def test_a_new_item_in_other_words_is_neither_there_nor_absent() -> None:
    meant = with_(
        order_items=[
            *BEFORE["order_items"],
            {"name": "A very long name", "price": 1},
            {"name": "Pin"},
        ]
    )
    cut = as_found(
        with_(order_items=[*BEFORE["order_items"], {"name": "A very", "price": 1}, {"name": "Pin"}])
    )

    comparison = compare(BEFORE, meant, cut)

    assert (comparison.arrived, comparison.absent, comparison.other) == (
        ("order_items[+2]",),
        (),
        ("order_items[+1]",),
    )


def test_an_item_that_was_there_before_is_no_new_item() -> None:
    meant = with_(order_items=[*BEFORE["order_items"], {"name": "Mug", "quantity": 1}])

    assert compare(BEFORE, meant, as_found(BEFORE)).status == "not_done"


def test_cleared_notes_are_seen() -> None:
    meant = with_(order_notes=[])

    assert compare(BEFORE, meant, as_found(BEFORE)).status == "not_done"
    assert compare(BEFORE, meant, as_found(meant)).status == "done"
    assert (
        compare(
            BEFORE,
            with_(order_notes=[{"content": "A"}, {"content": "B"}]),
            as_found(with_(order_notes=[{"content": "A"}])),
        ).status
        == "changed_by_other"
    )


def test_a_cleared_number_may_come_back_as_nothing() -> None:
    assert (
        compare(BEFORE, with_(shipping_total=0), as_found(with_(shipping_total=""))).status
        == "done"
    )


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (5, "5.0", True),
        ("5", "5.0", False),
        (Decimal("1.20"), 1.2, True),
        ([], {}, True),
        (None, "", True),
        (0, "", False),
        (True, 1, False),
        ("02134", 2134, False),
        ({"a": [1]}, {"a": ["1"], "b": None}, True),
        ("a", "A", False),
        ("abc", 1, False),
    ],
)
def test_the_same_value_in_another_form(one: Any, other: Any, same: bool) -> None:
    assert is_same(one, other) is same
    assert is_same(other, one) is same


@pytest.mark.parametrize(
    ("one", "other", "name", "alike"),
    [
        ("a  b ", "A b", "", True),
        (True, "1", "", True),
        (False, "", "", True),
        ("1.70", "1.7", "amount", True),
        ("1.70", "1.7", "", False),
        ("Ä", "A\u0308", "", True),
        (5, "", "", False),
        ({"a": "X"}, {"a": "x"}, "", True),
        ([{"amount": "1.0"}], [{"amount": "1.00"}], "", True),
        ("a", 1, "", False),
    ],
)
def test_what_order_desk_may_make_of_a_value(one: Any, other: Any, name: str, alike: bool) -> None:
    assert is_alike(one, other, name) is alike


def error_of(fault: Fault, status: int | None = None) -> UpstreamUnreachable:
    return UpstreamUnreachable("No answer.", outcome="unknown", fault=fault, status=status)


def test_only_a_request_whose_end_nobody_heard_may_still_happen() -> None:
    assert may_still_happen(error_of(Fault.TIMED_OUT))
    assert may_still_happen(error_of(Fault.SERVER_ERROR, 504))
    assert may_still_happen(error_of(Fault.SERVER_ERROR, 408))
    assert not may_still_happen(error_of(Fault.BROKEN_OFF))
    assert not may_still_happen(error_of(Fault.SERVER_ERROR, 500))


def test_a_readable_no_is_a_refusal_and_an_unreadable_answer_is_not() -> None:
    assert is_refusal(UpstreamFailed("No.", outcome="unknown"))
    assert not is_refusal(error_of(Fault.UNREADABLE))
    assert not is_refusal(RateLimited("Wait."))


LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-20, 20),
    st.decimals(-20, 20, places=2),
    st.sampled_from(["", " ", "0", "1", "1.0", "01", "yes", "No", " true", "5", "+5", "5.00"]),
    st.text(alphabet="aAéÉe\u0301 ß5-(", max_size=4),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["a", "phone", "amount"]), inner, max_size=2)
    ),
    max_leaves=6,
)


@given(one=VALUES, other=VALUES, name=st.sampled_from(["x", "phone", "amount"]))
@settings(deadline=None, max_examples=400)
def test_what_is_alike_has_the_same_likeness(one: Any, other: Any, name: str) -> None:
    if is_alike(one, other, name):
        assert likeness(one, name) == likeness(other, name)
    assert likeness(one, name) == likeness(copy.deepcopy(one), name)


def many_items(count: int, **values: Any) -> list[dict[str, Any]]:
    options = {f"k{number}": "v" for number in range(19_000 // count)}
    return [{"name": "Same", "code": "S", "variation_list": dict(options), **values}] * count


@pytest.mark.parametrize(
    ("meant_items", "found_items"),
    [
        (many_items(480), many_items(480)),
        (many_items(480), many_items(480, code="rewritten")),
        (many_items(480), [*reversed(many_items(479)), {"name": "Another"}]),
        (
            [{**item, f"f{index}": "x"} for index, item in enumerate(many_items(480))],
            many_items(480, code="rewritten"),
        ),
        ([{"name": "5"}] * 480, [{"name": "5.0"}] * 480),
    ],
)
def test_very_many_new_items_are_looked_for_quickly(
    meant_items: list[Any], found_items: list[Any]
) -> None:
    meant = with_(order_items=[*BEFORE["order_items"], *meant_items])
    found = with_(order_items=[*BEFORE["order_items"], *found_items])

    with counted_work() as work:
        comparison = compare(BEFORE, meant, found)

    assert work.calls < MOST_CALLS
    assert len(comparison.arrived) + len(comparison.differing) == 480


def test_very_many_changes_of_items_are_looked_for_quickly() -> None:
    before = {"order_items": [{**item, "id": str(n)} for n, item in enumerate(many_items(480))]}
    meant = {
        "order_items": [
            {**item, "variation_list": dict.fromkeys(item["variation_list"], "w")}
            for item in before["order_items"]
        ]
    }

    with counted_work() as work:
        comparison = compare(before, meant, before)

    assert work.calls < MOST_CALLS
    assert (comparison.status, len(comparison.absent)) == ("not_done", 480 * 39)
