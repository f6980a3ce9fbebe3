"""Whether Order Desk can be reached, and what time it is there."""

import asyncio
import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import httpx

from orderdesk_app.cli.doctor.findings import Finding, Subject, ok, skipped, wrong
from orderdesk_app.config import Settings
from orderdesk_app.errors import ConfigurationError
from orderdesk_app.orderdesk.proxy import proxy_for
from orderdesk_app.orderdesk.transport import open_http

_SECONDS = 10.0
_MOST_SECONDS_APART = 30.0


async def findings(settings: Settings, wrong_names: frozenset[str]) -> list[Finding]:
    if "ORDERDESK_API_URL" in wrong_names:
        return [skipped(Subject.UPSTREAM, "ORDERDESK_API_URL is wrong")]
    url = f"{settings.orderdesk_api_url}/test"
    host = urlsplit(url).hostname or ""
    proxy = proxy_for(url)
    by = f" through {proxy}" if proxy else ""
    before = datetime.now(UTC)
    try:
        async with asyncio.timeout(_SECONDS), open_http() as http:
            answer = await http.get(url, timeout=_SECONDS)
    except ConfigurationError as error:
        return [wrong(Subject.UPSTREAM, str(error))]
    except (httpx.HTTPError, OSError) as error:
        return [wrong(Subject.UPSTREAM, f"{host}{by} {_words(error)}")]
    if answer.status_code >= 500:
        return [
            wrong(
                Subject.UPSTREAM,
                f"{host}{by} answers {answer.status_code}. Try again in some minutes; if it stays, "
                "ask Order Desk.",
            )
        ]
    return [
        ok(Subject.UPSTREAM, f"{host} answers{by}"),
        *_of_clock(answer.headers.get("Date", ""), host, before, datetime.now(UTC)),
    ]


def _words(error: Exception) -> str:
    for cause in _with_causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return (
                f"has a certificate that is not trusted: {cause.verify_message}. See whether a "
                "proxy is between; SSL_CERT_FILE may name a file with its authority."
            )
        if isinstance(cause, socket.gaierror):
            return "is not found: DNS knows no such name. Correct ORDERDESK_API_URL, or DNS."
        if isinstance(cause, (TimeoutError, httpx.TimeoutException)):
            return f"did not answer within {_SECONDS:.0f} s. See whether a firewall blocks the way."
    if isinstance(error, httpx.ConnectError):
        return (
            "refused the connection: nothing serves there. Correct ORDERDESK_API_URL, or the proxy."
        )
    return "ended the connection. See whether a firewall or a proxy is in between."


def _with_causes(error: BaseException) -> Iterator[BaseException]:
    """httpx hides the system's error behind two of its own."""
    found: BaseException | None = error
    while found is not None:
        yield found
        found = found.__context__


def _of_clock(date: str, host: str, before: datetime, after: datetime) -> Iterator[Finding]:
    try:
        theirs = parsedate_to_datetime(date)
    except ValueError:
        return  # without the header, as a proxy may have it
    if theirs.tzinfo is None:
        return
    apart = max((before - theirs).total_seconds(), (theirs - after).total_seconds())
    if apart > _MOST_SECONDS_APART:
        yield wrong(
            Subject.CLOCK,
            f"this machine and {host} differ by {apart:.0f} s. Let NTP set the clock.",
        )
    else:
        yield ok(Subject.CLOCK, f"agrees with that of {host}")
