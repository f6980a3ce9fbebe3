"""How much one may ask in a minute, with a clock that moves when told."""

import contextlib
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import pytest

from orderdesk_app.db.engine import Database
from orderdesk_app.errors import RateLimited
from orderdesk_app.security.web import wait_headers
from orderdesk_app.services.delays import GrowingDelays
from orderdesk_app.services.limit_store import (
    Draw,
    MemoryLimitBuckets,
    MemoryLimitTries,
    Reading,
    Try,
)
from orderdesk_app.services.limits import CallLimit, EveryLimit, Limit, Limits
from orderdesk_app.token_bucket import TokenBucket
from tests.limits_and_writes import FOUND
from tests.worlds import ROOT, counted, on_sqlite


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


async def spent(limit: Limit | CallLimit | GrowingDelays, key: str = "ada", cost: float = 1) -> int:
    """How many calls go through before the limit says no."""
    count = 0
    try:
        while count < 10_000:
            if isinstance(limit, Limit | CallLimit):
                await limit.spend(key, cost)
            else:
                await limit.check(key)
            count += 1
    except RateLimited:
        return count
    return count


async def test_a_tenant_has_a_burst_of_twice_its_calls_a_minute(limits: Limits) -> None:
    assert await spent(limits.tools) == 120


async def test_a_write_counts_two(limits: Limits) -> None:
    assert await spent(limits.tools, cost=2) == 60


async def test_what_is_used_up_comes_back_with_time(limits: Limits, clock: Clock) -> None:
    await spent(limits.tools)

    clock.seconds += 10

    assert await spent(limits.tools) == 10


async def test_a_burst_is_never_more_than_the_burst(limits: Limits, clock: Clock) -> None:
    await spent(limits.tools)

    clock.seconds += 86_400

    assert await spent(limits.tools) == 120


async def test_a_refusal_says_when_to_come_back_and_costs_nothing(
    limits: Limits, clock: Clock
) -> None:
    await spent(limits.tools)

    for _ in range(100):
        with pytest.raises(RateLimited) as error:
            await limits.tools.spend("ada", 2)
    assert error.value.retry_after is not None
    clock.seconds += error.value.retry_after

    await limits.tools.spend("ada", 2)
    assert error.value.retry_after == pytest.approx(2)
    assert error.value.outcome == "not_done"
    assert "60 calls a minute" in error.value.message


@pytest.mark.parametrize("rpm", [1, 7, 13, 60, 77, 120, 1000])
@pytest.mark.parametrize("since", [0.0, 0.013, 0.04999, 0.33, 0.9])
async def test_whoever_waits_as_told_is_not_refused_again(
    clock: Clock, rpm: int, since: float
) -> None:
    limit = Limits(rpm=rpm, login=5, console=30, clock=clock).tools
    await spent(limit)
    clock.seconds += since / rpm * 60

    with pytest.raises(RateLimited) as error:
        await limit.spend("ada", 1)
    clock.seconds += error.value.retry_after or 0
    await limit.spend("ada", 1)

    assert error.value.retry_after == pytest.approx((1 - since) / rpm * 60, abs=0.1000001)


async def test_one_who_asks_much_takes_nothing_from_a_neighbour(limits: Limits) -> None:
    await spent(limits.tools, "ada")

    assert await spent(limits.tools, "bert") == 120


async def test_sign_ins_are_counted_by_address_and_console_calls_by_person(limits: Limits) -> None:
    assert await spent(limits.sign_in, "203.0.113.9") == 5
    assert await spent(limits.sign_in, "203.0.113.10") == 5
    assert await spent(limits.console, "ada") == 30


async def test_a_clock_that_steps_back_gives_nothing_and_takes_nothing(
    limits: Limits, clock: Clock
) -> None:
    await limits.tools.spend("ada")

    clock.seconds -= 3600

    assert await spent(limits.tools) <= 119
    clock.seconds += 3600
    assert await spent(limits.tools) <= 120


async def test_a_try_that_should_not_have_counted_is_given_back(limits: Limits) -> None:
    await spent(limits.sign_in, "here")

    await limits.sign_in.give_back("here")
    await limits.sign_in.give_back("nobody")

    assert await spent(limits.sign_in, "here") == 1


async def test_memory_is_bounded_and_busy_keys_are_not_forgotten(
    clock: Clock,
) -> None:
    store = MemoryLimitBuckets(clock, most_keys=100)
    limit = Limit("sign_in", per_minute=20, burst=20, words="Too many.", store=store)
    assert await spent(limit, "quiet") == 20
    for number in range(1000):
        await limit.spend(f"address {number}")
        if number % 60 == 0:
            await limit.spend("busy")

    assert await spent(limit, "busy") == 20 - 17
    assert await spent(limit, "quiet") == 20


@pytest.mark.parametrize("name", ["tools", "sign_in", "console"])
async def test_refusals_are_counted(limits: Limits, name: str) -> None:
    before = counted("rate_limited", limit=name)

    await spent(getattr(limits, name))

    assert counted("rate_limited", limit=name) == before + 1


async def test_who_has_a_whole_network_of_addresses_is_one_of_whom_tries_are_counted(
    limits: Limits,
) -> None:
    async def tries(addresses: list[str]) -> int:
        return sum([await spent(limits.sign_in, address) for address in addresses])

    assert await tries([f"2001:db8:0:1::{number:x}" for number in range(1, 1001)]) == 5
    assert await tries(["2001:db8:0:2::1"]) == 5
    assert await tries(["192.0.2.1", "::ffff:192.0.2.1"]) == 5
    assert await tries(["192.0.2.2"]) == 5


# ------------------------------------------------------------------ an account and one of its keys


async def test_a_key_has_its_own_bucket_and_the_account_one_of_all(limits: Limits) -> None:
    limits.tools.caller_rules = TokenBucket(10, 1)

    taken = [await limits.tools.spend("ada", caller="key") for _ in range(10)]
    with pytest.raises(RateLimited, match="A key may make 60 calls a minute"):
        await limits.tools.spend("ada", caller="key")

    assert [limit.remaining for limit in taken] == list(range(9, -1, -1))
    assert await limits.tools.spend("ada", caller="other key") == (10, 9, 1)


async def test_what_a_key_is_refused_drains_nothing_of_the_account(limits: Limits) -> None:
    limits.tools.caller_rules = TokenBucket(10, 1)

    for _ in range(100):
        with contextlib.suppress(RateLimited):
            await limits.tools.spend("ada", caller="key")

    assert (await limits.tools.level("ada")).remaining == 110


async def test_what_an_account_is_refused_drains_nothing_of_the_key(
    limits: Limits, clock: Clock
) -> None:
    for _ in range(120):
        await limits.tools.spend("ada", caller="busy")

    for _ in range(100):
        with pytest.raises(RateLimited, match="This account may make 60 calls a minute"):
            await limits.tools.spend("ada", caller="quiet")
    clock.seconds += 10

    assert await limits.tools.level("bert", caller="quiet") == (120, 120, 0)
    assert await spent(limits.tools) == 10


async def test_a_level_is_read_and_nothing_taken(limits: Limits, clock: Clock) -> None:
    before = await limits.tools.level("ada", caller="key")
    await limits.tools.spend("ada", 2, caller="key")
    after = [await limits.tools.level("ada", caller="key") for _ in range(3)]

    assert before == (120, 120, 0)
    assert after == [(120, 118, 2)] * 3


async def test_an_attempt_that_one_limit_refuses_costs_the_others_nothing(clock: Clock) -> None:
    limits = Limits(
        rpm=60, login=5, console=30, accounts_an_hour=10, sign_ups_a_minute=2, clock=clock
    )
    for _ in range(50):
        with contextlib.suppress(RateLimited):
            await limits.sign_up.attempts.check("192.0.2.1")

    clock.seconds += 3600

    taken = 0
    for _ in range(5):
        clock.seconds += 60
        for _ in range(2):
            await limits.sign_up.attempts.check("192.0.2.1")
            taken += 1
    assert taken == 10


async def test_of_two_limits_that_refuse_the_longer_wait_is_named(clock: Clock) -> None:
    attempts = Limits(
        rpm=60, login=5, console=30, accounts_an_hour=3, sign_ups_a_minute=1, clock=clock
    ).sign_up.attempts
    for gap in (0, 60, 1104):  # the hour has 26 s to wait then, and the minute 50
        clock.seconds += gap
        await attempts.check("192.0.2.1")
    clock.seconds += 10

    with pytest.raises(RateLimited) as error:
        await attempts.check("192.0.2.1")
    clock.seconds += error.value.retry_after or 0
    await attempts.check("192.0.2.1")

    assert error.value.retry_after == pytest.approx(50, abs=0.11)


async def test_a_call_that_both_refuse_waits_for_the_slower_one(
    limits: Limits, clock: Clock
) -> None:
    limits.tools.caller_rules = TokenBucket(10, 1 / 60)
    for caller in ["key"] * 10 + [""] * 110:
        await limits.tools.spend("ada", caller=caller)

    with pytest.raises(RateLimited) as error:
        await limits.tools.spend("ada", caller="key")
    clock.seconds += error.value.retry_after or 0

    assert (await limits.tools.spend("ada", caller="key")).remaining == 0


async def used_up(take: Callable[[str], Awaitable[object]]) -> None:
    for _ in range(1_000):
        await take("ada")


async def test_every_limit_says_what_is_left(limits: Limits) -> None:
    """The RateLimit headers of a refusal come from the error (security/web.py)."""
    every = {
        name: found
        for name, found in vars(limits).items()
        if isinstance(found, Limit | CallLimit | GrowingDelays)
    }
    every |= {name: getattr(limits.sign_up, name) for name in ("attempts", "mails", "uses")}

    for name, limit in every.items():
        take = limit.spend if isinstance(limit, CallLimit) else limit.check
        with pytest.raises(RateLimited) as refused:
            await used_up(take)
        headers = wait_headers(refused.value)
        assert headers["RateLimit-Remaining"] == "0", name
        assert int(headers["RateLimit-Limit"]) > 0, name
        assert int(headers["RateLimit-Reset"]) >= int(headers["Retry-After"]) > 0, name
    assert len(every) >= 16


def test_every_limit_has_the_store_that_processes_may_share() -> None:
    """A limit that is made elsewhere keeps its levels in the memory of one process."""
    makes = re.compile(r"\b(?:Limit|GrowingDelays|MemoryLimit\w+)\((?!Protocol)")
    made = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "orderdesk_app").rglob("*.py")
        if makes.search(path.read_text("utf-8"))
    }

    assert made - {
        "orderdesk_app/services/limits.py",
        "orderdesk_app/services/limit_store.py",
        "orderdesk_app/services/delays.py",
    } == {"orderdesk_app/routes/sockets.py"}  # sockets are a process's own


async def test_every_limit_asks_the_store_that_it_is_given(clock: Clock) -> None:
    asked: set[str] = set()

    class Shared(MemoryLimitBuckets):
        async def take(self, draws: Sequence[Draw]) -> list[Reading]:
            asked.update(draw.limit for draw in draws)
            return await super().take(draws)

    class SharedTries(MemoryLimitTries):
        async def attempt(self, tried: Try) -> float:
            asked.add(tried.limit)
            return await super().attempt(tried)

    limits = Limits(rpm=60, login=5, console=5, buckets=Shared(clock), tries=SharedTries(clock))
    held = [
        *vars(limits).values(),
        *(getattr(limits.sign_up, name) for name in ("attempts", "mails", "uses")),
    ]
    for found in held:
        if isinstance(found, CallLimit):
            await found.spend("ada", caller="key")
        elif isinstance(found, Limit | EveryLimit | GrowingDelays):
            await found.check("ada")

    assert len(asked) > 20
    assert {"tools", "tools_by_key", "sign_in", "sign_up_hour", "invitations"} <= asked


@on_sqlite
@pytest.mark.parametrize("opens", ["read", "write"])
async def test_a_limit_that_is_asked_inside_a_session_is_noticed(
    database: Database, limits: Limits, opens: str
) -> None:
    await limits.console.spend("ada")
    assert FOUND == []

    async with getattr(database, opens)():
        await limits.console.spend("ada")

    assert len(FOUND) == 1
    FOUND.clear()
