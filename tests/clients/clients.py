"""The clients that others wrote and that are tried here: which release, and what each tells a
program whose key is wrong.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.node_clients import NEWEST, OLDER

PROGRAMS = Path(__file__).parent / "programs"
ENVIRONMENTS = Path(sys.prefix) / "clients"
OUR_SENTENCE = "This key is not known here. Send the account's master key, or a new key from"


@dataclass(frozen=True)
class Client:
    name: str
    version: str
    program: str
    place: str | Path  # an environment of ENVIRONMENTS, or the folder of a package.json
    wrong_key: str  # the words that name the cause

    @property
    def id(self) -> str:
        return f"{self.name} {self.version}"

    def command(self, node: str, steps: str) -> list[str]:
        """The program with its steps, which are JSON."""
        program = str(PROGRAMS / self.program)
        if isinstance(self.place, Path):
            return [node, program, steps, str(self.place)]
        return [str(self.environment() / "bin" / "python"), program, steps]

    def environment(self) -> Path:
        """Of a client for Python; a missing one is named with the command that makes it."""
        folder = ENVIRONMENTS / str(self.place)
        lock = Path(__file__).parent / f"requirements-{self.place}.txt"
        stamp = Path(sys.prefix) / ".clients"
        if not stamp.is_file() or lock.read_text() not in stamp.read_text():
            raise RuntimeError(f"{lock.name} is not installed: make installed-clients")
        return folder


_PYTHON = "401 Unauthorized"
CLIENTS = (
    Client("SDK for Python", "1.9.4", "sdk_python.py", "mcp-1.9", _PYTHON),
    Client("SDK for Python", "1.30.0", "sdk_python.py", "mcp-1.30", _PYTHON),
    Client("SDK for TypeScript", "1.12.3", "sdk_typescript.cjs", OLDER, OUR_SENTENCE),
    Client("SDK for TypeScript", "1.32.2", "sdk_typescript.cjs", NEWEST, OUR_SENTENCE),
    Client("fastmcp", "2.14.7", "fastmcp_client.py", "mcp-1.30", _PYTHON),
    Client("langchain-mcp-adapters", "0.3.2", "langchain.py", "mcp-1.30", _PYTHON),
    Client("openai-agents", "0.24.0", "openai_agents.py", "mcp-1.30", "HTTP error 401"),
    Client("google-genai", "3.6.1", "google_genai.py", "mcp-1.30", _PYTHON),
    Client("MCP Inspector", "2.12.0", "inspector.cjs", NEWEST, OUR_SENTENCE),
)


def steps_for(url: str, key: str, order_id: str, city: str) -> str:
    """What a program does, as JSON: list the tools, make these calls, come with a wrong key."""
    calls = [
        {"tool": "orders_get", "arguments": {"order_id": order_id}},
        {
            "tool": "orders_update",
            "arguments": {"order_id": order_id, "changes": {"shipping": {"city": city}}},
        },
        {"tool": "orders_get", "arguments": {"order_id": "abc"}},
    ]
    return json.dumps(
        {"url": url, "key": key, "wrong_key": "a-key-that-nobody-has", "calls": calls}
    )
