"""Master keys, access keys and connected apps: the digest that finds a key, never the key."""

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
    kind: str  # "master", "access", or "app": one that OAuth connected, found by its tokens
    name: str
    # an app has no key: random bytes, which no key has as its digest
    digest: bytes = Field(sa_type=LargeBinary, unique=True)
    bcrypt: bytes | None = Field(default=None, sa_type=LargeBinary)
    prefix: str = ""  # its first characters; empty of keys that were made before they were kept
    hint: str  # the last four characters, by which people recognise a key
    scopes: list[str] = Field(default_factory=list, sa_type=JSON)
    # ids of rows of `stores`; None is every store of the account, also those that come later
    store_ids: list[str] | None = Field(default=None, sa_type=JSON(none_as_null=True))
    is_read_only: bool = False  # whatever its scopes are
    client_id: str | None = Field(default=None, index=True)  # of an app: the OAuth client
    active_store_id: str | None = Field(
        default=None, foreign_key="stores.id", ondelete="SET NULL", index=True
    )
    created_at: datetime = Field(default_factory=now)
    expires_at: datetime | None = None
    # when another key took its place; until it expires it works at /mcp and nowhere else
    replaced_at: datetime | None = None
    last_used_at: datetime | None = None
    last_client: str = ""  # the program and its version, as it names itself
    last_address: str = ""
    in_address_at: datetime | None = None  # when it last stood in an address (`?token=`)
    revoked_at: datetime | None = None
