"""Passkeys of people, and the challenges that were answered: each counts once."""

from datetime import datetime

from sqlalchemy import JSON, BigInteger, LargeBinary, String
from sqlmodel import Field

from orderdesk_app.context import UserId, new_id, now
from orderdesk_app.db.rows import Row


class Passkey(Row, table=True):
    __tablename__ = "passkeys"

    id: str = Field(default_factory=new_id, primary_key=True)
    user_id: UserId = Field(sa_type=String, foreign_key="users.id", ondelete="CASCADE", index=True)
    name: str
    credential_id: bytes = Field(sa_type=LargeBinary, unique=True)
    public_key: bytes = Field(sa_type=LargeBinary)  # COSE
    sign_count: int = Field(default=0, sa_type=BigInteger)  # 0 for ever where it does not count
    transports: list[str] = Field(default_factory=list, sa_type=JSON)
    created_at: datetime = Field(default_factory=now)
    last_used_at: datetime | None = None


class SpentChallenge(Row, table=True):
    """A challenge whose answer was accepted. It is kept until it would be too old anyway."""

    __tablename__ = "spent_challenges"

    digest: bytes = Field(sa_type=LargeBinary, primary_key=True)
    expires_at: datetime = Field(index=True)
