"""One-time sign-in links: used once, by whoever holds one, within their time."""

from datetime import datetime

from sqlalchemy import LargeBinary, String
from sqlmodel import Field

from orderdesk_app.context import TenantId, new_id, now
from orderdesk_app.db.rows import Row


class SignInLink(Row, table=True):
    __tablename__ = "signin_links"

    id: str = Field(default_factory=new_id, primary_key=True)
    tenant_id: TenantId = Field(sa_type=String, foreign_key="tenants.id", index=True)
    digest: bytes = Field(sa_type=LargeBinary, unique=True)
    created_at: datetime = Field(default_factory=now)
    expires_at: datetime
    used_at: datetime | None = None
