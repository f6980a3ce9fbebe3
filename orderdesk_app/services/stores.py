"""The stores of an account: which one a call means, its key for the length of the call, and what an
agent or a person may do with it.

What a person does leaves its own audit row here; a tool's row is written by tools/runner.py.
"""

import time
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from cachetools import Cache, LRUCache
from sqlalchemy import delete, update
from sqlmodel import col

from orderdesk_app.context import Actor, LegacyScope, Secret, Via, now
from orderdesk_app.db.changes import Change
from orderdesk_app.db.engine import Database
from orderdesk_app.db.keys import Credential
from orderdesk_app.db.owned import owned
from orderdesk_app.db.sessions import Session
from orderdesk_app.db.signals import EVERYTHING, Signals
from orderdesk_app.db.stores import Store
from orderdesk_app.errors import (
    NotFound,
    OrderDeskAgentsError,
    Unexpected,
    ValidationFailed,
    in_message,
)
from orderdesk_app.observability import STORE_CHANGES
from orderdesk_app.orderdesk.access import StoreAccess
from orderdesk_app.orderdesk.wait_budget import WaitBudget
from orderdesk_app.services.access import Access, Principal, store_record
from orderdesk_app.services.audit import AuditLog, Entry
from orderdesk_app.services.coalesced_writes import CoalescedWrites
from orderdesk_app.services.open_store import OpenStore, StoreRecord
from orderdesk_app.services.reauthentication import Reauthentication
from orderdesk_app.services.sealed import Seals
from orderdesk_app.services.store_registration import (
    StoreRegistration,
    checked_key,
    checked_label,
    checked_name,
    locked_stores,
    require_distinct,
    require_store_writes,
)

_MOST_OPENED = 1_000
# stores that a refusal names: to an agent, and to a person, whose page has a list of all
_MOST_NAMED = 20
_FEW_NAMED = 5
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ConnectionTest:
    """A connection that answered just now, and how long Order Desk took."""

    record: StoreRecord
    milliseconds: float


class BucketLevels(Protocol):
    """The part of db.buckets that Stores uses."""

    async def levels(self, keys: Sequence[str]) -> dict[str, float]: ...


class Stores:
    """The stores of an account. Every method takes who asks first and sees only their rows."""

    def __init__(
        self,
        database: Database,
        signals: Signals,
        access: Access,
        sealer: Seals,
        registration: StoreRegistration,
        audit: AuditLog,
        levels: BucketLevels,
        reauthentication: Reauthentication,
        *,
        wait_seconds: float,
    ) -> None:
        self._database = database
        self._signals = signals
        self._access = access
        self._sealer = sealer
        self._registration = registration
        self._audit = audit
        self._levels = levels
        self._reauthentication = reauthentication
        self._wait_seconds = wait_seconds
        self._opened: LRUCache[str, OpenStore] = LRUCache(_MOST_OPENED)
        # agents choose a store before each step, and a key may have many of them at work
        self._choices = CoalescedWrites(self._choose)
        signals.subscribe(self._forget_opened)

    # ------------------------------------------------------------------ finding and opening

    async def list(self, actor: Actor) -> tuple[StoreRecord, ...]:
        """The account's stores that the actor reaches, the oldest first."""
        return (await self._access.account_of(actor)).stores

    async def find(self, actor: Actor, row_id: str) -> StoreRecord:
        """One of the account's own stores, by our id of it. Raises NotFound."""
        found = next((record for record in await self.list(actor) if record.id == row_id), None)
        if found is None:
            raise NotFound("That store is no longer connected. Reload the page.", field="store_id")
        return found

    async def free_requests(self, records: Sequence[StoreRecord]) -> Sequence[int]:
        """How many requests Order Desk would take from us at once for each store, of 20
        (docs/orderdesk-api.md section 10).
        """
        keys = [record.upstream_id for record in records]
        levels = await self._levels.levels(keys)
        return [int(levels[key]) for key in keys]

    def resolve(
        self, principal: Principal, identifier: str, *, field: str = "identifier"
    ) -> tuple[StoreRecord, str]:
        """The store that an id, name or label means, and which of the three matched.

        Raises NotFound, or ValidationFailed when it is ambiguous; `field` is the argument they
        name.
        """
        wanted = identifier.strip()
        folded = wanted.casefold()
        stores = principal.account.stores
        for matched_by, matches in (
            ("id", [s for s in stores if wanted in (s.store_id, s.id)]),
            ("name", [s for s in stores if s.name.casefold() == folded]),
            ("label", [s for s in stores if s.label and s.label.casefold() == folded]),
        ):
            if len(matches) == 1:
                return matches[0], matched_by
            if matches:
                ids = ", ".join(s.store_id for s in matches)
                raise ValidationFailed(
                    f"More than one store has that {matched_by}. Use the store's id: {ids}.",
                    field=field,
                )
        raise NotFound(
            f"No store of this account has that id, name or label.{_choices(stores)}", field=field
        )

    async def open(self, principal: Principal, identifier: str | None) -> OpenStore:
        """The store of a call, with its key: the one named, else the active one, else the only
        one.
        """
        return await self.unseal(self.of_call(principal, identifier))

    def default_store(self, principal: Principal) -> StoreRecord | None:
        """The store of a call that names none: the active one, else the only one; None where that
        cannot be decided.
        """
        stores = principal.account.stores
        active = next((s for s in stores if s.id == principal.active_store_id), None)
        return active or (stores[0] if len(stores) == 1 else None)

    def of_call(self, principal: Principal, identifier: str | None) -> StoreRecord:
        """The store that is named, else the default one.

        Raises NotFound, or ValidationFailed where that cannot be decided.
        """
        if identifier:
            return self.resolve(principal, identifier, field="store_identifier")[0]
        default = self.default_store(principal)
        if default is not None:
            return default
        stores = principal.account.stores
        is_person = principal.actor.via in (Via.CONSOLE, Via.WEB)
        if not stores:
            ways = (
                "Connect one under Stores."
                if is_person
                else "Connect one with stores_register, or in the web app under Stores."
            )
            raise NotFound(f"No store is connected yet. {ways}", field="store_identifier")
        ways = (
            "write its name here, or choose one at the top of the page"
            if is_person
            else "pass store_identifier, or choose one with stores_use_store"
        )
        raise ValidationFailed(
            f"Say which store: {ways}.{_choices(stores, _FEW_NAMED if is_person else _MOST_NAMED)}",
            field="store_identifier",
        )

    async def unseal(self, record: StoreRecord) -> OpenStore:
        """The record with its key opened, once for each record that access remembers."""
        known = self._opened.get(record.id)
        if known is not None and known.record is record:
            return known
        key = await self._sealer.open_for(
            record.tenant_id, "stores", "api_key", record.id, record.api_key
        )
        opened = OpenStore(
            record,
            StoreAccess(
                api_url=record.api_url, store_id=record.store_id, api_key=Secret(key.decode())
            ),
        )
        self._opened[record.id] = opened
        return opened

    def _forget_opened(self, topic: str) -> None:
        """A tenant whose stores changed, or are gone, has none of their keys kept open."""
        if topic != EVERYTHING and not topic.startswith("tenant:"):
            return
        for row_id in list(self._opened):
            # not LRUCache's own lookup, which would count as a use
            opened = Cache.__getitem__(self._opened, row_id)
            if topic in (EVERYTHING, f"tenant:{opened.record.tenant_id}"):
                del self._opened[row_id]

    # ------------------------------------------------------------------ what agents do

    async def use(self, principal: Principal, identifier: str) -> StoreRecord:
        """Makes a store the active one of this key or session; it stays so until another is
        chosen.
        """
        record, _ = self.resolve(principal, identifier)
        await self._choices.write(_chooser(principal.actor), (principal.actor, record))
        return record

    async def _choose(self, _: str, choice: tuple[Actor, StoreRecord]) -> None:
        actor, record = choice
        # a session has its own active store, independent of the key that signed it in
        table: Any = Session if actor.session_id else Credential
        async with self._database.write() as session:
            # Published first: processes that write the same row wait for each other from the update
            # on.
            await self._signals.publish(session, f"tenant:{actor.tenant_id}")
            await session.exec(
                update(table)
                .where(table.id == _chooser(actor), table.tenant_id == actor.tenant_id)
                .values(active_store_id=record.id)
            )

    async def delete(self, principal: Principal, store_id: str) -> None:
        """Disconnects a store: its row, sealed key, journal and sandbox rows go. Raises NotFound or
        ReauthenticationRequired.
        """
        actor = principal.actor
        require_store_writes(actor, LegacyScope.STORES_DISCONNECT)
        stores = await self.list(actor)
        record = next((s for s in stores if store_id in (s.store_id, s.id)), None)
        if record is None:
            raise NotFound(
                f"No store of this account has the id {store_id[:40]}.{_choices(stores)}",
                field="store_id",
            )
        await self._reauthentication.require_recent(actor)
        await self._remove(actor, record)

    # ------------------------------------------------------------------ what people do

    async def connect(
        self, actor: Actor, store_id: str, api_key: Secret, *, name: str, label: str
    ) -> StoreRecord:
        """Tries the key at Order Desk and keeps it. Raises what add_store raises."""
        budget = WaitBudget(self._wait_seconds)
        adding = self._registration.add_store(
            actor, store_id, api_key, name=name or None, label=label or None, budget=budget
        )
        return await self._audited(
            actor, "store.connect", adding, budget, store_id=store_id, name=name, label=label
        )

    async def add_sandbox(self, actor: Actor) -> StoreRecord:
        """A sandbox store of one's own: seeded orders, changes kept under it, nothing real."""
        budget = WaitBudget(self._wait_seconds)
        adding = self._registration.add_sandbox_store(actor, budget)
        return await self._audited(actor, "store.connect", adding, budget)

    async def edit(
        self, actor: Actor, row_id: str, *, name: str, label: str, api_key: Secret | None
    ) -> StoreRecord:
        """Renames a store, or gives it a new key, which is tried first.

        Raises NotFound, Conflict, StoreKeyRefused, ValidationFailed, UpstreamFailed.
        """
        record = await self.find(actor, row_id)
        budget = WaitBudget(self._wait_seconds)
        return await self._audited(
            actor,
            "store.edit",
            self._update(actor, record, name, label, api_key, budget),
            budget,
            record,
            name=name,
            label=label,
            **({"api_key": "***"} if api_key else {}),
        )

    async def disconnect(self, actor: Actor, row_id: str, *, typed_name: str) -> StoreRecord:
        """Deletes its key and its journal here.

        Raises ValidationFailed unless its name was typed, and ReauthenticationRequired.
        """
        record = await self.find(actor, row_id)
        if typed_name.strip() != record.name:
            raise ValidationFailed(
                f"Type the store's name, {record.name}, to disconnect it.",
                field="confirm",
            )
        await self._reauthentication.require_recent(actor)
        removing = self._remove(actor, record)
        await self._audited(
            actor, "store.disconnect", removing, WaitBudget(self._wait_seconds), record
        )
        return record

    async def test(self, actor: Actor, row_id: str) -> ConnectionTest:
        """Asks Order Desk now, and keeps its folders and settings. Raises what Order Desk says."""
        record = await self.find(actor, row_id)
        started, budget = time.perf_counter(), WaitBudget(self._wait_seconds)
        fresh = await self._audited(
            actor, "store.test", self._refresh(actor, record, budget), budget, record
        )
        return ConnectionTest(fresh, (time.perf_counter() - started) * 1000)

    async def _audited(
        self,
        actor: Actor,
        action: str,
        work: Awaitable[T],
        budget: WaitBudget,
        record: StoreRecord | None = None,
        **given: str,
    ) -> T:
        """Does the work and writes its audit row, whatever its outcome was."""
        started, outcome, store = time.perf_counter(), "ok", record
        try:
            done = await work
            store = done if isinstance(done, StoreRecord) else store
            return done
        except BaseException as error:
            outcome = error.code if isinstance(error, OrderDeskAgentsError) else Unexpected.code
            raise
        finally:
            # The store's name is written too: it cannot be looked up once the store is deleted.
            named = {"store": store.name} if store else {}
            entry = Entry(
                actor=actor,
                action=action,
                outcome=outcome,
                store_row_id=store.id if store else None,
                duration_ms=(time.perf_counter() - started) * 1000,
                arguments={**given, **named},
                upstream_requests=budget.requests,
            )
            await self._audit.write_or_queue(entry)

    # ------------------------------------------------------------------ rows

    async def _refresh(self, actor: Actor, record: StoreRecord, budget: WaitBudget) -> StoreRecord:
        opened = await self.unseal(record)
        facts = await self._registration.try_key(opened.access, budget)
        async with self._database.write() as session:
            row = (
                await session.exec(owned(actor, Store).where(col(Store.id) == record.id))
            ).one_or_none()
            if row is None:
                raise NotFound("That store is no longer connected.")
            row.folders = facts.folders
            row.timezone = facts.timezone
            row.settings = facts.settings
            row.updated_at = now()
            session.add(row)
            await self._signals.publish(session, f"tenant:{actor.tenant_id}")
            return store_record(row)

    async def _update(
        self,
        actor: Actor,
        record: StoreRecord,
        name: str,
        label: str,
        api_key: Secret | None,
        budget: WaitBudget,
    ) -> StoreRecord:
        require_store_writes(actor)
        name, label = checked_name(name), checked_label(label)
        others = [store for store in await self.list(actor) if store.id != record.id]
        require_distinct(others, name, label)
        sealed = record.api_key
        if api_key is not None:
            access = StoreAccess(
                api_url=record.api_url,
                store_id=record.store_id,
                api_key=checked_key(api_key),
                on_trial_by=actor.tenant_id,
            )
            await self._registration.try_key(access, budget)
            sealed = await self._sealer.seal_for(
                actor.tenant_id, "stores", "api_key", record.id, access.api_key.reveal().encode()
            )
        async with self._database.write() as session:
            rows = await locked_stores(session, actor)
            row = next((row for row in rows if row.id == record.id), None)
            if row is None:
                raise NotFound("That store is no longer connected.", field="store_id")
            require_distinct([other for other in rows if other.id != row.id], name, label)
            row.name = name
            row.label = label
            row.api_key = sealed
            row.updated_at = now()
            session.add(row)
            await self._signals.publish(session, f"tenant:{actor.tenant_id}")
            kept = store_record(row)
        STORE_CHANGES.labels("edited").inc()
        return kept

    async def _remove(self, actor: Actor, record: StoreRecord) -> None:
        require_store_writes(actor, LegacyScope.STORES_DISCONNECT)
        async with self._database.write() as session:
            await session.exec(
                delete(Change).where(
                    col(Change.store_row_id) == record.id, col(Change.tenant_id) == actor.tenant_id
                )
            )
            gone = await session.exec(
                delete(Store).where(
                    col(Store.id) == record.id, col(Store.tenant_id) == actor.tenant_id
                )
            )
            if getattr(gone, "rowcount", 0) == 0:
                raise NotFound("That store is no longer connected.", field="store_id")
            await self._signals.publish(session, f"tenant:{actor.tenant_id}")
            await self._signals.publish(session, f"store:{record.upstream_id}")
        STORE_CHANGES.labels("deleted").inc()


def _chooser(actor: Actor) -> str:
    """The row that keeps the active store of this session or key."""
    return actor.session_id or actor.credential_id or ""


def _choices(stores: tuple[StoreRecord, ...], most: int = _MOST_NAMED) -> str:
    if not stores:
        return " No store is connected yet: use stores_register."
    named = "; ".join(f"{in_message(s.name)} ({s.store_id})" for s in stores[:most])
    others = len(stores) - most
    return f" The stores are: {named}" + (f"; and {others} more." if others > 0 else ".")
