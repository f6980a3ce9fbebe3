"""The search for secrets finds what it looks for; else its silence would say nothing."""

import base64
import json
from urllib.parse import quote

import pytest

from tests.searcher import search

SECRET = "s3cret+key/with=signs&more-0123456789"
LONGER = f"before {SECRET} after"


@pytest.mark.parametrize(
    "content",
    [
        LONGER.encode(),
        quote(LONGER, safe="").encode(),
        json.dumps(LONGER).encode(),
        LONGER.encode().hex().encode(),
        LONGER.encode("utf-16-le"),
        LONGER[::-1].encode(),
        *(base64.b64encode(b"x" * shift + LONGER.encode()) for shift in range(3)),
        *(base64.urlsafe_b64encode(b"x" * shift + LONGER.encode()) for shift in range(3)),
    ],
)
def test_a_secret_is_found_in_every_form(content: bytes) -> None:
    found = search({"the key": SECRET}, {"a place": b"\0" * 100 + content})

    assert found
    assert all("the key" in line and "a place" in line and SECRET not in line for line in found)


def test_where_it_is_not_nothing_is_found() -> None:
    assert (
        search({"the key": SECRET}, {"a place": b"nothing to see", "another": SECRET[:-1].encode()})
        == []
    )


def test_what_is_too_short_is_refused() -> None:
    with pytest.raises(ValueError, match="too short"):
        search({"pin": "1234"}, {})
