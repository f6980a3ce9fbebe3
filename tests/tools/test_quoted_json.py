"""JSON in quotes, as many models send it, is read as what it is or refused; it never becomes a
merchant's words.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from orderdesk_app.context import JsonObject
from orderdesk_app.errors import ValidationFailed
from orderdesk_app.tools.arguments import structured_arguments
from orderdesk_app.tools.catalogue import every_tool
from tests.worlds import FIRST_ORDER, MINIMAL_ORDER, World

CHANGES: JsonObject = {
    "shipping": {"city": "Lagos"},
    "order_metadata": {"colour": "red"},
    "order_items": [{"name": "Mug", "price": 12.5, "variation_list": {"Size": "L"}}],
    "order_notes": [{"content": "Rang the customer"}],
    "discount_list": [{"name": "Autumn", "amount": "1.70"}],
}


def quoted_at_every_depth(value: Any) -> Iterator[Any]:
    """The value with one object or list of it in quotes, and in quotes twice, for each that it
    holds.
    """
    if isinstance(value, dict | list):
        yield json.dumps(value)
        yield json.dumps(json.dumps(value))
    if isinstance(value, dict):
        for key, entry in value.items():
            for quoted in quoted_at_every_depth(entry):
                yield {**value, key: quoted}
    if isinstance(value, list):
        for index, entry in enumerate(value):
            for quoted in quoted_at_every_depth(entry):
                yield [*value[:index], quoted, *value[index + 1 :]]


FORMS = list(quoted_at_every_depth(CHANGES))
# what models put around JSON
AROUND = [
    "```json\n%s\n```",
    "```\n%s```",
    "~~~%s~~~",
    "`%s`",
    "\ufeff%s",
    "\u200b%s\n",
    "\xa0%s",
    "'%s'",
]


async def order_after(world: World, changes: Any) -> dict[str, Any]:
    await world.owner.get("orders_update", order_id=FIRST_ORDER, changes=changes)
    order: dict[str, Any] = (await world.owner.get("orders_get", order_id=FIRST_ORDER))["order"]
    return order


@pytest.mark.parametrize("form", range(len(FORMS)))
async def test_changes_in_quotes_are_read_as_what_they_are(small: World, form: int) -> None:
    order = await order_after(small, FORMS[form])

    assert order["shipping"]["city"] == "Lagos"
    assert order["order_metadata"]["colour"] == "red"
    assert order["order_items"][-1]["name"] == "Mug"
    assert order["order_items"][-1]["variation_list"] == {"Size": "L"}
    assert order["order_notes"][-1]["content"] == "Rang the customer"
    assert [discount["amount"] for discount in order["discount_list"]] == ["1.70"]


@pytest.mark.parametrize("place", ["changes", "shipping", "order_notes", "order_notes[0]"])
async def test_what_stands_around_json_does_not_make_words_of_it(small: World, place: str) -> None:
    for number, around in enumerate(AROUND):
        note = around % json.dumps({"content": f"Rang {number} times"})
        city = around % json.dumps({"city": f"Lagos {number}"})
        changes: dict[str, Any] = {
            "changes": around % json.dumps({"shipping": {"city": f"Lagos {number}"}}),
            "shipping": {"shipping": city},
            "order_notes": {"order_notes": note},
            "order_notes[0]": {"order_notes": [note]},
        }
        order = await order_after(small, changes[place])

        if "notes" in place:
            assert order["order_notes"][-1]["content"] == f"Rang {number} times"
        else:
            assert order["shipping"]["city"] == f"Lagos {number}"


async def test_every_argument_that_is_an_object_or_a_list_may_come_in_quotes(small: World) -> None:
    given = {
        ("orders_create", "order_data"): {**MINIMAL_ORDER, "source_id": "Q-1"},
        ("orders_update", "changes"): {"email": "quoted@example.com"},
        ("orders_list", "fields"): ["source_id", "email"],
        ("orders_get", "fields"): ["source_id", "email"],
    }
    structured = {
        (tool.name, name) for tool in every_tool() for name in structured_arguments(tool.arguments)
    }
    assert given.keys() == structured, "add a value for each new argument"
    for (tool, name), value in given.items():
        arguments = {
            "orders_update": {"order_id": FIRST_ORDER},
            "orders_get": {"order_id": FIRST_ORDER},
        }.get(tool, {})
        plain = await small.owner.get(tool, **arguments, **{name: value})
        if tool == "orders_create":
            await small.owner.get("orders_delete", order_id=plain["order"]["id"])
        quoted = await small.owner.get(tool, **arguments, **{name: json.dumps(value)})
        shown = quoted["orders"] if "orders" in quoted else [quoted["order"]]
        assert all("email" in order or "source_id" in order for order in shown)
        if name == "fields":
            assert quoted == {**plain, "cached": True}, "and nothing else"


async def test_arguments_in_quotes_are_read(small: World) -> None:
    outcome = await small.owner.call("orders_get", json.dumps({"order_id": FIRST_ORDER}))

    assert outcome.result is not None
    assert outcome.result["order"]["id"] == FIRST_ORDER
    assert outcome.arguments == {"order_id": FIRST_ORDER}


async def test_a_secret_in_quoted_arguments_stays_secret(small: World) -> None:
    secret = "marker-of-a-secret"
    arguments = {"store_id": "10077", "api_key": secret, "label": "us"}

    outcome = await small.owner.call("stores_register", json.dumps(arguments))

    await small.services.audit.flush()
    assert secret not in repr(outcome)
    assert all(secret not in repr(row) for row in await small.audit_rows())


BROKEN = [
    json.dumps('[{"content": "x"}'),
    '[{"content": "x"}',
    "[{'content': 'x'}]",
    '{"content": "x",}',
    '["a"',
    '{"content": NaN}',
    '```json\n[{"content": "x"},]\n```',
    '\ufeff{"content": "x"',
    '"[{"content": "x"},]"',
]


@pytest.mark.parametrize("note", BROKEN)
@pytest.mark.parametrize("place", ["order_notes", "order_notes[0]", "order_notes[0].content"])
async def test_no_note_is_json(small: World, place: str, note: str) -> None:
    notes: Any = {
        "order_notes": note,
        "order_notes[0]": [note],
        "order_notes[0].content": [{"content": note}],
    }[place]
    before = (await small.owner.get("orders_get", order_id=FIRST_ORDER))["order"]

    error = await small.owner.refused(
        "orders_update", order_id=FIRST_ORDER, changes={"order_notes": notes}
    )

    assert isinstance(error, ValidationFailed)
    assert error.field == place
    assert "without quotes" in error.message
    after = (await small.owner.get("orders_get", order_id=FIRST_ORDER))["order"]
    assert after.get("order_notes") == before.get("order_notes")


@pytest.mark.parametrize(
    "words",
    [
        "[URGENT] ring first",
        "(see [3])",
        "{name} was told",
        "[12345]",
        "“[]” is no list",
        "[] wrapped",
        "[ ] ring first",
        "```\nring first\n```",
        "```",
        "“ring first”",
        "'[URGENT]'",
    ],
)
async def test_brackets_in_a_persons_words_stay(small: World, words: str) -> None:
    order = await order_after(small, {"order_notes": words})

    assert order["order_notes"][-1]["content"] == words


async def test_json_that_a_shop_keeps_as_text_stays_text(small: World) -> None:
    kept = '{"gift": true}'

    order = await order_after(small, {"order_metadata": {"options": kept}})

    assert order["order_metadata"]["options"] == kept


@pytest.mark.parametrize("given", ['"text"', "5", '"{"', "not JSON", "[1]"])
async def test_any_other_text_is_refused_with_an_example(small: World, given: str) -> None:
    error = await small.owner.refused("orders_update", order_id=FIRST_ORDER, changes=given)

    assert isinstance(error, ValidationFailed)
    assert error.field == "changes"
    assert 'must be an object, such as {"shipping"' in error.message


async def test_a_text_of_many_values_is_refused_before_it_is_read(small: World) -> None:
    error = await small.owner.refused(
        "orders_update", order_id=FIRST_ORDER, changes=f"[{'[],' * 30_000}[]]"
    )

    assert isinstance(error, ValidationFailed)
    assert "20,000 values" in error.message
