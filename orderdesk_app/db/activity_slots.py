"""The calls of each account by five minutes and store, so that Home need not count the audit log.

Whoever inserts rows into the audit log adds their counts in the same transaction.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import String
from sqlmodel import Field

from orderdesk_app.context import TenantId
from orderdesk_app.db.rows import Row

SLOT_MINUTES = 5
SLOTS = 24 * 60 // SLOT_MINUTES


class ActivitySlot(Row, table=True):
    """What happened in five minutes of the last day. `slot` is their place in the day in UTC:
    tomorrow the same five minutes take this row over, so an account has at most SLOTS rows for each
    store.
    """

    __tablename__ = "activity_slots"

    tenant_id: TenantId = Field(
        sa_type=String, foreign_key="tenants.id", ondelete="CASCADE", primary_key=True
    )
    slot: int = Field(primary_key=True)
    store_row_id: str = Field(primary_key=True)  # empty for calls that name no store
    begins_at: datetime
    calls: int
    errors: int
    saved: int
    upstream_requests: int
    last_call_at: datetime | None = None
    # how the store answered last, to a call or to a person who tried the connection
    answered_at: datetime
    answered: str


@dataclass(slots=True)
class SlotCounts:
    """What one account's rows of five minutes and one store add up to."""

    begins_at: datetime
    answered_at: datetime
    answered: str
    calls: int = 0
    errors: int = 0
    saved: int = 0
    upstream_requests: int = 0
    last_call_at: datetime | None = None


def slot_start(at: datetime) -> datetime:
    """When the five minutes began that a moment is in."""
    minutes = at.minute % SLOT_MINUTES
    return at.astimezone(UTC).replace(second=0, microsecond=0) - timedelta(minutes=minutes)


def slot_of(begins_at: datetime) -> int:
    """The place of five minutes in their day."""
    return (begins_at.hour * 60 + begins_at.minute) // SLOT_MINUTES


def add_counts_statement(place: str) -> str:
    """The statement that adds SlotCounts, in the driver's own syntax, where `place` stands for a
    value: those of COUNT_VALUES, and the tenant's id once more, as a tenant may be gone.

    Counts of an earlier day start again; what comes a day late is too old to be counted.
    """
    is_same = "activity_slots.begins_at = excluded.begins_at"
    sums = ", ".join(
        f"{name} = excluded.{name} + CASE WHEN {is_same} THEN activity_slots.{name} ELSE 0 END"
        for name in _SUMS
    )
    is_newer = (
        "activity_slots.begins_at < excluded.begins_at "
        "OR activity_slots.answered_at <= excluded.answered_at"
    )
    newest = ", ".join(
        f"{name} = CASE WHEN {is_newer} THEN excluded.{name} ELSE activity_slots.{name} END"
        for name in ("answered", "answered_at")
    )
    return (
        f"INSERT INTO activity_slots ({', '.join(COUNT_VALUES)}) "  # noqa: S608
        f"SELECT {', '.join([place] * len(COUNT_VALUES))} "
        f"WHERE EXISTS (SELECT 1 FROM tenants WHERE id = {place}) "
        f"ON CONFLICT (tenant_id, slot, store_row_id) DO UPDATE SET {sums}, {newest}, "
        "last_call_at = CASE WHEN excluded.last_call_at IS NULL "
        f"THEN CASE WHEN {is_same} THEN activity_slots.last_call_at END "
        f"WHEN {is_same} AND activity_slots.last_call_at > excluded.last_call_at "
        "THEN activity_slots.last_call_at ELSE excluded.last_call_at END, "
        "begins_at = excluded.begins_at WHERE activity_slots.begins_at <= excluded.begins_at"
    )


_SUMS = ("calls", "errors", "saved", "upstream_requests")
COUNT_VALUES = (
    "tenant_id",
    "slot",
    "store_row_id",
    "begins_at",
    *_SUMS,
    "last_call_at",
    "answered_at",
    "answered",
)
