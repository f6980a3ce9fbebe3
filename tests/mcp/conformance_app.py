"""The real app for the official conformance runner, which cannot send headers: each request gets
the key of CONFORMANCE_KEY. For tests alone.
"""

import os

from starlette.types import ASGIApp, Receive, Scope, Send

from orderdesk_app.server import create_app


class WithKey:
    """Everything else passes untouched: Host and Origin are what the runner tries."""

    def __init__(self, app: ASGIApp, key: str) -> None:
        self._app, self._header = app, (b"authorization", f"Bearer {key}".encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and all(
            name != b"authorization" for name, _ in scope["headers"]
        ):
            scope["headers"] = [*scope["headers"], self._header]
        await self._app(scope, receive, send)


def create_conformance_app() -> ASGIApp:
    return WithKey(create_app(), os.environ["CONFORMANCE_KEY"])
