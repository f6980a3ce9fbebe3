"""Links for people who have no account yet: they carry a sealed payload, such as an address."""

import sqlalchemy as sa

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("magic_links") as table:
        table.alter_column("tenant_id", existing_type=sa.String(), nullable=True)
        table.alter_column("user_id", existing_type=sa.String(), nullable=True)
        table.add_column(sa.Column("payload", sa.LargeBinary(), nullable=True))
    op.create_index(op.f("ix_magic_links_expires_at"), "magic_links", ["expires_at"])


def downgrade() -> None:
    raise NotImplementedError("Restore the backup that was made before this migration.")
