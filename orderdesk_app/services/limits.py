"""How much one tenant, address or person may ask in a minute: token buckets in the process."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network, ip_address
from math import ceil

from cachetools import LRUCache

from orderdesk_app.errors import RateLimited
from orderdesk_app.observability import RATE_LIMITED
from orderdesk_app.services.delays import DelayRules, GrowingDelays
from orderdesk_app.token_bucket import Level, TokenBucket

MOST_KEYS = 100_000
WRONG_KEYS = 60  # a minute from one network address, at /mcp
PROOF_MAILS = 3  # to one person at once, then one a minute
SIGN_UP_MAILS = 5  # an hour to one address, from however many networks they are asked for
LONGEST_DELAY = 900.0  # seconds: as long as a sign-in link works
# a minute from one network; a hosted client calls for all of its users from a few addresses
REGISTRATIONS = 20
CLIENT_DOCUMENTS = 20  # fetched, a minute from one network
ROTATIONS = 5  # a minute for each account: each takes a quarter of a second of bcrypt


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

    The buckets used longest ago are forgotten first. `shared_by` maps keys that share a bucket to
    one name.
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
    ) -> None:
        self._name = name
        self.rules = TokenBucket(burst, per_minute / 60)
        self._words = words
        self._clock = clock
        self._shared_by = shared_by
        self._buckets: LRUCache[str, Level] = LRUCache(MOST_KEYS)

    def spend(self, key: str, cost: float = 1) -> None:
        """Take `cost` tokens.

        Raises RateLimited with `retry_after` seconds; a refused call costs nothing.
        """
        now = self._clock()
        key = self._shared_by(key)
        level = self._buckets.get(key)
        taken = self.rules.take(level, now, cost)
        if taken is None:
            RATE_LIMITED.labels(self._name).inc()
            # rounded up: a caller that waits this long is not refused again
            wait = ceil(self.rules.wait(level, now, cost) * 10) / 10
            raise RateLimited(
                f"{self._words} Try again in {ceil(wait)} s.", retry_after=wait, outcome="not_done"
            )
        self._buckets[key] = taken

    def check(self, key: str) -> None:
        """Takes one token, for callers that count attempts. Raises RateLimited."""
        self.spend(key)

    def give_back(self, key: str, cost: float = 1) -> None:
        """Puts `cost` tokens back, for an attempt that should not count."""
        key = self._shared_by(key)
        if key in self._buckets:
            tokens, then = self._buckets[key]
            self._buckets[key] = Level(min(self.rules.capacity, tokens + cost), then)


class EveryLimit:
    """Several limits that an attempt has to keep at once; one that is refused costs nothing."""

    def __init__(self, *limits: Limit) -> None:
        self._limits = limits

    def check(self, key: str) -> None:
        """Takes one token of each. Raises RateLimited of the first that has none."""
        for place, limit in enumerate(self._limits):
            try:
                limit.check(key)
            except RateLimited:
                for spent in self._limits[:place]:
                    spent.give_back(key)
                raise


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
    ) -> None:
        def limit(
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
                clock=clock,
                shared_by=network_of if by_network else str,
            )

        self.tools = limit(
            "tools", rpm, f"This account may make {rpm} calls a minute.", burst=rpm * 2
        )
        self.proofs = limit("proofs", login, "Too many tries to confirm who you are.")
        self.proof_mails = limit(
            "proof_mails", 1, "Too many links were mailed to you.", burst=PROOF_MAILS
        )
        self.sign_up = _limits_of_sign_up(
            accounts_an_hour,
            sign_ups_a_minute,
            uses=limit("sign_up_uses", login, "Too many sign-ups.", by_network=True),
            clock=clock,
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
        self._add_limits_of_clients(clock)
        self._add_delays(login, clock)

    def _add_limits_of_clients(self, clock: Callable[[], float]) -> None:
        self.registrations = _limit_of_clients(
            "registrations", REGISTRATIONS, "Too many apps were registered", clock
        )
        self.client_documents = _limit_of_clients(
            "client_documents", CLIENT_DOCUMENTS, "Too many apps that are new here came", clock
        )

    def _add_delays(self, login: int, clock: Callable[[], float]) -> None:
        self.sign_in = GrowingDelays(
            "sign_in",
            DelayRules(free=login, first=2, longest=LONGEST_DELAY),
            words="Too many sign-in tries from this address.",
            clock=clock,
            shared_by=network_of,
        )
        # apart from strangers' tries: whoever is signed in is not delayed by them
        self.proofs_by_network = GrowingDelays(
            "proofs_by_network",
            DelayRules(free=login, first=2, longest=LONGEST_DELAY),
            words="Too many tries to confirm who you are.",
            clock=clock,
            shared_by=network_of,
        )
        # Nobody on a shared network waits longer than a minute for others.
        self.link_requests = GrowingDelays(
            "link_requests",
            DelayRules(free=2 * login, first=2, longest=60),
            words="Too many links were asked for from this address.",
            clock=clock,
            shared_by=network_of,
        )
        self.device_mails = GrowingDelays(
            "device_mails",
            DelayRules(free=5, first=600, longest=6 * 3600),
            words="Mails about new devices were sent a short while ago.",
            clock=clock,
        )
        # As long as a link works: whoever asks in somebody else's name leaves them a good one.
        self.links_of_mailbox = GrowingDelays(
            "links_of_mailbox",
            DelayRules(free=2, first=60, longest=LONGEST_DELAY),
            words="A link was asked for this address a short while ago. Look in its mailbox.",
            clock=clock,
        )


def _limit_of_clients(name: str, a_minute: int, words: str, clock: Callable[[], float]) -> Limit:
    return Limit(
        name,
        per_minute=a_minute,
        burst=2 * a_minute,
        words=f"{words} from this network address.",
        clock=clock,
        shared_by=network_of,
    )


def _limits_of_sign_up(
    an_hour: int, a_minute: int, *, uses: Limit, clock: Callable[[], float]
) -> SignUpLimits:
    def limit(name: str, per_minute: float, burst: float, shared_by: Callable[[str], str]) -> Limit:
        return Limit(
            name,
            per_minute=per_minute,
            burst=burst,
            words="Too many sign-ups.",
            clock=clock,
            shared_by=shared_by,
        )

    return SignUpLimits(
        attempts=EveryLimit(
            # the hour first: its wait is the longer one
            limit("sign_up_hour", an_hour / 60, an_hour, network_of),
            limit("sign_up_minute", a_minute, a_minute, network_of),
        ),
        mails=limit("sign_up_mails", SIGN_UP_MAILS / 60, SIGN_UP_MAILS, str.lower),
        uses=uses,
    )
