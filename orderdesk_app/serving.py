"""The server program around an ASGI factory: granian, in this process.

It starts workers as forks, so what is imported here is imported once.
"""

import json
from math import ceil
from pathlib import Path

from granian.constants import Interfaces, Loops
from granian.log import LogLevels
from granian.server import MPServer

from orderdesk_app.config import Settings

FACTORY = "orderdesk_app.server:create_app"
# A stop waits for the write that runs, and then so long for its rows and the audit's.
_LAST_ROWS_SECONDS = 5
# Granian's log lines get our format, and do not go to standard output.
_LOG = Path(__file__).with_name("server_log.json")


def server(settings: Settings, factory: str = FACTORY) -> MPServer:
    """Not started yet; its `serve()` returns when a signal has stopped it, and raises SystemExit
    when a worker died.

    `factory` is "module:function", of a function without parameters that gives an ASGI app. No
    access log: addresses of pages hold tokens, and callers' addresses are theirs.
    """
    return MPServer(
        factory,
        factory=True,
        interface=Interfaces.ASGI,
        loop=Loops.uvloop,
        address=settings.host,
        port=settings.port,
        workers=settings.workers,
        workers_kill_timeout=ceil(settings.http_timeout) + _LAST_ROWS_SECONDS,
        log_access=False,
        log_level=LogLevels.warning,
        log_dictconfig=json.loads(_LOG.read_text(encoding="utf-8")),
    )
