"""Links that are mailed or printed: each serves one purpose, once, until it expires."""

from datetime import datetime, timedelta

from sqlalchemy import LargeBinary, String
from sqlmodel import Field, col, delete, select
from sqlmodel.ext.asyncio.session import AsyncSession

from orderdesk_app.context import Sealed, TenantId, UserId, new_id, now
from orderdesk_app.db.rows import Row

# How long an expired link is known by its row, and what one sweep takes at most.
_KEPT = timedelta(days=1)
_MOST_AT_ONCE = 100


class MagicLink(Row, table=True):
    __tablename__ = "magic_links"

    id: str = Field(default_factory=new_id, primary_key=True)
    # whom it is about, as far as there is anybody yet: it goes with them
    tenant_id: TenantId | None = Field(
        default=None, sa_type=String, foreign_key="tenants.id", ondelete="CASCADE", index=True
    )
    user_id: UserId | None = Field(
        default=None, sa_type=String, foreign_key="users.id", ondelete="CASCADE", index=True
    )
    purpose: str  # a LinkPurpose of services/magic_links.py
    digest: bytes = Field(sa_type=LargeBinary, unique=True)
    payload: Sealed | None = Field(default=None, sa_type=LargeBinary)
    created_at: datetime = Field(default_factory=now)
    expires_at: datetime = Field(index=True)
    used_at: datetime | None = None


async def delete_old_links(session: AsyncSession, moment: datetime) -> None:
    """Inside a write: deletes links that expired more than a day ago, a hundred at most."""
    old = (
        select(MagicLink.id)
        .where(col(MagicLink.expires_at) < moment - _KEPT)
        .limit(_MOST_AT_ONCE)
        # Of two sweeps at once, the second passes over what the first deletes.
        .with_for_update(skip_locked=True)
    )
    await session.exec(delete(MagicLink).where(col(MagicLink.id).in_(old)))
