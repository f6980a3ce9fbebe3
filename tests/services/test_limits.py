"""How much one may ask in a minute, with a clock that moves when told."""

from dataclasses import dataclass

import pytest

from orderdesk_app.errors import RateLimited
from orderdesk_app.services import limits as limits_service
from orderdesk_app.services.delays import GrowingDelays
from orderdesk_app.services.limits import Limit, Limits
from tests.worlds import counted


@dataclass
class Clock:
    seconds: float = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def limits(clock: Clock) -> Limits:
    return Limits(rpm=60, login=5, console=30, clock=clock)


def spent(limit: Limit | GrowingDelays, key: str = "ada", cost: float = 1) -> int:
    """How many calls go through before the limit says no."""
    count = 0
    try:
        while count < 10_000:
            if isinstance(limit, Limit):
                limit.spend(key, cost)
            else:
                limit.check(key)
            count += 1
    except RateLimited:
        return count
    return count


def test_a_tenant_has_a_burst_of_twice_its_calls_a_minute(limits: Limits) -> None:
    assert spent(limits.tools) == 120


def test_a_write_counts_two(limits: Limits) -> None:
    assert spent(limits.tools, cost=2) == 60


def test_what_is_used_up_comes_back_with_time(limits: Limits, clock: Clock) -> None:
    spent(limits.tools)

    clock.seconds += 10

    assert spent(limits.tools) == 10


def test_a_burst_is_never_more_than_the_burst(limits: Limits, clock: Clock) -> None:
    spent(limits.tools)

    clock.seconds += 86_400

    assert spent(limits.tools) == 120


def test_a_refusal_says_when_to_come_back_and_costs_nothing(limits: Limits, clock: Clock) -> None:
    spent(limits.tools)

    for _ in range(100):
        with pytest.raises(RateLimited) as error:
            limits.tools.spend("ada", 2)
    assert error.value.retry_after is not None
    clock.seconds += error.value.retry_after

    limits.tools.spend("ada", 2)
    assert error.value.retry_after == pytest.approx(2)
    assert error.value.outcome == "not_done"
    assert "60 calls a minute" in error.value.message


@pytest.mark.parametrize("rpm", [1, 7, 13, 60, 77, 120, 1000])
@pytest.mark.parametrize("since", [0.0, 0.013, 0.04999, 0.33, 0.9])
def test_whoever_waits_as_told_is_not_refused_again(clock: Clock, rpm: int, since: float) -> None:
    limit = Limits(rpm=rpm, login=5, console=30, clock=clock).tools
    spent(limit)
    clock.seconds += since / rpm * 60

    with pytest.raises(RateLimited) as error:
        limit.spend("ada", 1)
    clock.seconds += error.value.retry_after or 0
    limit.spend("ada", 1)

    assert error.value.retry_after == pytest.approx((1 - since) / rpm * 60, abs=0.1000001)


def test_one_who_asks_much_takes_nothing_from_a_neighbour(limits: Limits) -> None:
    spent(limits.tools, "ada")

    assert spent(limits.tools, "bert") == 120


def test_sign_ins_are_counted_by_address_and_console_calls_by_person(limits: Limits) -> None:
    assert spent(limits.sign_in, "203.0.113.9") == 5
    assert spent(limits.sign_in, "203.0.113.10") == 5
    assert spent(limits.console, "ada") == 30


def test_a_clock_that_steps_back_gives_nothing_and_takes_nothing(
    limits: Limits, clock: Clock
) -> None:
    limits.tools.spend("ada")

    clock.seconds -= 3600

    assert spent(limits.tools) <= 119
    clock.seconds += 3600
    assert spent(limits.tools) <= 120


def test_a_try_that_should_not_have_counted_is_given_back(limits: Limits) -> None:
    spent(limits.sign_in, "here")

    limits.sign_in.give_back("here")
    limits.sign_in.give_back("nobody")

    assert spent(limits.sign_in, "here") == 1


def test_memory_is_bounded_and_busy_keys_are_not_forgotten(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits_service, "MOST_KEYS", 100)
    limit = Limit("sign_in", per_minute=20, burst=20, words="Too many.", clock=clock)
    assert spent(limit, "quiet") == 20
    for number in range(1000):
        limit.spend(f"address {number}")
        if number % 60 == 0:
            limit.spend("busy")

    assert spent(limit, "busy") == 20 - 17
    assert spent(limit, "quiet") == 20


@pytest.mark.parametrize("name", ["tools", "sign_in", "console"])
def test_refusals_are_counted(limits: Limits, name: str) -> None:
    before = counted("rate_limited", limit=name)

    spent(getattr(limits, name))

    assert counted("rate_limited", limit=name) == before + 1


def test_who_has_a_whole_network_of_addresses_is_one_of_whom_tries_are_counted(
    limits: Limits,
) -> None:
    def tries(addresses: list[str]) -> int:
        return sum(spent(limits.sign_in, address) for address in addresses)

    assert tries([f"2001:db8:0:1::{number:x}" for number in range(1, 1001)]) == 5
    assert tries(["2001:db8:0:2::1"]) == 5
    assert tries(["192.0.2.1", "::ffff:192.0.2.1"]) == 5
    assert tries(["192.0.2.2"]) == 5
