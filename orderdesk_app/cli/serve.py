"""`orderdesk serve`: check, build, migrate, serve."""

import argparse
import asyncio
import errno
import http.client
import os
import select
import socket
from http import HTTPStatus

from orderdesk_app import wiring
from orderdesk_app.cli.build import build_if_needed
from orderdesk_app.cli.reload import serve_and_reload
from orderdesk_app.cli.sign_in_link import link_address, web_address
from orderdesk_app.cli.unused_settings import warn_of_unused_settings
from orderdesk_app.config import Settings
from orderdesk_app.context import Secret
from orderdesk_app.db.migrate import upgrade
from orderdesk_app.errors import ConfigurationError
from orderdesk_app.frontend import Frontend, reflex_environment
from orderdesk_app.observability import configure_logging
from orderdesk_app.serving import server
from orderdesk_app.settings_reader import load_settings


def add_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    serve = commands.add_parser(
        "serve",
        help="build what changed, migrate, and serve web app and /mcp on one port",
        description="Checks the settings, builds the frontend if its sources changed, migrates the "
        "database once, then serves on HOST:PORT. "
        "In development it prints a one-time sign-in link on standard output. Stop it with Ctrl C.",
    )
    serve.add_argument(
        "--reload",
        action="store_true",
        help="start again when a source file changes (for developers)",
    )
    serve.set_defaults(run=run_serve)


def run_serve(chosen: argparse.Namespace) -> int:
    settings = load_settings()
    if chosen.reload:
        return serve_and_reload()
    warn_of_unused_settings()
    must_be_free(settings.host, settings.port)
    if settings.enable_webui:
        build_if_needed(Frontend())
    configure_logging(settings.log_level)
    upgrade(settings.database_url.get_secret_value())  # once, here: never in each worker
    link = asyncio.run(first_start(settings))
    must_be_free(settings.host, settings.port)  # a build takes a minute
    words = f"Order Desk agents on {web_address(settings)}"
    if link:
        print_when_live(
            settings, f"{words}\n\nSign in with this link, once, within 15 minutes:\n\n    {link}\n"
        )
    else:
        print(words, flush=True)
    if settings.enable_webui:
        os.environ.update(reflex_environment(settings))
    server(settings).serve()
    return 0


def must_be_free(host: str, port: int) -> None:
    """Raises ConfigurationError when nothing can listen there.

    The server itself would share a busy port, and each would get some of the requests.
    """
    is_ipv6 = ":" in host
    try:
        with socket.create_server(
            (host, port),
            family=socket.AF_INET6 if is_ipv6 else socket.AF_INET,
            dualstack_ipv6=is_ipv6 and socket.has_dualstack_ipv6(),
        ):
            return
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            another = port + 1 if port < 65535 else port - 1
            words = (
                f"PORT: {port} is in use on {host}. End what serves there, or choose another "
                f"port. Example: PORT={another}"
            )
        elif error.errno == errno.EACCES:
            words = (
                f"PORT: {port} is for the machine's administrator alone. Choose one above "
                "1023. Example: PORT=8080"
            )
        else:
            words = f"HOST: {host} is no address of this machine. Example: HOST=127.0.0.1"
        raise ConfigurationError(words) from None


def print_when_live(settings: Settings, words: str) -> None:
    """Print `words` as soon as the server that this process becomes answers, so that a printed
    link can be opened at once. Print nothing when the server never answers.

    A grandchild process waits for the answer, so that init reaps it and the server has no zombie.
    It ends with the server, whose end of the pipe then closes.
    """
    ended, alive = os.pipe()
    if child := os.fork():
        os.waitpid(child, 0)
        os.close(ended)
        return
    try:
        if os.fork() == 0:
            os.close(alive)
            while not select.select([ended], [], [], 0.05)[0]:
                if is_live(settings.host, settings.port):
                    print(words, flush=True)
                    break
    finally:
        os._exit(0)  # without cleanup: what the parent opened is the parent's to close


def is_live(host: str, port: int) -> bool:
    """Whether /health/live answers there."""
    anywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  asked, not bound
    connection = http.client.HTTPConnection(anywhere.get(host, host), port, timeout=2)
    try:
        connection.request("GET", "/health/live")
        return connection.getresponse().status == HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


async def first_start(settings: Settings) -> str | None:
    """Make the admin account if there is none; in development return a sign-in link for it."""
    async with wiring.open_services(settings) as services:
        given = settings.admin_master_key.get_secret_value()
        admin = await services.tenants.ensure_admin(
            master_key=Secret(given) if given else None, has_webui=settings.enable_webui
        )
        if settings.is_production or not settings.enable_webui:
            return None
        return link_address(settings, await services.sign_in.make_link(admin.tenant_id))
