"""The tests' own Postgres server, for one measurement."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.conftest import Postgres


@contextmanager
def postgres() -> Iterator[str]:
    """The address of a migrated database."""
    with databases() as new_database:
        yield new_database()


@contextmanager
def databases() -> Iterator[Callable[[], str]]:
    """Each call gives the address of another migrated database: a folder with a short name, a unix
    socket.
    """
    folder = Path(tempfile.mkdtemp(prefix="odpg-", dir="/tmp"))
    try:
        server = Postgres(folder)
        server.start()
        try:
            server.make_template()
            yield lambda: server.url(server.new_database())
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
