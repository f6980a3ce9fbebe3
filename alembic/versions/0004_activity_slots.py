"""Home reads the calls of a day from a table that a trigger keeps, and finds the first steps by an
index: neither grows with the audit log.
"""

from datetime import timedelta

import sqlalchemy as sa

from alembic import op
from orderdesk_app.context import now

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# A new key that was refused is not kept, so it says nothing about the key in use. An edit of the
# name alone sends no request to Order Desk.
COUNTED = (
    "{row}.tenant_id IS NOT NULL AND ({row}.action IN ('tool', 'store.test') OR "
    "({row}.action = 'store.edit' AND {row}.outcome = 'ok' AND {row}.upstream_requests > 0))"
)
COLUMNS = (
    "tenant_id, slot, store_row_id, begins_at, calls, errors, saved, upstream_requests, "
    "last_call_at, answered_at, answered"
)
# Five minutes: their place in the day, and when they begin.
SQLITE_SLOT = "CAST(strftime('%s', {at}) AS INTEGER) / 300 % 288"
SQLITE_BEGIN = (
    "strftime('%Y-%m-%d %H:%M:00.000000', CAST(strftime('%s', {at}) AS INTEGER) / 300 * 300, "
    "'unixepoch')"
)
POSTGRES_SLOT = "CAST(floor(extract(epoch FROM {at}) / 300) AS bigint) % 288"
POSTGRES_BEGIN = "to_timestamp(floor(extract(epoch FROM {at}) / 300) * 300)"
SUMS = ("calls", "errors", "saved", "upstream_requests")


def upgrade() -> None:
    op.create_table(
        "activity_slots",
        sa.Column("tenant_id", sa.String(), nullable=False),
        sa.Column("slot", sa.Integer(), nullable=False),
        sa.Column("store_row_id", sa.String(), nullable=False),
        sa.Column("begins_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("calls", sa.Integer(), nullable=False),
        sa.Column("errors", sa.Integer(), nullable=False),
        sa.Column("saved", sa.Integer(), nullable=False),
        sa.Column("upstream_requests", sa.Integer(), nullable=False),
        sa.Column("last_call_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("answered", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenants.id"],
            name=op.f("fk_activity_slots_tenant_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "tenant_id", "slot", "store_row_id", name=op.f("pk_activity_slots")
        ),
    )
    op.create_index(
        op.f("ix_audit_log_tenant_id_action_via"), "audit_log", ["tenant_id", "action", "via"]
    )
    if op.get_bind().dialect.name == "postgresql":
        # What a server of the old release writes meanwhile must be counted exactly once.
        op.execute("LOCK TABLE audit_log IN SHARE ROW EXCLUSIVE MODE")
        _count_last_day(POSTGRES_SLOT, POSTGRES_BEGIN)
        op.execute(
            "CREATE FUNCTION count_audit_row() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            f"{_add_row(POSTGRES_SLOT, POSTGRES_BEGIN)}; RETURN NULL; END $$"
        )
        op.execute(
            "CREATE TRIGGER count_audit_row AFTER INSERT ON audit_log FOR EACH ROW "
            f"WHEN ({COUNTED.format(row='NEW')}) EXECUTE FUNCTION count_audit_row()"
        )
    else:
        _count_last_day(SQLITE_SLOT, SQLITE_BEGIN)
        op.execute(
            "CREATE TRIGGER count_audit_row AFTER INSERT ON audit_log FOR EACH ROW "
            f"WHEN {COUNTED.format(row='NEW')} BEGIN "
            f"{_add_row(SQLITE_SLOT, SQLITE_BEGIN)}; END"
        )


def downgrade() -> None:
    raise NotImplementedError("Restore the backup that was made before this migration.")


def _add_row(slot: str, begin: str) -> str:
    """The statement that adds the new row to its five minutes. Those of an earlier day start again;
    a row that comes a day late is too old to be counted.
    """
    is_same = "activity_slots.begins_at = excluded.begins_at"
    sums = ", ".join(
        f"{name} = excluded.{name} + CASE WHEN {is_same} THEN activity_slots.{name} ELSE 0 END"
        for name in SUMS
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
        f"INSERT INTO activity_slots ({COLUMNS}) VALUES (NEW.tenant_id, "  # noqa: S608
        f"{slot.format(at='NEW.at')}, coalesce(NEW.store_row_id, ''), "
        f"{begin.format(at='NEW.at')}, {', '.join(_counts('NEW'))}, NEW.at, NEW.outcome) "
        f"ON CONFLICT (tenant_id, slot, store_row_id) DO UPDATE SET {sums}, {newest}, "
        "last_call_at = CASE WHEN excluded.last_call_at IS NULL "
        f"THEN CASE WHEN {is_same} THEN activity_slots.last_call_at END "
        f"WHEN {is_same} AND activity_slots.last_call_at > excluded.last_call_at "
        "THEN activity_slots.last_call_at ELSE excluded.last_call_at END, "
        "begins_at = excluded.begins_at WHERE activity_slots.begins_at <= excluded.begins_at"
    )


def _counts(row: str) -> tuple[str, ...]:
    """What the row adds to SUMS, and its time if it is a call."""
    is_call = f"{row}.action = 'tool'"
    return (
        f"CASE WHEN {is_call} THEN 1 ELSE 0 END",
        f"CASE WHEN {is_call} AND {row}.outcome <> 'ok' THEN 1 ELSE 0 END",
        f"CASE WHEN {is_call} AND {row}.cached THEN 1 ELSE 0 END",
        f"CASE WHEN {is_call} THEN {row}.upstream_requests ELSE 0 END",
        f"CASE WHEN {is_call} THEN {row}.at END",
    )


def _count_last_day(slot: str, begin: str) -> None:
    """Count the rows that are there already."""
    *sums, last_call = _counts("counted")
    counts = ", ".join(
        [*[f"sum({count})" for count in sums], f"max({last_call})", "max(counted.at)"]
    )
    statement = sa.text(
        f"INSERT INTO activity_slots ({COLUMNS}) "  # noqa: S608
        "SELECT counted.tenant_id, counted.slot, counted.store, counted.begins_at, "
        f"{counts}, max(CASE WHEN counted.place = 1 THEN counted.outcome END) FROM ("
        "SELECT timed.*, row_number() OVER (PARTITION BY timed.tenant_id, timed.begins_at, "
        "timed.store ORDER BY timed.at DESC, timed.id DESC) AS place FROM ("
        f"SELECT entry.*, {slot.format(at='entry.at')} AS slot, "
        f"{begin.format(at='entry.at')} AS begins_at, coalesce(entry.store_row_id, '') AS store "
        "FROM audit_log AS entry WHERE entry.at >= :start AND entry.at < :until "
        f"AND {COUNTED.format(row='entry')}) AS timed) AS counted "
        "GROUP BY counted.tenant_id, counted.slot, counted.store, counted.begins_at"
    )
    # 288 whole slots up to the running one: no place has two of them.
    running = now().replace(second=0, microsecond=0)
    until = running - timedelta(minutes=running.minute % 5) + timedelta(minutes=5)
    moment = sa.DateTime(timezone=True)
    op.get_bind().execute(
        statement.bindparams(
            sa.bindparam("start", until - timedelta(days=1), moment),
            sa.bindparam("until", until, moment),
        )
    )
