"""The audit log: who did what, through which client, and how it ended."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import BigInteger, Index, LargeBinary, String, text
from sqlmodel import Field

from orderdesk_app.context import Sealed, TenantId, UserId, new_id, now
from orderdesk_app.db.rows import Row

# The table was called so in the first release, and what is sealed in it is bound to that name.
SEALED_AS = "audit_entries"

# What a row says about a person, once they are deleted: nothing. What was done, when, where and how
# it ended stays. (Who did it is a foreign key, and empties itself.)
NAMELESS: Mapping[str, object] = {
    "role": "",
    "credential_id": None,
    "session_id": None,
    "client_name": "",
    "client_version": "",
    "address": "",
    "arguments": None,
    "request_id": "",
}
# The fields that the link of a row covers by a digest of their own, which stays when they go.
PERSONAL = (*NAMELESS, "user_id")
# What joins a row to its chain (services/audit_chains.py). Of an erased row the salt is gone, and
# `erasure` says that it was us.
CHAINED = ("sequence", "link", "personal_digest", "salt", "erasure")


def _partial_index(condition: str, *columns: str) -> Index:
    where = text(condition)
    return Index(None, *columns, sqlite_where=where, postgresql_where=where)


class AuditEntry(Row, table=True):
    """A row is deleted with its tenant, and outlives everything else that it names: users, stores,
    keys, sessions. A failed sign-in has no tenant.
    """

    __tablename__ = "audit_log"
    # The first is for every page of the activity, those behind the blank line for its filters
    # (services/activity_log.py). A condition leaves out rows that nobody looks for by that name.
    __table_args__ = (
        Index(None, "tenant_id", "at"),
        Index(None, "tenant_id", "action", "via"),
        Index(None, "at"),
        #
        _partial_index("tool IS NOT NULL", "tenant_id", "tool", "at"),
        _partial_index("tool IS NULL", "tenant_id", "action", "at"),
        _partial_index("outcome <> 'ok'", "tenant_id", "outcome", "at"),
        _partial_index("store_row_id IS NOT NULL", "tenant_id", "store_row_id", "at"),
        Index(None, "tenant_id", "client_name", "at"),
        Index(None, "tenant_id", "request_id", "at"),
        # also finds the rows of a user who is deleted
        Index(None, "user_id", "tenant_id", "via", "at"),
        # the order of a chain
        Index(
            None,
            "tenant_id",
            "sequence",
            unique=True,
            sqlite_where=text("sequence IS NOT NULL"),
            postgresql_where=text("sequence IS NOT NULL"),
        ),
    )

    id: str = Field(default_factory=new_id, primary_key=True)
    at: datetime = Field(default_factory=now)
    tenant_id: TenantId | None = Field(
        default=None, sa_type=String, foreign_key="tenants.id", ondelete="CASCADE"
    )
    user_id: UserId | None = Field(
        default=None, sa_type=String, foreign_key="users.id", ondelete="SET NULL"
    )
    role: str = ""  # of the user in the tenant at that time
    via: str
    credential_id: str | None = None
    session_id: str | None = None
    client_name: str = ""
    client_version: str = ""
    address: str = ""
    action: str
    tool: str | None = None
    store_row_id: str | None = None
    arguments: Sealed | None = Field(default=None, sa_type=LargeBinary)
    # "ok" or the error's code; of a write settled later also NOT_DONE and UNKNOWN, of a caller who
    # left CANCELLED
    outcome: str
    duration_ms: float = 0.0
    cached: bool = False
    upstream_requests: int = 0
    request_id: str = ""
    change_id: str | None = None
    # how many refused calls the row stands for (services/refusal_sampling.py)
    times: int = 1
    # empty in rows of releases that knew no chains
    sequence: int | None = Field(default=None, sa_type=BigInteger)
    link: bytes | None = Field(default=None, sa_type=LargeBinary)
    personal_digest: bytes | None = Field(default=None, sa_type=LargeBinary)
    salt: bytes | None = Field(default=None, sa_type=LargeBinary)
    erasure: bytes | None = Field(default=None, sa_type=LargeBinary)
