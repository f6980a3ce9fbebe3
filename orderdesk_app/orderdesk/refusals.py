"""The error for each fault, with its message: what happened, what Order Desk said, and the next
step.
"""

import math
from typing import TypedDict

from orderdesk_app.context import Secret
from orderdesk_app.errors import (
    Conflict,
    Fault,
    NotFound,
    OrderDeskAgentsError,
    Outcome,
    RateLimited,
    StoreKeyRefused,
    UpstreamFailed,
    UpstreamUnreachable,
)

_KEY = (
    "Order Desk refused this store's id or API key. Copy both again from Order Desk, Store "
    "Settings, API tab."
)
_UNREACHABLE = {
    Fault.NOT_SENT: "Order Desk could not be reached.",
    Fault.TIMED_OUT: "Order Desk did not answer in time.",
    Fault.BROKEN_OFF: "The connection to Order Desk ended before its answer was complete.",
    Fault.UNREADABLE: "Order Desk's answer could not be read.",
    Fault.SERVER_ERROR: "Order Desk is having trouble",
}


# A proxy can be the reason of these.
_AT_THE_CONNECTION = (Fault.NOT_SENT, Fault.TIMED_OUT, Fault.BROKEN_OFF)


class _Facts(TypedDict):
    """What every error for a failed request carries."""

    outcome: Outcome | None
    fault: Fault
    status: int | None
    said: str
    details: dict[str, object]


def refusal(
    fault: Fault,
    *,
    method: str,
    status: int | None,
    said: str,
    thing: str | None,
    wait: float | None,
    through: str = "",
) -> OrderDeskAgentsError:
    """The error for a request that is not retried (again), with its `fault`, `status` and what
    Order Desk `said`. `thing` names what was asked for; `wait` is in seconds, for `retry_after`.
    `through` names the proxy that the request went through.

    `outcome` is "not_done" only if Order Desk cannot have acted, else "unknown" for a write and
    None for a read. Clients get `upstream_status` and `upstream_message` in `details`.
    """
    outcome: Outcome | None = (
        "not_done" if fault.proves_nothing_done or status in (401, 403) else "unknown"
    )
    if method == "GET" and fault is not Fault.RATE_LIMITED:
        outcome = None
    facts = _facts(fault, outcome, status, said)
    if fault is Fault.RATE_LIMITED:
        whole = max(1, math.ceil(wait or 0))
        return RateLimited(
            "Order Desk accepts no more requests for this store just now. Nothing was done. "
            f"Try again in {whole} s.",
            retry_after=whole,
            **facts,
        )
    if fault is Fault.KEY_REFUSED:
        return StoreKeyRefused(_KEY, **facts)
    if fault is Fault.NOT_FOUND:
        return NotFound(
            f"Order Desk has no {thing}. Check the id: it is Order Desk's own, not the shop's "
            "number.",
            **facts,
        )
    if fault is Fault.REDIRECTED:
        return UpstreamFailed(
            "Order Desk sent us to another address, which we do not follow with a key. Check the "
            "store's API address.",
            **facts,
        )
    if fault is Fault.CONFLICT:
        words = f"Order Desk refused: “{said}”" if said else f"Order Desk refused (HTTP {status})"
        return Conflict(f"{words}. Read it again before you change it.", **facts)
    if fault is Fault.SAID_NO:
        words = (
            f"Order Desk refused: “{said}”"
            if said
            else f"Order Desk refused the request (HTTP {status})"
        )
        return UpstreamFailed(f"{words}. Correct the request before you send it again.", **facts)
    words = _trouble(fault, status)
    if through and fault in _AT_THE_CONNECTION:
        words = f"{words} The call went through {through}."
    return UpstreamUnreachable(f"{words} {_next_step(method, outcome)}", retry_after=wait, **facts)


def unreadable(method: str) -> UpstreamUnreachable:
    """The error for a successful answer that lacks what it must contain."""
    outcome: Outcome | None = None if method == "GET" else "unknown"
    return UpstreamUnreachable(
        f"{_trouble(Fault.UNREADABLE, None)} {_next_step(method, outcome)}",
        outcome=outcome,
        fault=Fault.UNREADABLE,
    )


def key_refused_by_test(error: UpstreamFailed) -> StoreKeyRefused:
    """The error for an error envelope with status 200 of `GET /test`: it means bad credentials,
    whatever its message (docs/orderdesk-api.md section 1). Clients get the message and no status.
    """
    return StoreKeyRefused(
        _KEY,
        fault=Fault.KEY_REFUSED,
        status=error.status,
        said=error.said,
        details={"upstream_message": error.said} if error.said else None,
    )


def bad_key(api_key: Secret) -> StoreKeyRefused | None:
    """The error for a key that no HTTP header can carry, None for a usable key."""
    text = api_key.reveal()
    if text and text.isascii() and text.isprintable() and text == text.strip():
        return None
    return StoreKeyRefused(
        (
            "This store's API key holds characters that no Order Desk key has. Copy it again "
            "from Order Desk, Store Settings, API tab."
        ),
        outcome="not_done",
    )


def _facts(fault: Fault, outcome: Outcome | None, status: int | None, said: str) -> _Facts:
    details: dict[str, object] = {}
    if status is not None:
        details["upstream_status"] = status
    if said:
        details["upstream_message"] = said
    return _Facts(outcome=outcome, fault=fault, status=status, said=said, details=details)


def _trouble(fault: Fault, status: int | None) -> str:
    words = _UNREACHABLE[fault]
    return f"{words} (HTTP {status})." if fault is Fault.SERVER_ERROR else words


def _next_step(method: str, outcome: Outcome | None) -> str:
    if outcome == "unknown":
        return "The change may or may not have happened: read before you repeat it."
    if method == "GET":
        return "Try again in a minute."
    return "Nothing was changed. Try again in a minute."
