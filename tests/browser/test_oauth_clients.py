"""Clients that others wrote connect by OAuth: the conformance suite, mcp-remote with a person at
the consent page, the official client for TypeScript with one too, authlib, and plain HTTP.
"""

import asyncio
import contextlib
import json
import os
import re
import signal
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest
from authlib.integrations.httpx_client import AsyncOAuth2Client
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from mcp.client.stdio import StdioServerParameters, stdio_client
from playwright.async_api import Page, expect

from orderdesk_app.context import Scope
from tests.browser.conftest import Account, Opens, Site
from tests.browser.steps import notice, settled
from tests.clients.clients import PROGRAMS
from tests.mcp_server import LEGACY, MODERN, speaking
from tests.node_clients import NEWEST, NodeClients, node_clients
from tests.worlds import FIRST_ORDER, eventually, free_port, open_services

__all__ = ["node_clients"]
CALLBACK = "http://127.0.0.1:33418/callback"
READING = frozenset({Scope.STORES_READ, Scope.ORDERS_READ})
IN_OAUTH = "stores:read orders:read"
WRITING = {"order_id": FIRST_ORDER, "changes": {"shipping": {"city": "Step"}}}
MODES = [LEGACY[-1], MODERN]


# ------------------------------------------------------------------ the person


async def approve(
    site: Site, account: Account, address: str, *, narrowed_to: frozenset[Scope] = frozenset(Scope)
) -> str:
    """The person approves what is asked for, or less; where the answer leads."""
    async with open_services(site.settings) as services:
        user = await services.sessions.resume(account.cookie)
        assert user is not None
        requests = services.authorization_requests
        request = await requests.look(urlsplit(address).query, user.actor)
        return await requests.approve(
            user.actor,
            request,
            scopes=narrowed_to & set(request.scopes),
            store_ids=None,
            is_read_only=False,
        )


async def approve_in(page: Page, address: str, *, leads_to: str, only_reading: bool) -> None:
    """As `approve`, in a browser at the consent page."""
    await page.goto(address)
    if only_reading:
        for box in await page.locator("input[name=scopes]").all():
            await box.set_checked(await box.get_attribute("value") in READING)
    await page.get_by_role("button", name="Approve").click()
    await page.wait_for_url(leads_to)


async def follow(address: str) -> None:
    """The browser goes where the answer leads."""
    async with httpx.AsyncClient() as http:
        (await http.get(address)).raise_for_status()


def answer_in(address: str) -> dict[str, str]:
    return {name: value for name, [value] in parse_qs(urlsplit(address).query).items()}


async def register(site: Site, **changes: Any) -> dict[str, Any]:
    said = {
        "client_name": "Raw",
        "redirect_uris": [CALLBACK],
        "token_endpoint_auth_method": "none",
        **changes,
    }
    async with httpx.AsyncClient(base_url=site.url) as http:
        answer = await http.post("/register", json=said)
    assert answer.status_code == 201, answer.text
    told: dict[str, Any] = answer.json()
    return told


# ------------------------------------------------------------------ the conformance suite


@pytest.mark.parametrize("revision", MODES)
async def test_the_official_suite_finds_no_fault_in_the_authorization_server(
    site: Site, ada: Account, node_clients: NodeClients, tmp_path: Path, revision: str
) -> None:
    port = free_port()
    client = await register(site, redirect_uris=["http://127.0.0.1/callback"])
    command = node_clients.command(
        "conformance",
        "authorization",
        "--url",
        site.url,
        "--client-id",
        client["client_id"],
        "--resource",
        f"{site.url}/mcp",
        "-p",
        str(port),
        "--spec-version",
        revision,
        "-o",
        str(tmp_path),
    )

    async with running(command, node_clients.environment) as process:
        told = await process.until(r"http://localhost:\d+/authorize\?\S+")
        await eventually(lambda: is_waited_for(told), 20)
        await follow(await approve(site, ada, told))
        await process.ended()

    assert process.returncode == 0, process.text
    assert re.search(r"authorization-server-metadata-endpoint: 2 passed, 0 failed", process.text)
    assert re.search(r"authorization-code-grant: 1 passed, 0 failed", process.text)


# ------------------------------------------------------------------ mcp-remote, and a real browser


@pytest.mark.parametrize("revision", MODES)
async def test_mcp_remote_connects_renews_steps_up_and_is_disconnected(
    site: Site,
    ada: Account,
    opens: Opens,
    node_clients: NodeClients,
    tmp_path: Path,
    revision: str,
) -> None:
    command, *arguments = node_clients.command(
        "mcp-remote", f"{site.url}/mcp", "--allow-http", "--transport", "http-only"
    )
    environment = {
        **node_clients.environment,
        "HOME": str(tmp_path),
        "MCP_REMOTE_CONFIG_DIR": str(tmp_path / "mcp-auth"),
        "BROWSER": "true",  # the test opens the address in its own browser
    }
    shown = tmp_path / "stderr"
    page = await (await opens(ada)).new_page()
    watched = await page.context.new_page()
    await watched.goto("/connect?client=mcp-remote")
    await settled(watched)

    with shown.open("w") as errors:
        parameters = StdioServerParameters(command=command, args=arguments, env=environment)
        person = asyncio.create_task(connects(page, shown, only_reading=True))
        async with speaking(
            stdio_client(parameters, errlog=errors), revision, read_timeout_seconds=60
        ) as client:
            await person
            # it has called no tool yet
            await expect(
                watched.get_by_text(re.compile("Connected: (mcp-remote|MCP CLI Proxy)"))
            ).to_be_visible()
            tools = {tool.name for tool in (await client.list_tools()).tools}
            assert client.protocol_version == revision
            [tokens] = (tmp_path / "mcp-auth").rglob("*tokens.json")
            spoil(tokens)  # as if the hour of the access token were over
            order = await client.call_tool("orders_get", {"order_id": FIRST_ORDER})
            renewed = json.loads(await asyncio.to_thread(tokens.read_text))
            asked = len(await addresses(shown))
            person = asyncio.create_task(connects(page, shown, after=asked))
            written = await client.call_tool("orders_update", WRITING)
            await person
            await page.goto("/apps")
            await page.get_by_role("button", name="Disconnect MCP CLI Proxy").click()
            await expect(notice(page, "is disconnected")).to_be_visible()
            calling = asyncio.create_task(client.call_tool("orders_get", {"order_id": FIRST_ORDER}))
            again = await eventually(lambda: addresses(shown, after=asked + 1), 20)
            calling.cancel()

    assert "orders_get" in tools
    assert "orders_update" not in tools, "its person took that away"
    assert order.structured_content["order"]["id"] == FIRST_ORDER
    assert renewed["access_token"].startswith("oda_")
    assert asked == 1, "it renewed its tokens without its person"
    assert not written.is_error, "it asked its person for more"
    assert again, "it has to ask its person again"


async def connects(page: Page, shown: Path, *, after: int = 0, only_reading: bool = False) -> None:
    """Opens the address that the program shows next, and approves on the page."""

    page.context.watch.expect(r"http://localhost:\d+/oauth/callback\?")  # type: ignore[attr-defined]
    [found] = await eventually(lambda: addresses(shown, after=after), 40)
    await eventually(lambda: is_waited_for(found), 20)
    await approve_in(page, found, leads_to="http://*:*/oauth/callback?*", only_reading=only_reading)


async def is_waited_for(address: str) -> bool:
    """Whether the program listens for the answer: it shows the address a moment before."""
    port = urlsplit(answer_in(address)["redirect_uri"]).port
    with contextlib.suppress(OSError):
        _, writer = await asyncio.open_connection("localhost", port)
        writer.close()
        return True
    return False


async def addresses(shown: Path, *, after: int = 0) -> list[str]:
    """Those at which the program asked its person to approve."""
    text = await asyncio.to_thread(shown.read_text)
    return re.findall(r"^http://localhost:\d+/authorize\?\S+", text, re.M)[after:]


def spoil(tokens: Path) -> None:
    saved = json.loads(tokens.read_text())
    tokens.write_text(json.dumps({**saved, "access_token": f"oda_{'x' * 43}"}))


# ------------------------------------------------------------------ the official TypeScript client


@pytest.mark.parametrize("revision", MODES)
async def test_the_official_typescript_client_connects_steps_up_and_is_disconnected(
    site: Site, ada: Account, opens: Opens, node_clients: NodeClients, revision: str
) -> None:
    mode = {"pin": MODERN} if revision == MODERN else "legacy"
    steps = json.dumps({"url": f"{site.url}/mcp", "mode": mode})
    command = [
        node_clients.node(),
        str(PROGRAMS / "oauth_typescript.cjs"),
        steps,
        str(NEWEST),
    ]
    page = await (await opens(ada)).new_page()
    page.context.watch.expect(r"http://127\.0\.0\.1:\d+/callback\?")  # type: ignore[attr-defined]
    calling = {"tool": "orders_get", "arguments": {"order_id": FIRST_ORDER}}

    async with running(command, node_clients.environment) as process:
        client = TypeScriptClient(process, page)
        connected = await client.does("connect")
        read = await client.does("call", **calling)
        first = await client.does("saved")
        await client.does("expire")
        again = await client.does("call", **calling)
        renewed = await client.does("saved")
        approvals = client.approvals
        written = await client.does("call", tool="orders_update", arguments=WRITING)
        wider = await client.does("saved")
        await page.goto("/apps")
        await page.get_by_role("button", name="Disconnect TypeScript tests").click()
        await expect(notice(page, "is disconnected")).to_be_visible()
        refused = await client.says("call", **calling)

    assert connected["revision"] == revision
    assert not read["isError"], read
    assert not again["isError"], again
    assert approvals == 1
    assert first["tokens"]["scope"] == IN_OAUTH
    assert renewed["tokens"]["refresh_token"] != first["tokens"]["refresh_token"]
    assert not written["isError"], written
    assert client.approvals == 2, "the person was asked for more"
    assert Scope.ORDERS_WRITE.value in wider["tokens"]["scope"].split()
    assert "authorize" in refused, "it has to ask the person again, at its very next call"


@dataclass
class TypeScriptClient:
    """programs/oauth_typescript.cjs, whose person lets it read, and more when it asks again."""

    process: "Process"
    page: Page
    approvals: int = 0

    async def does(self, act: str, **options: Any) -> dict[str, Any]:
        told = await self.says(act, **options)
        while "authorize" in told:
            self.approvals += 1
            assert self.approvals <= 3, "it asks the person again and again"
            await approve_in(
                self.page,
                told["authorize"],
                leads_to="http://127.0.0.1:*/callback?*",
                only_reading=self.approvals == 1,
            )
            told = await self.process.line()
        assert "done" in told, told
        done: dict[str, Any] = told["done"]
        return done

    async def says(self, act: str, **options: Any) -> dict[str, Any]:
        """The next line, whatever it is."""
        await self.process.write({"act": act, **options})
        return await self.process.line()


# ------------------------------------------------------------------ authlib, and plain HTTP


@pytest.mark.parametrize("method", ["none", "client_secret_basic", "client_secret_post"])
async def test_authlib_gets_renews_and_revokes_tokens(
    site: Site, ada: Account, method: str
) -> None:
    """An OAuth client that knows nothing of MCP."""
    client = await register(site, client_name="Authlib", token_endpoint_auth_method=method)
    async with AsyncOAuth2Client(
        client["client_id"],
        client.get("client_secret"),
        token_endpoint_auth_method=method,
        revocation_endpoint_auth_method=method,
        redirect_uri=CALLBACK,
        scope=IN_OAUTH,
        code_challenge_method="S256",
    ) as http:
        verifier = "v" * 64
        address, state = http.create_authorization_url(
            f"{site.url}/authorize", code_verifier=verifier, resource=f"{site.url}/mcp"
        )
        answer = await approve(site, ada, address)
        tokens = await http.fetch_token(
            f"{site.url}/token",
            authorization_response=answer,
            code_verifier=verifier,
            state=state,
        )
        assert answer_in(answer)["iss"] == site.url
        assert await calls(site, tokens["access_token"]) == 200

        renewed = await http.refresh_token(f"{site.url}/token", tokens["refresh_token"])
        assert await calls(site, renewed["access_token"]) == 200
        revoked = await http.revoke_token(
            f"{site.url}/revoke", renewed["refresh_token"], "refresh_token"
        )

    assert revoked.status_code == 200
    assert await calls(site, renewed["access_token"]) == 401


async def test_what_no_named_client_does_is_done_by_plain_http(site: Site, ada: Account) -> None:
    """mcp-remote and the TypeScript client revoke nothing, and show no challenge to their user."""
    client = await register(site)
    verifier = "v" * 64
    query = {
        "response_type": "code",
        "client_id": client["client_id"],
        "redirect_uri": CALLBACK.replace("33418", "40000"),  # any port of loopback
        "code_challenge": create_s256_code_challenge(verifier),
        "code_challenge_method": "S256",
    }
    answer = await approve(site, ada, f"/authorize?{urlencode(query)}", narrowed_to=READING)

    async with httpx.AsyncClient(base_url=site.url, timeout=60) as http:
        form = {
            "grant_type": "authorization_code",
            "client_id": client["client_id"],
            "redirect_uri": query["redirect_uri"],
            "code": answer_in(answer)["code"],
            "code_verifier": verifier,
        }
        tokens = (await http.post("/token", data=form)).raise_for_status().json()
        write = {"name": "orders_update", "arguments": {"order_id": FIRST_ORDER, "changes": {}}}
        challenged = await ask(http, tokens["access_token"], "tools/call", write)
        revocation = {"client_id": client["client_id"], "token": tokens["access_token"]}
        revoked = [(await http.post("/revoke", data=revocation)).status_code for _ in range(2)]
        after = await ask(http, tokens["access_token"], "tools/list")
        renewal = {
            "grant_type": "refresh_token",
            "client_id": client["client_id"],
            "refresh_token": tokens["refresh_token"],
        }
        renewed = await http.post("/token", data=renewal)

    assert challenged.status_code == 403
    challenge = challenged.headers["www-authenticate"]
    assert 'error="insufficient_scope"' in challenge
    assert "orders:write" in challenge
    assert revoked == [200, 200]
    assert after.status_code == 401
    assert f'resource_metadata="{site.url}/.well-known/' in after.headers["www-authenticate"]
    assert renewed.json()["error"] == "invalid_grant", "its refresh token has ended with it"


async def calls(site: Site, token: str) -> int:
    """The status of a call with that token."""
    async with httpx.AsyncClient(base_url=site.url, timeout=60) as http:
        return (await ask(http, token, "tools/list")).status_code


async def ask(
    http: httpx.AsyncClient, token: str, method: str, params: dict[str, Any] | None = None
) -> httpx.Response:
    return await http.post(
        "/mcp",
        json={"jsonrpc": "2.0", "id": 1, "method": method, "params": params or {}},
        headers={
            "authorization": f"Bearer {token}",
            "accept": "application/json, text/event-stream",
            "mcp-protocol-version": LEGACY[-1],
        },
    )


# ------------------------------------------------------------------ programs


class Process:
    """A program whose output is heard line by line."""

    def __init__(self, process: asyncio.subprocess.Process, errors: Path) -> None:
        self._process = process
        self._errors = errors
        self.text = ""

    @property
    def returncode(self) -> int | None:
        return self._process.returncode

    async def write(self, what: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(what).encode() + b"\n")
        await self._process.stdin.drain()

    async def line(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(await self._next())
        return told

    async def until(self, pattern: str) -> str:
        """The first words in its output that look so."""
        while (found := re.search(pattern, self.text)) is None:
            await self._next()
        return found[0]

    async def ended(self) -> None:
        with contextlib.suppress(EOFError):
            while True:
                await self._next()
        await self._process.wait()

    async def _next(self) -> str:
        assert self._process.stdout is not None
        async with asyncio.timeout(20):
            line = (await self._process.stdout.readline()).decode()
        self.text += line
        if not line:
            raise EOFError(f"{self.text[-2000:]}\n{self._errors.read_text()[-3000:]}")
        return line


@contextlib.asynccontextmanager
async def running(command: list[str], environment: dict[str, str]) -> AsyncIterator[Process]:
    with tempfile.NamedTemporaryFile() as errors:
        process = await asyncio.create_subprocess_exec(
            *command,
            env=environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
        )
        try:
            yield Process(process, Path(errors.name))
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # `node` is a child of the command
            await process.communicate()
