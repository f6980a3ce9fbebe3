"""Texts to paste into an AI client so that it connects to us: shell commands, JSON and TOML.

services/client_setups.py says which client takes which. A value from outside (an address, a key)
never leaves its quotes.
"""

import json
import re
import shlex
from base64 import b64encode
from collections.abc import Mapping
from urllib.parse import quote, urlencode

from orderdesk_app.context import Json

PLACEHOLDER = "YOUR_KEY"
NAME = "orderdesk"  # by which a client knows us
# What no shell changes: sh, PowerShell and cmd.exe agree on these alone. A comma makes a list, a =
# parts words, and brackets match files, unless they stand between double quotes.
_PLAIN = re.compile(r"[\w+:./-]+", re.ASCII)
_SAFE_IN_DOUBLE_QUOTES = re.compile(r"[\w@+=:,./\[\] -]+", re.ASCII)


def mcp_address(public_url: str) -> str:
    """Where agents connect."""
    return f"{public_url}/mcp"


def shell_command(*words: str) -> str:
    """One line for a shell, each word quoted where it has to be. A word of harmless characters
    stands between double quotes, which the shells of Windows know too.
    """
    return " ".join(_shell_word(word) for word in words)


def _shell_word(word: str) -> str:
    if _PLAIN.fullmatch(word):
        return word
    return f'"{word}"' if _SAFE_IN_DOUBLE_QUOTES.fullmatch(word) else shlex.quote(word)


def json_text(value: Json) -> str:
    return json.dumps(value, indent=2)


def toml_text(table: str, values: Mapping[str, str | Mapping[str, str]]) -> str:
    """One table of strings and of inline tables of strings."""
    lines = [f"[{table}]"]
    for name, value in values.items():
        if isinstance(value, str):
            lines.append(f"{name} = {_toml_string(value)}")
        else:
            pairs = ", ".join(f"{key} = {_toml_string(text)}" for key, text in value.items())
            lines.append(f"{name} = {{ {pairs} }}")
    return "\n".join(lines)


def _toml_string(text: str) -> str:
    """A basic string (toml.io, "String"): its escapes are those of JSON, and it takes no DEL."""
    return json.dumps(text).replace("\x7f", "\\u007f")


def bearer(key: str) -> dict[str, Json]:
    """The header of a request with that key."""
    return {"Authorization": f"Bearer {key}"}


def claude_desktop(public_url: str, key: str) -> str:
    """JSON for claude_desktop_config.json, through mcp-remote: the key is in an environment
    variable, never in the address.
    """
    return _mcp_remote(
        public_url,
        ["--header", "Authorization:${ORDERDESK_AUTHORIZATION}"],
        {"env": {"ORDERDESK_AUTHORIZATION": f"Bearer {key}"}},
    )


def mcp_remote(public_url: str) -> str:
    """The same without a key: mcp-remote opens the browser to sign in."""
    return _mcp_remote(public_url, [], {})


def _mcp_remote(public_url: str, header: list[str], more: dict[str, Json]) -> str:
    arguments = ["-y", "mcp-remote", mcp_address(public_url), "--transport", "http-only", *header]
    if public_url.startswith("http://"):
        arguments.append("--allow-http")
    server: dict[str, Json] = {"command": "npx", "args": [*arguments], **more}
    return json_text({"mcpServers": {NAME: server}})


# for every folder: without a scope Claude Code knows us in the one where it was run
_ADD_TO_CLAUDE_CODE = ("claude", "mcp", "add", "--transport", "http", "--scope", "user", NAME)


def claude_code_signed_in(public_url: str) -> str:
    """The command that adds us to Claude Code, which signs in with the browser."""
    return shell_command(*_ADD_TO_CLAUDE_CODE, mcp_address(public_url))


def claude_code(public_url: str, key: str) -> str:
    """The same with a key."""
    # `--header` takes all words that follow it, so it is the last
    return shell_command(
        *_ADD_TO_CLAUDE_CODE,
        mcp_address(public_url),
        *("--header", f"Authorization: Bearer {key}"),
    )


def claude_link(public_url: str) -> str:
    """Opens Claude's own page for a new connector with our name and address in it."""
    asked = {"connectorName": "Order Desk", "connectorUrl": mcp_address(public_url)}
    # the form writes + for a space, which Claude's page would show
    query = urlencode({"modal": "add-custom-connector", **asked}, quote_via=quote, safe="")
    return f"https://claude.ai/customize/connectors?{query}"


def cursor_link(public_url: str) -> str:
    """Opens Cursor and asks whether to add us (cursor.com/docs/mcp/install-links)."""
    server = json.dumps({"url": mcp_address(public_url)}).encode()
    asked = urlencode({"name": NAME, "config": b64encode(server).decode()})
    return f"cursor://anysphere.cursor-deeplink/mcp/install?{asked}"


def vs_code_link(public_url: str) -> str:
    """Opens VS Code and asks whether to add us: the whole query is JSON
    (code.visualstudio.com/api/extension-guides/ai/mcp, "Create an MCP installation URL").
    """
    server = {"name": NAME, "type": "http", "url": mcp_address(public_url)}
    return f"vscode:mcp/install?{quote(json.dumps(server), safe='')}"
