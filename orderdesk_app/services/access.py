"""The account, user and stores of a key, cached in the process so that a cached read makes no
database query.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import sha256
from typing import Protocol

from orderdesk_app.context import (
    ALL_SCOPES,
    Actor,
    LegacyScope,
    Scope,
    StoreId,
    StoreRowId,
    TenantId,
    UserId,
    Via,
    now,
)
from orderdesk_app.db.engine import Database
from orderdesk_app.db.owned import owned
from orderdesk_app.db.signals import EVERYTHING, Signals
from orderdesk_app.db.stores import Store
from orderdesk_app.db.tenants import Tenant
from orderdesk_app.errors import AuthFailed
from orderdesk_app.observability import SIGNALS
from orderdesk_app.security.tokens import OAUTH_ACCESS
from orderdesk_app.services.loading_cache import LoadingCache
from orderdesk_app.services.members import Member, find_member
from orderdesk_app.services.open_store import StoreRecord
from orderdesk_app.services.roles import scopes_of

APP = "app"  # the kind of a connected app
_MOST_CLIENTS = 50  # of one key
_KEY_SECONDS = 300  # then a master key is verified again
_ACCOUNT_SECONDS = 300
_MEMBER_SECONDS = 300
_ADDRESS_SECONDS = 3600  # how often it is noted that a key stands in an address


@dataclass(frozen=True, slots=True)
class FoundKey:
    """A key that was found by its digest and, for a master key, verified.

    `member` is the user in whose name it acts; `scopes` are those of the key that the role of this
    user lets it use now, so that no call has to compare them. It works until `expires_at`, which is
    looked at in each call. `store_ids` are the stores that it reaches, None for all. `is_replaced`:
    another key took its place, so that it proves nobody's identity.
    """

    credential_id: str
    tenant_id: TenantId
    member: Member
    kind: str
    name: str
    scopes: frozenset[Scope]
    active_store_id: StoreRowId | None
    made_by: UserId | None = None  # where that is known
    legacy_scopes: frozenset[LegacyScope] = frozenset()
    store_ids: frozenset[StoreRowId] | None = None
    expires_at: datetime | None = None
    is_replaced: bool = False
    # by entry point, made of the key and an account, and valid as long as both are
    principals: "dict[Via, tuple[Account, Principal]]" = field(
        default_factory=dict, repr=False, compare=False
    )


@dataclass(frozen=True, slots=True)
class Account:
    """A tenant and its stores as one value, replaced whole when anything in it changes."""

    tenant_id: TenantId
    name: str
    stores: tuple[StoreRecord, ...]

    def reached_by(self, actor: Actor) -> "Account":
        """The account as that actor sees it: stores that it does not reach do not exist."""
        if actor.store_ids is None:
            return self
        stores = tuple(store for store in self.stores if store.id in actor.store_ids)
        return replace(self, stores=stores)


@dataclass(frozen=True, slots=True)
class Principal:
    """An actor with what every call needs to know of its account."""

    actor: Actor
    account: Account
    credential_name: str = ""
    active_store_id: StoreRowId | None = None
    expires_at: datetime | None = None  # of its key
    is_app: bool = False  # connected by OAuth
    _with_clients: dict[tuple[str, str, str], "Principal"] = field(
        default_factory=dict, repr=False, compare=False
    )

    def with_client(self, client_name: str, client_version: str, address: str) -> "Principal":
        """The same principal with this client and this address.

        The same few clients call again and again, so the result is cached.
        """
        known = self._with_clients.get((client_name, client_version, address))
        if known is None:
            known = replace(
                self,
                actor=replace(
                    self.actor,
                    client_name=client_name,
                    client_version=client_version,
                    address=address,
                ),
                _with_clients={},
            )
            if len(self._with_clients) >= _MOST_CLIENTS:
                self._with_clients.clear()
            self._with_clients[client_name, client_version, address] = known
        return known


class FindsTokens(Protocol):
    """The part of services/oauth_tokens.py that is used here."""

    async def find(self, token: str) -> FoundKey | None: ...


class FindsKeys(Protocol):
    """The part of services/keys.py that Access uses."""

    async def find(self, token: str) -> FoundKey | None: ...

    async def note_address(self, found: FoundKey) -> None: ...


class KeysAndTokens:
    """Finds keys, and access tokens of connected apps, which their prefix tells apart."""

    def __init__(self, keys: FindsKeys, tokens: FindsTokens) -> None:
        self._keys = keys
        self._tokens = tokens

    async def find(self, token: str) -> FoundKey | None:
        if token.startswith(OAUTH_ACCESS):
            return await self._tokens.find(token)
        return await self._keys.find(token)

    async def note_address(self, found: FoundKey) -> None:
        await self._keys.note_address(found)


class Access:
    """This process' cache of keys, members and accounts; a change evicts them at once here and
    within a second elsewhere.
    """

    def __init__(
        self,
        database: Database,
        keys: FindsKeys,
        signals: Signals,
        *,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._database = database
        self._keys = keys
        self._clock = clock
        self._found: LoadingCache[FoundKey] = LoadingCache(
            seconds=_KEY_SECONDS,
            topics=lambda _, found: (
                f"tenant:{found.tenant_id}",
                f"user:{found.member.user_id}",
                f"user:{found.made_by}",
            ),
        )
        self._accounts: LoadingCache[Account] = LoadingCache(
            seconds=_ACCOUNT_SECONDS, topics=lambda tenant_id, _: (f"tenant:{tenant_id}",)
        )
        self._members: LoadingCache[Member] = LoadingCache(
            seconds=_MEMBER_SECONDS, topics=_topics_of_member
        )
        self._in_address: LoadingCache[bool] = LoadingCache(seconds=_ADDRESS_SECONDS)
        # Counts what was evicted: as long as it stays, what was found a moment ago would be found
        # again.
        self.changes = 0
        signals.subscribe(self._on_signal)

    async def by_token(
        self,
        token: str,
        *,
        via: Via = Via.MCP,
        kind: str | None = None,
        met: FoundKey | None = None,
    ) -> Principal:
        """The principal of a bearer key (of that kind: "master" or "access"). `met` is the key
        where the caller has asked `met` for it.

        Raises AuthFailed for an unknown, revoked, expired or malformed one.
        """
        found = met or self.met(token) or await self._find(token)
        if found is not None and kind == "master" != found.kind:
            raise AuthFailed(
                "This is an access key, and only master keys may stand in an address. "
                "Send it as Authorization: Bearer."
            )
        if found is None or kind not in (None, found.kind):
            raise AuthFailed(
                "This key is not known here. Send the account's master key, or a new key "
                "from Settings in the web app, as Authorization: Bearer."
            )
        self._require_valid(found, via)
        account = await self.account(found.tenant_id)
        if kind == "master" and self._in_address.get(name := _name(token)) is None:
            # once an hour: a cached read makes no database query
            await self._in_address.load(name, lambda: self._note_address(found))
        known = found.principals.get(via)
        if known is not None and known[0] is account:
            return known[1]
        actor = Actor(
            tenant_id=account.tenant_id,
            user_id=found.member.user_id,
            role=found.member.role,
            is_operator=found.member.is_operator,
            scopes=found.scopes,
            legacy_scopes=found.legacy_scopes,
            store_ids=found.store_ids,
            via=via,
            credential_id=found.credential_id,
        )
        principal = Principal(
            actor=actor,
            account=account.reached_by(actor),
            credential_name=found.name,
            active_store_id=found.active_store_id,
            expires_at=found.expires_at,
            is_app=found.kind == APP,
        )
        found.principals[via] = account, principal
        return principal

    def has_expired(self, expires_at: datetime | None) -> bool:
        return expires_at is not None and self._clock() >= expires_at

    def _require_valid(self, found: FoundKey, via: Via) -> None:
        """Raises AuthFailed for one whose time is over, and for the token of an app elsewhere than
        at `/mcp`, which is its audience.
        """
        is_app = found.kind == APP
        if is_app and via is not Via.MCP:
            raise AuthFailed("This token is for /mcp alone. Send a key from Settings instead.")
        if self.has_expired(found.expires_at):
            raise AuthFailed(
                "This token has expired. Refresh it, or connect the app once more."
                if is_app
                else "This key has expired. Send a new one from Settings in the web app, as "
                "Authorization: Bearer."
            )

    def met(self, token: str) -> FoundKey | None:
        """The key, where this process has found it within the last minutes."""
        return self._found.get(_name(token))

    async def _find(self, token: str) -> FoundKey | None:
        return await self._found.load(_name(token), lambda: self._keys.find(token))

    async def of_actor(
        self, actor: Actor, *, active_store_id: StoreRowId | None = None
    ) -> Principal:
        """The principal of a person who is signed in to the web app, with the rights that they have
        now. Raises AuthFailed when the account is gone or disabled, or the user is no member.
        """
        account = await self.account(actor.tenant_id)
        member = await self._member(actor.tenant_id, actor.user_id) if actor.user_id else None
        role = member.role if member else None
        return Principal(
            actor=replace(
                actor,
                role=role,
                is_operator=actor.is_operator and member is not None and member.is_operator,
                scopes=actor.scopes & scopes_of(role),
            ),
            account=account.reached_by(actor),
            active_store_id=active_store_id,
        )

    async def _note_address(self, found: FoundKey) -> bool:
        await self._keys.note_address(found)
        return True

    async def account_of(self, actor: Actor) -> Account:
        """The actor's tenant with the stores that the actor reaches. Raises as `account`."""
        return (await self.account(actor.tenant_id)).reached_by(actor)

    async def account(self, tenant_id: TenantId) -> Account:
        """The tenant with all its stores, for those who reach all. Raises AuthFailed when it is
        gone or disabled.
        """
        found = self._accounts.get(tenant_id) or await self._accounts.load(
            tenant_id, lambda: self._read_account(tenant_id)
        )
        if found is None:
            raise AuthFailed("This account no longer exists.")
        return found

    async def _member(self, tenant_id: TenantId, user_id: UserId) -> Member:
        name = f"{tenant_id} {user_id}"
        found = self._members.get(name) or await self._members.load(
            name, lambda: self._read_member(tenant_id, user_id)
        )
        if found is None:
            raise AuthFailed("This user no longer belongs to this account.")
        return found

    async def _read_member(self, tenant_id: TenantId, user_id: UserId) -> Member | None:
        async with self._database.read() as session:
            return await find_member(session, tenant_id, user_id)

    async def _read_account(self, tenant_id: TenantId) -> Account | None:
        actor = Actor(tenant_id=tenant_id, scopes=ALL_SCOPES)
        async with self._database.read() as session:
            tenant = await session.get(Tenant, tenant_id)
            if tenant is None or tenant.disabled_at is not None:
                return None
            stores = owned(actor, Store).order_by(Store.created_at, Store.id)  # type: ignore[arg-type]
            rows = (await session.exec(stores)).all()
            return Account(
                tenant_id=tenant_id,
                name=tenant.name,
                stores=tuple(store_record(row) for row in rows),
            )

    def _on_signal(self, topic: str) -> None:
        kind = topic.partition(":")[0]
        SIGNALS.labels(kind if kind in ("tenant", "user", "store") else "other").inc()
        if kind in ("tenant", "user", EVERYTHING):
            self.changes += 1
            for cache in (self._found, self._accounts, self._members):
                cache.evict(topic)


def _topics_of_member(name: str, _: Member) -> tuple[str, ...]:
    tenant_id, user_id = name.split(" ")
    return f"tenant:{tenant_id}", f"user:{user_id}"


def _name(token: str) -> str:
    """The name of a key in memory: the key itself is not kept."""
    return sha256(token.encode()).hexdigest()


def store_record(row: Store) -> StoreRecord:
    """A row of `stores` as services pass it on."""
    return StoreRecord(
        id=StoreRowId(row.id),
        tenant_id=TenantId(row.tenant_id),
        store_id=StoreId(row.store_id),
        name=row.name,
        label=row.label,
        api_url=row.api_url,
        api_key=row.api_key,
        folders=tuple((str(id_), str(name)) for id_, name in row.folders),
        timezone=row.timezone,
        is_sandbox=row.is_sandbox,
    )
