"""Invitations that wait: one that was accepted or withdrawn is deleted."""

from datetime import datetime

from sqlalchemy import String, UniqueConstraint
from sqlmodel import Field

from orderdesk_app.context import TenantId, UserId, new_id, now
from orderdesk_app.db.rows import Row


class Invitation(Row, table=True):
    """It goes with its account, and with the owner who made it. Its links are in `magic_links`."""

    __tablename__ = "invitations"
    __table_args__ = (UniqueConstraint("tenant_id", "email_key"),)

    id: str = Field(default_factory=new_id, primary_key=True)
    tenant_id: TenantId = Field(sa_type=String, foreign_key="tenants.id", ondelete="CASCADE")
    invited_by: UserId = Field(
        sa_type=String, foreign_key="users.id", ondelete="CASCADE", index=True
    )
    email: str
    email_key: str  # in small letters: an account invites an address once
    role: str  # a Role
    # how often it was sent: only the link of the last time works
    sends: int = 1
    created_at: datetime = Field(default_factory=now)
    expires_at: datetime
