"""`orderdesk migrate`: the database with the newest schema."""

import argparse
import sys

from orderdesk_app.db.migrate import upgrade
from orderdesk_app.settings_reader import UNUSED_BY_STDIO, load_settings


def add_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    migrate = commands.add_parser(
        "migrate",
        help="bring the database to the newest schema",
        description=(
            "Migrates DATABASE_URL to the newest schema, whole or not at all. `serve` does it too."
        ),
    )
    migrate.set_defaults(run=run_migrate)


def run_migrate(chosen: argparse.Namespace) -> int:
    upgrade(load_settings(instead=UNUSED_BY_STDIO).database_url.get_secret_value())
    print("The database has the newest schema.", file=sys.stderr)
    return 0
