"""Servers as processes of their own, each on its core, and what they cost, read from /proc."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_TICKS = os.sysconf("SC_CLK_TCK")


def cores() -> tuple[int, int]:
    """The core of the servers and the core of the load; one and the same on a machine that has only
    one.
    """
    ours = sorted(os.sched_getaffinity(0))
    return ours[0], ours[-1]


def stay_on(core: int) -> None:
    """This process from now on, and those that it starts."""
    os.sched_setaffinity(0, {core})


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def granian(factory: str, port: int) -> list[str]:
    """Any ASGI factory under the very server and settings that ours runs under."""
    code = (
        "import sys; from orderdesk_app.settings_reader import load_settings; from "
        "orderdesk_app.serving import server; server(load_settings({'PORT': sys.argv[1]}), "
        "sys.argv[2]).serve()"
    )
    return [sys.executable, "-c", code, str(port), factory]


@dataclass(frozen=True, slots=True)
class Server:
    """A started server; `worker` is the process that answers."""

    name: str
    port: int
    pid: int

    def processes(self) -> list[int]:
        found, asked = [], [self.pid]
        while asked:
            pid = asked.pop()
            found.append(pid)
            for thread in Path(f"/proc/{pid}/task").glob("*/children"):
                asked += [int(child) for child in thread.read_text().split()]
        return found

    def cpu_seconds(self) -> float:
        """User and system time of all its processes so far."""
        return sum(_cpu_ticks(pid) for pid in self.processes()) / _TICKS

    def resident_mb(self) -> float:
        """Memory of its largest process, the worker."""
        return max(_resident_kb(pid) for pid in self.processes()) / 1024


def _cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def _resident_kb(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith("VmRSS:")), 0)


@contextmanager
def serving(
    name: str,
    command: Sequence[str],
    port: int,
    *,
    core: int,
    log: Path,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Server]:
    """The server from its first accepted connection until the block ends.

    Raises RuntimeError with its last words when it does not come up.
    """
    before = os.sched_getaffinity(0)
    stay_on(core)  # inherited by what is started now
    try:
        with log.open("ab") as out:
            inherited = {
                name: value
                for name, value in os.environ.items()
                if name in ("PATH", "HOME", "LANG", "TMPDIR", "LD_LIBRARY_PATH")
            }
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**inherited, "PYTHONPATH": str(ROOT), **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )
    finally:
        os.sched_setaffinity(0, before)
    try:
        _wait_until_it_answers(name, process, port, log)
        yield Server(name, port, process.pid)
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_it_answers(
    name: str, process: subprocess.Popen[bytes], port: int, log: Path
) -> None:
    for _ in range(6000):
        if process.poll() is not None:
            break
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
                connection.sendall(
                    b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
                )
                if connection.recv(8):
                    return
        except OSError:
            time.sleep(0.02)
    raise RuntimeError(f"{name} does not answer:\n{log.read_text(errors='replace')[-3000:]}")


def orderdesk_serve() -> list[str]:
    """The server as a customer starts it."""
    return [sys.executable, "-m", "orderdesk_app", "serve"]
