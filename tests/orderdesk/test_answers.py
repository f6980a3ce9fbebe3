"""An answer is a success only if Order Desk says so, in JSON."""

from typing import Any

import pytest

from orderdesk_app.context import Secret
from orderdesk_app.errors import Fault
from orderdesk_app.orderdesk.answers import count, envelope, fault, rows, sentence
from orderdesk_app.orderdesk.comparison import as_map

KEY = Secret("the-key-of-this-store")
OK: dict[str, Any] = {"status": "success", "order": {"id": "1"}}


@pytest.mark.parametrize(
    ("status", "answer", "names_a_thing", "expected"),
    [
        (200, OK, True, None),
        (201, OK, False, None),
        (200, {"order": {}}, True, None),
        (200, {"status": "Success"}, False, None),
        (200, {"status": "error", "message": "Shipment Not Added"}, True, Fault.SAID_NO),
        (200, {"status": "failure"}, True, Fault.SAID_NO),
        (200, {"status": None}, True, Fault.SAID_NO),
        (200, {"status": "error", "message": "Order Not Found"}, True, Fault.NOT_FOUND),
        (200, {"status": "error", "message": "Not found."}, True, Fault.NOT_FOUND),
        (400, {"status": "error", "message": "This order does not exist"}, True, Fault.NOT_FOUND),
        (200, {"status": "error", "message": "No order found"}, True, Fault.NOT_FOUND),
        (200, {"status": "error", "message": "Unable to find order 99"}, True, Fault.NOT_FOUND),
        (200, {"status": "error", "message": "Couldn't locate that item."}, True, Fault.NOT_FOUND),
        (
            200,
            {"status": "error", "message": "Order #99 could not be located"},
            True,
            Fault.NOT_FOUND,
        ),
        (200, {"status": "error", "message": "No records found"}, True, Fault.NOT_FOUND),
        (
            200,
            {"status": "error", "message": "Could not find the folder of this order"},
            True,
            Fault.SAID_NO,
        ),
        (200, {"status": "error", "message": "No item may be without a name"}, True, Fault.SAID_NO),
        (400, {"status": "error", "message": "Folder not found"}, True, Fault.SAID_NO),
        (200, {"status": "error", "message": "Order Not Found"}, False, Fault.SAID_NO),
        (
            200,
            {"status": "error", "message": "Invalid Store ID or API Key"},
            True,
            Fault.KEY_REFUSED,
        ),
        (200, {"status": "error", "message": "Unauthorized"}, False, Fault.KEY_REFUSED),
        (200, None, True, Fault.UNREADABLE),
        (204, None, True, Fault.UNREADABLE),
        (302, None, True, Fault.REDIRECTED),
        (304, None, True, Fault.REDIRECTED),
        (400, None, True, Fault.SAID_NO),
        (400, OK, True, Fault.SAID_NO),
        (401, None, True, Fault.KEY_REFUSED),
        (403, OK, True, Fault.KEY_REFUSED),
        (404, None, True, Fault.NOT_FOUND),
        (404, None, False, Fault.SAID_NO),
        (405, None, True, Fault.SAID_NO),
        (408, None, True, Fault.SERVER_ERROR),
        (413, None, True, Fault.SAID_NO),
        (429, None, True, Fault.RATE_LIMITED),
        (429, OK, False, Fault.RATE_LIMITED),
        (500, {"status": "error", "message": "Oops"}, True, Fault.SERVER_ERROR),
        (502, None, True, Fault.SERVER_ERROR),
        (503, OK, True, Fault.SERVER_ERROR),
    ],
)
def test_what_went_wrong_is_told_apart(
    status: int, answer: dict[str, Any] | None, names_a_thing: bool, expected: Fault | None
) -> None:
    assert fault(status, answer, names_a_thing=names_a_thing) == expected


@pytest.mark.parametrize("status", [409, 412, 423])
def test_a_write_may_meet_a_conflict_and_a_read_may_not(status: int) -> None:
    assert fault(status, None, names_a_thing=True, is_read=False) is Fault.CONFLICT
    assert fault(status, None, names_a_thing=True, is_read=True) is Fault.SAID_NO


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>502</html>",
        b'{"status":"success"',
        b"[]",
        b'"success"',
        b"null",
        b"\xff\xff",
        b"[" * 100_000,
    ],
)
def test_what_is_no_envelope_is_none(body: bytes) -> None:
    assert envelope(body) is None


def test_a_byte_order_mark_does_not_hurt() -> None:
    assert envelope(b'\xef\xbb\xbf{"status":"success"}') == {"status": "success"}


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("Shipment Not Added", "Shipment Not Added"),
        ("<p>Too <b>bad</b></p>\r\n\t<script>x</script>", "Too bad x"),
        ("the key the-key-of-this-store is wrong", "the key *** is wrong"),
        ("left\u202eright\u200b\x00\ud800 end", "left right end"),
        ("x" * 500, "x" * 199 + "…"),
        ("", ""),
        (None, ""),
        (["a"], ""),
        ({"a": 1}, ""),
    ],
)
def test_order_desks_words_are_cleaned_before_they_are_quoted(message: Any, words: str) -> None:
    assert sentence({"status": "error", "message": message}, KEY) == words


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (5, 5),
        ("5", 5),
        ("0", 0),
        (0, 0),
        ("", None),
        ("five", None),
        (-1, None),
        (None, None),
        (True, None),
        ("-1", None),
        ([], None),
    ],
)
def test_a_count_may_come_as_text(value: Any, number: int | None) -> None:
    assert count(value) == number


@pytest.mark.parametrize(
    ("value", "mapped"),
    [({"a": 1}, {"a": 1}), ([], {}), ({}, {}), (None, {}), ("", {}), (["x"], {"0": "x"})],
)
def test_an_empty_list_is_an_empty_map(value: Any, mapped: dict[str, Any]) -> None:
    assert as_map(value) == mapped


@pytest.mark.parametrize(
    ("value", "listed"), [([], []), ([{"a": 1}], [{"a": 1}]), ([1], None), ({}, None), (None, None)]
)
def test_rows_are_objects_or_nothing(value: Any, listed: Any) -> None:
    assert rows(value) == listed
