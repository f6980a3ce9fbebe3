"""How Alembic reaches the database: over the connection that db/migrate.py holds, else over one of
its own for people at work on the schema.
"""

from alembic import context
from orderdesk_app.db.migrate import exclusive
from orderdesk_app.db.schema import METADATA
from orderdesk_app.settings_reader import load_settings


def run(connection):
    context.configure(
        connection=connection, target_metadata=METADATA, render_as_batch=True, compare_type=True
    )
    with context.begin_transaction():
        context.run_migrations()


held = context.config.attributes.get("connection")
if context.is_offline_mode():
    raise SystemExit("Migrations run against a database: leave --sql out.")
if held is not None:
    run(held)
else:
    with exclusive(load_settings().database_url.get_secret_value()) as connection:
        run(connection)
