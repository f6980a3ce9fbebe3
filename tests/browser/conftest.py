"""One real server, one real browser for the whole run; each test has an account of its own, and a
neighbour if it wants one.
"""

import asyncio
import contextlib
import json
import os
import secrets
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from playwright._impl._api_structures import SetCookieParam
from playwright.async_api import Browser, BrowserContext, Page, async_playwright, expect

from orderdesk_app import wiring
from orderdesk_app.config import Settings
from orderdesk_app.context import Actor, Scope, Secret, Via
from orderdesk_app.frontend import ROOT, Frontend
from orderdesk_app.services.sandbox import SandboxKeys
from orderdesk_app.services.sessions import COOKIE
from orderdesk_app.settings_reader import load_settings
from tests.browser.chromium import ORDER, Chromium, choose
from tests.browser.recorder import Recorder
from tests.browser.watch import Watch
from tests.mail_server import MailServer, mail_server
from tests.worlds import (
    API_KEY,
    FIRST_ORDER,
    AgentClient,
    SandboxServer,
    eventually,
    free_port,
    open_services,
    own_environment,
    sandbox_server,
)

__all__ = ["sandbox_server"]  # a fixture that this conftest hands on
HERE = Path(__file__).parent
CHAPTER = "a new key"  # of the recorder: the one answer that shows a new key
WIDE, NARROW = (1280, 800), (390, 844)
# Milliseconds until what is expected of a page must have come. Long, as the machine may be busy
# with other tests: no test of a page measures time.
PATIENCE = 30_000
expect.set_options(timeout=PATIENCE)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Browser and server live in one event loop for the whole run."""
    together = pytest.mark.asyncio(loop_scope="session")
    for item in items:
        if item.path.is_relative_to(HERE) and pytest_asyncio.is_async_test(item):
            item.add_marker(together, append=False)
    # What all of them have left behind is searched at the end; the sort is stable and moves nothing
    # else.
    ours = [number for number, item in enumerate(items) if item.path.is_relative_to(HERE)]
    last = sorted(
        (items[number] for number in ours), key=lambda item: item.path.name == "test_secrets.py"
    )
    for number, item in zip(ours, last, strict=True):
        items[number] = item


@pytest.fixture(scope="session")
def chromium() -> Chromium:
    """Fails where there is none; never skips."""
    return choose(ORDER)


@pytest.fixture(scope="session")
def frontend() -> Frontend:
    """Built, and from the sources as they stand; `make test` has done it already."""
    frontend = Frontend()
    if not frontend.is_current():
        frontend.build()
    return frontend


@dataclass
class Account:
    """Somebody with an account: how they sign in, and the key of their assistant."""

    name: str
    tenant_id: str
    master_key: str = field(repr=False)
    access_key: str = field(repr=False)
    cookie: str = field(repr=False)
    store_id: str  # Order Desk's id of their sandbox store; empty for none
    store_name: str
    store_key: str = field(repr=False)

    def keys(self) -> dict[str, str]:
        """Their secrets, but for what they have none of."""
        return {
            what: secret
            for what, secret in (
                ("master", self.master_key),
                ("access", self.access_key),
                ("store", self.store_key),
            )
            if secret
        }


@dataclass
class Site:
    """`orderdesk serve` as a process, reached through the recorder."""

    settings: Settings = field(repr=False)
    recorder: Recorder
    folder: Path
    accounts: list[Account] = field(default_factory=list, repr=False)
    # keys that no answer of the server ever showed
    made: list[str] = field(default_factory=list, repr=False)
    links: list[str] = field(default_factory=list, repr=False)
    shown: list[str] = field(default_factory=list, repr=False)  # keys that one answer showed

    @property
    def url(self) -> str:
        return self.settings.public_url

    def cookie_of(self, account: Account) -> SetCookieParam:
        return {
            "name": COOKIE,
            "value": account.cookie,
            "url": self.url,
            "httpOnly": True,
            "sameSite": "Lax",
        }

    @property
    def kms_key(self) -> str:
        return self.settings.mcp_kms_key.get_secret_value()

    def printed(self) -> bytes:
        """What stands on standard output, but for the links, which are meant for the one who
        started it.
        """
        return b"\n".join(
            line
            for line in (self.folder / "stdout").read_bytes().splitlines()
            if b"/sign-in/link?" not in line
        )

    async def make_account(
        self, name: str, *, with_store: bool = True, is_operator: bool = False
    ) -> Account:
        """A new account, signed in; unless it is a newcomer's, with a sandbox store and a key for
        its assistant.
        """
        async with open_services(self.settings) as services:
            view, master = await services.tenants.make_tenant(name, is_operator=is_operator)
            await services.keyring.tenant(view.id)
            actor = view.owner(Via.WEB)
            cookie = await services.sessions.start(
                view.id,
                view.owner_id,
                credential_id=None,
                address="127.0.0.1",
                user_agent="tests",
            )
            key, store_id, store_name, store_key = Secret(""), "", "", ""
            if with_store:
                _, key = await services.keys.create(actor, "Claude on the till", frozenset(Scope))
                record = await services.stores.add_sandbox(actor)
                store_id, store_name = record.store_id, record.name
                store_key = (
                    SandboxKeys(services.keyring.purpose("sandbox"))
                    .key_of(record.store_id)
                    .reveal()
                )
        account = Account(
            name, view.id, master.reveal(), key.reveal(), cookie, store_id, store_name, store_key
        )
        self.accounts.append(account)
        return account

    async def new_key(self, account: Account) -> str:
        """Another access key of that account."""
        [key] = await self.new_keys(account, ["Made elsewhere"])
        return key

    async def new_keys(self, account: Account, names: Sequence[str]) -> list[str]:
        async with open_services(self.settings) as services:
            actor = await self._actor(services, account)
            made = [
                (await services.keys.create(actor, name, frozenset(Scope)))[1].reveal()
                for name in names
            ]
        self.made.extend(made)
        return made

    async def connect(self, account: Account, store_id: str, name: str) -> None:
        """A store at the sandbox server, as `stores_register` connects it."""
        async with open_services(self.settings) as services:
            await services.stores.connect(
                await self._actor(services, account), store_id, Secret(API_KEY), name=name, label=""
            )
        if not account.access_key:
            account.access_key = await self.new_key(account)

    async def console_call(self, account: Account, tool: str, arguments: dict[str, Any]) -> str:
        """The id of a call that the account made in the console."""
        async with open_services(self.settings) as services:
            call = await services.console.run(await self._actor(services, account), tool, arguments)
        return call.id

    async def _actor(self, services: wiring.Services, account: Account) -> Actor:
        user = await services.sessions.resume(account.cookie)
        assert user is not None
        return user.actor

    async def sign_in_link(self) -> str:
        """A fresh link for the admin, as `orderdesk signin-link` makes it."""
        async with open_services(self.settings) as services:
            admin = await services.tenants.ensure_admin(master_key=None, has_webui=True)
            token: Secret = await services.sign_in.make_link(admin.tenant_id)
        self.links.append(f"{self.url}/sign-in/link?token={token.reveal()}")
        return self.links[-1]


@dataclass
class Serving:
    """The process, where it listens, and the settings that it has."""

    environment: dict[str, str]
    folder: Path
    port: int
    public_port: int
    process: "subprocess.Popen[bytes]" = field(init=False)

    def start(self) -> None:
        surroundings = {**own_environment(), "HOME": str(self.folder)}
        command = [sys.executable, "-m", "orderdesk_app", "serve"]
        with (self.folder / "stdout").open("ab") as out, (self.folder / "stderr").open("ab") as err:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env={**surroundings, **self.environment}, stdout=out, stderr=err
            )

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(20)

    async def restart(self) -> str:
        """Ends it and starts it again; it serves when this returns.

        Returns the link that it printed, by our address.
        """
        before = len(self.links())
        self.stop()
        self.start()

        async def printed() -> list[str]:
            return self.links()[before:]

        link = (await eventually(printed, 60))[-1]
        return f"http://localhost:{self.public_port}/{link.split('/', 3)[3]}"

    def links(self) -> list[str]:
        """Those that it printed, each once it served."""
        return [
            line.strip()
            for line in (self.folder / "stdout").read_text().splitlines()
            if "/sign-in/link?" in line
        ]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def post_office() -> AsyncIterator[MailServer]:
    """A real SMTP server, which gets all mail of the site."""
    async with mail_server(tls="none") as server:
        yield server


@pytest.fixture(scope="session")
def serving(
    frontend: Frontend,
    sandbox_server: SandboxServer,
    post_office: MailServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Serving]:
    """`orderdesk serve`, started as a person starts it; it is ready a moment later."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "data").mkdir(mode=0o700)
    port, public_port = free_port(), free_port()
    environment = {
        "DATABASE_URL": f"sqlite:///{folder / 'data' / 'app.db'}",
        "MCP_KMS_KEY": b64encode(secrets.token_bytes(32)).decode(),
        "PORT": str(port),
        "PUBLIC_URL": f"http://localhost:{public_port}",
        "ORDERDESK_API_URL": sandbox_server.url,
        "CACHE_BACKEND": "sqlite",
        # a slow machine takes longer than 15 s from one read to the next
        "CACHE_TTL_ORDERS": "600",
        "LOG_LEVEL": "DEBUG",
        "RATE_LIMIT_RPM": "100000",
        "WEBUI_RATE_LIMIT_LOGIN": "10000",
        "WEBUI_RATE_LIMIT_API_CONSOLE": "100000",
        "ENABLE_PUBLIC_SIGNUP": "true",
        "SIGNUP_RATE_LIMIT_PER_HOUR": "100000",
        "WEBUI_RATE_LIMIT_SIGNUP": "10000",
        "EMAIL_PROVIDER": "smtp",
        "SMTP_HOST": "127.0.0.1",
        "SMTP_PORT": str(post_office.port),
        "SMTP_USE_TLS": "false",
        "SMTP_FROM_EMAIL": "orders@example.com",
    }
    serving = Serving(environment, folder, port, public_port)
    serving.start()
    yield serving
    serving.stop()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def site(serving: Serving) -> AsyncIterator[Site]:
    recorder = Recorder(serving.public_port)
    await recorder.start(serving.port)
    await asyncio.to_thread(_ready, serving)
    yield Site(load_settings(serving.environment), recorder, serving.folder)
    await recorder.stop()


def _ready(serving: Serving) -> None:
    """Waits until it serves; a link is printed then."""
    process, folder = serving.process, serving.folder
    until = time.monotonic() + 60
    while not serving.links():
        assert process.poll() is None, (
            f"the server ended: {(folder / 'stderr').read_text()[-3000:]}"
        )
        assert time.monotonic() < until, (
            f"the server is not ready: {(folder / 'stderr').read_text()[-3000:]}"
        )
        time.sleep(0.05)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser(chromium: Chromium) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium.executable,
            args=list(chromium.flags),
            env={**os.environ, **chromium.environment},
            headless=True,
        )
        yield browser
        await browser.close()


SETTLERS_CALLS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("stores_list", {}),
    ("orders_list", {"limit": 5}),
    ("orders_get", {"order_id": FIRST_ORDER}),
    ("orders_get", {"order_id": FIRST_ORDER}),
    ("orders_get", {"order_id": "999999999"}),
    (
        "orders_update",
        {
            "order_id": FIRST_ORDER,
            "changes": {"order_notes": [{"content": "Leave it at the door."}]},
        },
    ),
    ("products_list", {"limit": 3}),
)


@contextlib.asynccontextmanager
async def agent(site: Site, account: Account) -> AsyncIterator[AgentClient]:
    """The account's assistant, at `/mcp`, heard by the recorder too."""
    async with httpx.AsyncClient(base_url=site.url, timeout=60) as http:
        yield AgentClient(http, account.access_key)


Opens = Callable[..., Awaitable[BrowserContext]]


@pytest_asyncio.fixture(loop_scope="session")
async def opens(site: Site, browser: Browser) -> AsyncIterator[Opens]:
    """Opens a fresh browser for somebody, or for nobody.

    Whatever goes wrong in any of them fails the test at its end.
    """
    async with AsyncExitStack() as closing:
        watches: list[Watch] = []

        async def open_for(
            account: Account | None = None,
            *,
            size: tuple[int, int] = WIDE,
            scheme: str = "light",
            **options: Any,
        ) -> BrowserContext:
            context = await browser.new_context(
                base_url=site.url,
                viewport={"width": size[0], "height": size[1]},
                color_scheme=scheme,  # type: ignore[arg-type]
                reduced_motion="reduce",
                locale="en-GB",
                timezone_id="UTC",
                service_workers="block",
                **options,
            )
            closing.push_async_callback(context.close)
            context.set_default_timeout(PATIENCE)
            watch = Watch(site.url)
            await watch.over(context)
            watches.append(watch)
            context.watch = watch  # type: ignore[attr-defined]
            if account is not None:
                await context.add_cookies([site.cookie_of(account)])
            return context

        yield open_for
    found = [problem for watch in watches for problem in watch.unexpected()]
    assert not found, "\n".join(dict.fromkeys(found))


@pytest_asyncio.fixture(loop_scope="session")
async def ada(site: Site) -> Account:
    """The one whose pages are looked at."""
    return await site.make_account("Ada's Teas")


@pytest_asyncio.fixture(loop_scope="session")
async def page(opens: Opens, ada: Account) -> Page:
    """Ada's browser."""
    return await (await opens(ada)).new_page()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def settler(site: Site) -> Account:
    """Has lived here for a while: a store, keys, and calls that went well and badly, by an agent.

    For tests that only look.
    """
    account = await site.make_account(
        "Sofia Lindqvist & Daughters — hand-made tea, pottery and kitchen goods"
    )
    async with agent(site, account) as client:
        for tool, arguments in SETTLERS_CALLS:
            await client.call(tool, **arguments)
    return account


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def newcomer(site: Site) -> Account:
    """Has nothing yet."""
    return await site.make_account("Newcomer", with_store=False)


@pytest.fixture(scope="session")
def pages(frontend: Frontend) -> list[dict[str, Any]]:
    """Every page that Reflex has registered but those for operators (test_users.py), asked of a
    process of its own: {"route", "address", "title", "is_public"}.
    """
    question = (
        "import json\n"
        "from orderdesk_app.orderdesk_app import app, every_page\n"
        "ours = {page.route: page for page in every_page()}\n"
        "registered = ['/' if route == 'index' else route if route == '404' else '/' + "
        "route.strip('/') for route in app._unevaluated_pages]\n"
        "print(json.dumps([{'route': r, 'address': '/no/such/page' if r == '404' else r, "
        "'title': ours[r].title, 'is_public': ours[r].is_public} for r in registered "
        "if not ours[r].is_for_operators]))"
    )
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "REFLEX_TELEMETRY_ENABLED": "false",
        "REFLEX_CHECK_LATEST_VERSION": "false",
    }
    done = subprocess.run(
        [sys.executable, "-c", question],
        cwd=ROOT,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    found: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return found
