"""Users beside tenants: each tenant gets its owner, and what was done so far was done by them.

The journal names any kind of object. What belongs to a tenant goes with it.
"""

import sqlalchemy as sa
from alembic.operations import BatchOperations

from alembic import op
from orderdesk_app.context import new_id

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        # What a server of the old release writes while they are copied would be lost.
        op.execute("LOCK TABLE audit_entries, signin_links, tenants")
    _make_users()
    _rename_audit_entries()
    _rename_signin_links()
    _change_sessions()
    _change_credentials()
    _change_changes()
    for table_name in ("stores", "console_calls"):
        with op.batch_alter_table(table_name) as table:
            _replace_foreign_key(table, table_name, "tenant_id", "tenants")
    with op.batch_alter_table("tenants") as table:
        table.drop_constraint("uq_tenants_email", type_="unique")
        table.drop_column("email")
        table.drop_column("role")


def downgrade() -> None:
    raise NotImplementedError("Restore the backup that was made before this migration.")


def _make_users() -> None:
    """One for each tenant: its owner, with the e-mail and the rights that the tenant had."""
    op.create_table(
        "users",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("email", sa.String(), nullable=True),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("is_operator", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("email", name=op.f("uq_users_email")),
    )
    op.create_table(
        "memberships",
        sa.Column("tenant_id", sa.String(), nullable=False),
        sa.Column("user_id", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        _foreign_key("memberships", "tenant_id", "tenants", "CASCADE"),
        _foreign_key("memberships", "user_id", "users", "CASCADE"),
        sa.PrimaryKeyConstraint("tenant_id", "user_id", name=op.f("pk_memberships")),
    )
    op.create_index(op.f("ix_memberships_user_id"), "memberships", ["user_id"])
    connection = op.get_bind()
    owners = [
        {"tenant_id": tenant_id, "user_id": new_id()}
        for (tenant_id,) in connection.execute(sa.text("SELECT id FROM tenants"))
    ]
    if owners:
        connection.execute(
            sa.text(
                "INSERT INTO users (id, email, name, is_operator, created_at) "
                "SELECT :user_id, email, name, role = 'admin', created_at "
                "FROM tenants WHERE id = :tenant_id"
            ),
            owners,
        )
        connection.execute(
            sa.text(
                "INSERT INTO memberships (tenant_id, user_id, role, created_at) "
                "SELECT id, :user_id, 'owner', created_at FROM tenants WHERE id = :tenant_id"
            ),
            owners,
        )


def _rename_audit_entries() -> None:
    """Rows without a tenant (sign-in tries of nobody) named the empty text; now they name none."""
    op.create_table(
        "audit_log",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tenant_id", sa.String(), nullable=True),
        sa.Column("user_id", sa.String(), nullable=True),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("via", sa.String(), nullable=False),
        sa.Column("credential_id", sa.String(), nullable=True),
        sa.Column("session_id", sa.String(), nullable=True),
        sa.Column("client_name", sa.String(), nullable=False),
        sa.Column("client_version", sa.String(), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("tool", sa.String(), nullable=True),
        sa.Column("store_row_id", sa.String(), nullable=True),
        sa.Column("arguments", sa.LargeBinary(), nullable=True),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("duration_ms", sa.Float(), nullable=False),
        sa.Column("cached", sa.Boolean(), nullable=False),
        sa.Column("upstream_requests", sa.Integer(), nullable=False),
        sa.Column("request_id", sa.String(), nullable=False),
        sa.Column("change_id", sa.String(), nullable=True),
        _foreign_key("audit_log", "tenant_id", "tenants", "CASCADE"),
        _foreign_key("audit_log", "user_id", "users", "SET NULL"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_log")),
    )
    op.execute(
        "INSERT INTO audit_log (id, at, tenant_id, user_id, role, via, credential_id, session_id, "
        "client_name, client_version, address, action, tool, store_row_id, arguments, outcome, "
        "duration_ms, cached, upstream_requests, request_id, change_id) "
        "SELECT old.id, old.at, owner.tenant_id, owner.user_id, coalesce(owner.role, ''), old.via, "
        "old.credential_id, old.session_id, old.client_name, old.client_version, old.address, "
        "old.action, old.tool, old.store_row_id, old.arguments, old.outcome, old.duration_ms, "
        "old.cached, old.upstream_requests, old.request_id, old.change_id "
        "FROM audit_entries AS old "
        "LEFT JOIN memberships AS owner ON owner.tenant_id = old.tenant_id"
    )
    op.drop_table("audit_entries")
    op.create_index(op.f("ix_audit_log_at"), "audit_log", ["at"])
    op.create_index(op.f("ix_audit_log_tenant_id_at"), "audit_log", ["tenant_id", "at"])
    op.create_index(op.f("ix_audit_log_user_id"), "audit_log", ["user_id"])


def _rename_signin_links() -> None:
    op.create_table(
        "magic_links",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("tenant_id", sa.String(), nullable=False),
        sa.Column("user_id", sa.String(), nullable=False),
        sa.Column("purpose", sa.String(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        _foreign_key("magic_links", "tenant_id", "tenants", "CASCADE"),
        _foreign_key("magic_links", "user_id", "users", "CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_magic_links")),
        sa.UniqueConstraint("digest", name=op.f("uq_magic_links_digest")),
    )
    op.execute(
        "INSERT INTO magic_links "
        "(id, tenant_id, user_id, purpose, digest, created_at, expires_at, used_at) "
        "SELECT old.id, old.tenant_id, owner.user_id, 'sign_in', old.digest, old.created_at, "
        "old.expires_at, old.used_at FROM signin_links AS old "
        "JOIN memberships AS owner ON owner.tenant_id = old.tenant_id"
    )
    op.drop_table("signin_links")
    op.create_index(op.f("ix_magic_links_tenant_id"), "magic_links", ["tenant_id"])
    op.create_index(op.f("ix_magic_links_user_id"), "magic_links", ["user_id"])


# SQLite copies the whole table for each batch: one batch a table, as the journal may be large.


def _change_sessions() -> None:
    _add_owner("sessions")
    with op.batch_alter_table("sessions") as table:
        # a session is always somebody's
        table.alter_column("user_id", existing_type=sa.String(), nullable=False)
        _add_foreign_key(table, "sessions", "user_id", "users", "CASCADE")
        _replace_foreign_key(table, "sessions", "tenant_id", "tenants")
        _replace_foreign_key(table, "sessions", "credential_id", "credentials")
    op.create_index(op.f("ix_sessions_user_id"), "sessions", ["user_id"])


def _change_credentials() -> None:
    _add_owner("credentials")
    with op.batch_alter_table("credentials") as table:
        _add_foreign_key(table, "credentials", "user_id", "users", "SET NULL")
        _replace_foreign_key(table, "credentials", "tenant_id", "tenants")
    op.create_index(op.f("ix_credentials_user_id"), "credentials", ["user_id"])


def _change_changes() -> None:
    """Every write so far was one to an order."""
    op.add_column("changes", sa.Column("kind", sa.String(), nullable=True))
    _add_owner("changes", kind="order")
    op.drop_index("ix_changes_store_row_id_order_id_state", "changes")
    with op.batch_alter_table("changes") as table:
        table.alter_column("kind", existing_type=sa.String(), nullable=False)
        table.alter_column("order_id", new_column_name="object_id")
        _add_foreign_key(table, "changes", "user_id", "users", "SET NULL")
        _replace_foreign_key(table, "changes", "tenant_id", "tenants")
    op.create_index(op.f("ix_changes_user_id"), "changes", ["user_id"])
    op.create_index(
        op.f("ix_changes_store_row_id_kind_object_id_state"),
        "changes",
        ["store_row_id", "kind", "object_id", "state"],
    )


def _add_owner(table_name: str, **others: str) -> None:
    """A column user_id: in rows that exist, the owner of their tenant. `others` are filled too."""
    op.add_column(table_name, sa.Column("user_id", sa.String(), nullable=True))
    names = ("tenant_id", "user_id", *others)
    rows = sa.table(table_name, *(sa.column(name) for name in names))
    owners = sa.table("memberships", sa.column("tenant_id"), sa.column("user_id"))
    owner = sa.select(owners.c.user_id).where(owners.c.tenant_id == rows.c.tenant_id)
    op.execute(rows.update().values(user_id=owner.scalar_subquery(), **others))


def _add_foreign_key(
    table: BatchOperations, table_name: str, column: str, parent: str, ondelete: str
) -> None:
    name = op.f(f"fk_{table_name}_{column}")
    table.create_foreign_key(name, parent, [column], ["id"], ondelete=ondelete)


def _replace_foreign_key(table: BatchOperations, table_name: str, column: str, parent: str) -> None:
    """By one that cascades."""
    table.drop_constraint(f"fk_{table_name}_{column}", type_="foreignkey")
    _add_foreign_key(table, table_name, column, parent, "CASCADE")


def _foreign_key(table_name: str, column: str, parent: str, ondelete: str) -> sa.Constraint:
    return sa.ForeignKeyConstraint(
        [column], [f"{parent}.id"], name=op.f(f"fk_{table_name}_{column}"), ondelete=ondelete
    )
