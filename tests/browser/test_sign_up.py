"""A stranger signs up by mail and has a key; what goes wrong on the way says what to do."""

import asyncio
import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.async_api import Browser, BrowserContext, Page, expect

from orderdesk_app.services.magic_links import LinkPurpose
from tests.browser.conftest import CHAPTER, Opens, Serving, Site
from tests.browser.steps import long_address, mailed_link, settled
from tests.browser.test_pages import READ_BY_AXE, look
from tests.mail_server import MailServer
from tests.worlds import AgentClient, eventually, free_port, open_services

_NUMBERS = iter(range(1, 1000))


def new_address() -> str:
    return f"ada-{next(_NUMBERS)}@example.net"


async def headed(page: Page, words: str) -> None:
    await expect(page.get_by_role("heading", level=1)).to_have_text(words)


async def sign_up(page: Page, address: str) -> None:
    await page.goto("/sign-up")
    await page.get_by_label("E-mail").fill(address)
    await page.keyboard.press("Enter")
    await headed(page, "Check your mail")


async def open_account(site: Site, page: Page) -> str:
    """By the button of the link's page; returns the key, as the one answer shows it."""
    with site.recorder.chapter(CHAPTER):
        await page.get_by_role("button", name="Open my account").press("Enter")
        await headed(page, "Your account is open")
        await expect(page.get_by_role("button", name="Continue")).to_be_visible()
        await page.wait_for_load_state()  # the buttons work once the script is there
    key = await page.get_by_label("Your master key").inner_text()
    site.shown.append(key)
    return key


async def expired_link(site: Site) -> str:
    async with open_services(site.settings) as services, services.database.write() as session:
        token = await services.magic_links.make(
            session, LinkPurpose.SIGN_UP, works_for=0.0, payload={"email": "ada@example.net"}
        )
    return f"/verify?token={token.reveal()}"


async def test_from_the_sign_in_page_to_the_first_tool_call_in_two_minutes(
    site: Site, opens: Opens, post_office: MailServer
) -> None:
    """By keyboard alone."""
    started = time.monotonic()
    context = await opens()
    await context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = await context.new_page()
    address = new_address()
    keys = page.keyboard

    await page.goto("/sign-in")
    await page.get_by_role("link", name="Create an account").press("Enter")
    await headed(page, "Create an account")
    await expect(page.get_by_label("E-mail")).to_be_focused()
    await keys.type(address)
    await keys.press("Enter")
    await headed(page, "Check your mail")
    await expect(page.get_by_role("main")).to_contain_text(address)
    link = await mailed_link(post_office, address)
    site.links.append(link)
    await page.goto(link)
    await page.reload()  # looking uses nothing up: mail scanners open links
    await keys.press("Tab")
    await expect(page.get_by_label("Name of the account")).to_be_focused()
    await keys.type("Ada's Teas")
    await keys.press("Tab")
    key = await open_account(site, page)
    await page.get_by_role("button", name="Copy").press("Enter")
    await expect(page.get_by_role("button", name="Copied")).to_be_visible()
    async with page.expect_download() as coming:
        await page.get_by_role("link", name="Download as a text file").press("Enter")
    file = await (await coming.value).path()
    await page.get_by_role("button", name="Continue").press("Enter")
    await headed(page, "Your account is open")  # not before it is stored
    await page.get_by_label("I have stored it").press("Space")
    await page.get_by_role("button", name="Continue").press("Enter")
    await headed(page, "Home")
    await settled(page)
    await expect(page.get_by_role("heading", name="First steps")).to_be_visible()
    async with httpx.AsyncClient(base_url=site.url, timeout=60) as http:
        called = await AgentClient(http, key).get("stores_list")

    assert time.monotonic() - started < 120
    assert called["stores"] == []
    assert len(key) == 64
    assert await page.evaluate("() => navigator.clipboard.readText()") == key
    assert key in await asyncio.to_thread(Path(file).read_text, encoding="utf-8")
    mails = [mail.as_string() for mail in post_office.mails if mail["To"] == address]
    assert key not in "".join(mails)


async def test_the_key_is_not_shown_again_and_there_is_a_way_back(
    site: Site, opens: Opens, post_office: MailServer
) -> None:
    context = await opens()
    context.watch.expect("^410 (GET|POST) /verify")
    page = await context.new_page()
    address = new_address()
    await sign_up(page, address)
    link = await mailed_link(post_office, address)
    await page.goto(link)
    key = await open_account(site, page)

    await page.goto(link)
    await headed(page, "Your account is open")
    assert key not in await page.content()
    await context.clear_cookies()  # the page was closed, and the browser with it
    await page.goto(link)
    await headed(page, "This link no longer works")
    await page.get_by_role("link", name="Sign in").click()
    await page.get_by_label("E-mail").fill(address)
    await page.keyboard.press("Enter")
    await page.goto(await mailed_link(post_office, address, count=3))
    await page.get_by_role("button", name="Sign in as").click()

    await headed(page, "Home")


async def test_a_mail_is_sent_again_after_a_minute(
    site: Site, opens: Opens, post_office: MailServer
) -> None:
    page = await (await opens()).new_page()
    await page.clock.install()
    address = new_address()

    await sign_up(page, address)
    again = page.get_by_role("button", name="Send it again")
    await expect(again).to_be_disabled()
    await expect(again).to_have_text("Send it again in 60 s")
    await page.clock.run_for(30_000)
    await expect(again).to_have_text("Send it again in 30 s")
    await page.clock.run_for(30_000)
    await expect(again).to_be_enabled()
    await again.click()

    await expect(page.get_by_role("status")).to_have_text("Sent again.")
    await expect(again).to_be_disabled()
    await page.goto(await mailed_link(post_office, address, count=2))
    await open_account(site, page)


async def test_a_link_that_expired_says_so_and_leads_on(
    site: Site, opens: Opens, post_office: MailServer
) -> None:
    context = await opens()
    context.watch.expect("^410 GET /verify")
    page = await context.new_page()

    await page.goto(await expired_link(site))

    await headed(page, "This link no longer works")
    await expect(page.get_by_role("main")).to_contain_text("too old")
    await page.get_by_role("link", name="Sign up again").click()
    await headed(page, "Create an account")


async def test_every_page_of_sign_up_reads_well(
    site: Site, opens: Opens, post_office: MailServer
) -> None:
    context: BrowserContext = await opens()
    context.watch.expect(r"^4\d\d (GET|POST) /(verify|sign-up)")
    page = await context.new_page()
    faults: list[str] = []

    await page.goto("/sign-in")
    faults += await look(page, "sign-up-sign-in", views=READ_BY_AXE)
    await page.goto("/sign-up")
    faults += await look(page, "sign-up-form", views=READ_BY_AXE)
    await page.get_by_label("E-mail").fill("ada@nowhere")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_contain_text("no e-mail address")
    faults += await look(page, "sign-up-refused", views=READ_BY_AXE)
    address = long_address()
    await sign_up(page, address)
    faults += await look(page, "sign-up-sent", views=READ_BY_AXE)
    await page.goto(await mailed_link(post_office, address))
    faults += await look(page, "sign-up-link", views=READ_BY_AXE)
    await open_account(site, page)
    faults += await look(page, "sign-up-key", views=READ_BY_AXE)
    await page.goto(await expired_link(site))
    faults += await look(page, "sign-up-expired", views=READ_BY_AXE)

    assert not faults, "\n".join(faults)


# ------------------------------------------------------------------ a development machine


@pytest.fixture(scope="module")
def machine(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server that mails to its outbox."""
    folder = tmp_path_factory.mktemp("machine")
    (folder / "data").mkdir(mode=0o700)
    port = free_port()
    environment = {
        "DATABASE_URL": f"sqlite:///{folder / 'data' / 'app.db'}",
        "PORT": str(port),
        "PUBLIC_URL": f"http://localhost:{port}",
        "ENABLE_PUBLIC_SIGNUP": "true",
        "SIGNUP_RATE_LIMIT_PER_HOUR": "1000",
        "WEBUI_RATE_LIMIT_SIGNUP": "1000",
    }
    serving = Serving(environment, folder, port, port)
    serving.start()
    yield environment["PUBLIC_URL"]
    serving.stop()


async def test_a_developer_finds_the_mail_in_the_outbox(machine: str, browser: Browser) -> None:
    context = await browser.new_context(base_url=machine, reduced_motion="reduce")
    page = await context.new_page()
    faults: list[str] = []

    await _ready(machine)
    await page.goto("/outbox")
    await headed(page, "Outbox")
    faults += await look(page, "outbox-empty", views=READ_BY_AXE)
    await sign_up(page, new_address())
    await page.goto("/outbox")
    await page.get_by_role("link", name="Confirm your e-mail address").first.press("Enter")
    await headed(page, "Confirm your e-mail address")
    faults += await look(page, "outbox-mail", views=READ_BY_AXE)
    mail = page.frame_locator("iframe")
    await mail.get_by_role("link", name="Confirm my address").press("Enter")
    await headed(page, "Open your account")
    await page.goto("/outbox")
    faults += await look(page, "outbox", views=READ_BY_AXE)
    await context.close()

    assert not faults, "\n".join(faults)


async def _ready(url: str) -> None:
    async with httpx.AsyncClient(base_url=url) as http:

        async def answers() -> bool:
            with contextlib.suppress(httpx.TransportError):
                return (await http.get("/health/ready")).status_code == 200
            return False

        await eventually(answers, 60)
