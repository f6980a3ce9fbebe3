"""Rows of the audit log are linked to the row before them; those that are there are counted."""

import sqlalchemy as sa

from alembic import op
from orderdesk_app.context import new_id

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

COLUMNS = {
    "sequence": sa.BigInteger(),
    "link": sa.LargeBinary(),
    "personal_digest": sa.LargeBinary(),
    "salt": sa.LargeBinary(),
    "erasure": sa.LargeBinary(),
}


def upgrade() -> None:
    chains = op.create_table(
        "audit_chains",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("tenant_id", sa.String(), nullable=True),
        sa.Column("begun_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("unchained", sa.Integer(), nullable=False),
        sa.Column("expired_sequence", sa.BigInteger(), nullable=False),
        sa.Column("expired_link", sa.LargeBinary(), nullable=False),
        sa.Column("expired_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("link", sa.LargeBinary(), nullable=False),
        sa.Column("faults", sa.Integer(), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("signature", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenants.id"],
            name=op.f("fk_audit_chains_tenant_id"),
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_chains")),
        sa.UniqueConstraint("tenant_id", name=op.f("uq_audit_chains_tenant_id")),
    )
    for name, kind in COLUMNS.items():
        op.add_column("audit_log", sa.Column(name, kind, nullable=True))
    where = sa.text("sequence IS NOT NULL")
    op.create_index(
        op.f("ix_audit_log_tenant_id_sequence"),
        "audit_log",
        ["tenant_id", "sequence"],
        unique=True,
        sqlite_where=where,
        postgresql_where=where,
    )
    # The key of the chains is not open here: the first row of each signs how many were before it.
    counted = op.get_bind().execute(
        sa.text("SELECT tenant_id, count(*) FROM audit_log GROUP BY tenant_id")
    )
    rows = [
        {
            "id": new_id() if tenant_id else "installation",
            "tenant_id": tenant_id,
            "unchained": count,
            "expired_sequence": 0,
            "expired_link": b"",
            "sequence": 0,
            "link": b"",
            "faults": 0,
        }
        for tenant_id, count in counted
    ]
    if rows:
        op.bulk_insert(chains, rows)


def downgrade() -> None:
    raise NotImplementedError("Restore the backup that was made before this migration.")
