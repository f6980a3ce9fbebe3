"""Whether a request is sent again, and after how long. Pure: no clock, no socket."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from orderdesk_app.errors import Fault

FIRST_DELAY = 0.25
LONGEST_DELAY = 8.0
# a longer wait must be a mistake, and would block the store for hours
LONGEST_ASKED = 3600.0
# seconds in which Order Desk's bucket gets one token (docs/orderdesk-api.md section 10)
ONE_TOKEN = 1 / 3

_SECONDS = re.compile(r"\d{1,9}(?:\.\d{1,9})?", re.ASCII)


_PASSING = frozenset({Fault.TIMED_OUT, Fault.BROKEN_OFF, Fault.SERVER_ERROR, Fault.UNREADABLE})


def is_harmless(method: str, fault: Fault) -> bool:
    """Whether the request may be sent again (docs/orderdesk-api.md section 13).

    A write only if Order Desk cannot have acted on it: even a DELETE that worked answers the second
    time that there is no such order.
    """
    if fault in (Fault.RATE_LIMITED, Fault.NOT_SENT):
        return True
    return method == "GET" and fault in _PASSING


def delay(attempt: int, fault: Fault, asked: float | None, chance: float) -> float:
    """Seconds to wait before retry number `attempt` (from 1): what Order Desk asked for, else full
    jitter over a doubling span.

    `chance` is from 0 to 1 (aws.amazon.com/builders-library: timeouts, retries and backoff with
    jitter).
    """
    if asked is not None:
        # "0" means a third of a second, rounded down
        return max(asked, ONE_TOKEN) if fault is Fault.RATE_LIMITED else asked
    span = min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** (attempt - 1))
    return chance * span + (ONE_TOKEN if fault is Fault.RATE_LIMITED else 0.0)


def asked_wait(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds that X-Retry-After, else Retry-After (seconds or an HTTP date, RFC 9110 section
    10.2.3) asks for, at most an hour; None without a usable header.
    """
    for name in ("X-Retry-After", "Retry-After"):
        text = (headers.get(name) or "").strip()
        if _SECONDS.fullmatch(text):
            return min(float(text), LONGEST_ASKED)
        if text:
            try:
                until = parsedate_to_datetime(text)
            except ValueError:
                continue
            if until.tzinfo is None:
                until = until.replace(tzinfo=UTC)
            return min(max(0.0, (until - now).total_seconds()), LONGEST_ASKED)
    return None
