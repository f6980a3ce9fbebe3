"""What was read is written again with the same digits."""

import copy
import json
import pickle
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orderdesk_app.orderdesk.json_text import dumps, loads

NUMBERS = [
    "0",
    "1",
    "-1",
    "21.10",
    "21.1",
    "0.00",
    "-0.0",
    "1e2",
    "1E+2",
    "1.50e-7",
    "0.0000001",
    "100.000",
    "12345678901234567890.12345678901234567890",
    "1E400",
]


@pytest.mark.parametrize("number", NUMBERS)
def test_a_number_keeps_its_digits(number: str) -> None:
    text = f'{{"price":{number},"list":[{number}]}}'.encode()

    assert dumps(loads(text)) == text


@pytest.mark.parametrize("number", NUMBERS)
def test_a_copied_number_keeps_its_digits_too(number: str) -> None:
    value = loads(f"[{number}]")

    for again in (copy.deepcopy(value), copy.copy(value[0]), pickle.loads(pickle.dumps(value))):
        assert dumps(again if isinstance(again, list) else [again]) == f"[{number}]".encode()


def test_money_is_decimal_and_adds_up() -> None:
    prices = loads('[0.10, 0.20, 1e-1, "3"]')

    assert prices[0] + prices[1] + prices[2] == Decimal("0.40")
    assert prices[0] == prices[2]


def test_text_survives_with_emoji_controls_and_half_a_character() -> None:
    value = {
        "name": 'Åsa "Ö" \U0001f600 \ud800 \x00 / \\ </script> \u2028',
        "empty": "",
        "": [None, True, False, {}, []],
    }

    assert loads(dumps(value)) == value


def test_the_text_is_compact_ascii() -> None:
    assert dumps({"a": [1, {"b": "é"}], "c": (2,)}) == b'{"a":[1,{"b":"\\u00e9"}],"c":[2]}'


def test_an_agents_own_float_is_written_as_it_was_typed() -> None:
    assert dumps([4.5, 21.1, 0.1, 1e22, True]) == b"[4.5,21.1,0.1,1e+22,true]"


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"<html>",
        b'{"a":1',
        b"[NaN]",
        b"[Infinity]",
        b"[-Infinity]",
        b"{'a':1}",
        b"\xff\xfe\xfd",
        b"[" * 200_000,
        b"[1" + b"0" * 5000 + b"]",
    ],
)
def test_what_is_not_json_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  the kind is the contract
        loads(text)


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        float("inf"),
        Decimal("NaN"),
        Decimal("Infinity"),
        {1: 2},
        object(),
        b"bytes",
        {"a": {1, 2}},
    ],
)
def test_what_json_does_not_know_is_not_written(value: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        dumps([value])


def test_an_endless_value_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)

    with pytest.raises(ValueError, match="nested"):
        dumps(endless)


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.decimals(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(_JSON)
def test_whatever_is_written_once_is_written_the_same_again(value: Any) -> None:
    text = dumps(value)

    assert dumps(loads(text)) == text
    json.loads(text)
