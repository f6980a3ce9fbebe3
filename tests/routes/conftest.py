"""The plain routes over a real server process, and over the app in this process where a part has to
be broken.
"""

from tests.mcp_server import inside, mcp_server
from tests.worlds import sandbox_server

__all__ = ["inside", "mcp_server", "sandbox_server"]
