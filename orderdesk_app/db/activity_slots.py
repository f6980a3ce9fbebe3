"""The calls of each account by five minutes and store, so that Home need not count the audit log.

A trigger of the database (`alembic/versions`) adds each row of the audit log as it is inserted.
"""

from datetime import datetime

from sqlalchemy import String
from sqlmodel import Field

from orderdesk_app.context import TenantId
from orderdesk_app.db.rows import Row

SLOT_MINUTES = 5
SLOTS = 24 * 60 // SLOT_MINUTES


class ActivitySlot(Row, table=True):
    """What happened in five minutes of the last day. `slot` is their place in the day in UTC:
    tomorrow the same five minutes take this row over, so an account has at most SLOTS rows for each
    store.
    """

    __tablename__ = "activity_slots"

    tenant_id: TenantId = Field(
        sa_type=String, foreign_key="tenants.id", ondelete="CASCADE", primary_key=True
    )
    slot: int = Field(primary_key=True)
    store_row_id: str = Field(primary_key=True)  # empty for calls that name no store
    begins_at: datetime
    calls: int
    errors: int
    saved: int
    upstream_requests: int
    last_call_at: datetime | None = None
    # how the store answered last, to a call or to a person who tried the connection
    answered_at: datetime
    answered: str
