"""How each client connects to us, as one table: by OAuth where it can, by a key as the second way.

Where a client's way comes from stands in docs/mcp.md, "Clients". A link never holds a key: links
end in histories and logs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from orderdesk_app.context import Json
from orderdesk_app.services.snippets import (
    NAME,
    bearer,
    claude_code,
    claude_code_signed_in,
    claude_desktop,
    claude_link,
    cursor_link,
    json_text,
    mcp_address,
    mcp_remote,
    shell_command,
    toml_text,
    vs_code_link,
)
from orderdesk_app.setting_rules import is_loopback


@dataclass(frozen=True, slots=True)
class Snippet:
    """Something to copy: what it is, and what to do with it."""

    title: str
    where: str
    text: str


# of names that no public server of names knows (RFC 6761, RFC 6762, RFC 8375)
_OF_ONES_OWN = (".local", ".localhost", ".internal", ".home.arpa", ".test")
OAuthSnippets = Callable[[str], tuple[Snippet, ...]]  # of the address
KeySnippets = Callable[[str, str], tuple[Snippet, ...]]  # of the address and the key


@dataclass(frozen=True, slots=True)
class ClientSetup:
    """One client. Without `oauth` it cannot sign in by itself, without `by_key` it takes no key."""

    id: str
    name: str
    about: str
    key_name: str  # what a key for it is called unless somebody says otherwise
    calls_itself: tuple[str, ...]  # parts of the names that it sends, in small letters
    oauth: OAuthSnippets | None = None
    oauth_steps: tuple[str, ...] = ()
    link: Callable[[str], str] | None = None
    by_key: KeySnippets | None = None
    key_steps: tuple[str, ...] = ()
    hosted: str = ""  # where it calls from, if that is somebody's cloud
    otherwise: str = ""  # what works where a cloud cannot call us
    carries_others: bool = False  # its calls are those of another client, which it names too

    def is_called(self, client_name: str) -> bool:
        """Whether a program of that name is this client."""
        name = client_name.lower()
        return any(part in name for part in self.calls_itself)


def is_out_of_reach(public_url: str) -> bool:
    """Whether no hosted client can call the address: it is not of https, or leads to this machine
    or into a network of one's own.
    """
    parts = urlsplit(public_url)
    host = parts.hostname or ""
    if parts.scheme != "https" or is_loopback(host):
        return True
    try:
        return not ip_address(host).is_global
    except ValueError:
        return "." not in host or host.endswith(_OF_ONES_OWN)


def _address(public_url: str, where: str) -> Snippet:
    return Snippet("Address", where, mcp_address(public_url))


def _servers(server: dict[str, Json], table: str = "mcpServers") -> str:
    return json_text({table: {NAME: server}})


def _claude_by_oauth(url: str) -> tuple[Snippet, ...]:
    return (_address(url, "Paste it as the remote MCP server URL."),)


def _claude_by_key(url: str, key: str) -> tuple[Snippet, ...]:
    return (
        Snippet(
            "claude_desktop_config.json",
            "Merge this into the file that Edit Config opens.",
            claude_desktop(url, key),
        ),
    )


def _claude_code_by_oauth(url: str) -> tuple[Snippet, ...]:
    return (Snippet("Command", "Run this once in a terminal.", claude_code_signed_in(url)),)


def _claude_code_by_key(url: str, key: str) -> tuple[Snippet, ...]:
    return (Snippet("Command", "Run this once in a terminal.", claude_code(url, key)),)


def _chatgpt_by_oauth(url: str) -> tuple[Snippet, ...]:
    return (_address(url, "Paste it as the MCP server URL."),)


def _cursor_by_oauth(url: str) -> tuple[Snippet, ...]:
    text = _servers({"url": mcp_address(url)})
    return (Snippet("mcp.json", "Or merge this into ~/.cursor/mcp.json.", text),)


def _cursor_by_key(url: str, key: str) -> tuple[Snippet, ...]:
    text = _servers({"url": mcp_address(url), "headers": bearer(key)})
    return (Snippet("mcp.json", "Merge this into ~/.cursor/mcp.json.", text),)


def _vs_code_by_oauth(url: str) -> tuple[Snippet, ...]:
    text = _servers({"type": "http", "url": mcp_address(url)}, "servers")
    return (Snippet("mcp.json", "Or merge this into your mcp.json.", text),)


def _vs_code_by_key(url: str, key: str) -> tuple[Snippet, ...]:
    server: dict[str, Json] = {"type": "http", "url": mcp_address(url), "headers": bearer(key)}
    where = "Merge this into the file that the command opens."
    return (Snippet("mcp.json", where, _servers(server, "servers")),)


def _codex_by_oauth(url: str) -> tuple[Snippet, ...]:
    add = shell_command("codex", "mcp", "add", NAME, "--url", mcp_address(url))
    sign_in = shell_command("codex", "mcp", "login", NAME)
    return (
        Snippet("Command", "Run this once in a terminal. It opens your browser.", add),
        Snippet("Sign in", "Run this too if no browser has opened.", sign_in),
    )


def _codex_by_key(url: str, key: str) -> tuple[Snippet, ...]:
    text = toml_text(
        f"mcp_servers.{NAME}",
        {"url": mcp_address(url), "http_headers": {"Authorization": f"Bearer {key}"}},
    )
    return (Snippet("config.toml", "Add this at the end of ~/.codex/config.toml.", text),)


def _gemini_words(url: str, *header: str) -> tuple[Snippet, ...]:
    words = ("gemini", "mcp", "add", "--scope", "user", "--transport", "http", *header)
    command = shell_command(*words, NAME, mcp_address(url))
    return (Snippet("Command", "Run this once in a terminal.", command),)


def _gemini_by_oauth(url: str) -> tuple[Snippet, ...]:
    return _gemini_words(url)


def _gemini_by_key(url: str, key: str) -> tuple[Snippet, ...]:
    return _gemini_words(url, "--header", f"Authorization: Bearer {key}")


def _n8n_by_oauth(url: str) -> tuple[Snippet, ...]:
    return (_address(url, "Paste it as the endpoint of the node."),)


def _n8n_by_key(url: str, key: str) -> tuple[Snippet, ...]:
    return (
        _address(url, "Paste it as the endpoint of the node."),
        Snippet("Bearer token", "Paste it into the new credential.", key),
    )


def _mcp_remote_by_oauth(url: str) -> tuple[Snippet, ...]:
    return (
        Snippet("Configuration", "Merge this into the client's configuration.", mcp_remote(url)),
    )


def _mcp_remote_by_key(url: str, key: str) -> tuple[Snippet, ...]:
    where = "Merge this into the client's configuration."
    return (Snippet("Configuration", where, claude_desktop(url, key)),)


def _stdio_by_key(_: str, key: str) -> tuple[Snippet, ...]:
    server: dict[str, Json] = {
        "command": "/path/to/orderdesk-agents/.venv/bin/orderdesk",
        "args": ["stdio"],
        "env": {"ORDERDESK_MCP_KEY": key},
    }
    where = "Merge this into the client's configuration, with the path where orderdesk is."
    return (Snippet("Configuration", where, _servers(server)),)


# Until when a key works that is made while a client is set up: days, and in words.
EXPIRIES = {"30": "In 30 days", "90": "In 90 days", "365": "In a year", "": "When it is revoked"}
USUAL_EXPIRY = "365"
_ASKS = "Your browser opens here: choose what it may do, and approve it."

CLIENTS: tuple[ClientSetup, ...] = (
    ClientSetup(
        "claude",
        "Claude",
        "On the web, on the desktop and on the phone",
        "Claude",
        ("claude-ai", "claude.ai", "claudeai", "anthropic", "claude-user"),
        oauth=_claude_by_oauth,
        oauth_steps=(
            "Open the link. Or in Claude open Customize, Connectors, add a custom connector, and "
            "paste the address.",
            "Press Connect there.",
            _ASKS,
        ),
        link=claude_link,
        by_key=_claude_by_key,
        key_steps=(
            "In Claude Desktop open Settings, Developer, Edit Config.",
            "Merge the text below into the file. It needs Node.js on your computer.",
            "Restart Claude Desktop.",
        ),
        hosted="Connectors call from Anthropic's servers.",
        otherwise="Claude Desktop works with a key all the same.",
    ),
    ClientSetup(
        "claude-code",
        "Claude Code",
        "In the terminal",
        "Claude Code",
        ("claude-code", "claude code"),
        oauth=_claude_code_by_oauth,
        oauth_steps=(
            "Run the command below.",
            "In Claude Code type /mcp, choose orderdesk, and sign in.",
            _ASKS,
        ),
        by_key=_claude_code_by_key,
        key_steps=("Run the command below.", "Start Claude Code again."),
    ),
    ClientSetup(
        "chatgpt",
        "ChatGPT",
        "Apps, in developer mode",
        "ChatGPT",
        ("chatgpt", "openai-mcp"),
        oauth=_chatgpt_by_oauth,
        oauth_steps=(
            "In ChatGPT open Settings, Apps, Advanced settings, and turn on developer mode.",
            "Choose Create app, paste the address, and leave OAuth chosen.",
            _ASKS,
        ),
        hosted="ChatGPT calls from OpenAI's servers.",
    ),
    ClientSetup(
        "cursor",
        "Cursor",
        "The editor",
        "Cursor",
        ("cursor",),
        oauth=_cursor_by_oauth,
        oauth_steps=("Open the link, and install it in Cursor.", "Press Connect there.", _ASKS),
        link=cursor_link,
        by_key=_cursor_by_key,
        key_steps=(
            "In Cursor open Settings, Tools & MCP, and add a custom server.",
            "Merge the text below into the file.",
            "If Cursor asks to sign in all the same, do that: it may leave a key aside where there "
            "is a sign-in.",
        ),
    ),
    ClientSetup(
        "vs-code",
        "VS Code",
        "Copilot's agent mode",
        "VS Code",
        ("visual studio code", "vscode", "vs code", "github.copilot"),
        oauth=_vs_code_by_oauth,
        oauth_steps=("Open the link, and install it in VS Code.", "Start it there.", _ASKS),
        link=vs_code_link,
        by_key=_vs_code_by_key,
        key_steps=(
            "In VS Code run the command MCP: Open User Configuration.",
            "Merge the text below into the file, and start the server above it.",
        ),
    ),
    ClientSetup(
        "codex",
        "Codex CLI",
        "In the terminal, and in its editors",
        "Codex",
        ("codex",),
        oauth=_codex_by_oauth,
        oauth_steps=("Run the command below.", _ASKS),
        by_key=_codex_by_key,
        key_steps=("Add the lines below to the file.", "Start Codex again."),
    ),
    ClientSetup(
        "gemini",
        "Gemini CLI",
        "In the terminal",
        "Gemini CLI",
        ("gemini",),
        oauth=_gemini_by_oauth,
        oauth_steps=("Run the command below.", "In Gemini CLI type /mcp auth orderdesk.", _ASKS),
        by_key=_gemini_by_key,
        key_steps=("Run the command below.", "Start Gemini CLI again."),
    ),
    ClientSetup(
        "n8n",
        "n8n",
        "The node MCP Client Tool",
        "n8n",
        ("n8n",),
        oauth=_n8n_by_oauth,
        oauth_steps=(
            "Add the node MCP Client Tool to your agent, with HTTP Streamable as its transport.",
            "Paste the address, choose MCP OAuth2 as authentication, and connect.",
            _ASKS,
        ),
        by_key=_n8n_by_key,
        key_steps=(
            "Add the node MCP Client Tool to your agent, with HTTP Streamable as its transport.",
            "Paste the address, and choose Bearer Auth as authentication.",
            "Make a credential of the token below.",
        ),
        hosted="n8n cloud calls from its own servers.",
        otherwise="An n8n of your own works if it reaches this address.",
    ),
    ClientSetup(
        "mcp-remote",
        "mcp-remote",
        "For clients that only start programs",
        "mcp-remote",
        ("mcp-remote",),
        oauth=_mcp_remote_by_oauth,
        oauth_steps=("Merge the text below, and start the client again.", _ASKS),
        by_key=_mcp_remote_by_key,
        key_steps=("Merge the text below, and start the client again.",),
        carries_others=True,
    ),
    ClientSetup(
        "stdio",
        "stdio",
        "On the machine of this server",
        "stdio",
        (),
        by_key=_stdio_by_key,
        key_steps=(
            "The client starts orderdesk itself, so it has to run where this server is installed.",
            "Merge the text below, and start the client again.",
        ),
    ),
)


def find_client(client_id: str) -> ClientSetup | None:
    return next((client for client in CLIENTS if client.id == client_id), None)


def client_called(client_name: str) -> ClientSetup | None:
    """The client that goes by that name; None for one that is not in the table."""
    return next((client for client in CLIENTS if client.is_called(client_name)), None)


def key_client(key_name: str) -> ClientSetup | None:
    """The client that a key or an app of that name is for; None where the name tells of none."""
    named = next((client for client in CLIENTS if client.key_name == key_name), None)
    return named or client_called(key_name)


def is_call_of(client: ClientSetup, client_name: str, key_name: str) -> bool:
    """Whether a program of that name is the client; where nobody knows the program, whether its key
    or app is called by the client's name.
    """
    known = client_called(client_name) or key_client(key_name)
    return known is client or (client.carries_others and client.is_called(client_name))
