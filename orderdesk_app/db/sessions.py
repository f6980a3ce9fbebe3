"""Signed-in browsers: the row that a session cookie names, checked on every event."""

from datetime import datetime

from sqlalchemy import String
from sqlmodel import Field

from orderdesk_app.context import TenantId, UserId, new_id, now
from orderdesk_app.db.rows import Row


class Session(Row, table=True):
    __tablename__ = "sessions"

    id: str = Field(default_factory=new_id, primary_key=True)
    tenant_id: TenantId = Field(
        sa_type=String, foreign_key="tenants.id", ondelete="CASCADE", index=True
    )
    user_id: UserId = Field(sa_type=String, foreign_key="users.id", ondelete="CASCADE", index=True)
    method: str  # a SignInMethod of services/sessions.py
    # of the master key that signed in; None for another method
    credential_id: str | None = Field(
        default=None, foreign_key="credentials.id", ondelete="CASCADE", index=True
    )
    active_store_id: str | None = Field(
        default=None, foreign_key="stores.id", ondelete="SET NULL", index=True
    )
    created_at: datetime = Field(default_factory=now)
    # of the sign-in, or of the last proof of identity after it (services/reauthentication.py)
    proved_at: datetime = Field(default_factory=now)
    seen_at: datetime = Field(default_factory=now)
    expires_at: datetime
    ended_at: datetime | None = None
    address: str = ""
    user_agent: str = ""
