"""The address that somebody typed at a sign-up without a mail: a label, which proves nothing."""

import sqlalchemy as sa

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("users", sa.Column("unverified_email", sa.String(), nullable=True))


def downgrade() -> None:
    raise NotImplementedError("Restore the backup that was made before this migration.")
