"""Keys of chosen stores, read-only keys, keys that expire, and apps that OAuth connects.

Connecting and disconnecting stores is one permission now, stores:manage. A key that had both halves
has it; one that had half of it keeps that half under its old name.
"""

import sqlalchemy as sa

from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

_HALVES = {"stores:write", "stores:delete"}


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    for column in (
        sa.Column("prefix", sa.String(), nullable=False, server_default=""),
        sa.Column("store_ids", sa.JSON(), nullable=True),
        sa.Column("is_read_only", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("client_id", sa.String(), nullable=True),
        sa.Column("expires_at", moment, nullable=True),
        sa.Column("replaced_at", moment, nullable=True),
        sa.Column("last_client", sa.String(), nullable=False, server_default=""),
        sa.Column("last_address", sa.String(), nullable=False, server_default=""),
    ):
        op.add_column("credentials", column)
    op.create_index(op.f("ix_credentials_client_id"), "credentials", ["client_id"])
    _join_halves()


def _join_halves() -> None:
    keys = sa.table("credentials", sa.column("id", sa.String), sa.column("scopes", sa.JSON))
    connection = op.get_bind()
    for row in connection.execute(sa.select(keys.c.id, keys.c.scopes)).all():
        if set(row.scopes) >= _HALVES:
            scopes = sorted({*row.scopes, "stores:manage"} - _HALVES)
            op.execute(keys.update().where(keys.c.id == row.id).values(scopes=scopes))


def downgrade() -> None:
    raise NotImplementedError("Restore the backup that was made before this migration.")
