"""Memberships: which user belongs to which tenant, and in which role."""

from datetime import datetime

from sqlalchemy import String
from sqlmodel import Field

from orderdesk_app.context import TenantId, UserId, now
from orderdesk_app.db.rows import Row


class Membership(Row, table=True):
    __tablename__ = "memberships"

    tenant_id: TenantId = Field(
        sa_type=String, foreign_key="tenants.id", ondelete="CASCADE", primary_key=True
    )
    user_id: UserId = Field(
        sa_type=String, foreign_key="users.id", ondelete="CASCADE", primary_key=True, index=True
    )
    role: str  # a Role
    created_at: datetime = Field(default_factory=now)
