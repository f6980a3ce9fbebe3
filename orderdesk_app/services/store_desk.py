"""What a person does with stores in the web app: connect, try, rename, disconnect; each leaves its
row in the audit.
"""

import time
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from orderdesk_app.context import Actor, Secret
from orderdesk_app.errors import NotFound, OrderDeskAgentsError, Unexpected, ValidationFailed
from orderdesk_app.orderdesk.wait_budget import WaitBudget
from orderdesk_app.services.access import Access
from orderdesk_app.services.audit import AuditLog, Entry
from orderdesk_app.services.open_store import StoreRecord
from orderdesk_app.services.stores import Stores

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Tried:
    """A connection that was tried just now, and how long Order Desk took."""

    record: StoreRecord
    milliseconds: float


class Levels(Protocol):
    """db.buckets, as far as people look at it."""

    async def level(self, key: str) -> float: ...


class StoreDesk:
    """Stores at the hands of somebody who is signed in."""

    def __init__(
        self,
        stores: Stores,
        access: Access,
        audit: AuditLog,
        levels: Levels,
        *,
        wait_seconds: float,
    ) -> None:
        self._stores, self._access, self._audit, self._levels, self._wait_seconds = (
            stores,
            access,
            audit,
            levels,
            wait_seconds,
        )

    async def list(self, actor: Actor) -> tuple[StoreRecord, ...]:
        """The account's stores, the oldest first."""
        return (await self._access.account(actor.tenant_id)).stores

    async def ready_requests(self, record: StoreRecord) -> int:
        """How many requests Order Desk would take from us at once, of 20 (docs/orderdesk-api.md
        section 7).
        """
        return int(await self._levels.level(record.upstream_id))

    async def connect(
        self, actor: Actor, store_id: str, api_key: Secret, *, name: str, label: str
    ) -> StoreRecord:
        """Tries the key at Order Desk and keeps it. Raises what Stores.register raises."""
        budget = self._budget()
        registering = self._stores.register(
            actor, store_id, api_key, name=name or None, label=label or None, budget=budget
        )
        return await self._written_down(
            actor, "store.connect", registering, budget, store_id=store_id, name=name, label=label
        )

    async def add_sandbox(self, actor: Actor) -> StoreRecord:
        """A sandbox store of one's own."""
        budget = self._budget()
        return await self._written_down(
            actor, "store.connect", self._stores.add_sandbox(actor, budget=budget), budget
        )

    async def edit(
        self, actor: Actor, row_id: str, *, name: str, label: str, api_key: Secret | None
    ) -> StoreRecord:
        """Renames it; a new key is tried first."""
        record = await self.find(actor, row_id)
        budget = self._budget()
        editing = self._stores.edit(
            actor, record.id, name=name, label=label, api_key=api_key, budget=budget
        )
        return await self._written_down(
            actor,
            "store.edit",
            editing,
            budget,
            record,
            name=name,
            label=label,
            **({"api_key": "***"} if api_key else {}),
        )

    async def disconnect(self, actor: Actor, row_id: str, *, typed_name: str) -> StoreRecord:
        """Deletes its key and its journal here.

        Raises ValidationFailed unless its name was typed.
        """
        record = await self.find(actor, row_id)
        if typed_name.strip() != record.name:
            raise ValidationFailed(
                f"Type the store's name, {record.name}, to disconnect it.", field="confirm"
            )
        principal = await self._access.of_actor(actor)
        await self._written_down(
            actor,
            "store.disconnect",
            self._stores.delete(principal, record.id),
            self._budget(),
            record,
        )
        return record

    async def test(self, actor: Actor, row_id: str) -> Tried:
        """Asks Order Desk now, and keeps its folders and settings. Raises what Order Desk says."""
        record = await self.find(actor, row_id)
        started, budget = time.perf_counter(), self._budget()
        fresh = await self._written_down(
            actor, "store.test", self._stores.refresh(actor, record, budget), budget, record
        )
        return Tried(fresh, (time.perf_counter() - started) * 1000)

    async def find(self, actor: Actor, row_id: str) -> StoreRecord:
        """One of the account's own stores. Raises NotFound."""
        found = next((record for record in await self.list(actor) if record.id == row_id), None)
        if found is None:
            raise NotFound("That store is no longer connected. Reload the page.", field="store_id")
        return found

    def _budget(self) -> WaitBudget:
        return WaitBudget(self._wait_seconds)

    async def _written_down(
        self,
        actor: Actor,
        action: str,
        doing: Awaitable[T],
        budget: WaitBudget,
        record: StoreRecord | None = None,
        **given: str,
    ) -> T:
        started, outcome, store = time.perf_counter(), "ok", record
        try:
            done = await doing
            store = done if isinstance(done, StoreRecord) else store
            return done
        except BaseException as error:
            outcome = error.code if isinstance(error, OrderDeskAgentsError) else Unexpected.code
            raise
        finally:
            milliseconds = (time.perf_counter() - started) * 1000
            row = Entry(
                actor=actor,
                action=action,
                outcome=outcome,
                store_row_id=store.id if store else None,
                duration_ms=milliseconds,
                arguments={
                    **given,
                    **({"store": store.name} if store else {}),
                },  # its name, which nobody can look up once it is gone
                upstream_requests=budget.requests,
            )
            await self._audit.write_or_queue(row)
