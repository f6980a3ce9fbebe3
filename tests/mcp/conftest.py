"""One server process for all tests of `/mcp`, and the clients that are written for Node."""

from tests.mcp_server import inside, mcp_server
from tests.node_clients import node_clients
from tests.worlds import sandbox_server

__all__ = ["inside", "mcp_server", "node_clients", "sandbox_server"]
