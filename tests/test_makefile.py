"""`make` installs what is needed once, repairs what is broken, and says what it cannot do.

Its Python is a stand-in that notes what it is asked to.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from orderdesk_app.frontend import ROOT

pytestmark = pytest.mark.slow

LOCKS = ("requirements.lock", "requirements-dev.lock", "pyproject.toml")
CLIENT_LOCKS = tuple(f"tests/clients/requirements-{name}.txt" for name in ("mcp-1.9", "mcp-1.30"))
# Runs `-c` for real, makes a folder for `-m venv`, and for all else leaves a line in asked.log.
STAND_IN = """#!/bin/sh
case "$1 $2" in
  "-c "*) exec {python} "$@" ;;
  "-m venv") mkdir -p "$3/bin" && cp "$0" "$3/bin/python" &&
    echo "#!$PWD/$3/bin/python" > "$3/bin/pip" && echo "venv" >> asked.log ;;
  *) echo "begin $*" >> asked.log; sleep 0.1; echo "end" >> asked.log ;;
esac
"""
Make = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    folder = tmp_path / "a clone"
    folder.mkdir()
    (folder / "tests" / "clients").mkdir(parents=True)
    for name in ("Makefile", *LOCKS, *CLIENT_LOCKS):
        shutil.copy(ROOT / name, folder / name)
    stand_in = tmp_path / "python"
    stand_in.write_text(STAND_IN.format(python=sys.executable))
    stand_in.chmod(0o755)
    return folder


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def run(folder: Path, *arguments: str, python: str = "") -> subprocess.CompletedProcess[str]:
        environment = {"PATH": os.environ["PATH"], "PYTHON": python or str(tmp_path / "python")}
        return subprocess.run(
            ["make", *arguments],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


def asked(clone: Path) -> list[str]:
    """What was asked of Python since the last time."""
    log = clone / "asked.log"
    lines = log.read_text().splitlines() if log.exists() else []
    log.unlink(missing_ok=True)
    return [line for line in lines if line != "end"]


def test_everything_is_installed_once(clone: Path, make: Make) -> None:
    first = make(clone, "installed-for-tests")
    installed = asked(clone)
    second = make(clone, "installed-for-tests")

    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert [line.rsplit(" ", 1)[-1] for line in installed] == [
        "venv",
        "requirements.lock",
        ".",
        "requirements-dev.lock",
    ]
    assert asked(clone) == []


def test_clients_have_environments_of_their_own_made_once(
    clone: Path, make: Make, tmp_path: Path
) -> None:
    make(clone, "installed-for-tests")
    asked(clone)
    shutil.copy(tmp_path / "python", clone / ".venv/bin/uv")
    lock = clone / CLIENT_LOCKS[1]

    first = make(clone, "installed-clients")
    installed = asked(clone)
    again = make(clone, "installed-clients")
    asked_again = asked(clone)
    lock.write_text(lock.read_text() + "# changed\n")
    make(clone, "installed-clients")

    assert (first.returncode, again.returncode) == (0, 0), first.stderr + again.stderr
    assert [line.rsplit(" ", 1)[-1] for line in installed] == [
        ".venv/clients/mcp-1.9",
        CLIENT_LOCKS[0],
        ".venv/clients/mcp-1.30",
        CLIENT_LOCKS[1],
    ]
    assert asked_again == []
    assert len(asked(clone)) == 4


def test_a_checkout_that_changes_only_times_installs_nothing(clone: Path, make: Make) -> None:
    make(clone, "installed-for-tests")
    asked(clone)
    for name in LOCKS:
        os.utime(clone / name, (4_000_000_000, 4_000_000_000))

    make(clone, "installed-for-tests")

    assert asked(clone) == []


def test_what_changed_is_installed_without_fetching_a_build_tool(clone: Path, make: Make) -> None:
    make(clone, "installed")
    asked(clone)
    with (clone / "pyproject.toml").open("a") as file:
        file.write("# changed\n")

    make(clone, "installed")

    assert [line.endswith("--no-deps --no-build-isolation -e .") for line in asked(clone)] == [
        False,
        True,
    ]
    assert any(
        line.startswith("setuptools==")
        for line in (ROOT / "requirements.lock").read_text().splitlines()
    )


def test_an_installation_that_failed_is_repeated(clone: Path, make: Make, tmp_path: Path) -> None:
    whole = (tmp_path / "python").read_text()
    (tmp_path / "python").write_text(whole.replace('echo "end" >> asked.log', "exit 1"))
    failed = make(clone, "installed")
    shutil.copy(tmp_path / "python", clone / ".venv/bin/python")
    (clone / ".venv/bin/python").write_text(whole)
    asked(clone)

    repeated = make(clone, "installed")

    assert failed.returncode != 0
    assert repeated.returncode == 0
    assert len(asked(clone)) == 2


@pytest.mark.parametrize("breakage", ["interrupted", "no pip", "moved"])
def test_a_broken_environment_is_made_anew(clone: Path, make: Make, breakage: str) -> None:
    make(clone, "installed")
    asked(clone)
    if breakage == "interrupted":
        (clone / ".venv/bin/python").unlink()
    elif breakage == "no pip":
        (clone / ".venv/bin/pip").unlink()
    else:
        clone = clone.rename(clone.with_name("moved"))

    again = make(clone, "installed")

    assert again.returncode == 0, again.stderr
    assert asked(clone)[0] == "venv"


@pytest.mark.parametrize(
    ("python", "said"),
    [("no-such-python", "does not run"), ("old", "is Python 3.10; 3.11, 3.12 or 3.13 is needed")],
)
def test_a_python_that_will_not_do_is_named(
    clone: Path, make: Make, tmp_path: Path, python: str, said: str
) -> None:
    old = tmp_path / "old"
    old.write_text(
        f"""#!/bin/sh\nexec {sys.executable} -c "import sys; sys.version_info = (3, 10, 0); $2"\n"""
    )
    old.chmod(0o755)
    chosen = str(old) if python == "old" else python

    ended = make(clone, "installed", python=chosen)

    assert ended.returncode != 0
    assert f"orderdesk: PYTHON={chosen} {said}" in ended.stderr
    assert not (clone / ".venv").exists()


def test_two_that_start_at_once_install_one_after_the_other(clone: Path, make: Make) -> None:
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda goal: make(clone, goal), ["installed", "installed-for-tests"]))

    assert [one.returncode for one in both] == [0, 0], both[0].stderr + both[1].stderr
    lines = (clone / "asked.log").read_text().splitlines()
    assert lines.count("venv") == 1
    assert ["begin" in line for line in lines[1:]] == [True, False] * 3
