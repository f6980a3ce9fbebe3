"""Master keys and access keys: the digest that finds them, never the key."""

from datetime import datetime

from sqlalchemy import JSON, LargeBinary, String
from sqlmodel import Field

from orderdesk_app.context import TenantId, UserId, new_id, now
from orderdesk_app.db.rows import Row


class Credential(Row, table=True):
    __tablename__ = "credentials"

    id: str = Field(default_factory=new_id, primary_key=True)
    tenant_id: TenantId = Field(
        sa_type=String, foreign_key="tenants.id", ondelete="CASCADE", index=True
    )
    # The user who made the key. Keys outlive a user: the master key belongs to the account, and an
    # access key without its user opens nothing.
    user_id: UserId | None = Field(
        default=None, sa_type=String, foreign_key="users.id", ondelete="SET NULL", index=True
    )
    kind: str  # "master" or "access"
    name: str
    digest: bytes = Field(sa_type=LargeBinary, unique=True)
    bcrypt: bytes | None = Field(default=None, sa_type=LargeBinary)
    hint: str  # the last four characters, by which people recognise a key
    scopes: list[str] = Field(default_factory=list, sa_type=JSON)
    active_store_id: str | None = Field(
        default=None, foreign_key="stores.id", ondelete="SET NULL", index=True
    )
    created_at: datetime = Field(default_factory=now)
    last_used_at: datetime | None = None
    in_address_at: datetime | None = None  # when it last stood in an address (`?token=`)
    revoked_at: datetime | None = None
