"""What the public workflow runs, and with whose actions."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from orderdesk_app.frontend import ROOT

TEXT = (ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8")
JOBS = TEXT[TEXT.index("\njobs:\n") :]


def test_five_jobs_are_visible() -> None:
    assert re.findall(r"^  (\w+):$", JOBS, re.MULTILINE) == [
        "lint",
        "types",
        "test",
        "mcp",
        "docker",
    ]


def test_every_action_is_named_by_its_digest() -> None:
    used = re.findall(r"uses: (\S+)", TEXT)

    assert used
    assert [name for name in used if not re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", name)] == []


def test_each_python_that_is_supported_is_tried() -> None:
    tested = JOBS[JOBS.index("\n  test:") : JOBS.index("\n  mcp:")]

    assert 'python: ["3.11", "3.12", "3.13"]' in tested
    assert "run: make coverage" in tested


def test_a_newer_push_ends_the_older_run_and_packages_are_kept() -> None:
    assert "cancel-in-progress: true" in TEXT
    assert TEXT.count("cache: pip") == TEXT.count("actions/setup-python@")


def test_the_clients_of_others_are_run_where_their_environments_are() -> None:
    mcp = JOBS[JOBS.index("\n  mcp:") : JOBS.index("\n  docker:")]

    assert "run: make installed-clients build" in mcp
    assert "pytest -q tests/mcp tests/tools tests/clients" in mcp


def docker_steps() -> list[str]:
    """The shell scripts of the job `docker`, as bash runs them."""
    job = JOBS[JOBS.index("\n  docker:") :]
    return [
        "\n".join(line[10:] for line in block.splitlines())
        for block in re.findall(r"        run: \|\n((?:          .*\n|\n)+)", job)
    ]


# Stands for Docker: says what the image is asked, and answers as one that is well, but for what
# this test breaks.
DOCKER = """#!/bin/sh
echo "$@" >> "$CALLS"
case "$*" in
    "$BROKEN"*) exit "$CODE" ;;
    "inspect --format {{.State.Health.Status}}"*) echo healthy ;;
    "inspect --format {{.State.ExitCode}}"*) echo "${EXIT:-0}" ;;
    "exec orderdesk id -u") echo "${UID_:-10001}" ;;
    "exec orderdesk python -m"*) exit 1 ;;
    "run --interactive"*) cat > /dev/null; echo '{"id":2,"tools":[{"name":"orders_list"}]}' ;;
esac
"""


def replay(folder: Path, step: str, **values: str) -> int:
    """Run a step with that Docker; the code that the job sees."""
    for name, text in (("docker", DOCKER), ("curl", "#!/bin/sh\n"), ("sleep", "#!/bin/sh\n")):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    given = {"BROKEN": "nothing", "CODE": "1", "CALLS": str(folder / "calls"), **values}
    path = f"{folder}:{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step],
        cwd=folder,
        env={"PATH": path, **given},
        capture_output=True,
        timeout=60,
        check=False,
    ).returncode


@pytest.mark.slow
def test_the_image_is_built_started_asked_and_stopped(tmp_path: Path) -> None:
    served, stdio = docker_steps()

    assert "docker build" in JOBS
    assert (replay(tmp_path, served), replay(tmp_path, stdio)) == (0, 0)
    calls = (tmp_path / "calls").read_text()
    for asked in ("run --detach", "State.Health.Status", "id -u", "stop", "orderdesk stdio"):
        assert asked in calls


@pytest.mark.slow
@pytest.mark.parametrize(
    ("step", "values"),
    [
        (0, {"BROKEN": "run --detach"}),
        (0, {"BROKEN": "inspect --format {{.State.Health.Status}}", "CODE": "0"}),
        (0, {"UID_": "0"}),
        (0, {"BROKEN": "exec orderdesk python -m pip", "CODE": "0"}),
        (0, {"BROKEN": "exec orderdesk python -m ensurepip", "CODE": "0"}),
        (0, {"EXIT": "137"}),
        (1, {"BROKEN": "run --interactive"}),
        (1, {"BROKEN": "run --interactive", "CODE": "0"}),
    ],
)
def test_each_fault_of_the_image_fails_its_job(
    tmp_path: Path, step: int, values: dict[str, str]
) -> None:
    """Bash goes on after some lines that fail, such as one that begins with `!`."""
    assert replay(tmp_path, docker_steps()[step], **values) != 0
