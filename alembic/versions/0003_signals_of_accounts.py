"""Changes of accounts, users, members and keys are signalled by the database itself.

So a tenant that is disabled by an SQL statement is refused at once, as one that a service disables.
A later migration that copies one of these tables on SQLite must make its triggers again: they go
with the old table.
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# table, columns whose change is signalled, kind of the topic, column with the topic's id
_WATCHED = (
    ("tenants", "name, disabled_at", "tenant", "id"),
    ("users", "disabled_at, is_operator", "user", "id"),
    # of the tenant: its master key acts as the first owner, who may be another one now
    ("memberships", "role", "tenant", "tenant_id"),
    ("credentials", "revoked_at, scopes, user_id", "tenant", "tenant_id"),
)


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        _watch_on_postgres()
    else:
        _watch_on_sqlite()


def downgrade() -> None:
    raise NotImplementedError("Restore the backup that was made before this migration.")


def _watch_on_postgres() -> None:
    # As Signals.publish writes it: an origin (empty, so that every process takes it), a space, and
    # the topic.
    op.execute(
        "CREATE FUNCTION signal_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "PERFORM pg_notify('orderdesk_signals', "
        "' ' || TG_ARGV[0] || ':' || (to_jsonb(OLD) ->> TG_ARGV[1])); "
        "RETURN NULL; END $$"
    )
    for table, columns, kind, id_column in _WATCHED:
        op.execute(
            f"CREATE TRIGGER signal_{table} AFTER UPDATE OF {columns} OR DELETE ON {table} "
            f"FOR EACH ROW EXECUTE FUNCTION signal_change('{kind}', '{id_column}')"
        )


def _watch_on_sqlite() -> None:
    for table, columns, kind, id_column in _WATCHED:
        for change, on in (("update", f"UPDATE OF {columns}"), ("delete", "DELETE")):
            lines = (
                f"CREATE TRIGGER signal_{table}_{change} AFTER {on} ON {table} BEGIN",
                "INSERT INTO signals (topic, origin, at) VALUES",
                f"('{kind}:' || OLD.{id_column}, '',",
                "strftime('%Y-%m-%d %H:%M:%f000', 'now')); END",
            )
            op.execute(" ".join(lines))
