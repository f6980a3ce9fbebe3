"""Each filter of the activity has its index, so that no page of it grows with the table."""

import sqlalchemy as sa

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

# The columns of each index, and which rows are in it.
INDEXES = {
    ("tenant_id", "tool", "at"): "tool IS NOT NULL",
    ("tenant_id", "action", "at"): "tool IS NULL",
    ("tenant_id", "outcome", "at"): "outcome <> 'ok'",
    ("tenant_id", "store_row_id", "at"): "store_row_id IS NOT NULL",
    ("tenant_id", "client_name", "at"): None,
    ("tenant_id", "request_id", "at"): None,
    ("user_id", "tenant_id", "via", "at"): None,
}


def upgrade() -> None:
    for columns, condition in INDEXES.items():
        where = sa.text(condition) if condition else None
        op.create_index(
            op.f(f"ix_audit_log_{'_'.join(columns)}"),
            "audit_log",
            list(columns),
            sqlite_where=where,
            postgresql_where=where,
        )
    # the last of them begins with the same column
    op.drop_index(op.f("ix_audit_log_user_id"), "audit_log")


def downgrade() -> None:
    raise NotImplementedError("Restore the backup that was made before this migration.")
