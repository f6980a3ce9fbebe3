"""JSON-RPC batches, which a server of revision 2025-03-26 must take (later revisions have none, and
the SDK none at all).
"""

from collections.abc import Awaitable, Callable
from typing import Any

from pydantic_core import from_json, to_json
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from orderdesk_app.mcp.body import (
    INVALID_REQUEST,
    Unfit,
    is_answer,
    is_message,
    not_a_message,
    replay,
)

MOST_MESSAGES = 50
WITH_BATCHES = "2025-03-26"
Serve = Callable[[Scope, Receive, Send], Awaitable[None]]


def takes_batches(revision: str | None) -> bool:
    """True for the one revision with batches; a request that names none speaks it (2025-06-18,
    transports).
    """
    return revision in (None, WITH_BATCHES)


async def answer_batch(
    messages: list[Any], serve: Serve, scope: Scope, receive: Receive, send: Send
) -> None:
    """Each message served by itself, one after the other; the answers sent in one list, or 202 when
    none asks for one. Raises Unfit.
    """
    if not messages:
        raise Unfit(
            400,
            INVALID_REQUEST,
            "The batch is empty. Send one JSON-RPC message or a list of them.",
            "batch",
        )
    if len(messages) > MOST_MESSAGES:
        raise Unfit(
            400,
            INVALID_REQUEST,
            f"A batch holds at most {MOST_MESSAGES} messages. Send the rest in another.",
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


async def _answer(message: Any, serve: Serve, scope: Scope, receive: Receive) -> list[Any]:
    """The answer to one message: none to a notification."""
    if is_answer(message):
        return []
    if not is_message(message):
        return [_error(None, not_a_message().message)]
    if message["method"] == "initialize":
        return [
            _error(message.get("id"), "initialize is never part of a batch. Send it alone, first.")
        ]
    chunks: list[bytes] = []

    async def keep(part: Message) -> None:
        if part["type"] == "http.response.body":
            chunks.append(part.get("body", b""))

    await serve(dict(scope), replay(to_json(message), receive), keep)
    body = b"".join(chunks)
    return [from_json(body)] if body else []


def _error(message_id: Any, words: str) -> dict[str, Any]:
    return {
        "jsonrpc": "2.0",
        "id": message_id,
        "error": {"code": INVALID_REQUEST, "message": words},
    }
