"""A tool's arguments from a form that somebody typed."""

import pytest

from orderdesk_app.tools.catalogue import find_tool
from orderdesk_app.tools.form import arguments_from, fields_of

UPDATE = find_tool("orders_update")


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ('{"shipping": ', "Line 1, column 13: a value is missing."),
        ('{"a": 1\n "b": 2}', "Line 2, column 2: a comma or a closing bracket is missing."),
        ('{\n  "a": 1,\n  b: 2\n}', "Line 3, column 3: a name in double quotes is missing."),
        ('{"a" 1}', "Line 1, column 6: a colon is missing after the name."),
        ('{"a": 1}}', "Line 1, column 9: the JSON has ended, and more follows."),
        ('\n\n  {"a": "x}', "Line 3, column 9: this text has no closing quote."),
        ('{"a": "x\ty"}', "Line 1, column 9: a text must not have a line break or a tab in it"),
        ('{"a": "\\x"}', "Line 1, column 8: a backslash stands alone; write it twice."),
        ('{"a": [1, 2,\n ]}', "Line 1, column 12: a comma stands before the closing bracket."),
        ('{"a": 1,}', "Line 1, column 8: a comma stands before the closing bracket."),
        ('{"NaN": "NaN \\" NaN",\n "b": NaN}', "Line 2, column 7: this is no number in JSON."),
        ('  {"a": -Infinity}', "Line 1, column 9: this is no number in JSON."),
    ],
)
def test_json_that_is_none_is_told_by_line_and_column(typed: str, words: str) -> None:
    _, errors = arguments_from(UPDATE, {"order_id": "1", "changes": typed})

    assert errors["changes"].startswith(f"This must be an object in JSON. {words}")


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ('{"a": ' + "[" * 10_000, "This is nested too deeply."),
        ("[" * 100_000, "This has more than 20,000 values or commas."),
    ],
)
def test_json_that_is_too_much_is_told_as_that(typed: str, words: str) -> None:
    _, errors = arguments_from(UPDATE, {"order_id": "1", "changes": typed})

    assert errors["changes"].startswith(words)


@pytest.mark.parametrize("typed", ["[1]", "1", '"text"'])
def test_json_of_another_kind_is_told_by_its_kind(typed: str) -> None:
    _, errors = arguments_from(UPDATE, {"order_id": "1", "changes": typed})

    assert errors["changes"] == "This must be an object in JSON."


def test_an_example_is_a_hint_and_never_a_value() -> None:
    (field,) = [field for field in fields_of(UPDATE) if field.name == "changes"]

    assert field.value == ""
    assert field.in_example
    assert "Lagos" in field.hint
