"""Tenants: the accounts that share this installation. Their people are in memberships."""

from datetime import datetime

from sqlalchemy import String
from sqlmodel import Field

from orderdesk_app.context import TenantId, new_id, now
from orderdesk_app.db.rows import Row


class Tenant(Row, table=True):
    __tablename__ = "tenants"

    id: TenantId = Field(
        default_factory=lambda: TenantId(new_id()), sa_type=String, primary_key=True
    )
    name: str
    created_at: datetime = Field(default_factory=now)
    disabled_at: datetime | None = None
