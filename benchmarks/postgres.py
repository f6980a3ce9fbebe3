"""The tests' own Postgres server, for one measurement."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.conftest import Postgres


@contextmanager
def postgres() -> Iterator[str]:
    """The address of a migrated database: a folder with a short name, a unix socket."""
    folder = Path(tempfile.mkdtemp(prefix="odpg-", dir="/tmp"))
    try:
        server = Postgres(folder)
        server.start()
        try:
            server.make_template()
            yield server.url("ready")
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
