"""What people do on every page, and how a test knows that the page has caught up."""

from playwright.async_api import Locator, Page, expect


async def settled(page: Page) -> None:
    """The page lives, has its data, and nothing is on its way."""
    await expect(page.locator(".bone")).to_have_count(0)
    await page.wait_for_load_state("networkidle")


def notice(page: Page, words: str) -> Locator:
    return page.locator(".notice").filter(has_text=words)
