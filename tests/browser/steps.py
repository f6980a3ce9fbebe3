"""What people do on every page, and how a test knows that the page has caught up."""

import itertools
import json
import re
from email.message import EmailMessage
from typing import Any

from playwright.async_api import Error, Locator, Page, expect

from tests.browser.conftest import CHAPTER, Site
from tests.mail_server import MailServer
from tests.worlds import eventually

_NUMBERS = itertools.count(1)
SIGN_IN = re.compile(r"/sign-in(\?.*)?$")


async def settled(page: Page) -> None:
    """The page lives and has its data: the server has told the browser who looks, and no skeleton
    is left.
    """
    if await page.locator(".side").count():
        await expect(page.locator(".side .who > span")).not_to_have_text("")
        await expect(page.locator("main .bone:visible")).to_have_count(0)
    else:
        await page.wait_for_load_state("networkidle")


def long_address() -> str:
    """An address of one long word."""
    return f"{'lovelace' * 7}{next(_NUMBERS)}@example.net"


_LEAVES = ("interrupted by another navigation", "net::ERR_ABORTED")


async def visit(page: Page, address: str) -> None:
    """Load an address, unless the page just leaves for another one by itself."""
    try:
        await page.goto(address)
    except Error as error:
        if not any(words in error.message for words in _LEAVES):
            raise


async def go_to(page: Page, title: str) -> None:
    """By the menu."""
    await (
        page.get_by_role("complementary", name="Sidebar")
        .get_by_role("link", name=title, exact=True)
        .click()
    )
    await expect(page.get_by_role("heading", level=1)).to_have_text(title)
    await expect(page.locator(".bone:visible")).to_have_count(0)


async def sign_out(page: Page) -> None:
    await (
        page.get_by_role("complementary", name="Sidebar")
        .get_by_role("button", name="Sign out")
        .click()
    )
    await expect(page.get_by_role("heading", level=1)).to_have_text("Sign in to Order Desk agents")


async def mailed_link(post_office: MailServer, address: str, *, count: int = 1) -> str:
    """The link in the last of so many mails to that address, once they have come."""

    async def arrived() -> list[EmailMessage]:
        mails = [mail for mail in post_office.mails if mail["To"] == address]
        return mails if len(mails) >= count else []

    mail: EmailMessage = (await eventually(arrived, 20))[-1]
    text = mail.get_body(("plain",))
    assert text is not None
    [link] = re.findall(r"^http\S+\?token=\S+", text.get_content(), re.M)
    return str(link)


# ------------------------------------------------------------------ settings and stores


async def make_key(site: Site, page: Page, name: str, *, default_store: str = "") -> str:
    """Makes it in Settings; returns it as the one answer shows it."""
    await page.goto("/settings")
    await settled(page)
    await page.get_by_role("banner").get_by_role("button", name="New key").click()
    dialog = page.get_by_role("dialog", name="New key")
    await dialog.get_by_label("Name").fill(name)
    if default_store:
        await dialog.get_by_label("Default store").select_option(label=default_store)
    with site.recorder.chapter(CHAPTER):
        await dialog.get_by_role("button", name="Make key").press("Enter")
        await expect(page.get_by_role("heading", level=1)).to_have_text(f"Key “{name}”")
        await page.wait_for_load_state("networkidle")
    key = await page.locator("#new-key").inner_text()
    site.shown.append(key)
    return key


def notice(page: Page, words: str) -> Locator:
    return page.locator(".notice").filter(has_text=words)


def card(page: Page, name: str) -> Locator:
    """A store on the stores page."""
    return page.get_by_role("article", name=name, exact=True)


# ------------------------------------------------------------------ the console


async def choose_tool(page: Page, name: str) -> None:
    entry = (
        page.get_by_role("region", name="Tools", exact=True)
        .get_by_role("button")
        .filter(has=page.get_by_text(name, exact=True))
    )
    await entry.click()
    # until then the form is that of the tool before
    drawn = form_of(page).locator(f"input[name=tool][value={name}]")
    await expect(
        drawn.or_(page.get_by_role("heading", name="Sign in to Order Desk agents")).first
    ).to_be_attached()


def form_of(page: Page) -> Locator:
    return page.get_by_role("region", name="Arguments", exact=True)


def result_region(page: Page) -> Locator:
    return page.get_by_role("region", name="Result", exact=True).first


async def run(page: Page) -> None:
    await form_of(page).get_by_role("button", name="Run").click()


async def result_of(page: Page, outcome: str = "Done") -> dict[str, Any]:
    """The result as JSON, once it has come."""
    await expect(result_region(page).locator(".badge").first).to_have_text(outcome)
    found: dict[str, Any] = json.loads(await page.locator("#result").inner_text())
    return found
