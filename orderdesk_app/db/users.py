"""Users: the people of this installation. Their accounts are in memberships."""

from datetime import datetime

from sqlalchemy import String
from sqlmodel import Field

from orderdesk_app.context import UserId, new_id, now
from orderdesk_app.db.rows import Row


class User(Row, table=True):
    __tablename__ = "users"

    id: UserId = Field(default_factory=lambda: UserId(new_id()), sa_type=String, primary_key=True)
    email: str | None = Field(default=None, unique=True)  # verified: it is theirs
    name: str
    is_operator: bool = False  # operators run this installation and see every tenant
    created_at: datetime = Field(default_factory=now)
    disabled_at: datetime | None = None
