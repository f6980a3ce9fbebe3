"""The configuration to paste into an AI client so that it connects to us; Settings shows it, and
the page of a new key.
"""

import json

PLACEHOLDER = "YOUR_KEY"


def claude_desktop(public_url: str, key: str = PLACEHOLDER) -> str:
    """JSON for claude_desktop_config.json, through mcp-remote: the key is in an environment
    variable, never in the address.
    """
    arguments = [
        "-y",
        "mcp-remote",
        f"{public_url}/mcp",
        "--transport",
        "http-only",
        "--header",
        "Authorization:${ORDERDESK_AUTHORIZATION}",
    ]
    if public_url.startswith("http://"):
        arguments.append("--allow-http")
    return json.dumps(
        {
            "mcpServers": {
                "orderdesk": {
                    "command": "npx",
                    "args": arguments,
                    "env": {"ORDERDESK_AUTHORIZATION": f"Bearer {key}"},
                }
            }
        },
        indent=2,
    )


def claude_code(public_url: str, key: str = PLACEHOLDER) -> str:
    """The command that adds us to Claude Code; other programs that take an address and a header
    need the same two.
    """
    return (
        f'claude mcp add --transport http orderdesk {public_url}/mcp --header "Authorization: '
        f'Bearer {key}"'
    )
