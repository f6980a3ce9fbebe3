"""Which tests one worker of pytest-xdist runs one after the other.

Each file is one unit, as with `--dist loadfile`. Two folders are one unit each: their servers cost
more than their tests, and all tests of such a folder share them. The browser tests would take
longer than everything else together, so they are three units of about the same length; the one
without a name has what shows secrets, and the search for these.
"""

from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

SHARED_FOLDERS = ("tests/browser", "tests/proofs")
EVERY_PAGE = "every page in a browser"
WORK = "work with stores and tools in a browser"
UNITS = {
    "tests/browser/test_console.py": WORK,
    "tests/browser/test_home.py": WORK,
    "tests/browser/test_keyboard.py": EVERY_PAGE,
    "tests/browser/test_neighbour.py": WORK,
    "tests/browser/test_pages.py": EVERY_PAGE,
    "tests/browser/test_stores.py": WORK,
    "tests/browser/test_walk.py": WORK,
}


# The units that take longest begin first, so that none is left when the others have ended; those
# that wait stand between those that need the processor.
BEGIN_FIRST = (
    "tests/browser",
    "tests/test_server.py",
    WORK,
    "tests/proofs",
    EVERY_PAGE,
    "tests/test_cli.py",
    "tests/mcp/test_stdio.py",
    "tests/services/test_order_faults.py",
    "tests/web/test_neighbours.py",
    "tests/attacks/test_deletion_races.py",
    "tests/attacks/test_everything_as_everybody.py",
    "tests/clients/test_clients.py",
    "tests/db/test_upgrade.py",
    "tests/test_connections.py",
)


def unit_of(nodeid: str) -> str:
    """A named one, the folder of its file if that is shared, or its file."""
    file = nodeid.partition("::")[0]
    if file in UNITS:
        return UNITS[file]
    folder = file.rpartition("/")[0]
    return folder if folder in SHARED_FOLDERS else file


def longest_first(item: pytest.Item) -> int:
    """To sort by; what is not named keeps its order."""
    unit = unit_of(item.nodeid)
    return BEGIN_FIRST.index(unit) if unit in BEGIN_FIRST else len(BEGIN_FIRST)


class SharedFolderScheduling(LoadFileScheduling):
    def _split_scope(self, nodeid: str) -> str:
        return unit_of(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> SharedFolderScheduling:
    return SharedFolderScheduling(config, log)
