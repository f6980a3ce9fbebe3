"""What agents ask for becomes a whole order: nothing they did not name is touched, and what cannot
be is refused by name.
"""

import copy
import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orderdesk_app.errors import ValidationFailed
from orderdesk_app.orderdesk.comparison import as_list, note_key
from orderdesk_app.orderdesk.merge import Plan, plan_create, plan_update
from orderdesk_app.orderdesk.order_fields import ADDRESS_FIELDS, MOST_ENTRIES, SHAPES
from orderdesk_app.orderdesk.quoted_json import looks_like_json

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
FOLDERS = (("21654", "New"), ("21655", "Prepared"), ("21656", "Closed"))
ADDRESS = {
    "first_name": "Ada",
    "last_name": "Lovelace",
    "company": "",
    "address1": "1 Main St",
    "address2": "",
    "city": "Austin",
    "state": "TX",
    "postal_code": "02134",
    "country": "US",
    "phone": "+1 512 555 0100",
}


def an_order(**changes: Any) -> dict[str, Any]:
    order = {
        "id": "100000001",
        "email": "ada@example.com",
        "shipping_method": "Ground",
        "quantity_total": 3,
        "product_total": Decimal("31.00"),
        "shipping_total": Decimal("5.10"),
        "order_total": Decimal("36.10"),
        "cc_number_masked": "xxxxxxxxxxxx4242",
        "cc_exp": "12/2027",
        "payment_status": "Captured",
        "customer_id": "77",
        "email_count": "1",
        "source_name": "Shopify",
        "source_id": "S-1",
        "folder_id": 21654,
        "date_added": "2026-11-01 10:00:00",
        "date_updated": "2026-11-02 10:00:00",
        "shipping": {**ADDRESS, "address3": "", "address4": ""},
        "customer": dict(ADDRESS),
        "return_address": {"title": "", "name": ""},
        "checkout_data": {"Gift": "yes"},
        "order_metadata": [],
        "discount_list": [{"name": "Autumn", "code": "A1", "amount": "1.70"}],
        "order_notes": [
            {"date_added": "2026-11-01 10:00:00", "username": "Mia", "content": "Ring twice"}
        ],
        "order_items": [
            {
                "id": "1",
                "name": "Mug",
                "price": Decimal("10.50"),
                "quantity": 2,
                "weight": 1,
                "code": "MUG",
                "delivery_type": "ship",
                "category_code": "",
                "variation_list": {"Size": "L"},
                "metadata": [],
            },
            {
                "id": "2",
                "name": "Print",
                "price": 10,
                "quantity": 1,
                "weight": 0,
                "code": "PRT",
                "delivery_type": "ship",
                "category_code": "",
                "variation_list": [],
                "metadata": {"art": "x.png"},
            },
        ],
        "order_shipments": [{"id": "9", "tracking_number": "1Z"}],
    }
    return {**order, **changes}


def update(changes: Any, **order: Any) -> Plan:
    return plan_update(an_order(**order), changes, at=NOON, folders=FOLDERS)


def refusal(changes: Any, **order: Any) -> ValidationFailed:
    with pytest.raises(ValidationFailed) as refused:
        update(changes, **order)
    return refused.value


def a_new_order(**changes: Any) -> dict[str, Any]:
    return {
        "shipping": {"first_name": "Ada", "last_name": "L"},
        "order_items": [{"name": "Mug", "price": "12.50"}],
        **changes,
    }


def test_what_is_not_named_goes_back_as_it_was_read() -> None:
    before = an_order()

    plan = plan_update(before, {"shipping": {"city": "Portland"}}, at=NOON)

    expected = {key: value for key, value in before.items() if key != "cc_number_masked"}
    assert plan.body == {
        **expected,
        "cc_number": "4242",
        "shipping": {**before["shipping"], "city": "Portland"},
    }
    assert plan.changed == ("shipping.city",)
    assert before == an_order()  # the order read is left alone


def test_the_masked_card_is_never_sent_and_the_card_is_not_blanked() -> None:
    body = update({"email": "new@example.com"}).body

    assert "cc_number_masked" not in body
    assert (body["cc_number"], body["cc_exp"]) == ("4242", "12/2027")
    assert "cc_number" not in update({"email": "x@example.com"}, cc_number_masked="").body


def test_an_update_that_changes_nothing_has_nothing_to_write() -> None:
    same = {
        "email": "ada@example.com",
        "shipping": {"city": "Austin"},
        "order_items": [{"id": 1, "quantity": "2"}, {"id": "2", "price": 10.0}],
        "order_notes": [" RING twice "],
        "shipping_total": "5.1",
        "order_metadata": {},
        "folder_id": "21654",
    }

    plan = update(same)

    assert plan.changed == ()
    assert not plan.needs_put
    assert plan.folder is None
    assert update({}).changed == ()


@pytest.mark.parametrize("nothing", [None, ""])
def test_null_and_an_empty_text_both_clear_a_text(nothing: str | None) -> None:
    """Clients that check arguments against the schema send no null."""
    body = update({"email": nothing, "shipping": {"phone": nothing}}).body

    assert (body["email"], body["shipping"]["phone"]) == ("", "")


def test_maps_merge_by_key_and_null_clears() -> None:
    plan = update(
        {
            "checkout_data": {"Gift": None, "Card": "Happy birthday"},
            "order_metadata": {"tries": 3, "ok": True},
            "email": None,
            "shipping": {"phone": None},
            "return_address": None,
            "shipping_total": None,
            "discount_list": None,
        }
    )

    assert plan.body["checkout_data"] == {"Card": "Happy birthday"}
    assert plan.body["order_metadata"] == {"tries": 3, "ok": True}
    assert (
        plan.body["email"],
        plan.body["shipping"]["phone"],
        plan.body["shipping_total"],
        plan.body["discount_list"],
    ) == ("", "", 0, [])
    assert plan.body["shipping"]["city"] == "Austin"
    assert set(plan.changed) == {
        "checkout_data.Gift",
        "checkout_data.Card",
        "order_metadata.tries",
        "order_metadata.ok",
        "email",
        "shipping.phone",
        "shipping_total",
        "discount_list",
    }


def test_a_map_that_came_as_a_list_loses_nothing() -> None:
    plan = update({"checkout_data": {"2": "three"}}, checkout_data=["one", "two"])

    assert plan.body["checkout_data"] == {"0": "one", "1": "two", "2": "three"}
    assert plan.changed == ("checkout_data.2",)


def test_items_with_an_id_are_merged_and_items_without_are_added() -> None:
    plan = update(
        {
            "order_items": [
                {"id": "2", "quantity": 4, "metadata": {"art": "y.png", "side": "back"}},
                {"name": "Sticker", "price": "1.20"},
            ]
        }
    )

    first, second, third = plan.body["order_items"]
    assert first == an_order()["order_items"][0]
    assert (second["quantity"], second["metadata"], second["name"]) == (
        4,
        {"art": "y.png", "side": "back"},
        "Print",
    )
    assert third == {"name": "Sticker", "price": Decimal("1.20")}
    assert plan.changed == (
        "order_items[id=2].quantity",
        "order_items[id=2].metadata.art",
        "order_items[id=2].metadata.side",
        "order_items[+1]",
    )


def test_notes_are_added_once_whatever_their_capitals_and_spaces() -> None:
    plan = update(
        {
            "order_notes": [
                "ring TWICE ",
                {
                    "content": "Leave at door",
                    "username": "Bo",
                    "date_added": "2026-11-22T10:00:00+01:00",
                },
                " leave at DOOR",
            ]
        }
    )

    assert plan.body["order_notes"] == [
        {"date_added": "2026-11-01 10:00:00", "username": "Mia", "content": "Ring twice"},
        {"date_added": "2026-11-22 09:00:00", "username": "Bo", "content": "Leave at door"},
    ]
    assert plan.changed == ("order_notes",)
    assert update({"order_notes": "Just words"}).body["order_notes"][1] == {
        "date_added": "2026-11-22 12:00:00",
        "username": "agent",
        "content": "Just words",
    }
    assert update({"order_notes": None}).body["order_notes"] == []


def test_thirty_two_short_notes_fit_into_one_order() -> None:
    order = an_order(order_notes=[])

    for number in range(32):
        order = plan_update(order, {"order_notes": [f"note {number:05d}"]}, at=NOON).body

    assert len(order["order_notes"]) == 32


def test_all_notes_together_have_two_thousand_characters() -> None:
    used = len("2026-11-01 10:00:00" + "Mia" + "Ring twice") + len("2026-11-22 12:00:00" + "agent")

    assert update({"order_notes": ["x" * (2000 - used)]}).changed == ("order_notes",)
    assert refusal({"order_notes": ["x" * (2001 - used)]}).field == "order_notes"


def test_maps_are_limited_as_order_desk_limits_them() -> None:
    assert refusal({"checkout_data": {"a": "x" * 3500}}).field == "checkout_data"
    assert refusal({"order_metadata": {"a": "x" * 2000}}).field == "order_metadata"
    assert update({"order_metadata": {"a": "ü" * 1900}}).changed == ("order_metadata.a",)


def test_a_map_that_is_too_long_already_may_be_made_shorter() -> None:
    long = {"art": "x" * 3000, "side": "front"}

    assert update({"order_metadata": {"side": None}}, order_metadata=long).changed == (
        "order_metadata.side",
    )
    with pytest.raises(ValidationFailed):
        update({"order_metadata": {"side": "at the back"}}, order_metadata=long)


def test_a_folder_is_moved_and_not_put() -> None:
    plan = update({"folder_name": "prepared"})

    assert plan.folder is not None
    assert (plan.folder.folder_id, plan.folder.folder_name) == ("21655", "Prepared")
    assert plan.changed == ("folder_id",)
    assert not plan.needs_put
    assert (plan.body["folder_id"], plan.meant["folder_id"]) == (21654, 21655)
    assert update({"folder_id": 21655, "email": ""}).needs_put


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ("text", "changes", "object"),
        ({"emial": "x"}, "emial", "email"),
        ({"shipping": {"citty": "x"}}, "shipping.citty", "city"),
        ({"shipping": {"zip": "1"}}, "shipping.zip", "postal_code"),
        ({"customer": {"address3": "x"}}, "customer.address3", "address"),
        ({"shipping_city": "x"}, "shipping_city", "shipping.city"),
        ({"status": "Closed"}, "status", "folder_name"),
        ({"notes": ["x"]}, "notes", "order_notes"),
        ({"order_items": [{"id": "1", "qty": 2}]}, "order_items[id=1].qty", "quantity"),
        ({"order_items": [{"sku": "A"}]}, "order_items[0].sku", "code"),
        ({"order_items": [{"id": "7"}]}, "order_items[0].id", "no item 7"),
        ({"order_items": [{"id": "1"}, {"id": 1}]}, "order_items[1].id", "twice"),
        ({"order_items": [{"price": 2}]}, "order_items[0].name", "name"),
        ({"order_items": None}, "order_items", "removed"),
        ({"order_items": {}}, "order_items", "list"),
        ({"order_items": [{"id": "1", "quantity": 1.5}]}, "order_items[id=1].quantity", "whole"),
        (
            {"order_items": [{"id": "1", "delivery_type": "drone"}]},
            "order_items[id=1].delivery_type",
            "noship",
        ),
        ({"order_notes": [{"note": "x"}]}, "order_notes[0].note", "content"),
        (
            {"order_notes": [{"content": "x", "date_added": "yesterday"}]},
            "order_notes[0].date_added",
            "date",
        ),
        ({"order_notes": ["  "]}, "order_notes[0].content", "text"),
        ({"order_notes": [7]}, "order_notes[0]", "plain text"),
        ({"discount_list": [{"name": "A", "amount": "-1"}]}, "discount_list[0].amount", "positive"),
        ({"discount_list": [{"amount": "1"}]}, "discount_list[0].name", "name"),
        ({"id": "100000002"}, "id", "leave it out"),
        ({"order_total": 3}, "order_total", "computes"),
        ({"email_count": 3}, "email_count", "leave it out"),
        ({"date_updated": "2026-11-03 10:00:00"}, "date_updated", "expected_date_updated"),
        ({"date_added": "2026-11-02 10:00:00"}, "date_added", "leave it out"),
        ({"cc_number": "1111"}, "cc_number", "card"),
        ({"cc_exp": "12/2030"}, "cc_exp", "card"),
        ({"cc_number_masked": "x"}, "cc_number_masked", "card"),
        ({"order_history": []}, "order_history", "order_notes"),
        ({"order_shipments": []}, "order_shipments", "cannot be changed here"),
        ({"tracking_number": "1Z"}, "tracking_number", "cannot be changed here"),
        (
            {"trackingNumber": "1Z"},
            "trackingNumber",
            "shipments and tracking numbers cannot be changed here",
        ),
        ({"Carrier-Code": "UPS"}, "Carrier-Code", "cannot be changed here"),
        ({"shipmentDate": "2026-11-22"}, "shipmentDate", "cannot be changed here"),
        (
            {"order_items": [{"id": "1", "trackingURL": "x"}]},
            "order_items[id=1].trackingURL",
            "cannot be changed here",
        ),
        ({"shippingMethod": "UPS"}, "shippingMethod", "Did you mean shipping_method?"),
        ({"sourceID": "7"}, "sourceID", "Did you mean source_id?"),
        ({"shippingCity": "Oslo"}, "shippingCity", "Did you mean shipping.city?"),
        ({"billingAddress": {}}, "billingAddress", "Did you mean customer?"),
        ({"shipping": {"postalCode": "0150"}}, "shipping.postalCode", "Did you mean postal_code?"),
        ({"shipping": {"firstName": "Ada"}}, "shipping.firstName", "Did you mean first_name?"),
        (
            {"order_items": [{"id": "1", "variationList": {}}]},
            "order_items[id=1].variationList",
            "Did you mean variation_list?",
        ),
        ({"orderTotal": 3}, "orderTotal", "computes"),
        ({"ccNumber": "4242"}, "ccNumber", "card"),
        (
            {"shipping": {"tracking_number": "1Z"}},
            "shipping.tracking_number",
            "cannot be changed here",
        ),
        (
            {"order_items": [{"id": "1", "carrier_code": "UPS"}]},
            "order_items[id=1].carrier_code",
            "cannot be changed here",
        ),
        ({"email": 7}, "email", "text"),
        ({"email": ["x"]}, "email", "text"),
        ({"shipping": {"city": True}}, "shipping.city", "text"),
        ({"shipping": "Portland"}, "shipping", "object"),
        ({"shipping_total": "five"}, "shipping_total", "number"),
        ({"shipping_total": True}, "shipping_total", "number"),
        ({"shipping_total": float("nan")}, "shipping_total", "number"),
        ({"shipping_total": Decimal("1e-300")}, "shipping_total", "number"),
        ({"shipping_total": "$5"}, "shipping_total", "number"),
        ({"shipping_total": "9" * 2_000_000}, "shipping_total", "number"),
        ({"shipping_total": Decimal("1e9999999")}, "shipping_total", "number"),
        ({"shipping_total": 0.1 + 0.2}, "shipping_total", "at most eight decimals"),
        (
            {"order_items": [{"id": "1", "price": 10**12}]},
            "order_items[id=1].price",
            "below a million millions",
        ),
        ({"payment_status": "Paid"}, "payment_status", "Captured"),
        ({"email": "a\x00b"}, "email", "email: must be text without the sign U+0000"),
        ({"order_notes": ["a\x00b"]}, "order_notes[0].content", "U+0000"),
        ({"checkout_data": {"a\x00": "b"}}, "checkout_data.a�", "U+0000"),
        ({"checkout_data": {"a": {"b": 1}}}, "checkout_data.a", "text"),
        ({"checkout_data": {"a": float("inf")}}, "checkout_data.a", "number"),
        ({"email": "half \ud83d"}, "email", "Unicode"),
        ({"folder_id": 21655, "folder_name": "Prepared"}, "folder_name", "not both"),
        ({"folder_name": "Shipped"}, "folder_name", "Prepared"),
        ({"folder_id": "new"}, "folder_id", "number"),
        ({"folder_id": Decimal("1E+999999")}, "folder_id", "number"),
        ({"folder_id": None}, "folder_id", "always"),
    ],
)
def test_what_cannot_be_is_refused_by_name(changes: Any, field: str, words: str) -> None:
    error = refusal(changes)

    assert error.field == field
    assert words in error.message
    assert error.message.startswith(field.split(".")[0].split("[")[0][:12]) or field == "changes"


def test_numbers_keep_their_digits() -> None:
    plan = update(
        {
            "shipping_total": "12.50",
            "order_items": [{"id": "1", "price": 9.9}],
            "customer_id": 42,
            "shipping": {"postal_code": 97205},
        }
    )

    assert str(plan.body["shipping_total"]) == "12.50"
    assert str(plan.body["order_items"][0]["price"]) == "9.9"
    assert (plan.body["customer_id"], plan.body["shipping"]["postal_code"]) == ("42", "97205")


def test_an_id_may_be_a_number_in_every_form() -> None:
    plan = update(
        {"order_items": [{"id": 1.0, "code": 77.0}, {"id": 2, "quantity": 2}], "source_id": 1042.0}
    )

    assert [item["id"] for item in plan.body["order_items"]] == ["1", "2"]
    assert (plan.body["order_items"][0]["code"], plan.body["source_id"]) == ("77", "1042")
    assert refusal({"order_items": [{"id": 1.5}]}).field == "order_items[0].id"
    assert refusal({"email": 7.0}).field == "email"


def test_a_choice_may_be_written_in_any_case() -> None:
    assert update({"payment_status": "fully refunded"}).body["payment_status"] == "Fully Refunded"


def test_a_new_order_gets_a_source_id_of_ours() -> None:
    plan = plan_create(
        a_new_order(order_notes="Gift", folder_name="Prepared", email=None),
        at=NOON,
        folders=FOLDERS,
    )

    assert plan.body["source_id"].startswith("agent-")
    assert plan.body["folder_id"] == 21655
    assert plan.body["order_notes"][0]["content"] == "Gift"
    assert "email" not in plan.body
    assert plan_create(a_new_order(source_id="W-7"), at=NOON).body["source_id"] == "W-7"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"order_items": []}, "order_items"),
        ({"order_items": None}, "order_items"),
        ({"order_items": [{"id": "5", "name": "Mug"}]}, "order_items[0].id"),
        ({"shipping": {"city": "Austin"}}, "shipping"),
        ({"shipping": {"first_name": "  "}}, "shipping"),
        ({"id": "1"}, "id"),
        ({"order_total": 3}, "order_total"),
        ({"cc_number": "4242424242424242"}, "cc_number"),
        ({"order_shipments": [{}]}, "order_shipments"),
        ({"date_added": "soon"}, "date_added"),
        ({"folder_name": "Nowhere"}, "folder_name"),
        ({"shiping": {}}, "shiping"),
    ],
)
def test_a_new_order_is_checked_by_the_same_rules(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationFailed) as refused:
        plan_create(a_new_order(**changes), at=NOON, folders=FOLDERS)

    assert refused.value.field == field


words = st.text(alphabet=st.characters(exclude_categories=("Cs", "Cc")), max_size=20)
scalars = st.one_of(words, st.integers(-(10**9), 10**9), st.booleans())
maps = st.dictionaries(words, st.one_of(st.none(), scalars), max_size=4)
addresses = st.dictionaries(
    st.sampled_from(ADDRESS_FIELDS["customer"]), st.one_of(st.none(), words), max_size=4
)
item_changes = st.fixed_dictionaries(
    {},
    optional={
        "quantity": st.integers(0, 99),
        "name": words,
        "metadata": maps,
        "variation_list": maps,
        "price": st.decimals(0, 999, places=2),
    },
)
all_changes = st.fixed_dictionaries(
    {},
    optional={
        "email": words,
        "shipping": addresses,
        "customer": addresses,
        "checkout_data": maps,
        "order_metadata": maps,
        "order_notes": st.lists(
            words.filter(lambda text: bool(text.strip()) and not looks_like_json(text)),
            max_size=4,
        ),
        "order_items": st.builds(
            lambda first, new: [{**first, "id": "1"}, *new],
            item_changes,
            st.lists(item_changes.map(lambda item: {**item, "code": "NEW"}), max_size=2),
        ),
        "tax_total": st.decimals(0, 999, places=2),
    },
)


@settings(max_examples=150, deadline=None)
@given(all_changes)
def test_a_merge_loses_nothing_it_was_not_told_to_change(changes: dict[str, Any]) -> None:
    before = an_order()

    plan = plan_update(copy.deepcopy(before), copy.deepcopy(changes), at=NOON)

    for key in set(before) - set(changes) - {"cc_number_masked"}:
        assert plan.body[key] == before[key]
    assert [item["id"] for item in plan.body["order_items"][:2]] == ["1", "2"]
    assert plan.body["order_items"][1] == before["order_items"][1]
    assert {note_key(note) for note in before["order_notes"]} <= {
        note_key(note) for note in plan.body["order_notes"]
    }
    for name in ("checkout_data", "order_metadata", "shipping", "customer"):
        untouched = {
            key: value
            for key, value in dict(before[name] or {}).items()
            if key not in (changes.get(name) or {})
        }
        assert untouched.items() <= dict(plan.body[name] or {}).items()


@settings(max_examples=150, deadline=None)
@given(all_changes)
def test_merging_twice_is_merging_once_but_for_new_items(changes: dict[str, Any]) -> None:
    once = plan_update(an_order(), copy.deepcopy(changes), at=NOON).body
    for number, item in enumerate(once["order_items"]):
        item.setdefault("id", f"new{number}")
    again = {
        **changes,
        "order_items": [item for item in as_list(changes.get("order_items")) if "id" in item],
    }

    plan = plan_update(once, again, at=NOON)

    assert plan.changed == ()


def test_a_name_as_long_as_a_request_may_be_is_quoted_shortly() -> None:
    for changes in ({"x" * 4_000_000: 1}, {"shipping": {"x" * 4_000_000: 1}}):
        with pytest.raises(ValidationFailed) as caught:
            update(changes)

        assert len(caught.value.message) < 1_000
        assert len(caught.value.field or "") <= 200


def test_one_call_takes_so_many_items_and_no_more() -> None:
    assert (
        len(
            update(
                {"order_items": [{"name": f"Mug {number}"} for number in range(MOST_ENTRIES)]}
            ).body["order_items"]
        )
        == MOST_ENTRIES + 2
    )

    with pytest.raises(ValidationFailed, match="at most 500") as caught:
        update({"order_items": [{"name": "Mug"}] * (MOST_ENTRIES + 1)})
    assert caught.value.field == "order_items"


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        (name, wrong)
        for name in SHAPES
        for wrong in ("words", 5, True)
        if (name, wrong) != ("order_notes", "words")  # plain text is a note
    ],
)
def test_a_wrong_shape_is_refused_with_an_example_that_works(name: str, wrong: Any) -> None:
    if name in ("metadata", "variation_list"):
        changes: Any = {"order_items": [{"name": "Mug", name: wrong}]}
    else:
        changes = {name: wrong}
    with pytest.raises(ValidationFailed) as refused:
        update(changes)

    example = json.loads(refused.value.message.partition(", such as ")[2].removesuffix("."))
    fixed = {"order_items": [{"name": "Mug", name: example}]}
    assert update(fixed if name in ("metadata", "variation_list") else {name: example}).changed
