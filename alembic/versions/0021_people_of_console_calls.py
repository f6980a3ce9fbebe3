"""A call in the console's history says who ran it, and goes with them."""

import sqlalchemy as sa

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("console_calls") as table:
        table.add_column(sa.Column("user_id", sa.String(), nullable=True))
        table.add_column(sa.Column("credential_id", sa.String(), nullable=True))
        table.create_foreign_key(
            op.f("fk_console_calls_user_id"), "users", ["user_id"], ["id"], ondelete="CASCADE"
        )
    op.create_index(op.f("ix_console_calls_user_id"), "console_calls", ["user_id"])


def downgrade() -> None:
    raise NotImplementedError("Restore the backup that was made before this migration.")
