"""Files that are made while they are sent."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack

from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from orderdesk_app.context import current_request
from orderdesk_app.errors import OrderDeskAgentsError
from orderdesk_app.routes.html_pages import error_page, with_wait


class Download(StreamingResponse):
    """Closes what it sends, also when the browser goes away meanwhile."""

    def __init__(
        self,
        parts: AsyncIterator[bytes],
        closing: AsyncExitStack,
        *,
        name: str,
        media_type: str,
    ) -> None:
        headers = {
            "Content-Disposition": f'attachment; filename="{name}"',
            "Cache-Control": "no-store",
        }
        super().__init__(parts, headers=headers, media_type=media_type)
        self._closing = closing

    @classmethod
    async def of(
        cls,
        opened: AbstractAsyncContextManager[AsyncIterator[bytes]],
        *,
        name: str,
        media_type: str,
    ) -> "Download":
        """The parts of a file that a service opens. Raises what the service raises."""
        closing = AsyncExitStack()
        parts = await closing.enter_async_context(opened)
        return cls(parts, closing, name=name, media_type=media_type)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._closing:
            await super().__call__(scope, receive, send)


def nothing_downloaded(error: OrderDeskAgentsError, *, href: str, label: str) -> Response:
    """The page instead of a file, with a way back."""
    page = error_page(
        error.http_status,
        "Nothing was downloaded",
        error.message,
        href=href,
        label=label,
        reference=current_request().request_id,
    )
    return with_wait(page, error)
