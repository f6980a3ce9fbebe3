"""What is pasted into a client means what it should, whatever address and key stand in it."""

import json
import shlex
import tomllib
from base64 import b64decode
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from orderdesk_app.services.client_setups import (
    CLIENTS,
    ClientSetup,
    Snippet,
    client_called,
    find_client,
    is_call_of,
    is_out_of_reach,
)
from orderdesk_app.services.snippets import claude_code, shell_command

NAMED = (
    *("claude", "claude-code", "chatgpt", "cursor", "vs-code"),
    *("codex", "gemini", "n8n", "mcp-remote", "stdio"),
)
# As settings allow them, and as nobody should write them: no quoting may end early.
URLS = (
    "http://localhost:8080",
    "https://orders.example.com",
    "http://[::1]:8080",
    "https://o'brien.example.com/$HOME/`id`",
    'https://a"b.example.com/\\x',
    "https://bücher.example.com/a b#c?d=e&f",
)
KEYS = (
    "odk_" + "a" * 43,
    "-starts_like-an_option",
    "it's $HOME `id` !x",
    'say "no" \\ and \\n',
    "%PATH% ^& ü\x7f",
)


def _read(snippet: Snippet) -> list[str]:
    """All texts that a client reads out of it."""
    if snippet.title.endswith((".json", "Configuration")):
        return _texts(json.loads(snippet.text))
    if snippet.title.endswith(".toml"):
        return _texts(tomllib.loads(snippet.text))
    if snippet.title in ("Command", "Sign in"):
        return shlex.split(snippet.text)
    return [snippet.text]


def _texts(value: object) -> list[str]:
    if isinstance(value, dict):
        return [text for part in value.values() for text in _texts(part)]
    if isinstance(value, list):
        return [text for part in value for text in _texts(part)]
    return [str(value)]


def test_each_client_of_the_issue_has_its_tile() -> None:
    assert tuple(client.id for client in CLIENTS) == NAMED
    assert find_client("cursor") is CLIENTS[3]
    assert find_client("nobody") is None


@pytest.mark.parametrize("client", CLIENTS, ids=NAMED)
def test_a_client_reads_the_address_and_the_key_out_of_what_is_pasted(client: ClientSetup) -> None:
    for url in URLS:
        for key in KEYS:
            keyed = client.by_key(url, key) if client.by_key else ()
            texts = [text for snippet in keyed for text in _read(snippet)]
            if keyed:
                assert key in texts or any(text.endswith(f"Bearer {key}") for text in texts)
            if keyed and client.id != "stdio":
                assert f"{url}/mcp" in texts
        if client.oauth:
            assert f"{url}/mcp" in [text for part in client.oauth(url) for text in _read(part)]


@pytest.mark.parametrize("client", CLIENTS, ids=NAMED)
def test_whoever_signs_in_by_oauth_needs_no_key_and_no_link_has_room_for_one(
    client: ClientSetup,
) -> None:
    without = client.oauth(URLS[1]) if client.oauth else ()

    assert client.oauth or client.by_key
    assert not any(
        word in snippet.text for snippet in without for word in ("Bearer", "Authorization", "odk_")
    )
    if client.link:  # its one argument is the address
        assert not {"header", "bearer", "token", "key"} & set(client.link(URLS[1]).lower().split())


def test_a_link_says_where_we_are_and_nothing_else() -> None:
    for url in URLS:
        links = {client.id: client.link(url) for client in CLIENTS if client.link}

        assert set(links) == {"claude", "cursor", "vs-code"}
        place, _, query = links["claude"].partition("?")
        assert place == "https://claude.ai/customize/connectors"
        assert "+" not in query
        assert parse_qs(query, strict_parsing=True) == {
            "modal": ["add-custom-connector"],
            "connectorName": ["Order Desk"],
            "connectorUrl": [f"{url}/mcp"],
        }
        asked = parse_qs(urlsplit(links["cursor"]).query, strict_parsing=True)
        assert links["cursor"].startswith("cursor://anysphere.cursor-deeplink/mcp/install?")
        assert asked["name"] == ["orderdesk"]
        assert json.loads(b64decode(asked["config"][0])) == {"url": f"{url}/mcp"}
        scheme, _, query = links["vs-code"].partition("?")
        assert scheme == "vscode:mcp/install"
        assert json.loads(unquote(query)) == {
            "name": "orderdesk",
            "type": "http",
            "url": f"{url}/mcp",
        }
        assert not set("\"'<> ") & set("".join(links.values()))


def test_a_usual_command_is_one_for_the_shells_of_windows_too() -> None:
    command = claude_code("https://orders.example.com", "odk_key")

    assert command == (
        "claude mcp add --transport http --scope user orderdesk https://orders.example.com/mcp "
        '--header "Authorization: Bearer odk_key"'
    )
    assert claude_code("http://[::1]:8080", "k").split()[-5] == '"http://[::1]:8080/mcp"'
    assert shell_command("a b", "$x", "") == "\"a b\" '$x' ''"
    assert shell_command("@a", "b,c", "d=e") == '"@a" "b,c" "d=e"'


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://localhost:8080", True),
        ("https://[::1]:8080", True),
        ("http://orders.example.com", True),
        ("https://192.168.1.20", True),
        ("https://[fd00::1]", True),
        ("https://orders", True),
        ("https://orders.local", True),
        ("https://orders.example.com:8443", False),
        ("https://8.8.8.8", False),
    ],
)
def test_clients_in_somebodys_cloud_need_an_address_of_https_in_the_internet(
    url: str, expected: bool
) -> None:
    assert [client.id for client in CLIENTS if client.hosted] == ["claude", "chatgpt", "n8n"]
    assert is_out_of_reach(url) is expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("claude-code/2.1.317", "claude-code"),
        ("Claude-User", "claude"),
        ("Cursor", "cursor"),
        ("cursor-vscode", "cursor"),
        ("Visual Studio Code", "vs-code"),
        ("codex-mcp-client", "codex"),
        ("gemini-cli-mcp-client", "gemini"),
        ("@n8n/n8n-nodes-langchain.mcpClientTool", "n8n"),
        ("openai-mcp", "chatgpt"),
        ("python-httpx/0.28", ""),
        ("", ""),
    ],
)
def test_a_client_is_known_by_what_it_calls_itself(name: str, expected: str) -> None:
    found = client_called(name)

    assert (found.id if found else "") == expected


def test_a_client_is_known_by_its_app_or_through_what_carries_it_too() -> None:
    def clients(name: str, key: str = "") -> list[str]:
        return [client.id for client in CLIENTS if is_call_of(client, name, key)]

    assert clients("claude-ai (via mcp-remote 0.15.1)") == ["claude", "mcp-remote"]
    assert clients("node", "Cursor") == ["cursor"]  # the app that a person allowed
    assert clients("codex-mcp-client", "Cursor") == ["codex"]
    assert clients("node", "Night shift") == []
