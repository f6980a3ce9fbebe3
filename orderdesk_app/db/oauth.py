"""OAuth: clients, the codes that a person's consent gave, and the tokens of connected apps.

A connected app itself is a row of `credentials` of the kind "app"; its tokens lead to it. Codes,
tokens and secrets are kept as keyed digests alone.
"""

from datetime import datetime

from sqlalchemy import JSON, LargeBinary, String
from sqlmodel import Field

from orderdesk_app.context import Sealed, TenantId, UserId, new_id, now
from orderdesk_app.db.rows import Row


class OAuthClient(Row, table=True):
    """A program that may ask people for access. It belongs to no account."""

    __tablename__ = "oauth_clients"

    # what the client calls itself: an id of ours, or the https address of its metadata document
    client_id: str = Field(primary_key=True)
    name: str
    uri: str | None = None  # of its home page
    redirect_uris: list[str] = Field(default_factory=list, sa_type=JSON)
    auth_method: str = "none"  # of RFC 7591: or client_secret_post, client_secret_basic
    secret_digest: bytes | None = Field(default=None, sa_type=LargeBinary)
    created_at: datetime = Field(default_factory=now)
    last_used_at: datetime | None = None
    # of one that has got no tokens yet, when it is deleted; None for one that has
    expires_at: datetime | None = Field(default=None, index=True)


class OAuthCode(Row, table=True):
    """What a person approved, until the client fetches its tokens: once, within a minute. A used
    one is kept for a day, by which a second use is recognised.
    """

    __tablename__ = "oauth_codes"

    id: str = Field(default_factory=new_id, primary_key=True)  # of the family of tokens, too
    digest: bytes = Field(sa_type=LargeBinary, unique=True)
    tenant_id: TenantId = Field(
        sa_type=String, foreign_key="tenants.id", ondelete="CASCADE", index=True
    )
    user_id: UserId = Field(sa_type=String, foreign_key="users.id", ondelete="CASCADE", index=True)
    client_id: str
    redirect_uri: str
    has_redirect_uri: bool  # whether the request named it: then the exchange has to name it too
    code_challenge: str  # of S256
    scopes: list[str] = Field(default_factory=list, sa_type=JSON)
    store_ids: list[str] | None = Field(default=None, sa_type=JSON)  # None: all of the account
    is_read_only: bool = False
    created_at: datetime = Field(default_factory=now)
    expires_at: datetime = Field(index=True)
    used_at: datetime | None = None


class OAuthToken(Row, table=True):
    """An access token with its refresh token. Each refresh adds a row of the same family, and the
    second use of one ends them all.
    """

    __tablename__ = "oauth_tokens"

    id: str = Field(default_factory=new_id, primary_key=True)
    tenant_id: TenantId = Field(
        sa_type=String, foreign_key="tenants.id", ondelete="CASCADE", index=True
    )
    user_id: UserId = Field(sa_type=String, foreign_key="users.id", ondelete="CASCADE", index=True)
    credential_id: str = Field(foreign_key="credentials.id", ondelete="CASCADE", index=True)
    family_id: str = Field(index=True)  # the id of the code
    client_id: str
    redirect_uri: str  # to which the code went: another one is new to the person
    access_digest: bytes = Field(sa_type=LargeBinary, unique=True)
    refresh_digest: bytes = Field(sa_type=LargeBinary, unique=True)
    scopes: list[str] | None = Field(default=None, sa_type=JSON)  # None: all that the app has
    created_at: datetime = Field(default_factory=now)
    access_expires_at: datetime
    refresh_expires_at: datetime = Field(index=True)
    refreshed_at: datetime | None = None
    # the pair of the next row, for a client whose answer was lost; until that one is refreshed
    successor: Sealed | None = Field(default=None, sa_type=LargeBinary)
    revoked_at: datetime | None = None
