"""One real server, one real browser for the whole run; each test has an account of its own, and a neighbour if it wants one."""

import json
import os
import secrets
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from orderdesk_app import wiring
from orderdesk_app.config import Settings, load_settings
from orderdesk_app.context import Actor, Scope, Secret, Via
from orderdesk_app.frontend import ROOT, Frontend
from orderdesk_app.orderdesk.patience import Patience
from orderdesk_app.services.sandbox import SandboxKeys
from orderdesk_app.services.sessions import COOKIE
from tests.browser.chromium import ORDER, Chromium, choose
from tests.browser.recorder import Recorder
from tests.browser.watch import Watch
from tests.worlds import free_port, quick_passwords

WIDE, NARROW = (1280, 800), (390, 844)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Browser and server live in one event loop for the whole run."""
    together = pytest.mark.asyncio(loop_scope="session")
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent) and pytest_asyncio.is_async_test(item):
            item.add_marker(together, append=False)


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
    master_key: str
    access_key: str
    cookie: str
    store_id: str  # Order Desk's id of their sandbox store; empty for none
    store_name: str
    store_key: str


@dataclass
class Site:
    """`orderdesk serve` as a process, reached through the recorder."""

    settings: Settings
    recorder: Recorder
    process: "subprocess.Popen[bytes]"
    folder: Path
    link: str  # the printed one, by our address
    accounts: list[Account] = field(default_factory=list)

    @property
    def url(self) -> str:
        return self.settings.public_url

    def logs(self) -> bytes:
        """Everything that the process wrote; the printed link apart, which is meant for the one who started it."""
        printed = (self.folder / "stdout").read_bytes().replace(self.link.partition("token=")[2].encode(), b"")
        return printed + (self.folder / "stderr").read_bytes()

    async def move_in(self, name: str, *, with_store: bool = True) -> Account:
        """A new account, signed in, with a sandbox store and a key for its assistant."""
        with quick_passwords():
            async with wiring.open_house(self.settings) as house:
                view, master = await house.tenants.make_tenant(name)
                await house.keyring.tenant(view.id)
                actor = Actor(tenant_id=view.id, role=view.role, via=Via.WEB)
                cookie = await house.sessions.start(view.id, credential_id=None, address="127.0.0.1", user_agent="tests")
                _, key = await house.keys.create(actor, f"{name}'s assistant", frozenset(Scope))
                store_id = store_name = store_key = ""
                if with_store:
                    record = await house.stores.add_sandbox(actor, patience=Patience(30))
                    store_id, store_name = record.store_id, record.name
                    store_key = SandboxKeys(house.keyring.purpose("sandbox")).key_of(record.store_id).reveal()
        account = Account(name, view.id, master.reveal(), key.reveal(), cookie, store_id, store_name, store_key)
        self.accounts.append(account)
        return account

    async def sign_in_link(self) -> str:
        """A fresh link for the admin, as `orderdesk signin-link` makes it."""
        async with wiring.open_house(self.settings) as house:
            admin = await house.tenants.ensure_admin(master_key=None, has_webui=True)
            token: Secret = await house.sign_in.make_link(admin.tenant_id)
        return f"{self.url}/sign-in/link?token={token.reveal()}"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def site(frontend: Frontend, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    data = folder / "data"
    data.mkdir(mode=0o700)
    recorder = Recorder(free_port())
    port = free_port()
    environment = {
        "DATABASE_URL": f"sqlite:///{data / 'app.db'}",
        "MCP_KMS_KEY": b64encode(secrets.token_bytes(32)).decode(),
        "PORT": str(port),
        "PUBLIC_URL": f"http://localhost:{recorder.port}",
        "CACHE_BACKEND": "sqlite",
        "LOG_LEVEL": "DEBUG",
        "RATE_LIMIT_RPM": "100000",
        "WEBUI_RATE_LIMIT_LOGIN": "10000",
        "WEBUI_RATE_LIMIT_API_CONSOLE": "100000",
    }
    command = [sys.executable, "-m", "orderdesk_app.cli", "serve"]
    surroundings = {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": str(ROOT)}
    with (folder / "stdout").open("wb") as out, (folder / "stderr").open("wb") as err:
        process = subprocess.Popen(command, cwd=ROOT, env={**surroundings, **environment}, stdout=out, stderr=err)
    try:
        await recorder.start(port)
        link = _ready(process, folder, port)
        yield Site(load_settings(environment), recorder, process, folder, f"http://localhost:{recorder.port}/{link.split('/', 3)[3]}")
    finally:
        process.terminate()
        process.wait(20)
        await recorder.stop()


def _ready(process: "subprocess.Popen[bytes]", folder: Path, port: int) -> str:
    """Waits until it serves; returns the printed link."""
    until = time.monotonic() + 60
    while True:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/health/ready", timeout=5).status_code == 200:
                break
        except httpx.TransportError:
            pass
        assert process.poll() is None, f"the server ended: {(folder / 'stderr').read_text()[-3000:]}"
        assert time.monotonic() < until, f"the server is not ready: {(folder / 'stderr').read_text()[-3000:]}"
        time.sleep(0.05)
    return next(line.strip() for line in (folder / "stdout").read_text().splitlines() if "/sign-in/link?" in line)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser(chromium: Chromium) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium.executable, args=list(chromium.flags), env={**os.environ, **chromium.environment}, headless=True
        )
        yield browser
        await browser.close()


Opens = Callable[..., Awaitable[BrowserContext]]


@pytest_asyncio.fixture(loop_scope="session")
async def opens(site: Site, browser: Browser) -> AsyncIterator[Opens]:
    """Opens a fresh browser for somebody, or for nobody. Whatever goes wrong in any of them fails the test at its end."""
    async with AsyncExitStack() as closing:
        watches: list[Watch] = []

        async def open_for(account: Account | None = None, *, size: tuple[int, int] = WIDE, scheme: str = "light", **options: Any) -> BrowserContext:
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
            context.set_default_timeout(10_000)
            watch = Watch(site.url)
            await watch.over(context)
            watches.append(watch)
            context.watch = watch  # type: ignore[attr-defined]
            if account is not None:
                await context.add_cookies([{"name": COOKIE, "value": account.cookie, "url": site.url, "httpOnly": True, "sameSite": "Lax"}])
            return context

        yield open_for
    found = [problem for watch in watches for problem in watch.unexpected()]
    assert not found, "\n".join(dict.fromkeys(found))


@pytest_asyncio.fixture(loop_scope="session")
async def ada(site: Site) -> Account:
    """The one whose pages are looked at."""
    return await site.move_in("Ada's Teas")


@pytest_asyncio.fixture(loop_scope="session")
async def page(opens: Opens, ada: Account) -> Page:
    """Ada's browser."""
    return await (await opens(ada)).new_page()


@pytest.fixture(scope="session")
def pages(frontend: Frontend) -> list[dict[str, Any]]:
    """Every page that Reflex has registered, asked of a process of its own: {"route", "address", "title", "is_public"}."""
    question = (
        "import json\n"
        "from orderdesk_app.orderdesk_app import app, every_page\n"
        "ours = {page.route: page for page in every_page()}\n"
        "registered = ['/' if route == 'index' else route if route == '404' else '/' + route.strip('/') for route in app._unevaluated_pages]\n"
        "print(json.dumps([{'route': r, 'address': '/no/such/page' if r == '404' else r, 'title': ours[r].title, 'is_public': ours[r].is_public} for r in registered]))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "REFLEX_TELEMETRY_ENABLED": "false", "REFLEX_CHECK_LATEST_VERSION": "false"}
    done = subprocess.run([sys.executable, "-c", question], cwd=ROOT, env=environment, check=True, capture_output=True, text=True, timeout=120)
    found: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return found
