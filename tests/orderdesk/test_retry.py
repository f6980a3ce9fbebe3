"""Only what is harmless is repeated, and Order Desk says when."""

from datetime import UTC, datetime

import httpx
import pytest

from orderdesk_app.errors import Fault
from orderdesk_app.orderdesk.retry import asked_wait, delay, is_harmless

NOW = datetime(2026, 11, 22, 14, 5, tzinfo=UTC)
ALWAYS = {Fault.RATE_LIMITED, Fault.NOT_SENT}
READS = ALWAYS | {Fault.TIMED_OUT, Fault.BROKEN_OFF, Fault.SERVER_ERROR, Fault.UNREADABLE}


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
@pytest.mark.parametrize("fault", list(Fault))
def test_a_write_is_repeated_only_if_it_was_never_looked_at(method: str, fault: Fault) -> None:
    assert is_harmless(method, fault) == (fault in (READS if method == "GET" else ALWAYS))


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"X-Retry-After": "3"}, 3.0),
        ({"Retry-After": "4"}, 4.0),
        ({"X-Retry-After": "2.5", "Retry-After": "90"}, 2.5),
        ({"X-Retry-After": "soon", "Retry-After": "7"}, 7.0),
        ({"Retry-After": "Sun, 22 Nov 2026 14:05:30 GMT"}, 30.0),
        ({"Retry-After": "Sun, 22 Nov 2026 14:00:00 GMT"}, 0.0),
        ({"Retry-After": "Sun, 22 Nov 2026 15:05:30 +0100"}, 30.0),
        ({"X-Retry-After": "3600"}, 3600.0),
        ({"X-Retry-After": "999999999"}, 3600.0),
        ({"Retry-After": "Fri, 31 Dec 9999 23:59:59 GMT"}, 3600.0),
        ({"X-Retry-After": "-5"}, None),
        ({"X-Retry-After": "nan"}, None),
        ({"X-Retry-After": "inf"}, None),
        ({"Retry-After": "the day after tomorrow"}, None),
        ({"X-Retry-After": ""}, None),
        ({"X-Retry-After": "0"}, 0.0),
    ],
)
def test_the_wait_that_is_asked_for_is_read(headers: dict[str, str], seconds: float | None) -> None:
    assert asked_wait(httpx.Headers(headers), NOW) == seconds


def test_a_wait_asked_for_is_obeyed() -> None:
    assert delay(1, Fault.SERVER_ERROR, 7.0, 0.5) == 7.0


def test_a_429_that_asks_for_no_wait_still_waits_for_one_token() -> None:
    assert delay(1, Fault.RATE_LIMITED, 0.0, 0.0) == pytest.approx(1 / 3)


def test_else_the_wait_is_full_jitter_over_a_doubling_span() -> None:
    longest = [delay(attempt, Fault.SERVER_ERROR, None, 1.0) for attempt in range(1, 9)]

    assert longest == [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0]
    assert delay(3, Fault.SERVER_ERROR, None, 0.0) == 0.0


def test_a_bare_429_waits_at_least_for_one_token() -> None:
    assert delay(1, Fault.RATE_LIMITED, None, 0.0) == pytest.approx(1 / 3)
