"""A store that is connected: its key is tried at Order Desk, what it may be called is checked, and
its first row is written.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from secrets import randbelow

from sqlalchemy.exc import IntegrityError
from sqlmodel.ext.asyncio.session import AsyncSession

from orderdesk_app.context import (
    Actor,
    Json,
    JsonObject,
    LegacyScope,
    Scope,
    Secret,
    StoreId,
    StoreRowId,
    new_id,
)
from orderdesk_app.db.engine import Database
from orderdesk_app.db.owned import owned
from orderdesk_app.db.signals import Signals
from orderdesk_app.db.stores import Store
from orderdesk_app.db.tenants import Tenant
from orderdesk_app.errors import (
    Conflict,
    Faults,
    PermissionDenied,
    StoreKeyRefused,
    UpstreamFailed,
    ValidationFailed,
    in_message,
)
from orderdesk_app.observability import STORE_CHANGES
from orderdesk_app.orderdesk.access import StoreAccess
from orderdesk_app.orderdesk.client import OrderDeskClient
from orderdesk_app.orderdesk.wait_budget import WaitBudget
from orderdesk_app.services.access import Access, store_record
from orderdesk_app.services.folders import folders_of
from orderdesk_app.services.names import is_visible, visible_only, without_idle_half_spaces
from orderdesk_app.services.open_store import StoreRecord
from orderdesk_app.services.roles import Permission, has_scope, require
from orderdesk_app.services.sandbox import SandboxKeys
from orderdesk_app.services.sealed import Seals

MOST_STORES = 200
_LONGEST_NAME = 120
_LONGEST_LABEL = 60


@dataclass(frozen=True, slots=True)
class StoreFacts:
    """What Order Desk says of a store. `folders` are [id, name] in its order."""

    name: str
    folders: list[list[str]]
    timezone: str
    settings: JsonObject


class StoreRegistration:
    """Tries keys and writes the rows of new stores. Who may do it is checked here too, because a
    key costs a request at Order Desk before anything is written.
    """

    def __init__(
        self,
        database: Database,
        signals: Signals,
        access: Access,
        sealer: Seals,
        client: OrderDeskClient,
        sandbox_keys: SandboxKeys,
        *,
        api_url: str,
        sandbox_url: str,
    ) -> None:
        self._database = database
        self._signals = signals
        self._access = access
        self._sealer = sealer
        self._client = client
        self._sandbox_keys = sandbox_keys
        self._api_url = api_url
        self._sandbox_url = sandbox_url

    async def add_store(
        self,
        actor: Actor,
        store_id: str,
        api_key: Secret,
        *,
        name: str | None,
        label: str | None,
        budget: WaitBudget,
    ) -> StoreRecord:
        """Tries the key, then writes the row. Without `name` the store has Order Desk's own name.

        Raises StoreKeyRefused, Conflict (already connected), ValidationFailed, UpstreamFailed.
        """
        require_store_writes(actor)
        _require_all_stores(actor)
        _check_all(store_id, api_key, name, label)
        access = StoreAccess(
            api_url=self._api_url,
            store_id=StoreId(_checked_store_id(store_id)),
            api_key=checked_key(api_key),
            on_trial_by=actor.tenant_id,
        )
        await self._require_new(actor, access, name, label)
        facts = await self.try_key(access, budget)
        await budget.require_allowed()
        names = [checked_name(name)] if name else _possible_names(facts.name, access.store_id)
        return await self._insert(actor, access, facts, names=names, label=label, is_sandbox=False)

    async def add_sandbox_store(self, actor: Actor, budget: WaitBudget) -> StoreRecord:
        """A store at the sandbox Order Desk, with a store id that no other account has."""
        require_store_writes(actor)
        _require_all_stores(actor)
        # A sandbox store's changes are found by its store id alone, so the id is random and long.
        store_id = StoreId(f"9{randbelow(10**14):014}")
        access = StoreAccess(
            api_url=self._sandbox_url,
            store_id=store_id,
            api_key=self._sandbox_keys.key_of(store_id),
        )
        names = ["Sandbox store", *(f"Sandbox store {i}" for i in range(2, MOST_STORES + 2))]
        facts = await self.try_key(access, budget)
        return await self._insert(actor, access, facts, names=names, label=None, is_sandbox=True)

    async def try_key(self, access: StoreAccess, budget: WaitBudget) -> StoreFacts:
        """Asks Order Desk for the store with that key.

        Raises StoreKeyRefused, or UpstreamFailed when another store answers.
        """
        try:
            await self._client.store.test_connection(access, budget)
            answer = await self._client.store.get_store(access, budget)
        except StoreKeyRefused as error:
            raise StoreKeyRefused(
                (
                    "Order Desk refused this store id and key. Copy both again from Store "
                    "Settings, API tab."
                ),
                field="api_key",
            ) from error
        if str(answer.get("id", access.store_id)) != access.store_id:
            raise UpstreamFailed(
                "Order Desk answered for another store. Check the store id.", field="store_id"
            )
        return _facts(answer)

    async def _require_new(
        self, actor: Actor, access: StoreAccess, name: str | None, label: str | None
    ) -> None:
        stores = (await self._access.account(actor.tenant_id)).stores
        if len(stores) >= MOST_STORES:
            raise ValidationFailed(
                f"An account holds at most {MOST_STORES} stores. Disconnect one first."
            )
        if any(s.store_id == access.store_id and s.api_url == access.api_url for s in stores):
            raise _already_connected(access)
        require_distinct(stores, checked_name(name) if name else None, checked_label(label))

    async def _insert(
        self,
        actor: Actor,
        access: StoreAccess,
        facts: StoreFacts,
        *,
        names: Sequence[str],
        label: str | None,
        is_sandbox: bool,
    ) -> StoreRecord:
        """Writes the store under the first of `names` that no other has.

        Raises Conflict when all are taken, or the label, or the store is connected already.
        """
        row_id = StoreRowId(new_id())
        row = Store(
            id=row_id,
            tenant_id=actor.tenant_id,
            store_id=access.store_id,
            name=names[0],
            label=checked_label(label),
            api_url=access.api_url,
            api_key=await self._sealer.seal_for(
                actor.tenant_id, "stores", "api_key", row_id, access.api_key.reveal().encode()
            ),
            is_sandbox=is_sandbox,
            timezone=facts.timezone,
            folders=facts.folders,
            settings=facts.settings,
        )
        try:
            async with self._database.write() as session:
                others = await locked_stores(session, actor)
                taken = {other.name.casefold() for other in others}
                row.name = next((name for name in names if name.casefold() not in taken), names[0])
                # A second row of the same store is refused by the table itself, further down.
                of_other_stores = [
                    other
                    for other in others
                    if (other.store_id, other.api_url) != (row.store_id, row.api_url)
                ]
                require_distinct(of_other_stores, row.name, row.label)
                record = store_record(row)
                session.add(row)
                await self._signals.publish(session, f"tenant:{actor.tenant_id}")
        except IntegrityError as error:
            raise _already_connected(access) from error
        STORE_CHANGES.labels("connected").inc()
        return record


def _already_connected(access: StoreAccess) -> Conflict:
    return Conflict(
        f"Store {access.store_id} is connected already. Edit it, or disconnect it first.",
        field="store_id",
        outcome="not_done",
    )


async def locked_stores(session: AsyncSession, actor: Actor) -> Sequence[Store]:
    """The account's stores inside a write; other writers of them wait until it ends."""
    # On Postgres two writers would not see each other's new row. The tenant's row lets them pass
    # one after the other; foreign keys that point to it are not held up.
    await session.get(Tenant, actor.tenant_id, with_for_update={"key_share": True})
    return (await session.exec(owned(actor, Store))).all()


def require_store_writes(actor: Actor, legacy: LegacyScope = LegacyScope.STORES_CONNECT) -> None:
    """Raises PermissionDenied for an actor who may not change stores, or disconnect them."""
    require(actor, Permission.MANAGE_STORES)
    if not has_scope(actor, Scope.STORES_MANAGE, legacy):
        raise PermissionDenied(
            "This key may not change stores. Make a key with the permission "
            f"{Scope.STORES_MANAGE} under Settings."
        )


def _require_all_stores(actor: Actor) -> None:
    """For a new store, which a key of chosen stores could not reach afterwards; and its name would
    tell that key which names the others have.
    """
    if actor.store_ids is not None:
        raise PermissionDenied(
            "This key works with chosen stores alone, so it cannot connect another one. "
            "Connect it in the web app under Stores."
        )


def require_distinct(
    others: Sequence[Store] | Sequence[StoreRecord], name: str | None, label: str
) -> None:
    """Raises Conflict when one of the others has that name or label."""
    for other in others:
        if name and other.name.casefold() == name.casefold():
            raise Conflict(
                f"Another store is named {in_message(name)} already. Choose another name.",
                field="store_name",
                outcome="not_done",
            )
        if label and other.label.casefold() == label.casefold():
            raise Conflict(
                f"Another store has the label {in_message(label)} already. Choose another label.",
                field="label",
                outcome="not_done",
            )


def _checked_store_id(store_id: str) -> str:
    text = store_id.strip()
    if not text.isascii() or not text.isdigit() or len(text) > 20:
        raise ValidationFailed(
            "A store id is digits alone. Order Desk shows it under Store Settings, API tab.",
            field="store_id",
        )
    return text


def checked_key(api_key: Secret) -> Secret:
    """The key without the spaces around it. Raises ValidationFailed when it cannot be one."""
    text = api_key.reveal().strip()
    if not text or len(text) > 512 or not text.isascii() or not text.isprintable() or " " in text:
        raise ValidationFailed(
            (
                "An API key is one word, without spaces. Copy it from Order Desk, Store "
                "Settings, API tab."
            ),
            field="api_key",
        )
    return Secret(text)


def _check_all(store_id: str, api_key: Secret, name: str | None, label: str | None) -> None:
    """Raises ValidationFailed that tells every fault at once."""
    faults = Faults()
    with faults.caught():
        _checked_store_id(store_id)
    with faults.caught():
        checked_key(api_key)
    with faults.caught():
        if name:
            checked_name(name)
    with faults.caught():
        checked_label(label)
    faults.raise_any()


def checked_name(name: str) -> str:
    """The name with single spaces. Raises ValidationFailed."""
    text = without_idle_half_spaces(" ".join(name.split()))
    if not text or len(text) > _LONGEST_NAME or not is_visible(text):
        raise ValidationFailed(
            (
                f"A store's name has 1 to {_LONGEST_NAME} characters, each of which can be "
                "seen. Type it by hand, as pasted text may hold others."
            ),
            field="store_name",
        )
    return text


def checked_label(label: str | None) -> str:
    """The label with single spaces, empty for none. Raises ValidationFailed."""
    text = without_idle_half_spaces(" ".join((label or "").split()))
    if len(text) > _LONGEST_LABEL or not is_visible(text):
        raise ValidationFailed(
            (
                f"A label has at most {_LONGEST_LABEL} characters, each of which can be seen. "
                "Type it by hand, as pasted text may hold others."
            ),
            field="label",
        )
    return text


def _possible_names(upstream_name: str, store_id: str) -> list[str]:
    """The names to try for a store that got none: Order Desk's name for it, else that name with its
    id, else with a number; each short enough and visible.
    """
    plain = visible_only(upstream_name) or f"Store {store_id}"
    endings = [
        "",
        f" ({store_id})",
        *(f" ({store_id}) {number}" for number in range(2, MOST_STORES + 2)),
    ]
    return [plain[: _LONGEST_NAME - len(ending)].rstrip() + ending for ending in endings]


def _facts(answer: Mapping[str, Json]) -> StoreFacts:
    settings = answer.get("settings")
    settings = settings if isinstance(settings, dict) else {}
    return StoreFacts(
        name=str(answer.get("name") or ""),
        folders=[list(pair) for pair in folders_of(answer)],
        timezone=str(settings.get("timezone") or "UTC"),
        settings=settings,
    )
