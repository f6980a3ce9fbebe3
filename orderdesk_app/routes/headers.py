"""The security headers of every answer: the content policy and the like."""

from collections.abc import Sequence

from starlette.types import ASGIApp, Message, Receive, Scope, Send

FOREVER = b"public, max-age=31536000, immutable"


def content_policy(script_hashes: Sequence[str], *, form_target: str = "") -> str:
    """Scripts from our own files and the built pages' own inline ones, by hash; no eval anywhere.

    Styles need 'unsafe-inline' (emotion). `form_target` is one more origin or scheme to which the
    answer of a form may lead.
    """
    return "; ".join(
        (
            "default-src 'self'",
            " ".join(("script-src 'self'", *script_hashes)),
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data: blob:",
            "font-src 'self'",
            "connect-src 'self'",
            f"form-action 'self' {form_target}".rstrip(),
            "base-uri 'none'",
            "object-src 'none'",
            "frame-ancestors 'none'",
        )
    )


class SecurityHeaders:
    """The outermost ASGI app: it adds the headers to refusals, static files, errors and the
    framework's answers too.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        script_hashes: Sequence[str] = (),
        is_https: bool = False,
        is_production: bool = False,
    ) -> None:
        self._app = app
        self._always = [
            (b"content-security-policy", content_policy(script_hashes).encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"x-frame-options", b"DENY"),
            (b"referrer-policy", b"same-origin"),
            (
                b"permissions-policy",
                b"camera=(), microphone=(), geolocation=(), payment=(), "
                b"publickey-credentials-create=(self), publickey-credentials-get=(self)",
            ),
            (b"cross-origin-opener-policy", b"same-origin"),
            (b"cross-origin-resource-policy", b"same-origin"),
        ]
        if is_https:
            # a plain subdomain could set cookies for this host
            subdomains = b"; includeSubDomains" if is_production else b""
            self._always.append((b"strict-transport-security", b"max-age=31536000" + subdomains))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = {name.lower() for name, _ in message.get("headers", [])}
                added = [pair for pair in self._always if pair[0] not in given]
                if b"cache-control" not in given:
                    added.append((b"cache-control", _kept(scope["path"], message["status"])))
                message = {**message, "headers": [*message.get("headers", []), *added]}
            await send(message)

        await self._app(scope, receive, with_headers)


def _kept(path: str, status: int) -> bytes:
    """How long an answer is kept that does not say it. Built files have their hash in their name.
    Everything else may differ by session, so the back button must ask again; and what is no file
    can have the name of one.
    """
    if status not in (200, 304):
        return b"no-store"
    if path.startswith("/assets/"):
        return FOREVER
    is_file = path.rsplit(".", 1)[-1] in ("css", "js", "svg", "ico", "png")
    return b"no-cache" if is_file else b"no-store"
