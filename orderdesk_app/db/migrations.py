"""Runs the migrations with Alembic. db/migrate.py imports this module when there is something to
migrate: Alembic and what it brings are 8 MB that a server would keep.
"""

from pathlib import Path

from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection

from alembic import command
from orderdesk_app.errors import ConfigurationError


def run_migrations(connection: Connection, scripts: Path, to: str) -> None:
    """From the revision of the database to another, or to "head", in the connection's transaction.

    Raises ConfigurationError for a revision that is not among the scripts.
    """
    config = Config()
    config.set_main_option("script_location", str(scripts).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, to)
    except CommandError as error:
        raise ConfigurationError(
            "DATABASE_URL: this database was migrated by a newer release. Start that "
            "release, or restore an older backup."
        ) from error
