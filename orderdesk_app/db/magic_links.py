"""Sign-in links: each works once, until it expires."""

from datetime import datetime

from sqlalchemy import LargeBinary, String
from sqlmodel import Field

from orderdesk_app.context import TenantId, UserId, new_id, now
from orderdesk_app.db.rows import Row

SIGN_IN = "sign_in"


class MagicLink(Row, table=True):
    __tablename__ = "magic_links"

    id: str = Field(default_factory=new_id, primary_key=True)
    tenant_id: TenantId = Field(
        sa_type=String, foreign_key="tenants.id", ondelete="CASCADE", index=True
    )
    user_id: UserId = Field(sa_type=String, foreign_key="users.id", ondelete="CASCADE", index=True)
    purpose: str = SIGN_IN
    digest: bytes = Field(sa_type=LargeBinary, unique=True)
    created_at: datetime = Field(default_factory=now)
    expires_at: datetime
    used_at: datetime | None = None
