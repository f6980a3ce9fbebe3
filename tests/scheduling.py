"""Which tests one worker of pytest-xdist runs one after the other.

Each file is one unit, as with `--dist loadfile`. Two folders are one unit each: their servers cost
more than their tests, and all tests of such a folder share them. The browser tests would take
longer than everything else together, so they are two units of about the same length; the one
without a name has what shows secrets, and the search for these. Three browsers at once would be
more than two cores can serve in time.
"""

from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

SHARED_FOLDERS = ("tests/browser", "tests/proofs")
WORK = "every page, and work with stores and tools, in a browser"
UNITS = {
    "tests/browser/test_console.py": WORK,
    "tests/browser/test_home.py": WORK,
    "tests/browser/test_keyboard.py": WORK,
    "tests/browser/test_neighbour.py": WORK,
    "tests/browser/test_pages.py": WORK,
    "tests/browser/test_stores.py": WORK,
    "tests/browser/test_walk.py": WORK,
}


class SharedFolderScheduling(LoadFileScheduling):
    def _split_scope(self, nodeid: str) -> str:
        """The unit that a test belongs to: a named one, its folder if that is shared, or its
        file.
        """
        file = super()._split_scope(nodeid)
        if file in UNITS:
            return UNITS[file]
        folder = file.rpartition("/")[0]
        return folder if folder in SHARED_FOLDERS else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> SharedFolderScheduling:
    return SharedFolderScheduling(config, log)
