"""`orderdesk serve --reload`: the server starts again when a source file changes."""

import signal
import subprocess
import sys
import threading

from watchfiles import PythonFilter, watch

from orderdesk_app.frontend import ROOT

WATCHED = ("orderdesk_app", "assets", "alembic", "rxconfig.py", ".env")


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
