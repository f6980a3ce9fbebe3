"""The body of one request: read whole within its size and time, and judged before the protocol sees
it.

The SDK parses again; this first look is what keeps a library's words, numbers that are none, and
half characters from the rest of the services.
"""

import asyncio
import contextlib
import re
from functools import lru_cache
from typing import Any

from pydantic_core import from_json, to_json
from starlette.datastructures import Headers
from starlette.types import Message, Receive

MOST_BODY_BYTES = 4 * 1024 * 1024
# of a refused request, after its answer
MOST_UNHEARD_BYTES, UNHEARD_SECONDS = (
    32 * 1024 * 1024,
    5.0,
)
# then a body that still comes in drops is refused: it would hold a connection and its memory for
# ever
BODY_SECONDS = 30.0
_MAY_OVERFLOW = re.compile(rb"[eE]\+?[0-9]{3}|[0-9]{200}")
PARSE_ERROR, INVALID_REQUEST = -32700, -32600


class Unfit(Exception):
    """A body that no protocol server should see: the HTTP status, the JSON-RPC code, words for the
    caller, and a label for the metrics.
    """

    def __init__(self, status: int, code: int, message: str, reason: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.reason = status, code, message, reason

    @property
    def is_unheard(self) -> bool:
        """True where it was refused before all of it was there."""
        return self.status in (406, 413, 415)


class ClientDisconnected(Exception):
    """The caller has gone before the body was there; nobody waits for an answer."""


async def read_body(headers: Headers, receive: Receive) -> bytes:
    """The whole body.

    Raises Unfit when it is too large or too slow, ClientDisconnected when the caller has gone.
    """
    declared = headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and int(declared) > MOST_BODY_BYTES:
        raise _too_large()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await _chunks(receive)
    except TimeoutError:
        raise Unfit(
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
            raise ClientDisconnected
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > MOST_BODY_BYTES:
            raise _too_large()
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)


def _too_large() -> Unfit:
    return Unfit(
        413,
        INVALID_REQUEST,
        f"The request is larger than {MOST_BODY_BYTES} bytes. Send less at a time.",
        "too_large",
    )


async def drain_body(receive: Receive) -> None:
    """Let a client whose request is refused already send it to its end, for a while: many read no
    answer before they have, and the connection that is closed on them meanwhile looks like a server
    that broke down."""
    size = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(UNHEARD_SECONDS):
            while size <= MOST_UNHEARD_BYTES:
                message = await receive()
                size += len(message.get("body", b""))
                if not message.get("more_body", False):
                    return


def accepts_streams(headers: Headers) -> bool:
    """Whether the answer may be an event stream; JSON it may always be.

    Raises Unfit for what is not sent as JSON (415), and for who does not take JSON (406).
    """
    return _judge_media(headers.get("content-type", ""), ", ".join(headers.getlist("accept")))


@lru_cache(256)
def _judge_media(content_type: str, accept: str) -> bool:
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise Unfit(
            415,
            INVALID_REQUEST,
            "The request is not sent as JSON. Send it with Content-Type: application/json.",
            "media",
        )
    if not accept:
        # whoever names nothing takes anything (RFC 9110 12.5.1), and JSON is understood by more
        return False
    taken = {kind.partition(";")[0].strip() for kind in accept.lower().split(",")}
    if not taken & {"application/json", "application/*", "*/*"}:
        words = (
            "This address answers in JSON, and in an event stream where progress is asked "
            "for. Send Accept: application/json, text/event-stream."
        )
        raise Unfit(406, INVALID_REQUEST, words, "media")
    return bool(taken & {"text/event-stream", "text/*", "*/*"})


def parse(body: bytes) -> Any:
    """The JSON of a body.

    NaN, Infinity, 1e400, half surrogates, bad UTF-8 and nesting beyond 200 levels are not JSON
    here. Raises Unfit.
    """
    try:
        value = from_json(body, allow_inf_nan=False)
        if _MAY_OVERFLOW.search(body):  # 1e400 is read as infinity all the same
            from_json(to_json(value, inf_nan_mode="constants"), allow_inf_nan=False)
        return value
    except ValueError:
        raise Unfit(
            400,
            PARSE_ERROR,
            "The request is not JSON in UTF-8, or nests too deeply. Send one JSON-RPC 2.0 object.",
            "json",
        ) from None


def is_message(value: Any) -> bool:
    """True for the outer form of a JSON-RPC 2.0 request or notification; what is inside the
    protocol server judges.
    """
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


def is_answer(value: Any) -> bool:
    """True for a response to a request of ours, of which there are none."""
    return (
        isinstance(value, dict)
        and "method" not in value
        and ("result" in value or "error" in value)
    )


def not_a_message() -> Unfit:
    return Unfit(
        400,
        INVALID_REQUEST,
        (
            'Not a JSON-RPC 2.0 request or notification: it needs "jsonrpc": "2.0", a '
            "method, and an id of text or a whole number."
        ),
        "form",
    )


def wants_progress(message: Any) -> bool:
    """True when the request carries a progress token."""
    return _meta(message).get("progressToken") is not None


def names_revision(message: Any) -> bool:
    """True when the request itself names its revision, as those since 2026-07-28 do."""
    return "io.modelcontextprotocol/protocolVersion" in _meta(message)


def _meta(message: Any) -> dict[str, Any]:
    params = message.get("params")
    meta = params.get("_meta") if isinstance(params, dict) else None
    return meta if isinstance(meta, dict) else {}


def replay(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body again, then what really comes (a disconnect)."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
