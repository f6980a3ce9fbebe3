"""JSON-RPC batches, which a server of revision 2025-03-26 must accept.

Later revisions have none, and the SDK supports none.
"""

from collections.abc import Awaitable, Callable

from pydantic_core import from_json, to_json
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from orderdesk_app.context import Json, JsonObject
from orderdesk_app.mcp.body import (
    INVALID_REQUEST,
    InvalidRequest,
    is_message,
    is_response,
    not_a_message,
    replay,
)

MAX_MESSAGES = 50
BATCH_REVISION = "2025-03-26"
Serve = Callable[[Scope, Receive, Send], Awaitable[None]]


def takes_batches(revision: str | None) -> bool:
    """True for the one revision with batches, which is also meant by a request that names none
    (2025-06-18, transports).
    """
    return revision in (None, BATCH_REVISION)


async def answer_batch(
    messages: list[Json], serve: Serve, scope: Scope, receive: Receive, send: Send
) -> None:
    """Serve the messages one after the other and send the answers in one list, or 202 where no
    message needs one. Raises InvalidRequest for an empty batch and for one that is too long.
    """
    if not messages:
        raise InvalidRequest(
            400,
            INVALID_REQUEST,
            "The batch is empty. Send one JSON-RPC message or a list of them.",
            "batch",
        )
    if len(messages) > MAX_MESSAGES:
        raise InvalidRequest(
            400,
            INVALID_REQUEST,
            f"A batch holds at most {MAX_MESSAGES} messages. Send the rest in another.",
            "batch",
        )
    answers = [
        answer for message in messages for answer in await _answer(message, serve, scope, receive)
    ]
    response = (
        Response(to_json(answers), media_type="application/json")
        if answers
        else Response(status_code=202)
    )
    await response(scope, receive, send)


async def _answer(message: Json, serve: Serve, scope: Scope, receive: Receive) -> list[Json]:
    """The answer to one message in a list, which is empty for a notification."""
    if is_response(message):
        return []
    if not is_message(message):
        return [_error(None, not_a_message().message)]
    if message["method"] == "initialize":
        return [
            _error(message.get("id"), "initialize is never part of a batch. Send it alone, first.")
        ]
    chunks: list[bytes] = []

    async def collect(part: Message) -> None:
        if part["type"] == "http.response.body":
            chunks.append(part.get("body", b""))

    await serve(dict(scope), replay(to_json(message), receive), collect)
    body = b"".join(chunks)
    return [from_json(body)] if body else []


def _error(message_id: Json, words: str) -> JsonObject:
    return {
        "jsonrpc": "2.0",
        "id": message_id,
        "error": {"code": INVALID_REQUEST, "message": words},
    }
