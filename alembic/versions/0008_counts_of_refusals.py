"""A row of the audit log that stands for several refused calls counts as so many."""

import sqlalchemy as sa

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

# Two counts of the trigger of 0004: calls, and those that did not go well.
ONE = (
    "CASE WHEN NEW.action = 'tool' THEN 1 ELSE 0 END",
    "CASE WHEN NEW.action = 'tool' AND NEW.outcome <> 'ok' THEN 1 ELSE 0 END",
)


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        body = _read(
            "SELECT prosrc FROM pg_proc WHERE proname = 'count_audit_row' "
            "AND pronamespace = current_schema()::regnamespace"
        )
        op.get_bind().exec_driver_sql(
            "CREATE OR REPLACE FUNCTION count_audit_row() RETURNS trigger LANGUAGE plpgsql AS "
            f"$${_with_times(body)}$$".replace("%", "%%")
        )
    else:
        trigger = _read("SELECT sql FROM sqlite_master WHERE name = 'count_audit_row'")
        op.execute("DROP TRIGGER count_audit_row")
        op.get_bind().exec_driver_sql(_with_times(trigger))


def downgrade() -> None:
    raise NotImplementedError("Restore the backup that was made before this migration.")


def _read(question: str) -> str:
    return str(op.get_bind().execute(sa.text(question)).scalar_one())


def _with_times(text: str) -> str:
    for one in ONE:
        assert text.count(one) == 1
        text = text.replace(one, one.replace("THEN 1", "THEN NEW.times"))
    return text
