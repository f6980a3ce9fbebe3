"""Indexes of foreign keys that had none: a store, key or account that goes finds what names it."""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

INDEXES = (
    ("sessions", "credential_id"),
    ("sessions", "active_store_id"),
    ("credentials", "active_store_id"),
    ("master_key_metadata", "tenant_id"),
)


def upgrade() -> None:
    for table, column in INDEXES:
        op.create_index(op.f(f"ix_{table}_{column}"), table, [column])


def downgrade() -> None:
    raise NotImplementedError("Restore the backup that was made before this migration.")
