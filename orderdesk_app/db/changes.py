"""The journal: every write at Order Desk, with the object before and after, sealed; gone with its
store.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Index, LargeBinary, String
from sqlmodel import Field

from orderdesk_app.context import Actor, Sealed, StoreRowId, TenantId, UserId, new_id, now
from orderdesk_app.db.engine import Database
from orderdesk_app.db.rows import Row


class Change(Row, table=True):
    __tablename__ = "changes"
    __table_args__ = (
        Index(None, "tenant_id", "at"),
        Index(None, "store_row_id", "kind", "object_id", "state"),
        Index(None, "closed_at"),  # what is older than JOURNAL_RETENTION_DAYS
    )

    id: str = Field(default_factory=new_id, primary_key=True)
    at: datetime = Field(default_factory=now)
    tenant_id: TenantId = Field(sa_type=String, foreign_key="tenants.id", ondelete="CASCADE")
    # What was written stays known when the user who wrote it is gone.
    user_id: UserId | None = Field(
        default=None, sa_type=String, foreign_key="users.id", ondelete="SET NULL", index=True
    )
    store_row_id: StoreRowId = Field(sa_type=String, foreign_key="stores.id", ondelete="CASCADE")
    kind: str  # of the object: "order"
    object_id: str  # Order Desk's id of it; empty while a create has none
    action: str
    state: str = "open"  # "open", "done", "not_done" or "unknown"
    before: Sealed | None = Field(default=None, sa_type=LargeBinary)
    meant: Sealed | None = Field(default=None, sa_type=LargeBinary)
    after: Sealed | None = Field(default=None, sa_type=LargeBinary)
    paths: list[Any] = Field(default_factory=list, sa_type=JSON)
    via: str = ""
    credential_id: str | None = None
    session_id: str | None = None
    client_name: str = ""
    request_id: str = ""
    closed_at: datetime | None = None


_LEFT_OPEN = """
    SELECT 1 FROM changes
    WHERE tenant_id = :tenant_id AND store_row_id = :store_row_id AND kind = :kind
    AND object_id IN (:object_id, '') AND state IN ('open', 'unknown') AND closed_at IS NULL LIMIT 1
"""


async def may_be_left_open(
    database: Database, actor: Actor, store_row_id: StoreRowId, kind: str, object_id: str
) -> bool:
    """False if no write of this object, and no create of its kind, is open. Every uncached read
    asks this, so it is one short query.
    """
    return bool(
        await database.query(
            _LEFT_OPEN,
            {
                "tenant_id": actor.tenant_id,
                "store_row_id": store_row_id,
                "kind": kind,
                "object_id": object_id,
            },
        )
    )
