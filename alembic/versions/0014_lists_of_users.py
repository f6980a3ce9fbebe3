"""Users have their last sign-in and their last activity, and indexes for each way to list them.

`name_key`, `email_key` and `state` are computed by the database. `top_role` is kept by triggers of
`memberships`: a later migration that copies that table on SQLite must make them again.
"""

from datetime import timedelta

import sqlalchemy as sa

from alembic import op
from orderdesk_app.context import now

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

COMPUTED = {
    "name_key": "lower(name)",
    "email_key": "lower(email)",
    "state": (
        "CASE WHEN disabled_at IS NOT NULL THEN 'disabled' WHEN is_operator THEN 'operator' "
        "ELSE 'active' END"
    ),
}
SORTED_BY = ("name_key", "email_key", "created_at", "last_sign_in_at", "last_active_at")
DAYS = 31
TOP_ROLE = (
    "UPDATE users SET top_role = coalesce((SELECT role FROM memberships "
    "WHERE user_id = {user} ORDER BY CASE role WHEN 'owner' THEN 0 WHEN 'member' THEN 1 ELSE 2 "
    "END LIMIT 1), '')"
)
COPY_DAYS_SQLITE = (
    "INSERT INTO user_days (user_id, day, calls) SELECT user_id, date(at), sum(times) "
    "FROM audit_log WHERE at >= :start AND action = 'tool' AND user_id IS NOT NULL "
    "GROUP BY user_id, date(at)"
)
COPY_DAYS_POSTGRES = COPY_DAYS_SQLITE.replace("date(at)", "CAST(at AT TIME ZONE 'UTC' AS date)")


def upgrade() -> None:
    is_postgres = op.get_bind().dialect.name == "postgresql"
    if is_postgres:
        # What a server of the old release writes meanwhile must be in the roles.
        op.execute("LOCK TABLE memberships IN SHARE ROW EXCLUSIVE MODE")
    moment = sa.DateTime(timezone=True)
    op.add_column("users", sa.Column("last_sign_in_at", moment, nullable=True))
    op.add_column("users", sa.Column("last_active_at", moment, nullable=True))
    op.add_column("users", sa.Column("top_role", sa.String(), nullable=False, server_default=""))
    # In the order of bytes: an index in the order of a language finds no beginnings of words.
    text = sa.String(collation="C") if is_postgres else sa.String()
    for name, expression in COMPUTED.items():
        # SQLite adds none that is stored, and Postgres makes no index on one that is not.
        computed = sa.Computed(expression, persisted=is_postgres)
        op.add_column("users", sa.Column(name, text, computed, nullable=True))
    _make_user_days()
    _look_back()
    for name in SORTED_BY:
        op.create_index(op.f(f"ix_users_{name}_id"), "users", [name, "id"])
        op.create_index(
            op.f(f"ix_users_state_top_role_{name}_id"), "users", ["state", "top_role", name, "id"]
        )
    if is_postgres:
        _keep_top_role_on_postgres()
    else:
        _keep_top_role_on_sqlite()


def downgrade() -> None:
    raise NotImplementedError("Restore the backup that was made before this migration.")


def _make_user_days() -> None:
    op.create_table(
        "user_days",
        sa.Column("user_id", sa.String(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("calls", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_user_days_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", "day", name=op.f("pk_user_days")),
    )


def _look_back() -> None:
    """What is known of the people who are there already."""
    op.execute(TOP_ROLE.format(user="users.id"))
    op.execute(
        "UPDATE users SET last_sign_in_at = "
        "(SELECT max(created_at) FROM sessions WHERE user_id = users.id), last_active_at = "
        "(SELECT max(at) FROM (SELECT max(seen_at) AS at FROM sessions WHERE user_id = users.id "
        "UNION ALL SELECT max(at) AS at FROM audit_log WHERE user_id = users.id) AS seen)"
    )
    copy = COPY_DAYS_POSTGRES if op.get_bind().dialect.name == "postgresql" else COPY_DAYS_SQLITE
    start = sa.bindparam("start", now() - timedelta(days=DAYS), sa.DateTime(timezone=True))
    op.get_bind().execute(sa.text(copy).bindparams(start))


def _keep_top_role_on_sqlite() -> None:
    for name, on, row in (
        ("insert", "INSERT", "NEW"),
        ("update", "UPDATE OF role", "NEW"),
        ("delete", "DELETE", "OLD"),
    ):
        user = f"{row}.user_id"
        op.execute(
            f"CREATE TRIGGER top_role_{name} AFTER {on} ON memberships BEGIN "
            f"{TOP_ROLE.format(user=user)} WHERE id = {user}; END"
        )


def _keep_top_role_on_postgres() -> None:
    # The user is locked by a statement of its own: the next one then sees what another transaction
    # has committed meanwhile.
    op.execute(
        "CREATE FUNCTION keep_top_role() RETURNS trigger LANGUAGE plpgsql AS $$ "
        "DECLARE member text; BEGIN "
        "IF TG_OP = 'DELETE' THEN member := OLD.user_id; ELSE member := NEW.user_id; END IF; "
        "PERFORM 1 FROM users WHERE id = member FOR NO KEY UPDATE; "
        f"{TOP_ROLE.format(user='member')} WHERE id = member; "
        "RETURN NULL; END $$"
    )
    op.execute(
        "CREATE TRIGGER keep_top_role AFTER INSERT OR UPDATE OF role OR DELETE ON memberships "
        "FOR EACH ROW EXECUTE FUNCTION keep_top_role()"
    )
