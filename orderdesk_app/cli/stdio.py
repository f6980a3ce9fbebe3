"""`orderdesk stdio`: the tools for one MCP client, over standard input and output."""

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import sys

from orderdesk_app import wiring
from orderdesk_app.cli.exit_codes import FAILED
from orderdesk_app.cli.unused_settings import warn_of_unused_settings
from orderdesk_app.config import Settings
from orderdesk_app.context import Secret
from orderdesk_app.db.migrate import upgrade
from orderdesk_app.mcp.stdio import serve_stdio
from orderdesk_app.observability import configure_logging
from orderdesk_app.services.tool_call_log import turn_off_tool_call_log
from orderdesk_app.settings_reader import UNUSED_BY_STDIO, load_settings


def add_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    stdio = commands.add_parser(
        "stdio",
        help="serve the tools to one MCP client over standard input and output",
        description=(
            "Speaks JSON-RPC on standard output and nothing else. Signs in with "
            "ORDERDESK_MCP_KEY; without it the client calls tenant_use_master_key first."
        ),
    )
    stdio.set_defaults(run=run_stdio)


def run_stdio(chosen: argparse.Namespace) -> int:
    settings = load_settings(instead=UNUSED_BY_STDIO)
    warn_of_unused_settings()
    configure_logging(settings.log_level, sys.stderr)
    if settings.log_level != "DEBUG":
        turn_off_tool_call_log()  # clients show their user what a server writes there, as errors
    upgrade(settings.database_url.get_secret_value())
    sys.unraisablehook = _report_unless_broken_pipe
    asyncio.run(serve_over_stdio(settings))
    return 0


def _report_unless_broken_pipe(about: "sys.UnraisableHookArgs") -> None:
    """A client that closed its pipe is no fault: from Python 3.13 on, the SDK's writer would make
    Python print an error about it.
    """
    if not isinstance(about.exc_value, BrokenPipeError):
        sys.__unraisablehook__(about)


async def serve_over_stdio(settings: Settings) -> None:
    """Serve until stdin closes or a signal arrives; audit rows in the queue are then written."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        # Windows has no such handlers; there the end of stdin is enough.
        with contextlib.suppress(NotImplementedError):
            asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with wiring.open_services(settings) as services:
        given = settings.admin_master_key.get_secret_value()
        # A client without a key learns so from its first call.
        await services.tenants.ensure_admin(
            master_key=Secret(given) if given else None, has_webui=True
        )
        serving = asyncio.create_task(
            serve_stdio(
                services.runner,
                services.access,
                services.sign_in,
                settings.orderdesk_mcp_key.get_secret_value(),
                grace_seconds=settings.http_timeout,
            )
        )
        await asyncio.wait(
            {serving, asyncio.create_task(stopped.wait())}, return_when=asyncio.FIRST_COMPLETED
        )
    if not serving.done():
        # A thread still blocks in a read of stdin, and only the client can end that.
        logging.shutdown()
        os._exit(FAILED)
    await serving
