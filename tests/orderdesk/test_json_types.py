"""A value of a wrong JSON type, in whichever field and at whichever depth, is refused in words: it
is the caller's mistake, and never an error that nobody expected.
"""

import contextlib
import copy
import itertools
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orderdesk_app.errors import ValidationFailed
from orderdesk_app.orderdesk.merge import check_update, plan_create, plan_update
from orderdesk_app.orderdesk.order_fields import (
    ADDRESS_FIELDS,
    FOLDER,
    READ_ONLY,
    SUMS,
    TEXTS,
    WRITABLE,
)
from tests.orderdesk.test_merge import FOLDERS, NOON, an_order

WHOLE: dict[str, Any] = {
    **dict.fromkeys(TEXTS, "7"),
    "payment_status": "Approved",
    **dict.fromkeys(SUMS, 5),
    **{name: dict.fromkeys(parts, "x") for name, parts in ADDRESS_FIELDS.items()},
    "checkout_data": {"Gift": "yes"},
    "order_metadata": {"a": 1, "b": True, "c": 1.5},
    "order_items": [
        {
            "name": "Mug",
            "code": "M",
            "price": 2,
            "quantity": 1,
            "weight": 1,
            "delivery_type": "ship",
            "category_code": "c",
            "fulfillment_method": "f",
            "variation_list": {"Size": "L"},
            "metadata": {"a": "b"},
        }
    ],
    "order_notes": [{"content": "Hello", "username": "me", "date_added": "2026-11-22"}],
    "discount_list": [{"name": "Autumn", "code": "A", "amount": 1.7}],
    "folder_id": 21654,
    "date_added": "2026-11-22",
}
VALUES: list[Any] = [
    None,
    True,
    False,
    0,
    -1,
    1.5,
    10**30,
    float("nan"),
    float("inf"),
    Decimal("1E+100"),
    "",
    "text",
    "\x00",
    "\ud800",
    "[]",
    "{}",
    "[[]]",
    [],
    [[]],
    [None],
    [[[]]],
    [{}],
    {},
    {"": None},
    {"x": []},
    {"id": []},
    {"id": {}},
    {"amount": []},
    {"name": {}},
    {"content": []},
    ["x", 5, [], {}],
]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value in it, itself included."""
    yield path
    entries = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for name, part in entries:
        yield from places(part, (*path, name))


def with_value(whole: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    changed = copy.deepcopy(whole)
    parent = changed
    for name in path[:-1]:
        parent = parent[name]
    parent[path[-1]] = value
    return changed


PLACES = list(places(WHOLE))


def try_all(changed: Any) -> None:
    """Every way that a value takes into an order; what is refused is refused in words."""
    orders = (an_order(), {"id": "1"}, {"id": "1", **_stored(changed)})
    for order in orders:
        _refused_or_done(lambda order=order: plan_update(order, changed, at=NOON, folders=FOLDERS))
    _refused_or_done(lambda: check_update(changed, at=NOON, folders=FOLDERS))
    _refused_or_done(lambda: plan_create(changed, at=NOON, folders=FOLDERS))


def _stored(changed: Any) -> dict[str, Any]:
    """The same as Order Desk may have it: shops write what they like."""
    return changed if isinstance(changed, dict) else {}


def _refused_or_done(plan: Any) -> None:
    with contextlib.suppress(ValidationFailed):
        plan()


def test_the_whole_order_has_every_field_that_may_be_written() -> None:
    assert set(WHOLE) >= set(WRITABLE) - set(FOLDER)


@pytest.mark.parametrize("path", PLACES, ids=lambda path: ".".join(map(str, path)) or "itself")
def test_a_value_of_every_type_in_every_place_is_taken_or_refused_in_words(
    path: tuple[Any, ...],
) -> None:
    for value in VALUES:
        changed = with_value(WHOLE, path, value)
        try_all(changed)
        if path:  # the field alone, without the others, of which one may be refused before
            try_all({path[0]: changed[path[0]]} if isinstance(changed, dict) else changed)


@pytest.mark.parametrize("name", sorted({*READ_ONLY, "order_shipments", "no_such_field"}))
def test_so_is_a_value_of_every_type_in_a_field_that_may_not_be_written(name: str) -> None:
    for value in VALUES:
        try_all({name: value})


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from([value for value in VALUES if not isinstance(value, dict | list)]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "id",
                    "name",
                    "code",
                    "amount",
                    "content",
                    "username",
                    "date_added",
                    "price",
                    "x",
                    "",
                ]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None)
@given(field=st.sampled_from(sorted({*WRITABLE, *READ_ONLY})), value=JSON)
def test_so_is_any_json_in_any_field(field: str, value: Any) -> None:
    try_all({field: value})


def test_an_empty_discount_is_refused_by_name() -> None:
    for value, order in itertools.product(([[]], [{}], [[], []]), (an_order(), {"id": "1"})):
        with pytest.raises(ValidationFailed) as refused:
            plan_update(order, {"discount_list": value}, at=datetime.now(UTC), folders=())
        assert refused.value.field == "discount_list[0].amount"


@pytest.mark.parametrize(
    "changes",
    [
        {"email": "x" * 65_536},
        {"shipping": {"city": "x" * 4_000_000}},
        {"order_items": [{"name": "x" * 65_536}]},
        {"order_items": [{"name": "Mug", "metadata": {"a": "x" * 65_536}}]},
        {"order_items": [{"name": "Mug", "metadata": {"x" * 65_536: "a"}}]},
        {"order_notes": ["x" * 65_536]},
        {"discount_list": [{"name": "x" * 65_536, "amount": 1}]},
    ],
)
def test_a_text_longer_than_any_field_is_refused_in_few_words(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationFailed) as refused:
        check_update(changes, at=NOON, folders=FOLDERS)

    assert "65,535 characters" in refused.value.message
    assert len(refused.value.message) < 500
