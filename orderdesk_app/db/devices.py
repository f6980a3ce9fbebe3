"""Browsers in which a person has signed in before, by the digest of a cookie that each keeps."""

from datetime import datetime

from sqlalchemy import Index, LargeBinary, String
from sqlmodel import Field

from orderdesk_app.context import UserId, new_id, now
from orderdesk_app.db.rows import Row


class Device(Row, table=True):
    __tablename__ = "devices"
    __table_args__ = (Index(None, "user_id", "digest", unique=True),)

    id: str = Field(default_factory=new_id, primary_key=True)
    user_id: UserId = Field(sa_type=String, foreign_key="users.id", ondelete="CASCADE")
    digest: bytes = Field(sa_type=LargeBinary)
    created_at: datetime = Field(default_factory=now)
    seen_at: datetime = Field(default_factory=now)
