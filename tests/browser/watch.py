"""What no page may do, whoever visits it: log an error, break the content policy, fail to load, or
talk to another server.
"""

import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from playwright.async_api import BrowserContext, ConsoleMessage, Request, Response, WebError

_REPORT_VIOLATIONS = (
    "addEventListener('securitypolicyviolation', (e) => console.error(`CSP "
    "${e.violatedDirective} ${e.blockedURI} ${e.sample}`));"
)
# A page that is left stops what it was loading, its socket too; that is no fault.
_LEFT = ("net::ERR_ABORTED",)
_LEFT_SOCKET = "WebSocket is closed before the connection is established"


@dataclass
class Watch:
    """Everything that went wrong in a browser context, in words."""

    origin: str
    problems: list[str] = field(default_factory=list)
    _expected: list[re.Pattern[str]] = field(default_factory=list)

    def expect(self, pattern: str) -> None:
        """A refusal that the test brings about itself, e.g. `409 .*sign-in`."""
        self._expected.append(re.compile(pattern))

    def expect_the_session_to_end(self) -> None:
        """The page may ask for its websocket once more before it is signed out."""
        self.expect("WebSocket connection to .* failed")

    async def over(self, context: BrowserContext) -> None:
        context.on("console", self._console)
        context.on("weberror", self._web_error)
        context.on("request", self._request)
        context.on("requestfailed", self._failed)
        context.on("response", self._response)
        await context.add_init_script(_REPORT_VIOLATIONS)

    def unexpected(self) -> list[str]:
        return [
            problem
            for problem in self.problems
            if not any(pattern.search(problem) for pattern in self._expected)
        ]

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning", "assert"):
            # Chromium says again in the console what `_response` has said with its address and
            # status.
            if (
                message.text.startswith("Failed to load resource: the server responded")
                or _LEFT_SOCKET in message.text
            ):
                return
            self.problems.append(
                f"console {message.type}: {message.text[:400]} (at "
                f"{message.location.get('url', '')})"
            )

    def _web_error(self, error: WebError) -> None:
        self.problems.append(f"page error: {str(error.error)[:400]}")

    def _request(self, request: Request) -> None:
        if not self._is_own(request.url):
            self.problems.append(f"left the server: {request.url[:200]}")

    def _failed(self, request: Request) -> None:
        if request.failure not in _LEFT:
            self.problems.append(f"failed: {request.method} {request.url[:200]} {request.failure}")

    def _response(self, response: Response) -> None:
        if response.status >= 400:
            self.problems.append(
                f"{response.status} {response.request.method} {urlsplit(response.url).path}"
            )

    def _is_own(self, url: str) -> bool:
        parts = urlsplit(url)
        return parts.scheme in ("data", "blob", "about") or f"{parts.scheme}://{parts.netloc}" in (
            self.origin,
            self.origin.replace("http", "ws", 1),
        )
