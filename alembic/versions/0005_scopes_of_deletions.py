"""To delete is a permission of its own: keys that could change could delete, and still can."""

import sqlalchemy as sa

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_DELETES = {"orders:write": "orders:delete", "stores:write": "stores:delete"}


def upgrade() -> None:
    keys = sa.table("credentials", sa.column("id", sa.String), sa.column("scopes", sa.JSON))
    connection = op.get_bind()
    for row in connection.execute(sa.select(keys.c.id, keys.c.scopes)).all():
        scopes = set(row.scopes) | {_DELETES[name] for name in row.scopes if name in _DELETES}
        if scopes != set(row.scopes):
            op.execute(keys.update().where(keys.c.id == row.id).values(scopes=sorted(scopes)))


def downgrade() -> None:
    raise NotImplementedError("Restore the backup that was made before this migration.")
