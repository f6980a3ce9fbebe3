"""A result written into the answer once.

The SDK would check and copy a whole order four times on its way out, so it is given stand-ins to
carry.

The answer is the same JSON as the SDK would write, in UTF-8. Only whole JSON answers over HTTP are
completed so; streams, batches and stdio go the SDK's way.
"""

import json
from collections.abc import Mapping
from secrets import token_hex
from typing import Any

from starlette.types import Message, Scope, Send

from orderdesk_app.mcp.text import json_lines_of
from orderdesk_app.tools.views import Shown

_SCOPE_KEY = "orderdesk.prebuilt_result"  # key of the ASGI scope
# nobody outside knows them: no customer's text is taken for a stand-in
_TEXT, _STRUCTURE = (
    token_hex(16),
    token_hex(16),
)
_TEXT_PLACEHOLDER = f'"{_TEXT}"'.encode()
_STRUCTURE_PLACEHOLDER = f'{{"{_STRUCTURE}":0}}'.encode()


class PrebuiltResult:
    """The result of one request in its two forms, as JSON, waiting for the answer that it belongs
    in.
    """

    __slots__ = ("structure", "text")

    def __init__(self) -> None:
        self.text = self.structure = b""

    def placeholder_for(self, result: Mapping[str, Any]) -> dict[str, Any]:
        """Keep the result; what the SDK carries instead, in the wire's form."""
        self.text, self.structure = _utf8(json_lines_of(result)), _utf8(json_of(result))
        return {
            "content": [{"type": "text", "text": _TEXT}],
            "structuredContent": {_STRUCTURE: 0},
            "isError": False,
        }

    def complete(self, body: bytes) -> bytes:
        """The answer with the result in place of the stand-ins."""
        before, _, after = body.partition(_STRUCTURE_PLACEHOLDER)
        return b"".join(
            (
                before.replace(_TEXT_PLACEHOLDER, self.text, 1),
                self.structure,
                after.replace(_TEXT_PLACEHOLDER, self.text, 1),
            )
        )


def prebuilt_result_of(scope: Mapping[str, Any]) -> PrebuiltResult | None:
    """Where to write the result of the request with this scope; None where the answer is not
    completed.
    """
    return scope.get(_SCOPE_KEY)


def complete_prebuilt(scope: Scope, send: Send) -> Send:
    """Has the answer to this request completed on its way out."""
    prebuilt = scope[_SCOPE_KEY] = PrebuiltResult()
    start: Message | None = None

    async def completed(message: Message) -> None:
        nonlocal start
        if not prebuilt.structure:
            await send(message)
        elif message["type"] == "http.response.start":
            start = message  # its length is known when the body is
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


def json_of(result: Mapping[str, Any]) -> str:
    """A result as compact JSON; what the cache keeps is written once for all who read it."""
    return (
        f"{{{','.join([f'{_dumps(name)}:{_kept_json(value)}' for name, value in result.items()])}}}"
    )


def _kept_json(value: Any) -> str:
    if not isinstance(value, Shown):
        return (
            _json_of_texts(value)
            if type(value) is list and value and type(value[0]) is str
            else _JSON_WORDS.get(id(value)) or _dumps(value)
        )
    kept = value.made.get(_STRUCTURE)
    if kept is None:
        kept = value.made[_STRUCTURE] = _dumps(value)
    text: str = kept
    return text


def _json_of_texts(texts: list[Any]) -> str:
    return f"[{','.join([_dumps(text) for text in texts])}]"


_dumps = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_JSON_WORDS = {id(True): "true", id(False): "false", id(None): "null"}


def _utf8(text: str) -> bytes:
    # Half a surrogate pair has no UTF-8; Python's escape for it is JSON's as well.
    return text.encode("utf-8", "backslashreplace")
