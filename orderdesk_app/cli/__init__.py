"""The `orderdesk` command: one module for each subcommand.

Settings come from the environment and `.env`.
"""

import argparse
import os
import sys
from collections.abc import Sequence

from orderdesk_app import __version__
from orderdesk_app.cli import (
    audit,
    build,
    doctor,
    mail_test,
    migrate,
    rotate_keys,
    serve,
    sign_in_link,
    stdio,
    tools,
    users,
)
from orderdesk_app.cli.exit_codes import FAILED, INTERRUPTED, WRONG_SETTING
from orderdesk_app.errors import ConfigurationError, OrderDeskAgentsError
from orderdesk_app.frontend import ROOT

COMMANDS = (
    serve,
    build,
    migrate,
    stdio,
    tools,
    sign_in_link,
    mail_test,
    users,
    audit,
    rotate_keys,
    doctor,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0 done, 1 failed, 2 a setting or an argument is wrong."""
    chosen = parser().parse_args(arguments)
    os.chdir(ROOT)  # `.env`, `data/` and rxconfig.py are found from wherever a client starts us
    try:
        return int(chosen.run(chosen))
    except ConfigurationError as error:
        print(f"orderdesk: {error}", file=sys.stderr)
        return WRONG_SETTING
    except OrderDeskAgentsError as error:
        print(f"orderdesk: {error.message}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED


def parser() -> argparse.ArgumentParser:
    """Every command with its words; each names the function that runs it."""
    top = argparse.ArgumentParser(
        prog="orderdesk",
        description=(
            "Order Desk agents: AI assistants and people work on Order Desk orders, safely."
        ),
        epilog="Settings come from the environment and from .env; README.md lists them.",
    )
    top.add_argument("--version", action="version", version=f"orderdesk {__version__}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add_command(commands)
    return top
