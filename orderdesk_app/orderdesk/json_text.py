"""Reads and writes JSON so that a number keeps its digits: 21.10 never becomes 21.1.

Money never passes through binary floating point: a number with a point or an exponent is read as
Decimal. simplejson writes 1e2 as 1E+2 and 0.0000001 as 1E-7, and took 1.3 times as long to read an
order and 1.4 times as long to write it (docs/decisions/0015-libraries-and-own-code.md).
"""

import json
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from json.encoder import encode_basestring_ascii
from math import isfinite
from typing import Any, NoReturn

# Reading holds the interpreter: 20,000 values take under 10 ms, 4 MiB of `[],` 0.3 s.
MAX_VALUES = 20_000


class WrittenDecimal(Decimal):
    """A number that Decimal would write with another text (1e2, 0.0000001); `text` is its own."""

    __slots__ = ("text",)
    text: str

    def __copy__(self) -> "WrittenDecimal":
        return self

    def __deepcopy__(self, memo: object, /) -> "WrittenDecimal":
        return self

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return (_number, (self.text,))


def has_too_many_values(text: bytes | str) -> bool:
    """True for a JSON text that may hold more than MAX_VALUES values, found without reading it:
    signs inside texts count too, so it errs on the safe side.
    """
    if len(text) <= MAX_VALUES:  # each value takes a sign
        return False
    if isinstance(text, str):
        text = text.encode(errors="replace")
    return text.count(b"[") + text.count(b"{") + text.count(b",") > MAX_VALUES


def loads(body: bytes | str) -> Any:
    """The value of a JSON text; numbers are int or Decimal.

    Raises ValueError for anything that is not strict JSON, NaN and nesting without end included.
    """
    try:
        return json.loads(body, parse_float=_number, parse_constant=_refuse)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def dumps(value: object) -> bytes:
    """Compact JSON in ASCII (a lone surrogate is escaped), numbers with their exact text.

    Raises ValueError for NaN, infinity and nesting without end, TypeError for a type that JSON does
    not have.
    """
    pieces: list[str] = []
    try:
        _write(value, pieces.append)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    return "".join(pieces).encode("ascii")


def _number(token: str) -> Decimal:
    try:
        number = Decimal(token)
    except InvalidOperation as error:
        raise ValueError("a number out of range") from error
    if str(number) == token:
        return number
    written = WrittenDecimal(token)
    written.text = token
    return written


def _refuse(word: str) -> NoReturn:
    raise ValueError(f"{word} is not JSON")


def _write(value: Any, write: Callable[[str], None]) -> None:
    # By hand, as the standard encoder cannot write a Decimal as a number; measured faster than
    # tricking it into that.
    kind = type(value)
    if kind is str:
        write(encode_basestring_ascii(value))
    elif kind is dict:
        _write_map(value, write)
    elif kind is list or kind is tuple:
        separator = "["
        for item in value:
            write(separator)
            _write(item, write)
            separator = ","
        write("]" if value else "[]")
    elif kind is int:
        write(repr(value))
    elif value is None:
        write("null")
    elif value is True:
        write("true")
    elif value is False:
        write("false")
    else:
        write(_rarer(value))


def _write_map(value: dict[object, object], write: Callable[[str], None]) -> None:
    separator = "{"
    for key, item in value.items():
        if not isinstance(key, str):
            raise TypeError("the keys of a JSON object are texts")
        write(separator)
        write(encode_basestring_ascii(key))
        write(":")
        if type(item) is str:
            write(encode_basestring_ascii(item))
        else:
            _write(item, write)
        separator = ","
    write("}" if value else "{}")


def _rarer(value: object) -> str:
    if isinstance(value, WrittenDecimal):
        return value.text
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise ValueError("not a number that JSON knows")
        return str(value)
    if isinstance(value, float):
        if not isfinite(value):
            raise ValueError("not a number that JSON knows")
        return repr(float(value))  # the shortest text that means this number
    if isinstance(value, str):
        return encode_basestring_ascii(value)
    if isinstance(value, int):
        return repr(int(value))
    raise TypeError(f"{type(value).__name__} has no place in JSON")
