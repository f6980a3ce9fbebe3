"""The writer of the audit log counts its rows: the trigger cost each call a tenth of its time."""

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP TRIGGER count_audit_row ON audit_log")
        op.execute("DROP FUNCTION count_audit_row()")
    else:
        op.execute("DROP TRIGGER count_audit_row")


def downgrade() -> None:
    raise NotImplementedError("Restore the backup that was made before this migration.")
