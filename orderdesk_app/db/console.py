"""The last calls of the tool console, sealed, for replay."""

from datetime import datetime

from sqlalchemy import Index, LargeBinary, String
from sqlmodel import Field

from orderdesk_app.context import Sealed, TenantId, UserId, new_id, now
from orderdesk_app.db.rows import Row


class ConsoleCall(Row, table=True):
    __tablename__ = "console_calls"
    __table_args__ = (Index(None, "tenant_id", "at"),)

    id: str = Field(default_factory=new_id, primary_key=True)
    at: datetime = Field(default_factory=now)
    tenant_id: TenantId = Field(sa_type=String, foreign_key="tenants.id", ondelete="CASCADE")
    # who ran it; None in rows of before the column
    user_id: UserId | None = Field(
        default=None, sa_type=String, foreign_key="users.id", ondelete="CASCADE", index=True
    )
    credential_id: str | None = None  # of the master key that their session began with
    tool: str
    arguments: Sealed = Field(sa_type=LargeBinary)
    result: Sealed = Field(sa_type=LargeBinary)
    outcome: str
    duration_ms: float = 0.0
    cached: bool = False
