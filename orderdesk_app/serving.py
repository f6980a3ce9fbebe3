"""The server program around an ASGI factory: granian, in this process.

It starts workers as forks, so what is imported here is imported once. A worker that dies is started
again; a worker whose main process dies ends with it.
"""

import asyncio
import ctypes
import json
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from math import ceil
from pathlib import Path
from typing import Any, cast

from granian import _signals as granian_signals
from granian._granian import WorkerSignal
from granian.constants import HTTPModes, Interfaces, Loops
from granian.http import HTTP1Settings
from granian.log import LogLevels, logger
from granian.server import MPServer

from orderdesk_app.config import Settings
from orderdesk_app.connections import limit_stalls, most_connections, raise_descriptor_limit

FACTORY = "orderdesk_app.server:create_worker_app"
# A stop waits for the write that runs, and then so long for its rows and the audit's.
_LAST_ROWS_SECONDS = 5
# More workers than this that die within a minute are a fault that another start does not mend.
MOST_RESTARTS = 5
_RESTARTS_WITHIN_SECONDS = 60.0
# How long readiness says no before the server takes no more connections.
NOTICE_SECONDS = 0.5
# The main process sends it to its workers shortly before it stops them; Windows has none.
STOP_NOTICE: int | None = getattr(signal, "SIGUSR1", None)
_PR_SET_PDEATHSIG = 1
_PARENT_POLL_SECONDS = 1.0
# A connection is closed when it has had no whole request head for so long: one that says nothing,
# one that stops within a head, and one that is kept alive and not used. Only HTTP/1 has this limit.
HEADER_SECONDS = 30
MAX_HEADER_BYTES = 16 * 1024  # as Node has it; a longer head is answered with 431
# Below a warning granian tells of each of its steps.
_SERVER_LEVELS = {"ERROR": LogLevels.error, "CRITICAL": LogLevels.critical}
# Granian's log lines get our format, and do not go to standard output.
_LOG_CONFIG = Path(__file__).with_name("server_log.json")


class WorkerServer(MPServer):
    """Granian's server with a limit for restarts, and with a notice before a stop.

    The two methods are granian's own (2.8); a test starts, kills and stops real workers.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._restarts: list[float] = []

    def serve(
        self,
        spawn_target: Callable[..., None] | None = None,
        target_loader: Callable[..., Callable[..., Any]] | None = None,
        wrap_loader: bool = True,
    ) -> None:
        super().serve(spawn_target or run_worker, target_loader, wrap_loader)

    def _respawn_workers(
        self,
        workers: Sequence[int],
        spawn_target: Callable[..., None],
        target_loader: Callable[..., Callable[..., Any]],
        delay: float = 0,
    ) -> None:
        moment = time.monotonic()
        self._restarts = [at for at in self._restarts if moment - at < _RESTARTS_WITHIN_SECONDS]
        self._restarts += [moment] * len(workers)
        if len(self._restarts) > MOST_RESTARTS:
            logger.error("Workers die again and again: the server ends")
            self.interrupt_children.extend(workers)  # the exit code is 1
            self.interrupt_signal = True
            self.main_loop_interrupt.set()
            return
        logger.error("A worker died and is started again")
        super()._respawn_workers(workers, spawn_target, target_loader, delay)

    def _stop_workers(self) -> None:
        if STOP_NOTICE is not None:
            for worker in self.wrks:
                if worker.inner.is_alive():
                    os.kill(worker.inner.pid, STOP_NOTICE)
            time.sleep(NOTICE_SECONDS)
        cast(Any, super())._stop_workers()


def run_worker(*arguments: Any, **options: Any) -> None:
    """What a worker process runs: granian's own worker, which ends with the main process."""
    # A fork inherits the main process's handlers, which only note the signal. A stop that came
    # before granian has set the worker's own would be lost, and the worker killed much later.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    if STOP_NOTICE is not None:
        signal.signal(STOP_NOTICE, signal.SIG_IGN)
    if _server is not None and _server.interrupt_signal:
        sys.exit(0)
    _end_with_parent()
    if STOP_NOTICE is not None:
        cast(Any, granian_signals).set_loop_signals = _set_loop_signals
    MPServer._spawn_asgi_lifespan_worker(*_with_own_listener(*arguments), **options)


def _set_loop_signals(loop: asyncio.AbstractEventLoop) -> WorkerSignal:
    """In the place of granian's function: a worker that is told to stop ends by itself
    (graceful_stop.py), and granian never hears of it.

    Granian's own stop (2.8) joins its thread while it holds the interpreter lock. With a connection
    still open, that thread may need the lock for it: then the worker hangs, and writes with it.
    """
    event = WorkerSignal()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _stop_worker, event)
    return event


def _stop_worker(event: WorkerSignal) -> None:
    if STOP_NOTICE is None or signal.getsignal(STOP_NOTICE) is signal.SIG_IGN:
        event.set()  # an app that hears no notice, or ours before it has started
    else:
        os.kill(os.getpid(), STOP_NOTICE)


def _with_own_listener(
    number: Any, name: Any, loader: Any, sockets: Any, *others: Any
) -> tuple[Any, ...]:
    """The arguments of granian's worker, with a listening socket that has time limits.

    On Linux granian has only told the worker where to listen, elsewhere it has opened the socket.
    """
    (where, listener), shared = sockets
    if listener is None:
        listener = where.build()
        limit_stalls(listener.get_fd())
        where = None
    return (number, name, loader, ((where, listener), shared), *others)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is None or parent.pid is None:
        return
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    threading.Thread(target=_watch_parent, args=(parent.pid,), daemon=True).start()


def _watch_parent(parent_id: int) -> None:
    """For systems without prctl, and for a parent that died before it was called."""
    while os.getppid() == parent_id:
        time.sleep(_PARENT_POLL_SECONDS)
    if STOP_NOTICE is not None:
        os.kill(os.getpid(), STOP_NOTICE)
        time.sleep(NOTICE_SECONDS)
    if sys.platform != "linux":  # there prctl has sent one, and a second can block granian
        os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_kill_seconds)
    os._exit(1)


_server: MPServer | None = None  # of this process, and of the forks that it makes
_kill_seconds = 60.0


def server(settings: Settings, factory: str = FACTORY) -> MPServer:
    """Not started yet; its `serve()` returns when a signal has stopped it, and raises
    SystemExit when workers die again and again.

    `factory` is "module:function", of a function without parameters that gives an ASGI app. No
    access log: addresses of pages hold tokens, and callers' addresses are theirs.
    """
    global _server, _kill_seconds
    raise_descriptor_limit()
    kill_seconds = ceil(settings.http_timeout) + _LAST_ROWS_SECONDS
    _kill_seconds = kill_seconds
    _server = WorkerServer(
        factory,
        factory=True,
        interface=Interfaces.ASGI,
        loop=Loops.uvloop,
        address=settings.host,
        port=settings.port,
        workers=settings.workers,
        # HTTP/2 without TLS, which "auto" speaks too, has no time limit for a connection that says
        # nothing, and no client of ours uses it (docs/decisions/0016-connections.md).
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(
            header_read_timeout=HEADER_SECONDS * 1000, max_buffer_size=MAX_HEADER_BYTES
        ),
        # The name misleads: this is how many connections a worker accepts. Others wait.
        backpressure=most_connections(),
        respawn_failed_workers=True,
        workers_kill_timeout=kill_seconds,
        log_access=False,
        log_level=_SERVER_LEVELS.get(settings.log_level, LogLevels.warning),
        log_dictconfig=json.loads(_LOG_CONFIG.read_text(encoding="utf-8")),
    )
    return _server
