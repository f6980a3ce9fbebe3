"""The values that every layer uses: ids, secrets, who acts, and the request they act in."""

from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from os import register_at_fork, urandom
from time import time
from typing import NewType, TypeAlias

from orderdesk_app.errors import RateLimit

# A value that JSON can say. Money is Decimal: orderdesk/json_text.py reads numbers as int or
# Decimal, and float comes from callers alone. Read-only parameters take Mapping[str, Json].
Json: TypeAlias = "bool | int | float | Decimal | str | list[Json] | dict[str, Json] | None"
JsonObject: TypeAlias = dict[str, Json]

TenantId = NewType("TenantId", str)
UserId = NewType("UserId", str)
StoreRowId = NewType("StoreRowId", str)  # our own id of a connected store
StoreId = NewType("StoreId", str)  # Order Desk's id of a store, digits
OrderId = NewType("OrderId", str)  # Order Desk's internal order id, digits
# encrypted by security.sealing; a database column holds a secret in no other form
Sealed = NewType("Sealed", bytes)


class Secret:
    """A key or a token. It prints as ***; only `reveal()` returns its text."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __bool__(self) -> bool:
        return bool(self._text)

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a Secret is never pickled")


class Role(StrEnum):
    """What a user is in a tenant."""

    OWNER = "owner"
    MEMBER = "member"
    VIEWER = "viewer"

    @property
    def words(self) -> str:
        """The role as pages name it: Owner."""
        return self.value.capitalize()

    @property
    def with_article(self) -> str:
        """The role in a sentence: an owner."""
        return f"{'an' if self is Role.OWNER else 'a'} {self.value}"


class Scope(StrEnum):
    """What a credential may do; a tool names the one that it needs."""

    STORES_READ = "stores:read"
    ORDERS_READ = "orders:read"
    ORDERS_WRITE = "orders:write"
    ORDERS_DELETE = "orders:delete"
    PRODUCTS_READ = "products:read"
    PRODUCTS_WRITE = "products:write"
    REPORTS_READ = "reports:read"
    STORES_MANAGE = "stores:manage"

    @property
    def words(self) -> str:
        """The permission as people read it."""
        return _SCOPE_WORDS[self]


_SCOPE_WORDS = {
    Scope.STORES_READ: "See stores",
    Scope.ORDERS_READ: "Read orders",
    Scope.ORDERS_WRITE: "Change orders",
    Scope.ORDERS_DELETE: "Delete orders",
    Scope.PRODUCTS_READ: "Read products",
    Scope.PRODUCTS_WRITE: "Change products",
    Scope.REPORTS_READ: "Read reports",
    Scope.STORES_MANAGE: "Connect and disconnect stores",
}

ALL_SCOPES = frozenset(Scope)
READING_SCOPES = frozenset(
    {Scope.STORES_READ, Scope.ORDERS_READ, Scope.PRODUCTS_READ, Scope.REPORTS_READ}
)
# of the form "New key", which has ticked the first
SCOPE_PRESETS = {
    "Read only": READING_SCOPES,
    "Read and change": ALL_SCOPES - {Scope.ORDERS_DELETE, Scope.STORES_MANAGE},
    "Everything": ALL_SCOPES,
}


class LegacyScope(StrEnum):
    """One half of stores:manage, of keys that were made when it was two permissions. A new key
    never gets one.
    """

    STORES_CONNECT = "stores:write"
    STORES_DISCONNECT = "stores:delete"

    @property
    def words(self) -> str:
        """The permission as people read it."""
        return _LEGACY_WORDS[self]


_LEGACY_WORDS = {
    LegacyScope.STORES_CONNECT: "Connect stores",
    LegacyScope.STORES_DISCONNECT: "Disconnect stores",
}


class Via(StrEnum):
    """The entry point that an actor came through."""

    MCP = "mcp"
    STDIO = "stdio"
    CONSOLE = "console"
    WEB = "web"
    SYSTEM = "system"
    SHELL = "shell"  # a command on the server, by whoever may run one there


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: a user of a tenant through one credential or session, at one entry point.

    Services take it first and authorise by it.
    """

    tenant_id: TenantId
    user_id: UserId | None = None  # None before sign-in, and for the system
    role: Role | None = None  # of the user in this tenant
    is_operator: bool = False  # operators run this installation
    scopes: frozenset[Scope] = ALL_SCOPES
    legacy_scopes: frozenset[LegacyScope] = frozenset()
    store_ids: frozenset[StoreRowId] | None = None  # None: every store of the tenant
    via: Via = Via.SYSTEM
    credential_id: str | None = None  # row of `credentials`, for keys
    session_id: str | None = None  # row of `sessions`, for people
    client_name: str = ""
    client_version: str = ""
    address: str = ""  # of the caller; goes into the audit row, never into a log


@dataclass(slots=True)
class RequestContext:
    """One request from outside; its id is in logs, audit rows, answers and error references."""

    request_id: str = field(default_factory=lambda: new_id())
    # of the last tool call in it: what the limits have left, and where it was refused, for how long
    rate_limit: RateLimit | None = None
    retry_after: float | None = None


_request: ContextVar[RequestContext | None] = ContextVar("orderdesk_request", default=None)


def current_request() -> RequestContext:
    """The request being served, or a fresh one (start-up, background work)."""
    return _request.get() or RequestContext()


class serving:  # noqa: N801  reads as the statement it is used in
    """`with serving(request):` what runs inside belongs to that request."""

    __slots__ = ("_request", "_token")

    def __init__(self, request: RequestContext) -> None:
        self._request = request

    def __enter__(self) -> RequestContext:
        self._token = _request.set(self._request)
        return self._request

    def __exit__(self, *_: object) -> None:
        _request.reset(self._token)


_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
# two characters at once: every request makes ids
_PAIRS = [first + second for first in _CROCKFORD for second in _CROCKFORD]


def random_bytes() -> bytes:
    """Ten bytes of the system's random source, which is asked for many at once: each request needs
    some, and a call of the system takes longer than the rest of an id.
    """
    try:
        return _random.pop()
    except IndexError:
        fresh = urandom(10 * 256)
        _random.extend([fresh[start : start + 10] for start in range(10, len(fresh), 10)])
        return fresh[:10]


_random: list[bytes] = []
register_at_fork(after_in_child=_random.clear)  # two processes never use the same ones


def new_id() -> str:
    """A ULID (github.com/ulid/spec): 26 characters, sorts by time, safe in addresses."""
    number = (int(time() * 1000) << 80) | int.from_bytes(random_bytes())
    return "".join([_PAIRS[(number >> shift) & 1023] for shift in range(120, -1, -10)])


def now() -> datetime:
    """The time, always aware and UTC."""
    return datetime.now(UTC)
