"""Which tests one worker of pytest-xdist runs one after the other.

Each file is one unit, as with `--dist loadfile`. Two folders are one unit each: their servers cost
more than their tests, and all tests of such a folder share them.
"""

from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

SHARED_FOLDERS = ("tests/browser", "tests/proofs")


class SharedFolderScheduling(LoadFileScheduling):
    def _split_scope(self, nodeid: str) -> str:
        """The unit that a test belongs to: its folder if that is shared, else its file."""
        file = super()._split_scope(nodeid)
        folder = file.rpartition("/")[0]
        return folder if folder in SHARED_FOLDERS else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> SharedFolderScheduling:
    return SharedFolderScheduling(config, log)
