"""Users: the people of this installation. Their accounts are in memberships."""

from datetime import datetime

from sqlalchemy import Column, Computed, Index, String
from sqlmodel import Field

from orderdesk_app.context import UserId, new_id, now
from orderdesk_app.db.rows import Row

# In the order of bytes: an index in the order of a language finds no beginnings of words.
_KEY = String().with_variant(String(collation="C"), "postgresql")


class User(Row, table=True):
    """Lists of users (services/user_list.py) are sorted by one of five columns and narrowed by
    state, role, or the beginning of a name: each has its index. `name_key`, `email_key` and `state`
    are computed by the database; triggers of `memberships` keep `top_role`.
    """

    __tablename__ = "users"
    __table_args__ = (
        Index(None, "name_key", "id"),
        Index(None, "email_key", "id"),
        Index(None, "created_at", "id"),
        Index(None, "last_sign_in_at", "id"),
        Index(None, "last_active_at", "id"),
        Index(None, "state", "top_role", "name_key", "id"),
        Index(None, "state", "top_role", "email_key", "id"),
        Index(None, "state", "top_role", "created_at", "id"),
        Index(None, "state", "top_role", "last_sign_in_at", "id"),
        Index(None, "state", "top_role", "last_active_at", "id"),
    )

    id: UserId = Field(default_factory=lambda: UserId(new_id()), sa_type=String, primary_key=True)
    email: str | None = Field(default=None, unique=True)  # verified: it is theirs
    # a label: never unique, never used to sign in or to send mail
    unverified_email: str | None = None
    name: str
    is_operator: bool = False  # operators run this installation and see every tenant
    created_at: datetime = Field(default_factory=now)
    disabled_at: datetime | None = None
    last_sign_in_at: datetime | None = None
    # to a minute or so (services/user_activity.py)
    last_active_at: datetime | None = None
    # the highest role in any account, "" for nobody's member
    top_role: str = Field(default="", sa_column_kwargs={"server_default": ""})
    name_key: str | None = Field(
        default=None, sa_column=Column("name_key", _KEY, Computed("lower(name)"))
    )
    email_key: str | None = Field(
        default=None, sa_column=Column("email_key", _KEY, Computed("lower(email)"))
    )
    state: str | None = Field(
        default=None,
        sa_column=Column(
            "state",
            _KEY,
            Computed(
                "CASE WHEN disabled_at IS NOT NULL THEN 'disabled' "
                "WHEN is_operator THEN 'operator' ELSE 'active' END"
            ),
        ),
    )
