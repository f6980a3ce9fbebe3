"""What the public workflow runs, and with whose actions."""

import re

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
