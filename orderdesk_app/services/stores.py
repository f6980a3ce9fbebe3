"""Connecting stores, finding the one that a call means, and opening its key for the length of the
call.
"""

from collections import OrderedDict
from collections.abc import Sequence
from secrets import randbelow
from typing import Any

from sqlalchemy import delete, update
from sqlalchemy.exc import IntegrityError
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from orderdesk_app.context import Actor, Scope, Secret, StoreId, StoreRowId, Via, new_id, now
from orderdesk_app.db.changes import Change
from orderdesk_app.db.engine import Database
from orderdesk_app.db.keys import Credential
from orderdesk_app.db.owned import owned
from orderdesk_app.db.sessions import Session
from orderdesk_app.db.signals import Signals
from orderdesk_app.db.stores import Store
from orderdesk_app.db.tenants import Tenant
from orderdesk_app.errors import (
    Conflict,
    NotFound,
    PermissionDenied,
    StoreKeyRefused,
    UpstreamFailed,
    ValidationFailed,
)
from orderdesk_app.observability import STORE_CHANGES
from orderdesk_app.orderdesk.access import StoreAccess
from orderdesk_app.orderdesk.client import OrderDeskClient
from orderdesk_app.orderdesk.wait_budget import WaitBudget
from orderdesk_app.services.access import Access, Principal, store_record
from orderdesk_app.services.names import is_seen, only_seen
from orderdesk_app.services.open_store import OpenStore, StoreRecord
from orderdesk_app.services.sandbox import SandboxKeys
from orderdesk_app.services.sealed import Seals

_MOST_STORES = 200
_LONGEST_NAME = 120
_MOST_OPENED = 1_000


class Stores:
    """The stores of an account. Every method takes who asks first and sees only their rows."""

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
        self._database, self._signals, self._access, self._sealer, self._client = (
            database,
            signals,
            access,
            sealer,
            client,
        )
        self._sandbox_keys, self._api_url, self._sandbox_url = sandbox_keys, api_url, sandbox_url
        self._opened: OrderedDict[str, OpenStore] = OrderedDict()
        signals.subscribe(self._hear)

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

    def meant(self, principal: Principal) -> StoreRecord | None:
        """The store of a call that names none: the active one, else the only one; None where there
        is no telling.
        """
        stores = principal.account.stores
        active = next((s for s in stores if s.id == principal.active_store_id), None)
        return active or (stores[0] if len(stores) == 1 else None)

    def _hear(self, topic: str) -> None:
        """Whose stores changed, or are gone, has none of their keys kept open."""
        for row_id in [
            row_id
            for row_id, opened in self._opened.items()
            if topic in ("*", f"tenant:{opened.record.tenant_id}")
        ]:
            del self._opened[row_id]

    def of_call(self, principal: Principal, identifier: str | None) -> StoreRecord:
        """The store that is named, else the one that is meant.

        Raises NotFound, or ValidationFailed where there is no telling.
        """
        if identifier:
            return self.resolve(principal, identifier, field="store_identifier")[0]
        meant = self.meant(principal)
        if meant is not None:
            return meant
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
            f"Say which store: {ways}.{_choices(stores)}", field="store_identifier"
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
        if len(self._opened) > _MOST_OPENED:
            self._opened.popitem(last=False)
        return opened

    async def register(
        self,
        actor: Actor,
        store_id: str,
        api_key: Secret,
        *,
        name: str | None,
        label: str | None,
        budget: WaitBudget,
    ) -> StoreRecord:
        """Try the key at Order Desk, then keep it.

        Raises StoreKeyRefused, Conflict (already connected), ValidationFailed, UpstreamFailed.
        """
        _may_write(actor)
        access = StoreAccess(
            api_url=self._api_url,
            store_id=StoreId(_digits(store_id)),
            api_key=_key(api_key),
            on_trial_by=actor.tenant_id,
        )
        await self._must_be_new(actor, access, name, label)
        told = await self._ask(access, budget)
        names = [_name(name)] if name else _told_names(str(told.get("name") or ""), access.store_id)
        return await self._keep(actor, access, told, names=names, label=label, is_sandbox=False)

    async def add_sandbox(self, actor: Actor, *, budget: WaitBudget) -> StoreRecord:
        """A sandbox store of one's own: seeded orders, changes kept under it, nothing real."""
        _may_write(actor)
        # so many that no two of all accounts are the same: what a sandbox keeps is found by it
        store_id = StoreId(f"9{randbelow(10**14):014}")
        access = StoreAccess(
            api_url=self._sandbox_url,
            store_id=store_id,
            api_key=self._sandbox_keys.key_of(store_id),
        )
        names = ["Sandbox store", *(f"Sandbox store {i}" for i in range(2, _MOST_STORES + 2))]
        return await self._keep(
            actor,
            access,
            await self._ask(access, budget),
            names=names,
            label=None,
            is_sandbox=True,
        )

    async def refresh(self, actor: Actor, record: StoreRecord, budget: WaitBudget) -> StoreRecord:
        """Ask Order Desk again and keep its folders and settings: also the test of a connection."""
        opened = await self.unseal(record)
        told = await self._ask(opened.access, budget)
        folders, timezone = _folders(told), _timezone(told)
        async with self._database.write() as session:
            row = (
                await session.exec(owned(actor, Store).where(col(Store.id) == record.id))
            ).one_or_none()
            if row is None:
                raise NotFound("That store is no longer connected.")
            row.folders, row.timezone, row.settings, row.updated_at = (
                folders,
                timezone,
                _settings(told),
                now(),
            )
            session.add(row)
            await self._signals.publish(session, f"tenant:{actor.tenant_id}")
            return store_record(row)

    async def edit(
        self,
        actor: Actor,
        store_id: str,
        *,
        name: str,
        label: str,
        api_key: Secret | None,
        budget: WaitBudget,
    ) -> StoreRecord:
        """Rename a store, or give it a new key, which is tried first."""
        _may_write(actor)
        account = await self._access.account(actor.tenant_id)
        record = self._own(account.stores, store_id)
        name, label = _name(name), _label(label)
        _must_be_distinct([s for s in account.stores if s.id != record.id], name, label)
        sealed = record.api_key
        if api_key is not None:
            access = StoreAccess(
                api_url=record.api_url,
                store_id=record.store_id,
                api_key=_key(api_key),
                on_trial_by=actor.tenant_id,
            )
            await self._ask(access, budget)
            sealed = await self._sealer.seal_for(
                actor.tenant_id, "stores", "api_key", record.id, access.api_key.reveal().encode()
            )
        async with self._database.write() as session:
            row = (
                await session.exec(owned(actor, Store).where(col(Store.id) == record.id))
            ).one_or_none()
            if row is None:
                raise NotFound("That store is no longer connected.", field="store_id")
            _must_be_distinct(
                [other for other in await _rows(session, actor) if other.id != record.id],
                name,
                label,
            )
            row.name, row.label, row.api_key, row.updated_at = name, label, sealed, now()
            session.add(row)
            await self._signals.publish(session, f"tenant:{actor.tenant_id}")
            kept = store_record(row)
        STORE_CHANGES.labels("edited").inc()
        return kept

    async def use(self, principal: Principal, identifier: str) -> StoreRecord:
        """Make a store the active one of this key or session; it stays so until another is
        chosen.
        """
        record, _ = self.resolve(principal, identifier)
        actor = principal.actor
        # a session has a choice of its own, whatever key it was signed in with
        table: Any = Session if actor.session_id else Credential
        row_id = actor.session_id or actor.credential_id
        async with self._database.write() as session:
            await session.exec(
                update(table)
                .where(table.id == row_id, table.tenant_id == actor.tenant_id)
                .values(active_store_id=record.id)
            )
            await self._signals.publish(session, f"tenant:{actor.tenant_id}")
        return record

    async def delete(self, principal: Principal, store_id: str) -> None:
        """Disconnect a store: its row, sealed key, journal and sandbox rows go. Raises NotFound."""
        actor = principal.actor
        _may_write(actor)
        record = self._own((await self._access.account(actor.tenant_id)).stores, store_id)
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

    async def _ask(self, access: StoreAccess, budget: WaitBudget) -> dict[str, Any]:
        try:
            await self._client.test(access, budget)
            told = await self._client.get_store(access, budget)
        except StoreKeyRefused as error:
            raise StoreKeyRefused(
                (
                    "Order Desk refused this store id and key. Copy both again from Store "
                    "Settings, API tab."
                ),
                field="api_key",
            ) from error
        if str(told.get("id", access.store_id)) != access.store_id:
            raise UpstreamFailed(
                "Order Desk answered for another store. Check the store id.", field="store_id"
            )
        return told

    async def _must_be_new(
        self, actor: Actor, access: StoreAccess, name: str | None, label: str | None
    ) -> None:
        stores = (await self._access.account(actor.tenant_id)).stores
        if len(stores) >= _MOST_STORES:
            raise ValidationFailed(
                f"An account holds at most {_MOST_STORES} stores. Disconnect one first."
            )
        if any(s.store_id == access.store_id and s.api_url == access.api_url for s in stores):
            raise Conflict(
                f"Store {access.store_id} is connected already. Edit it, or disconnect it first.",
                field="store_id",
                outcome="not_done",
            )
        _must_be_distinct(stores, _name(name) if name else None, _label(label))

    async def _keep(
        self,
        actor: Actor,
        access: StoreAccess,
        told: dict[str, Any],
        *,
        names: Sequence[str],
        label: str | None,
        is_sandbox: bool,
    ) -> StoreRecord:
        """Keeps the store under the first of `names` that no other has.

        Raises Conflict when all are taken, or the label, or the store is there.
        """
        row_id = StoreRowId(new_id())
        sealed = await self._sealer.seal_for(
            actor.tenant_id, "stores", "api_key", row_id, access.api_key.reveal().encode()
        )
        row = Store(
            id=row_id,
            tenant_id=actor.tenant_id,
            store_id=access.store_id,
            name=names[0],
            label=_label(label),
            api_url=access.api_url,
            api_key=sealed,
            is_sandbox=is_sandbox,
            timezone=_timezone(told),
            folders=_folders(told),
            settings=_settings(told),
        )
        try:
            async with self._database.write() as session:
                others = await _rows(session, actor)
                taken = {other.name.casefold() for other in others}
                row.name = next((name for name in names if name.casefold() not in taken), names[0])
                _must_be_distinct(
                    [
                        other
                        for other in others
                        if other.store_id != row.store_id or other.api_url != row.api_url
                    ],
                    row.name,
                    row.label,
                )
                record = store_record(row)
                session.add(row)
                await self._signals.publish(session, f"tenant:{actor.tenant_id}")
        except IntegrityError as error:
            raise Conflict(
                f"Store {access.store_id} is connected already. Edit it, or disconnect it first.",
                field="store_id",
                outcome="not_done",
            ) from error
        STORE_CHANGES.labels("connected").inc()
        return record

    def _own(self, stores: tuple[StoreRecord, ...], store_id: str) -> StoreRecord:
        found = [s for s in stores if store_id in (s.store_id, s.id)]
        if not found:
            raise NotFound(
                f"No store of this account has the id {store_id[:40]}.{_choices(stores)}",
                field="store_id",
            )
        return found[0]


async def _rows(session: AsyncSession, actor: Actor) -> Sequence[Store]:
    """The account's stores inside a write; whoever else writes them waits until it ends."""
    # On Postgres two writers would not see each other's new row; the tenant's row lets one pass
    # after the other, and keys that point to it alone.
    await session.get(Tenant, actor.tenant_id, with_for_update={"key_share": True})
    return (await session.exec(owned(actor, Store))).all()


def _may_write(actor: Actor) -> None:
    if Scope.STORES_WRITE not in actor.scopes:
        raise PermissionDenied(
            "This key may not change stores. Make a key with the permission stores:write "
            "under Settings."
        )


def _choices(stores: tuple[StoreRecord, ...]) -> str:
    if not stores:
        return " No store is connected yet: use stores_register."
    return " The stores are: " + "; ".join(f"{s.name} ({s.store_id})" for s in stores[:20]) + "."


def _must_be_distinct(others: Any, name: str | None, label: str) -> None:
    for other in others:
        if name and other.name.casefold() == name.casefold():
            raise Conflict(
                f"Another store is named {name} already. Choose another name.",
                field="store_name",
                outcome="not_done",
            )
        if label and other.label.casefold() == label.casefold():
            raise Conflict(
                f"Another store has the label {label} already. Choose another label.",
                field="label",
                outcome="not_done",
            )


def _digits(store_id: str) -> str:
    text = store_id.strip()
    if not text.isascii() or not text.isdigit() or len(text) > 20:
        raise ValidationFailed(
            "A store id is digits alone. Order Desk shows it under Store Settings, API tab.",
            field="store_id",
        )
    return text


def _key(api_key: Secret) -> Secret:
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


def _name(name: str) -> str:
    text = " ".join(name.split())
    if not text or len(text) > _LONGEST_NAME or not is_seen(text):
        raise ValidationFailed(
            (
                f"A store's name has 1 to {_LONGEST_NAME} characters, each of which can be "
                "seen. Type it anew, as pasted text may hold others."
            ),
            field="store_name",
        )
    return text


def _told_names(told: str, store_id: str) -> list[str]:
    """What a store may be called by the name that Order Desk tells: that name, else with its id,
    else with a number; each as we can keep it.
    """
    plain = only_seen(told) or f"Store {store_id}"
    endings = [
        "",
        f" ({store_id})",
        *(f" ({store_id}) {number}" for number in range(2, _MOST_STORES + 2)),
    ]
    return [plain[: _LONGEST_NAME - len(ending)].rstrip() + ending for ending in endings]


def _label(label: str | None) -> str:
    text = " ".join((label or "").split())
    if len(text) > 60 or not is_seen(text):
        raise ValidationFailed(
            (
                "A label has at most 60 characters, each of which can be seen. Type it anew, "
                "as pasted text may hold others."
            ),
            field="label",
        )
    return text


def _folders(told: dict[str, Any]) -> list[list[str]]:
    folders = told.get("folders") or {}
    pairs = folders.items() if isinstance(folders, dict) else folders
    return [[str(id_), str(name)] for id_, name in pairs]


def _timezone(told: dict[str, Any]) -> str:
    settings = told.get("settings")
    return str(settings.get("timezone") or "UTC") if isinstance(settings, dict) else "UTC"


def _settings(told: dict[str, Any]) -> dict[str, Any]:
    settings = told.get("settings")
    return settings if isinstance(settings, dict) else {}
