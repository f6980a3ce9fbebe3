"""What a client is given and sends back: signed session cookies, sign-in links and form values; and
how its headers are read.
"""

import re
from collections.abc import Callable
from hashlib import sha256
from math import ceil
from time import time
from typing import Any
from urllib.parse import quote, urlencode

from itsdangerous import BadSignature, URLSafeSerializer
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey
from starlette.datastructures import Headers
from starlette.requests import cookie_parser

from orderdesk_app.errors import OrderDeskAgentsError, RateLimit, RateLimited

# Headers of an answer that a page of another origin may read, where one may read it (CORS).
EXPOSED_HEADERS = (
    "WWW-Authenticate, X-Request-ID, Retry-After, RateLimit-Limit, RateLimit-Remaining, "
    "RateLimit-Reset"
)
_ALGORITHM = "HS256"
_AUDIENCE = "orderdesk-web"
_LONGEST = 4096
# As the addresses of our pages are: no second slash, no backslash and no host that a browser could
# make of it.
_PAGE = re.compile(
    r"/(?!sign-)([a-z-]{1,40}(/[a-zA-Z0-9-]{1,40}){0,3})?(\?[\w=&%.+-]{0,300})?", re.ASCII
)
AUTHORIZE = "/authorize"
LONGEST_REQUEST = 4000
# Its query is the whole request of an app, which outlives the sign-in and the proof on its way.
_CONSENT_PAGE = re.compile(rf"{AUTHORIZE}\?[\w=&%.+-]{{1,{LONGEST_REQUEST}}}", re.ASCII)


def cookie_in(header: str, name: str) -> str | None:
    """That cookie's value in a Cookie header, read as browsers and Starlette read it; None for two
    of that name, as one of them was set by another site of the domain.

    http.cookies drops every cookie when another app on the same host wrote a malformed one; then a
    page would be signed in and its events would not.
    """
    names = [chunk.partition("=")[0].strip() for chunk in header.split(";") if "=" in chunk]
    return cookie_parser(header).get(name) if names.count(name) == 1 else None


class IndexedHeaders(Headers):
    """The headers of a request, read once: each look-up in Starlette's goes through them all."""

    def __init__(self, raw: list[tuple[bytes, bytes]]) -> None:
        super().__init__(raw=raw)
        self._values: dict[str, list[str]] = {}
        for name, value in raw:
            self._values.setdefault(name.decode("latin-1"), []).append(value.decode("latin-1"))

    def __getitem__(self, key: str) -> str:
        return self._values[key.lower()][0]

    def getlist(self, key: str) -> list[str]:
        return self._values.get(key.lower(), [])

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and key.lower() in self._values


def wait_headers(error: OrderDeskAgentsError) -> dict[str, str]:
    """What an answer says of a refusal that ends by itself: Retry-After (RFC 9110, 10.2.3), and the
    RateLimit headers where a limit of ours refused.
    """
    headers = {}
    if error.retry_after is not None:
        headers["Retry-After"] = str(max(1, ceil(error.retry_after)))
    if isinstance(error, RateLimited) and error.limit is not None:
        headers |= rate_limit_headers(error.limit)
    return headers


def rate_limit_headers(limit: RateLimit) -> dict[str, str]:
    """The headers that say what a caller has left."""
    return {
        "RateLimit-Limit": str(limit.limit),
        "RateLimit-Remaining": str(limit.remaining),
        "RateLimit-Reset": str(limit.reset),
    }


def rate_limit_pairs(limit: RateLimit) -> list[tuple[bytes, bytes]]:
    """The same headers as ASGI takes them, for every answer of `/mcp`."""
    return [
        (b"ratelimit-limit", b"%d" % limit.limit),
        (b"ratelimit-remaining", b"%d" % limit.remaining),
        (b"ratelimit-reset", b"%d" % limit.reset),
    ]


def body_encoding(headers: Headers) -> str:
    """What a request's body is packed in, such as gzip; empty for a plain body.

    No route unpacks a body: a small one could become very large.
    """
    if "content-encoding" not in headers:
        return ""
    named = ",".join(headers.getlist("content-encoding")).lower().split(",")
    return ", ".join(name.strip() for name in named if name.strip() not in ("", "identity"))


def own_page(wanted: str) -> str:
    """The address if it can be one of our own pages, else Home's: the address comes from outside,
    and a sign-in must not redirect to another site.
    """
    return wanted if _PAGE.fullmatch(wanted) or _CONSENT_PAGE.fullmatch(wanted) else "/"


def leads_to_consent(address: str) -> bool:
    """Whether the address is the consent page's, or that of a page on the way to it."""
    return address.startswith(f"{AUTHORIZE}?") or f"next={quote(AUTHORIZE, safe='')}%3F" in address


def sign_in_address(wanted: str, *, error: str = "", mailed: str = "", out: str = "") -> str:
    """The sign-in page, which leads to the wanted one afterwards; `error`, `mailed` and `out` are
    codes that routes/sign_in.py turns into sentences.
    """
    return _on_the_way_to(wanted, "/sign-in", error=error, mailed=mailed, out=out)


def sign_up_address(wanted: str) -> str:
    """The sign-up page; the new account's owner goes on to the wanted page."""
    return _on_the_way_to(wanted, "/sign-up")


def confirm_address(wanted: str, *, error: str = "", sent: str = "") -> str:
    """The page that asks a person to confirm who they are, and then leads to the wanted one;
    `error` and `sent` are codes that routes/confirm.py turns into sentences.
    """
    return _on_the_way_to(wanted, "/confirm", error=error, sent=sent)


def _on_the_way_to(wanted: str, path: str, **codes: str) -> str:
    page = own_page(wanted)
    given = {**codes, "next": "" if page == "/" else page}
    query = urlencode({name: value for name, value in given.items() if value})
    return f"{path}?{query}" if query else path


class SessionCookies:
    """JSON Web Tokens that name a session.

    HS256 is fixed when reading too: a token cannot choose how it is checked (RFC 8725, section
    3.1).
    """

    def __init__(self, key: bytes, clock: Callable[[], float] = time) -> None:
        self._key = OctKey.import_key(key)
        self._clock = clock

    def sign(self, session_id: str, *, expires_at: float) -> str:
        claims = {
            "sid": session_id,
            "aud": _AUDIENCE,
            "iat": int(self._clock()),
            "exp": int(expires_at),
        }
        return jwt.encode({"alg": _ALGORITHM}, claims, self._key, algorithms=[_ALGORITHM])

    def read(self, cookie: str | None) -> str | None:
        """The session's id, or None for anything but an unexpired cookie of ours."""
        if not cookie or len(cookie) > _LONGEST:
            return None
        try:
            claims = jwt.decode(cookie, self._key, algorithms=[_ALGORITHM]).claims
        except (JoseError, ValueError):
            return None
        expires, session_id = claims.get("exp"), claims.get("sid")
        if (
            claims.get("aud") != _AUDIENCE
            or not isinstance(expires, int)
            or expires <= self._clock()
        ):
            return None
        return session_id if isinstance(session_id, str) else None


class SignedText:
    """A small text that comes back unchanged or not at all; `purpose` keeps the signatures of one
    use from serving another.
    """

    def __init__(self, key: bytes, purpose: str) -> None:
        self._serializer: Any = URLSafeSerializer(
            key,
            salt=f"orderdesk {purpose}",
            signer_kwargs={"digest_method": sha256, "key_derivation": "hmac"},
        )

    def sign(self, text: str) -> str:
        return str(self._serializer.dumps(text))

    def read(self, signed: str) -> str | None:
        """The text, or None when the signature is not ours."""
        if not signed or len(signed) > _LONGEST:
            return None
        try:
            text = self._serializer.loads(signed)
        except (BadSignature, ValueError):
            return None
        return text if isinstance(text, str) else None
