"""The plain routes over a real server process, and over the app in this process where a part has to
be broken.
"""

from tests.door import door, inside
from tests.worlds import sandbox_server

__all__ = ["door", "inside", "sandbox_server"]
