"""Every fault of a call is told in one answer, and what is in an order already is no fault."""

import copy
import json
import random
from typing import Any

import pytest

from orderdesk_app.errors import Faults, ValidationFailed
from orderdesk_app.orderdesk.merge import plan_create, plan_update
from orderdesk_app.orderdesk.order_fields import READ_ONLY
from orderdesk_app.tools.views import plain_object
from tests.orderdesk.test_merge import NOON, an_order, refusal, update
from tests.work import MOST_CALLS, counted_work

WRONG = {
    "shiping": {"city": "x"},
    "customer_notes": "x",
    "order_total": 5,
    "email": 7,
    "shipping": {"citty": "x", "zip": "1", "city": True},
    "order_items": [
        {"id": "1", "pricee": 5, "sku": "x", "price": "much"},
        {"id": "99"},
        {"titel": "x", "qty": 1},
    ],
    "order_notes": [{"contents": "x", "autor": "y"}, 5],
    "discount_list": [{"nam": "x", "amout": 5}, {"name": "x", "amount": -1}],
    "checkout_data": {"a": {"b": 1}, "c": [1]},
    "folder_name": "Nowhere",
}
AT = {
    "shiping",
    "customer_notes",
    "order_total",
    "email",
    "shipping.citty",
    "shipping.zip",
    "shipping.city",
    "order_items[id=1].pricee",
    "order_items[id=1].sku",
    "order_items[id=1].price",
    "order_items[1].id",
    "order_items[2].titel",
    "order_items[2].qty",
    "order_notes[0].contents",
    "order_notes[0].autor",
    "order_notes[1]",
    "discount_list[0].nam",
    "discount_list[0].amout",
    "discount_list[1].amount",
    "checkout_data.a",
    "checkout_data.c",
    "folder_name",
}


def fields_of(error: ValidationFailed) -> set[str]:
    return {str(fault.field) for fault in error.faults}


def test_all_faults_are_told_at_once() -> None:
    error = refusal(WRONG)

    told = error.details["faults"]
    assert isinstance(told, list)
    assert len(told) == Faults.MOST_TOLD
    assert {entry["field"] for entry in told} < AT
    assert len(error.faults) == len(AT)
    assert error.message.startswith(f"{len(AT)} things are wrong. (1) shiping: ")
    assert error.message.endswith(f"And {len(AT) - Faults.MOST_TOLD} more.")


@pytest.mark.parametrize("name", list(WRONG))
def test_each_fault_has_its_place_and_its_hint(name: str) -> None:
    error = refusal({name: WRONG[name]})

    found = {str(fault.field) for fault in error.faults or (error,)}
    assert found == {place for place in AT if place.split(".")[0].split("[")[0] == name}
    for fault in error.faults or (error,):
        assert fault.message.startswith(str(fault.field)), fault.message


def test_a_new_order_is_judged_as_a_whole_too() -> None:
    with pytest.raises(ValidationFailed) as caught:
        plan_create({"emial": "x", "id": "5", "order_items": [{"pric": 1}], "tax": 1}, at=NOON)

    assert fields_of(caught.value) == {"emial", "id", "order_items[0].pric", "tax", "shipping"}
    assert "Order Desk needs a name" in caught.value.message


def test_a_misspelt_name_explains_a_missing_one() -> None:
    with pytest.raises(ValidationFailed) as caught:
        plan_create(
            {"shipping_address": {"first_name": "Ada"}, "items": [{"name": "Mug"}]}, at=NOON
        )

    assert fields_of(caught.value) == {"shipping_address", "items"}


def test_the_same_advice_is_said_once() -> None:
    message = refusal({"qqq": 1, "xxx": 2, "zzz": 3}).message

    assert message.count("Known fields: ") == 1


def test_very_many_faults_are_judged_quickly() -> None:
    changes = {
        "order_items": [{f"no{n}such{m}": 1 for m in range(40)} for n in range(400)],
        "shipping": {f"nowhere{n}": 1 for n in range(400)},
    }

    with counted_work() as work:
        error = refusal(changes)

    assert work.calls < MOST_CALLS
    assert error.message.endswith("more.")
    assert len(error.message) < 6_000


# ------------------------------------------------------------------ what is there already


def test_a_whole_order_sent_back_changes_nothing() -> None:
    order = an_order(
        order_history=[{"source_name": "API", "note": "x", "date_added": "2026-11-01 10:00:00"}],
        unheard_of={"a": [1, {"b": None}]},
        discount_list=[{"name": "Minus", "code": "", "amount": "-1.70"}],
    )
    order["order_items"][0] |= {"unheard_of": 5, "metadata": {"long": 123456789012345678}}
    order["order_notes"][0]["unheard_of"] = "x"
    order["shipping"]["unheard_of"] = "x"

    for form in (order, plain_object(order), json.loads(json.dumps(plain_object(order)))):
        plan = plan_update(order, form, at=NOON)
        assert plan.changed == ()
        assert plan.folder is None


@pytest.mark.parametrize("name", [*READ_ONLY, "order_shipments"])
def test_a_read_only_field_with_another_value_is_refused(name: str) -> None:
    order = an_order(
        refund_total=0, discount_total=1, weight_total=2, order_history=[], cc_number=""
    )
    shown = plain_object(order)
    there = shown.get(name)
    other = (there + 1) if isinstance(there, int | float) else "other" if there else "1999"

    error = refusal({name: other}, **order)

    assert (error.field, len(error.faults)) == (name, 0)


def test_one_change_in_a_whole_order_is_the_one_that_is_made() -> None:
    chance = random.Random(8)
    order = an_order()
    for _ in range(50):
        changes: dict[str, Any] = copy.deepcopy(plain_object(order))
        name = chance.choice(["city", "phone", "last_name"])
        changes["shipping"][name] = f"new {chance.random()}"

        assert plan_update(order, changes, at=NOON).changed == (f"shipping.{name}",)


def test_what_is_deep_or_wide_is_compared_quickly() -> None:
    deep: Any = "x"
    for _ in range(150):
        deep = {"a": [deep]}
    wide = {str(number): number for number in range(15_000)}
    order = an_order(order_history=[deep, wide])

    with counted_work() as work:
        update({"order_history": [deep, wide]}, **order)

    assert work.calls < MOST_CALLS


def test_very_many_discounts_and_notes_are_merged_quickly() -> None:
    discounts = [{"name": "Same", "code": "", "amount": f"{n}.00"} for n in range(490)]
    notes = [{"content": f"{n}", "date_added": "2026-11-01 10:00:00"} for n in range(490)]
    order = an_order(discount_list=discounts, order_notes=notes)

    with counted_work() as work:
        plan = update(
            {"discount_list": [{**one, "amount": float(one["amount"])} for one in discounts[::-1]]},
            **order,
        )
        same = update({"order_notes": notes, "discount_list": discounts}, **order)

    assert work.calls < MOST_CALLS
    assert (plan.changed, same.changed) == (("discount_list",), ())
