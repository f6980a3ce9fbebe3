"""How the body of a form is read."""

import pytest
from starlette.requests import Request
from starlette.types import Message

from orderdesk_app.errors import BodyTooLarge
from orderdesk_app.routes.forms import read_body


async def test_all_of_a_body_that_is_too_large_is_taken_before_it_is_refused() -> None:
    """Else the server ends the connection while the program still sends, or its next request."""
    left = 100

    async def receive() -> Message:
        nonlocal left
        left -= 1
        return {"type": "http.request", "body": b"x" * 1024, "more_body": left > 0}

    with pytest.raises(BodyTooLarge, match="Too large"):
        await read_body(Request({"type": "http"}, receive), 10 * 1024, "Too large.")

    assert left == 0


async def test_a_body_that_never_ends_is_given_up() -> None:
    async def receive() -> Message:
        return {"type": "http.request", "body": b"x" * 1_000_000, "more_body": True}

    with pytest.raises(BodyTooLarge):
        await read_body(Request({"type": "http"}, receive), 10, "Too large.")
