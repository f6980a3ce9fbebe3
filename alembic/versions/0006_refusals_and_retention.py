"""An audit row may stand for several refused calls; closed journal rows are found by their age."""

import sqlalchemy as sa

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("audit_log", sa.Column("times", sa.Integer(), nullable=False, server_default="1"))
    op.create_index(op.f("ix_changes_closed_at"), "changes", ["closed_at"])


def downgrade() -> None:
    raise NotImplementedError("Restore the backup that was made before this migration.")
