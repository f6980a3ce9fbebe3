"""The body of one request: read whole within its size and time, and checked before the SDK sees it.

The SDK parses it again. This first check keeps a library's words, NaN, Infinity and half surrogate
pairs away from the rest of the app.
"""

import asyncio
import contextlib
import re
from functools import lru_cache
from math import isfinite
from typing import TypeGuard

from pydantic_core import from_json
from starlette.datastructures import Headers
from starlette.types import Message, Receive

from orderdesk_app.context import Json, JsonObject
from orderdesk_app.orderdesk.json_text import MAX_VALUES, has_too_many_values
from orderdesk_app.security.web import body_encoding

MAX_BODY_BYTES = 4 * 1024 * 1024
# of a refused request, read after its answer was sent
MAX_DRAINED_BYTES = 32 * 1024 * 1024
DRAIN_SECONDS = 5.0
# A body that arrives more slowly is refused: it would hold a connection and its memory for ever.
BODY_SECONDS = 30.0
_LONG_BYTES = 16 * 1024
_MAY_OVERFLOW = re.compile(rb"[eE]\+?[0-9]{3}|[0-9]{200}")
PARSE_ERROR = -32700
INVALID_REQUEST = -32600


class InvalidRequest(Exception):
    """A request that the SDK must not see: the HTTP status, the JSON-RPC code, a message for the
    caller, and a label for the metrics.
    """

    def __init__(self, status: int, code: int, message: str, reason: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.reason = reason

    @property
    def has_unread_body(self) -> bool:
        """True where the request was refused before all of its body had arrived."""
        return self.reason in ("media", "too_large")


class ClientDisconnected(Exception):
    """The caller left before the work was done, so no answer is sent."""


async def read_body(headers: Headers, receive: Receive) -> bytes:
    """The whole body.

    Raises InvalidRequest when it is too large or too slow, or does not arrive whole.
    """
    declared = headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and int(declared) > MAX_BODY_BYTES:
        raise _too_large()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await _chunks(receive)
    except TimeoutError:
        raise InvalidRequest(
            408,
            INVALID_REQUEST,
            f"The request did not arrive within {BODY_SECONDS:.0f} seconds. Send it again.",
            "slow",
        ) from None


async def _chunks(receive: Receive) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            # the server takes chunks that are none for a hang-up too
            raise InvalidRequest(
                400, INVALID_REQUEST, "The request did not arrive whole. Send it again.", "hung_up"
            )
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            raise _too_large()
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)


def _too_large() -> InvalidRequest:
    return InvalidRequest(
        413,
        INVALID_REQUEST,
        f"The request is larger than {MAX_BODY_BYTES} bytes. Send less at a time.",
        "too_large",
    )


async def drain_body(receive: Receive) -> None:
    """Read and drop what a client still sends of a request that was refused, for a few seconds.

    Many clients read no answer before they have sent everything; a connection that is closed while
    they send looks to them like a server that crashed."""
    size = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_SECONDS):
            while size <= MAX_DRAINED_BYTES:
                message = await receive()
                size += len(message.get("body", b""))
                if not message.get("more_body", False):
                    return


def accepts_event_stream(headers: Headers) -> bool:
    """Whether the answer may be an event stream; it may always be JSON.

    Raises InvalidRequest for a body that is packed or not sent as JSON (415), and for a client that
    does not accept JSON (406).
    """
    if body_encoding(headers):
        raise InvalidRequest(
            415,
            INVALID_REQUEST,
            "The request is packed. Send it plain, without Content-Encoding.",
            "media",
        )
    return _check_media(headers.get("content-type", ""), ", ".join(headers.getlist("accept")))


@lru_cache(256)
def _check_media(content_type: str, accept: str) -> bool:
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise InvalidRequest(
            415,
            INVALID_REQUEST,
            "The request is not sent as JSON. Send it with Content-Type: application/json.",
            "media",
        )
    if not accept:
        # No Accept means that anything is accepted (RFC 9110 12.5.1); more clients read JSON.
        return False
    taken = {kind.partition(";")[0].strip() for kind in accept.lower().split(",")}
    if not taken & {"application/json", "application/*", "*/*"}:
        words = (
            "This address answers in JSON, and in an event stream where progress is asked "
            "for. Send Accept: application/json, text/event-stream."
        )
        raise InvalidRequest(406, INVALID_REQUEST, words, "media")
    return bool(taken & {"text/event-stream", "text/*", "*/*"})


def parse(body: bytes) -> Json:
    """The JSON of a body.

    Raises InvalidRequest for what is no JSON, and for NaN, Infinity, 1e400, half surrogate pairs,
    bad UTF-8, more than 200 levels and more than 20,000 values.
    """
    if has_too_many_values(body):
        raise InvalidRequest(
            400,
            PARSE_ERROR,
            (
                f"The request is not read, as it holds more than {MAX_VALUES:,} values. Send less "
                "at a time."
            ),
            "too_many_values",
        )
    try:
        value: Json = from_json(body, allow_inf_nan=False)
        # 1e400 was read as infinity in spite of the flag. To look at the values of a long body
        # takes a tenth of the time of a search in its text.
        if len(body) > _LONG_BYTES or _MAY_OVERFLOW.search(body):
            _check_finite(value)
        return value
    except ValueError:
        raise InvalidRequest(
            400,
            PARSE_ERROR,
            "The request is not JSON in UTF-8, or nests too deeply. Send one JSON-RPC 2.0 object.",
            "json",
        ) from None


def _check_finite(value: Json) -> None:
    """Raises ValueError for a number that is infinite."""
    waiting: list[Json] = [value]
    while waiting:
        found = waiting.pop()
        if type(found) is dict:
            waiting.extend(found.values())
        elif type(found) is list:
            waiting.extend(found)
        elif type(found) is float and not isfinite(found):
            raise ValueError("not a number that JSON knows")


def is_message(value: Json) -> TypeGuard[JsonObject]:
    """True for the outer form of a JSON-RPC request or notification; the SDK checks the rest."""
    if (
        not isinstance(value, dict)
        or value.get("jsonrpc") != "2.0"
        or not isinstance(value.get("method"), str)
    ):
        return False
    has_good_id = (
        "id" not in value
        or isinstance(value["id"], str)
        or (isinstance(value["id"], int) and not isinstance(value["id"], bool))
    )
    return has_good_id and isinstance(value.get("params", {}), (dict, type(None)))


def is_response(value: Json) -> bool:
    """True for a JSON-RPC response. We send no requests, so nothing waits for one."""
    return (
        isinstance(value, dict)
        and "method" not in value
        and ("result" in value or "error" in value)
    )


def not_a_message() -> InvalidRequest:
    return InvalidRequest(
        400,
        INVALID_REQUEST,
        (
            'Not a JSON-RPC 2.0 request or notification: it needs "jsonrpc": "2.0", a '
            "method, and an id of text or a whole number."
        ),
        "form",
    )


def wants_progress(message: JsonObject) -> bool:
    """True when the request carries a progress token."""
    return _meta(message).get("progressToken") is not None


def names_revision(message: JsonObject) -> bool:
    """True when the request itself names its revision, as requests of 2026-07-28 do."""
    return "io.modelcontextprotocol/protocolVersion" in _meta(message)


def _meta(message: JsonObject) -> JsonObject:
    params = message.get("params")
    meta = params.get("_meta") if isinstance(params, dict) else None
    return meta if isinstance(meta, dict) else {}


def replay(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body again, then what really arrives (a disconnect)."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
