"""Which tests `make check` leaves out, by rule: those that start a process, a server or a browser,
or that use Postgres.

A test is slow if it asks for one of the fixtures below, or if one of its parameters names an engine
that runs as a server. Tests that start a process in their own body carry `@pytest.mark.slow`, and
the guard below fails one that does not.
"""

import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

SLOW_FIXTURES = frozenset(
    {
        "browser",
        "chromium",
        "frontend",
        "mcp_server",
        "node_clients",
        "pair",
        "postgres",
        "sandbox_server",
        "served",
        "serving",
    }
)
SLOW_PARAMETERS = frozenset({"over_http", "postgres"})


def is_slow(item: pytest.Item) -> bool:
    """Whether the rule, or a mark of its own, keeps this test out of `make check`."""
    if item.get_closest_marker("slow"):
        return True
    parameters = getattr(item, "callspec", None)
    values = parameters.params.values() if parameters else ()
    return not SLOW_FIXTURES.isdisjoint(getattr(item, "fixturenames", ())) or any(
        isinstance(value, str) and value in SLOW_PARAMETERS for value in values
    )


@pytest.fixture(autouse=True)
def no_process_in_a_fast_test(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fails a test that starts a process, other than git, and is not marked slow."""
    if request.node.get_closest_marker("slow"):
        yield
        return

    start = subprocess.Popen.__init__

    def refuse(process: Any, command: Any, *arguments: Any, **options: Any) -> None:
        # Asking git what is committed takes milliseconds.
        assert command[0] == "git", "This test starts a process: mark it with @pytest.mark.slow"
        start(process, command, *arguments, **options)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(subprocess.Popen, "__init__", refuse)
        yield
