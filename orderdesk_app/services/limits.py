"""How much one tenant, address or person may ask in a minute: token buckets in the process."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv6Address, IPv6Network, ip_address
from math import ceil

from orderdesk_app.errors import RateLimit, RateLimited
from orderdesk_app.observability import RATE_LIMITED
from orderdesk_app.services.delays import GrowingDelays
from orderdesk_app.services.limit_store import (
    DelayRules,
    Draw,
    LimitBuckets,
    LimitTries,
    MemoryLimitBuckets,
    MemoryLimitTries,
    Reading,
)
from orderdesk_app.token_bucket import TokenBucket

WRONG_KEYS = 60  # a minute from one network address, at /mcp
PROOF_MAILS = 3  # to one person at once, then one a minute
SIGN_UP_MAILS = 5  # an hour to one address, from however many networks they are asked for
LONGEST_DELAY = 900.0  # seconds: as long as a sign-in link works
# a minute from one network; a hosted client calls for all of its users from a few addresses
REGISTRATIONS = 20
CLIENT_DOCUMENTS = 20  # fetched, a minute from one network
TOKEN_REQUESTS = 120
TOKEN_PAIRS = 60  # new ones a minute for each account, kept for months: an app needs one an hour
SIGN_INS = 60  # that succeed, a minute for each account from one network
FORMS = 120  # a minute of one session; each may leave rows
INVITATIONS = 30  # an hour for each account, as they go to mailboxes of others
INVITATION_ANSWERS = 20  # a minute from one network; those that succeed do not count
EXPORTS = 3  # of a person at once, then one in ten minutes: each reads all that is theirs
ROTATIONS = 5  # a minute for each account: each takes a quarter of a second of bcrypt
_MOST_KNOWN_DRAWS = 10_000  # of callers


def network_of(address: str) -> str:
    """The network of an address: the first half of an IPv6 address, as each site gets a /64 or more
    (RFC 6177), else the address itself.
    """
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if not isinstance(found, IPv6Address):
        return str(found)
    return str(found.ipv4_mapped or IPv6Network((int(found), 64), strict=False))


class Limit:
    """One bucket for each key: `burst` tokens, `per_minute` more each minute. The library `limits`
    counts in windows: it has no burst and gives no token back.

    `shared_by` maps keys that share a bucket to one name.
    """

    def __init__(
        self,
        name: str,
        *,
        per_minute: float,
        burst: float,
        words: str,
        clock: Callable[[], float] = time.monotonic,
        shared_by: Callable[[str], str] = str,
        store: LimitBuckets | None = None,
    ) -> None:
        self.name = name
        self.rules = TokenBucket(burst, per_minute / 60)
        self._words = words
        self._shared_by = shared_by
        self._store = store or MemoryLimitBuckets(clock)

    async def spend(self, key: str, cost: float = 1) -> RateLimit:
        """Take `cost` tokens; returns what is left.

        Raises RateLimited with `retry_after` seconds; a refused call costs nothing.
        """
        draw = self.draw(key, cost)
        (reading,) = await self._store.take((draw,))
        if reading.wait:
            raise self.refusal(reading)
        return rate_limit(self.rules, reading)

    async def level(self, key: str) -> RateLimit:
        """What is left; takes nothing."""
        (reading,) = await self._store.level((self.draw(key, 0),))
        return rate_limit(self.rules, reading)

    async def check(self, key: str) -> None:
        """Takes one token, for callers that count attempts. Raises RateLimited."""
        await self.spend(key)

    async def give_back(self, key: str, cost: float = 1) -> None:
        """Puts `cost` tokens back, for an attempt that should not count."""
        await self._store.give_back((self.draw(key, cost),))

    def draw(self, key: str, cost: float = 1) -> Draw:
        return Draw(self.name, self._shared_by(key), self.rules, cost)

    def refusal(self, reading: Reading) -> RateLimited:
        """The error for a draw that found too few tokens; counts it in the metrics."""
        RATE_LIMITED.labels(self.name).inc()
        # rounded up: a caller that waits this long is not refused again
        wait = ceil(reading.wait * 10) / 10
        error = RateLimited(
            f"{self._words} Try again in {ceil(wait)} s.", retry_after=wait, outcome="not_done"
        )
        return error.by(rate_limit(self.rules, reading))


def rate_limit(rules: TokenBucket, reading: Reading) -> RateLimit:
    """What a caller is told of a bucket (docs/http.md): whole tokens and whole seconds."""
    tokens = max(0.0, reading.tokens)
    return RateLimit(
        int(rules.capacity), int(tokens), ceil((rules.capacity - tokens) / rules.per_second)
    )


def refusal_of(limits: Iterable[Limit], readings: Iterable[Reading]) -> RateLimited | None:
    """The error of the limit that has to be waited for longest, so that whoever waits as told is
    not refused by another; None where none of them refused.
    """
    limit, reading = max(zip(limits, readings, strict=False), key=lambda pair: pair[1].wait)
    return limit.refusal(reading) if reading.wait else None


class EveryLimit:
    """Several limits that an attempt has to keep at once; one that is refused costs nothing. All
    have one store.
    """

    def __init__(self, *limits: Limit, store: LimitBuckets) -> None:
        self.limits = limits
        self._store = store

    async def check(self, key: str) -> None:
        """Takes one token of each. Raises RateLimited."""
        readings = await self._store.take([limit.draw(key) for limit in self.limits])
        if refused := refusal_of(self.limits, readings):
            raise refused


class CallLimit:
    """How many tokens the calls of an account may take, and those of one key, app or session of
    it. A call that either refuses costs neither anything.
    """

    def __init__(self, account: Limit, caller: Limit, store: LimitBuckets) -> None:
        self._account = account
        self._caller = caller
        self._store = store
        # every call makes the same few
        self._known_draws: dict[tuple[str, str, float], tuple[Draw, ...]] = {}

    @property
    def rules(self) -> TokenBucket:
        """Of an account; a caller's are the same while nobody sets others."""
        return self._account.rules

    @rules.setter
    def rules(self, rules: TokenBucket) -> None:
        self._account.rules = rules
        self.caller_rules = rules

    @property
    def caller_rules(self) -> TokenBucket:
        return self._caller.rules

    @caller_rules.setter
    def caller_rules(self, rules: TokenBucket) -> None:
        self._caller.rules = rules
        self._known_draws.clear()

    async def spend(self, account: str, cost: float = 1, *, caller: str = "") -> RateLimit:
        """Takes `cost` tokens of the account and of the caller: the row of a key, an app or a
        session, empty for none. Returns the one of the two limits that has less left.

        Raises RateLimited.
        """
        draws = self._draws(account, caller, cost)
        readings = await self._store.take(draws)
        is_refused = readings[0].wait or readings[-1].wait
        if is_refused and (refused := refusal_of((self._account, self._caller), readings)):
            raise refused
        return self._tighter(draws, readings)

    async def level(self, account: str, *, caller: str = "") -> RateLimit:
        """The one of the two limits that has less left; takes nothing."""
        draws = self._draws(account, caller, 0)
        return self._tighter(draws, await self._store.level(draws))

    def _draws(self, account: str, caller: str, cost: float) -> tuple[Draw, ...]:
        place = (account, caller, cost)
        draws = self._known_draws.get(place)
        if draws is None:
            of_account = self._account.draw(account, cost)
            draws = (of_account, self._caller.draw(caller, cost)) if caller else (of_account,)
            if len(self._known_draws) >= _MOST_KNOWN_DRAWS:
                self._known_draws.clear()
            self._known_draws[place] = draws
        return draws

    def _tighter(self, draws: Sequence[Draw], readings: Sequence[Reading]) -> RateLimit:
        place = 0
        if len(readings) > 1 and readings[1].tokens < readings[0].tokens:
            place = 1
        return rate_limit(draws[place].rules, readings[place])


@dataclass(frozen=True, slots=True)
class SignUpLimits:
    """Of a network that signs up, of the mails to one address, and of a network's uses of links."""

    attempts: EveryLimit
    mails: Limit
    uses: Limit


class Limits:
    """Every limit of the product, by name."""

    def __init__(
        self,
        *,
        rpm: int,
        login: int,
        console: int,
        accounts_an_hour: int = 3,
        sign_ups_a_minute: int = 2,
        clock: Callable[[], float] = time.monotonic,
        buckets: LimitBuckets | None = None,
        tries: LimitTries | None = None,
    ) -> None:
        store = buckets or MemoryLimitBuckets(clock)

        limit = partial(_limit, store)

        self.tools = CallLimit(
            limit("tools", rpm, f"This account may make {rpm} calls a minute.", burst=rpm * 2),
            limit("tools_by_key", rpm, f"A key may make {rpm} calls a minute.", burst=rpm * 2),
            store,
        )
        self.proofs = limit("proofs", login, "Too many tries to confirm who you are.")
        self.proof_mails = limit(
            "proof_mails", 1, "Too many links were mailed to you.", burst=PROOF_MAILS
        )
        self.sign_up = _limits_of_sign_up(
            accounts_an_hour,
            sign_ups_a_minute,
            uses=limit("sign_up_uses", login, "Too many sign-ups.", by_network=True),
            store=store,
        )
        self.wrong_keys = limit(
            "wrong_keys",
            WRONG_KEYS,
            "Too many wrong keys came from this network address.",
            by_network=True,
        )
        self.new_accounts = limit(
            "new_accounts",
            accounts_an_hour / 60,
            "Too many new accounts were opened from this network address.",
            burst=accounts_an_hour,
            by_network=True,
        )
        words = f"An account may rotate its master key {ROTATIONS} times a minute."
        self.rotations = limit("rotations", ROTATIONS, words)
        self.console = limit("console", console, f"The console runs {console} calls a minute.")
        self._add_limits_of_people(store)
        self._add_limits_of_clients(store)
        self._add_delays(login, tries or MemoryLimitTries(clock))

    def _add_limits_of_people(self, store: LimitBuckets) -> None:
        words = f"A session may send {FORMS} forms a minute."
        self.forms = _limit(store, "forms", FORMS, words, burst=2 * FORMS)
        words = f"One may sign in to an account {SIGN_INS} times a minute."
        self.sign_ins = _limit(store, "sign_ins", SIGN_INS, words, burst=2 * SIGN_INS)

        words = f"An account may send {INVITATIONS} invitations an hour."
        self.invitations = _limit(store, "invitations", INVITATIONS / 60, words, burst=INVITATIONS)
        words = "Too many invitations were answered from this address."
        self.invitation_answers = _limit(
            store, "invitation_answers", INVITATION_ANSWERS, words, by_network=True
        )
        words = "Your data was downloaded several times just now."
        self.exports = _limit(store, "data_exports", 0.1, words, burst=EXPORTS)

    def _add_limits_of_clients(self, store: LimitBuckets) -> None:
        self.registrations = _limit_of_clients(
            store, "registrations", REGISTRATIONS, "Too many apps were registered"
        )
        self.client_documents = _limit_of_clients(
            store, "client_documents", CLIENT_DOCUMENTS, "Too many apps that are new here came"
        )
        self.token_requests = _limit_of_clients(
            store, "token_requests", TOKEN_REQUESTS, "Too many tokens were asked for"
        )
        words = f"The apps of an account may get {TOKEN_PAIRS} new tokens a minute."
        self.token_pairs = _limit(store, "token_pairs", TOKEN_PAIRS, words, burst=4 * TOKEN_PAIRS)

    def _add_delays(self, login: int, store: LimitTries) -> None:
        self.sign_in = GrowingDelays(
            "sign_in",
            DelayRules(free=login, first=2, longest=LONGEST_DELAY),
            words="Too many sign-in tries from this address.",
            shared_by=network_of,
            store=store,
        )
        # apart from strangers' tries: whoever is signed in is not delayed by them
        self.proofs_by_network = GrowingDelays(
            "proofs_by_network",
            DelayRules(free=login, first=2, longest=LONGEST_DELAY),
            words="Too many tries to confirm who you are.",
            shared_by=network_of,
            store=store,
        )
        # Nobody on a shared network waits longer than a minute for others.
        self.link_requests = GrowingDelays(
            "link_requests",
            DelayRules(free=2 * login, first=2, longest=60),
            words="Too many links were asked for from this address.",
            shared_by=network_of,
            store=store,
        )
        self.device_mails = GrowingDelays(
            "device_mails",
            DelayRules(free=5, first=600, longest=6 * 3600),
            words="Mails about new devices were sent a short while ago.",
            store=store,
        )
        # As long as a link works: whoever asks in somebody else's name leaves them a good one.
        self.links_of_mailbox = GrowingDelays(
            "links_of_mailbox",
            DelayRules(free=2, first=60, longest=LONGEST_DELAY),
            words="A link was asked for this address a short while ago. Look in its mailbox.",
            store=store,
        )


def _limit_of_clients(store: LimitBuckets, name: str, a_minute: int, words: str) -> Limit:
    words = f"{words} from this network address."
    return _limit(store, name, a_minute, words, burst=2 * a_minute, by_network=True)


def _limit(
    store: LimitBuckets,
    name: str,
    per_minute: float,
    words: str,
    *,
    burst: float | None = None,
    by_network: bool = False,
) -> Limit:
    return Limit(
        name,
        per_minute=per_minute,
        burst=per_minute if burst is None else burst,
        words=words,
        shared_by=network_of if by_network else str,
        store=store,
    )


def _limits_of_sign_up(
    an_hour: int, a_minute: int, *, uses: Limit, store: LimitBuckets
) -> SignUpLimits:
    def limit(name: str, per_minute: float, burst: float, shared_by: Callable[[str], str]) -> Limit:
        return Limit(
            name,
            per_minute=per_minute,
            burst=burst,
            words="Too many sign-ups.",
            shared_by=shared_by,
            store=store,
        )

    return SignUpLimits(
        attempts=EveryLimit(
            limit("sign_up_hour", an_hour / 60, an_hour, network_of),
            limit("sign_up_minute", a_minute, a_minute, network_of),
            store=store,
        ),
        mails=limit("sign_up_mails", SIGN_UP_MAILS / 60, SIGN_UP_MAILS, str.lower),
        uses=uses,
    )
