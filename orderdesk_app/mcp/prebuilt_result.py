"""A result that is written into the answer's bytes once.

The SDK would check and copy a whole order four times on its way out, so it gets short placeholders
instead, and this module puts the result in their place.

The answer is the same JSON as the SDK would write, in UTF-8. Only whole JSON answers over HTTP are
built so; streams, batches and stdio go through the SDK.
"""

import json
from collections.abc import Mapping
from functools import lru_cache
from secrets import token_hex

from starlette.types import Message, Scope, Send

from orderdesk_app.context import JsonObject
from orderdesk_app.mcp.text import insert_marker, render_json_text
from orderdesk_app.tools.views import View

_SCOPE_KEY = "orderdesk.prebuilt_result"  # key of the ASGI scope
# Random, so that no customer's text can be mistaken for a placeholder.
_TEXT = token_hex(16)
_STRUCTURE = token_hex(16)
_TEXT_PLACEHOLDER = f'"{_TEXT}"'.encode()
_STRUCTURE_PLACEHOLDER = f'{{"{_STRUCTURE}":0}}'.encode()


class PrebuiltResult:
    """The result of one request in both of its forms, as JSON bytes. Empty until it is known."""

    __slots__ = ("structure", "text")

    def __init__(self) -> None:
        self.text = b""
        self.structure = b""

    def placeholder_for(self, result: Mapping[str, object]) -> JsonObject:
        """Keep the result and return what the SDK carries in its place, in the wire's form."""
        text, self.structure = _rendered(result)
        self.text = insert_marker(text)
        return {
            "content": [{"type": "text", "text": _TEXT}],
            "structuredContent": {_STRUCTURE: 0},
            "isError": False,
        }

    def complete(self, body: bytes) -> bytes:
        """The answer's bytes with the result in place of the placeholders."""
        before, _, after = body.partition(_STRUCTURE_PLACEHOLDER)
        return b"".join(
            (
                before.replace(_TEXT_PLACEHOLDER, self.text, 1),
                self.structure,
                after.replace(_TEXT_PLACEHOLDER, self.text, 1),
            )
        )


def prebuilt_result_of(scope: Scope) -> PrebuiltResult | None:
    """Where the result of this request is kept; None where the SDK writes the whole answer."""
    return scope.get(_SCOPE_KEY)


def complete_prebuilt(scope: Scope, send: Send) -> Send:
    """A `send` that puts the result of this request into its answer."""
    prebuilt = scope[_SCOPE_KEY] = PrebuiltResult()
    start: Message | None = None

    async def completed(message: Message) -> None:
        nonlocal start
        if not prebuilt.structure:
            await send(message)
        elif message["type"] == "http.response.start":
            start = message  # sent with the body, which tells the length
        else:
            assert start is not None, "the start comes first"
            assert not message.get("more_body", False), "the SDK sends a JSON answer whole"
            body = prebuilt.complete(message["body"])
            length = (b"content-length", str(len(body)).encode())
            await send(
                {
                    **start,
                    "headers": [
                        length,
                        *(pair for pair in start["headers"] if pair[0] != b"content-length"),
                    ],
                }
            )
            await send({**message, "body": body})

    return completed


def _rendered(result: Mapping[str, object]) -> tuple[bytes, bytes]:
    """Text and structure of the result. Where a View of the cache comes again with the same words
    beside it, as most reads do, they are those of the last time.
    """
    view, beside = _only_view(result)
    if view is not None and view.rendered is not None and view.rendered[0] == beside:
        return view.rendered[1:]
    text = _utf8(render_json_text(result))
    structure = _utf8(render_json(result))
    if view is not None and result.get("cached"):
        view.rendered = (beside, text, structure)
        view.json = None  # its parts were for the results before this one
        view.sections.clear()
    return text, structure


def _only_view(result: Mapping[str, object]) -> tuple[View | None, list[object]]:
    """The View of a result that has one and else only texts, yes and no, and the View's own
    untrusted paths; and all names and values beside it. None for another result.
    """
    view: View | None = None
    beside: list[object] = []
    for name, value in result.items():
        beside.append(name)
        if type(value) is str or type(value) is bool:
            beside.append(value)
        elif type(value) is View and view is None:
            view = value
        elif view is None or not view.is_untrusted_list(value):
            return None, []
    return view, beside


def render_json(result: Mapping[str, object]) -> str:
    """A result as compact JSON. A View of the cache is rendered once for all calls."""
    members = [f"{_short_json(name)}:{_cached_json(value)}" for name, value in result.items()]
    return f"{{{','.join(members)}}}"


def _cached_json(value: object) -> str:
    if type(value) is str and len(value) < 200:
        return _short_json(value)
    if not isinstance(value, View):
        return (
            _json_of_texts(value)
            if type(value) is list and value and type(value[0]) is str
            else _JSON_WORDS.get(id(value)) or _dumps(value)
        )
    if value.json is None:
        value.json = _dumps(value)
    return value.json


def _json_of_texts(texts: list[object]) -> str:
    return f"[{','.join([_dumps(text) for text in texts])}]"


_dumps = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_short_json = lru_cache(maxsize=2048)(_dumps)  # names of members, stores and folders come again
_JSON_WORDS = {id(True): "true", id(False): "false", id(None): "null"}


def _utf8(text: str) -> bytes:
    # Half a surrogate pair has no UTF-8; Python's escape for it is also JSON's.
    return text.encode("utf-8", "backslashreplace")
