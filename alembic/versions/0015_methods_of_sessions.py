"""A session says how its person signed in: by the master key, a link or a passkey."""

import sqlalchemy as sa

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "sessions", sa.Column("method", sa.String(), nullable=False, server_default="link")
    )
    op.execute("UPDATE sessions SET method = 'key' WHERE credential_id IS NOT NULL")
    with op.batch_alter_table("sessions") as table:
        table.alter_column("method", existing_type=sa.String(), server_default=None)


def downgrade() -> None:
    raise NotImplementedError("Restore the backup that was made before this migration.")
