"""One server process for all tests of the plain routes."""

from tests.door import door
from tests.worlds import sandbox_server

__all__ = ["door", "sandbox_server"]
