"""The journal of every write at Order Desk, by kind of object and its id. A row is opened before
the request is sent and closed when the outcome is known; otherwise the next read settles it.

The images of the object before, as meant and after are sealed. A row is left open while `closed_at`
is empty: "open" means under way or cut off by a crash, "unknown" that Order Desk may still be at
work on it. The audit gets a row with its outcome too, in the name of the actor who began it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, Protocol

from sqlalchemy import and_, or_, update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from orderdesk_app.context import Actor, JsonObject, Sealed, Via, current_request, new_id, now
from orderdesk_app.db.changes import Change, may_be_left_open
from orderdesk_app.db.engine import Database
from orderdesk_app.db.owned import owned
from orderdesk_app.db.signals import Signals
from orderdesk_app.db.stores import Store
from orderdesk_app.db.tenants import Tenant
from orderdesk_app.db.users import User
from orderdesk_app.errors import AuthFailed, DatabaseBusy, NotFound, OrderDeskAgentsError
from orderdesk_app.observability import log
from orderdesk_app.orderdesk import json_text
from orderdesk_app.services.audit import AuditTrail, Entry
from orderdesk_app.services.open_store import StoreRecord
from orderdesk_app.services.sealed import Seals

_LOG = log(__name__)

Action = Literal["create", "update", "delete"]
State = Literal["done", "not_done", "unknown", "open"]
Image = JsonObject

NO_ID_YET = ""  # a create has no object id until Order Desk gives one
_MOST_LEFT_OPEN = 20
_CREATES_LOOKED_FOR = timedelta(days=1)  # any object read may be the one that such a create made


@dataclass(frozen=True, slots=True)
class LeftOpen:
    """A write whose outcome is not written down yet, and who began it with which request."""

    id: str
    at: datetime
    action: str
    # Order Desk may still be at work on it: an object that reads as before proves nothing
    is_under_way: bool
    before: Image | None
    meant: Image | None
    writer: Actor
    request_id: str


@dataclass(frozen=True, slots=True)
class JournalRow:
    """One write with its images. `before` is None for a create, `meant` for a deletion; both are
    None for a row that cannot be opened.
    """

    action: str
    object_id: str
    state: str
    store_row_id: str
    paths: tuple[str, ...]
    before: Image | None
    meant: Image | None


class Kind(Protocol):
    """A kind of object, as the journal needs it."""

    @property
    def name(self) -> str:
        """The name of the kind in the rows, such as "order"."""

    def settlement(self, row: LeftOpen, found: Image | None, *, is_late: bool) -> State | None:
        """The state of a write that was left open, judged by the object as found (None: it is
        gone); None if it cannot be decided yet. `is_late`: Order Desk cannot be at work on it any
        more.
        """


class Journal:
    """Opens, closes and settles the rows of one tenant. A deleted store takes its rows along."""

    def __init__(
        self, database: Database, signals: Signals, sealer: Seals, audit: AuditTrail
    ) -> None:
        self._database = database
        self._signals = signals
        self._sealer = sealer
        self._audit = audit

    async def open(
        self,
        actor: Actor,
        store: StoreRecord,
        kind: str,
        object_id: str,
        action: Action,
        *,
        before: Image | None,
        meant: Image | None,
        paths: Sequence[str],
    ) -> str:
        """Commit a row for a write that is about to begin; its id is the change id.

        Raises AuthFailed or NotFound where the account, the user or the store is gone or disabled:
        whoever deletes an account waits for the writes that have a row, and no other begins.
        """
        row_id = new_id()
        row = Change(
            id=row_id,
            tenant_id=actor.tenant_id,
            user_id=actor.user_id,
            store_row_id=store.id,
            kind=kind,
            object_id=object_id,
            action=action,
            before=await self._seal(actor, row_id, "before", before),
            meant=await self._seal(actor, row_id, "meant", meant),
            paths=list(paths),
            via=str(actor.via),
            credential_id=actor.credential_id,
            session_id=actor.session_id,
            client_name=actor.client_name,
            request_id=current_request().request_id,
        )
        async with self._database.write() as session:
            await require_all_there(session, actor, store)
            session.add(row)
        return row_id

    async def renew(self, actor: Actor, change_id: str, *, before: Image, meant: Image) -> None:
        """Updates the images of a write that is planned again over a newer read of the object."""
        values = {
            "before": await self._seal(actor, change_id, "before", before),
            "meant": await self._seal(actor, change_id, "meant", meant),
        }
        try:
            async with self._database.write() as session:
                await session.exec(
                    update(Change)
                    .where(col(Change.id) == change_id, col(Change.tenant_id) == actor.tenant_id)
                    .values(**values)
                )
        except DatabaseBusy as error:
            # "nothing was done" would be said of the object too, to which parts may have come
            # through by now
            raise TimeoutError("the journal row could not be renewed") from error

    async def close(
        self,
        actor: Actor,
        store: StoreRecord,
        change_id: str,
        state: State,
        *,
        after: Image | None = None,
        object_id: str | None = None,
        paths: Sequence[str] | None = None,
        final: bool = True,
    ) -> None:
        """Records the outcome, and signals to every process that this store was written.

        Without `final` the next read shall settle it. `object_id` is that of a new object.
        """
        values: dict[str, object] = {"state": state, "closed_at": now() if final else None}
        if paths is not None:
            values["paths"] = list(paths)
        if after is not None:
            values["after"] = await self._seal(actor, change_id, "after", after)
        if object_id is not None:
            values["object_id"] = object_id
        async with self._database.write() as session:
            await session.exec(
                update(Change)
                .where(col(Change.id) == change_id, col(Change.tenant_id) == actor.tenant_id)
                .values(**values)
            )
            await self._signals.publish(session, f"store:{store.upstream_id}")

    async def left_open(
        self, actor: Actor, store: StoreRecord, kind: Kind, object_id: str
    ) -> list[LeftOpen]:
        """Writes of this object, and creates that may have made it, whose outcome is not written
        down; the oldest first. One indexed question.
        """
        if not await may_be_left_open(self._database, actor, store.id, kind.name, object_id):
            return []
        question = owned(actor, Change).where(
            col(Change.store_row_id) == store.id,
            col(Change.kind) == kind.name,
            or_(
                col(Change.object_id) == object_id,
                and_(
                    col(Change.object_id) == NO_ID_YET, col(Change.at) > now() - _CREATES_LOOKED_FOR
                ),
            ),
            col(Change.state).in_(("open", "unknown")),
            col(Change.closed_at).is_(None),
        )
        async with self._database.read() as session:
            rows = (
                await session.exec(
                    question.order_by(col(Change.at), col(Change.id)).limit(_MOST_LEFT_OPEN)
                )
            ).all()
        return [await self._left_open(actor, row) for row in rows]

    async def settle(
        self,
        actor: Actor,
        store: StoreRecord,
        kind: Kind,
        object_id: str,
        rows: Sequence[LeftOpen],
        found: Image | None,
        *,
        budget: float,
    ) -> None:
        """Closes the rows that the object as found (None: it is gone) decides.

        Call it only while the object's lock is held, so that no other caller is writing it.

        `budget` is how long, in seconds, Order Desk may be at work on a request whose end was lost.
        """
        for row in rows:
            state = kind.settlement(
                row, found, is_late=now() - row.at > timedelta(seconds=2 * budget)
            )
            if state is None:
                continue
            await self.close(
                actor,
                store,
                row.id,
                state,
                after=found if state == "done" else None,
                object_id=object_id,
            )
            await self._audit.write_or_queue(
                Entry(
                    actor=row.writer,
                    action=f"{kind.name}.settle",
                    outcome="ok" if state == "done" else state.upper(),
                    store_row_id=store.id,
                    arguments={f"{kind.name}_id": object_id, "change": row.action},
                    change_id=row.id,
                    request_id=row.request_id,
                )
            )

    async def find(self, actor: Actor, change_id: str) -> JournalRow | None:
        """One write of this account; None when there is none of that id (any more)."""
        async with self._database.read() as session:
            row = (
                await session.exec(owned(actor, Change).where(col(Change.id) == change_id))
            ).one_or_none()
        if row is None:
            return None
        before, meant = await self._unseal(row, "before"), await self._unseal(row, "meant")
        return JournalRow(
            row.action,
            row.object_id,
            row.state,
            row.store_row_id,
            tuple(str(path) for path in row.paths),
            before,
            meant,
        )

    async def _left_open(self, actor: Actor, row: Change) -> LeftOpen:
        writer = Actor(
            row.tenant_id,
            row.user_id,
            via=Via(row.via),
            credential_id=row.credential_id,
            session_id=row.session_id,
            client_name=row.client_name,
        )
        before, meant = await self._unseal(row, "before"), await self._unseal(row, "meant")
        return LeftOpen(
            row.id,
            row.at,
            row.action,
            row.state == "unknown",
            before,
            meant,
            writer,
            row.request_id,
        )

    async def _seal(
        self, actor: Actor, row_id: str, column: str, image: Image | None
    ) -> Sealed | None:
        if image is None:
            return None
        return await self._sealer.seal_for(
            actor.tenant_id, "changes", column, row_id, json_text.dumps(dict(image))
        )

    async def _unseal(self, row: Change, column: str) -> Image | None:
        sealed: Sealed | None = getattr(row, column)
        if sealed is None:
            return None
        try:
            image = json_text.loads(
                await self._sealer.open_for(row.tenant_id, "changes", column, row.id, sealed)
            )
        except (
            OrderDeskAgentsError,
            ValueError,
        ) as error:  # a broken row must not make the order unreadable
            _LOG.error("a journal image could not be opened", exc_info=error)
            return None
        return image if isinstance(image, dict) else None


async def require_all_there(session: AsyncSession, actor: Actor, store: StoreRecord) -> None:
    """Inside a write, before a row is added."""
    question = (
        select(Store.id, Tenant.disabled_at, User.disabled_at)
        .join(Tenant, col(Tenant.id) == col(Store.tenant_id))
        .outerjoin(User, col(User.id) == actor.user_id)
        .where(col(Store.id) == store.id, col(Store.tenant_id) == actor.tenant_id)
        # on Postgres: an account is not disabled between this question and the commit
        .with_for_update(read=True, of=Tenant)
    )
    found = (await session.exec(question)).one_or_none()
    if found is None:
        raise NotFound(
            "That store is no longer connected, so nothing was written.", outcome="not_done"
        )
    if any(disabled_at is not None for disabled_at in found[1:]):
        raise AuthFailed(
            "This account or this user no longer exists, so nothing was written.",
            outcome="not_done",
        )
