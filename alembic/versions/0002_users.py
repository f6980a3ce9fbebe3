"""The journal names any kind of object."""

import sqlalchemy as sa

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _name_objects_in_changes()


def downgrade() -> None:
    raise NotImplementedError("Restore the backup that was made before this migration.")


def _name_objects_in_changes() -> None:
    """Every write so far was one to an order."""
    op.add_column("changes", sa.Column("kind", sa.String(), nullable=True))
    op.execute("UPDATE changes SET kind = 'order'")
    op.drop_index("ix_changes_store_row_id_order_id_state", "changes")
    with op.batch_alter_table("changes") as table:
        table.alter_column("kind", existing_type=sa.String(), nullable=False)
        table.alter_column("order_id", new_column_name="object_id")
    op.create_index(
        op.f("ix_changes_store_row_id_kind_object_id_state"),
        "changes",
        ["store_row_id", "kind", "object_id", "state"],
    )
