"""What a server that rests does not keep in its memory: 20 MB, measured by `make bench`."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from orderdesk_app.config import Settings
from orderdesk_app.frontend import reflex_environment
from tests.worlds import ROOT

AFTER_A_START = """
import gc, json, sys
from orderdesk_app import cli, orderdesk_app, server
from orderdesk_app.db.migrate import upgrade
from reflex_base.components.component import Component
upgrade(sys.argv[1])
drawn = sum(isinstance(one, Component) for one in gc.get_objects())
print(json.dumps({"modules": sorted(sys.modules), "drawn": drawn}))
"""


@pytest.mark.slow
def test_a_server_draws_no_page_and_keeps_no_library_that_it_may_never_use(
    sqlite_url: str, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", AFTER_A_START, sqlite_url],
        cwd=ROOT,
        env={**os.environ, **reflex_environment(Settings())},
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )

    left = json.loads(done.stdout.splitlines()[-1])
    assert {"alembic", "jinja2", "webauthn"}.isdisjoint(left["modules"])
    assert left["drawn"] < 100
