"""One who asks without end: every limit of the product is used up, and every form and download is
asked for. What is refused with 429 says how long to wait, and nothing else changes.

Guards: services/limits.py and services/delays.py.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from orderdesk_app.services.delays import GrowingDelays
from orderdesk_app.services.limit_store import DelayRules
from orderdesk_app.services.limits import Limit
from orderdesk_app.token_bucket import TokenBucket
from orderdesk_app.wiring import Services
from tests.attacks.cast import ANONYMOUS, OWNER, Cast, ask, every_method
from tests.web.browser_session import ADDRESS

# those that are known to have a limit; a new one is met too
FOR_STRANGERS = ("POST /sign-in/key", "POST /sign-in/mail", "POST /sign-in/link")
FOR_OWNERS = ("GET /account/export",)
HEADERS = ("retry-after", "ratelimit-limit", "ratelimit-remaining", "ratelimit-reset")


def limits_of(services: Services) -> list[Limit | GrowingDelays]:
    """Every limit of the product, found by its type."""
    limits, sign_up = services.limits, services.sign_up.limits
    holders = (limits, sign_up, services.data_export, services.invitations)
    held = [getattr(holder, name) for holder in holders for name in _names_in(holder)]
    held += sign_up.attempts.limits
    return [found for found in held if isinstance(found, Limit | GrowingDelays)]


def _names_in(holder: object) -> tuple[str, ...]:
    return tuple(getattr(holder, "__dict__", None) or getattr(holder, "__slots__", ()))


@contextmanager
def used_up(services: Services) -> Iterator[None]:
    """Nobody has anything left; in the end the rules are as before, and no try is remembered."""
    before = [(limit, limit.rules) for limit in limits_of(services)]
    for limit in limits_of(services):
        if isinstance(limit, GrowingDelays):
            limit.rules = DelayRules(1, 60, 60)
        else:
            limit.rules = TokenBucket(0, 1 / 60)
    try:
        yield
    finally:
        for limit, rules in before:
            limit.rules = rules  # type: ignore[assignment]
            if isinstance(limit, GrowingDelays):
                asyncio.run(limit.forget(ADDRESS))


@pytest.mark.parametrize("who", [ANONYMOUS, OWNER])
def test_each_429_says_how_long_to_wait(cast: Cast, who: str) -> None:
    refused = {}
    with used_up(cast.web.services):
        for _ in range(2):  # the first try has no delay
            for method, address, route in every_method():
                if method in ("GET", "POST"):
                    answer = ask(cast, who, method, route, value="somebody@example.com")
                    if answer.status_code == 429:
                        refused[f"{method} {address}"] = [
                            name for name in HEADERS if not answer.headers.get(name, "").isdigit()
                        ]

    assert not any(refused.values()), refused
    assert set(refused) >= (set(FOR_STRANGERS) if who == ANONYMOUS else set(FOR_OWNERS)), refused


def test_without_the_limits_they_would_all_be_answered(cast: Cast) -> None:
    for method, address, route in every_method():
        if f"{method} {address}" in FOR_STRANGERS:
            answers = [
                ask(cast, ANONYMOUS, method, route, value=f"x{number}@example.com")
                for number in range(3)
            ]
            assert 429 not in [answer.status_code for answer in answers], address
