"""Your account: one's own name, and the sessions that one ends."""

from playwright.async_api import Page, expect

from tests.browser.conftest import Account, Opens
from tests.browser.steps import SIGN_IN, notice, settled, visit


async def sign_in(page: Page, key: str) -> None:
    await visit(page, "/sign-in")
    await page.get_by_label("Key", exact=True).fill(key)
    await page.get_by_role("button", name="Sign in", exact=True).click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Home")


async def test_a_session_is_ended_from_another_browser_and_its_open_page_is_signed_out(
    opens: Opens, ada: Account
) -> None:
    elsewhere = await opens()
    elsewhere.watch.expect_the_session_to_end()
    other = await elsewhere.new_page()
    await sign_in(other, ada.master_key)
    await other.goto("/stores")
    await settled(other)
    page = await (await opens(ada)).new_page()
    await page.goto("/account")
    await settled(page)
    rows = page.get_by_role("table", name="Browsers that are signed in as you").get_by_role("row")
    await expect(rows).to_have_count(3)
    await expect(rows.nth(1)).to_contain_text("This browser")
    await expect(rows.nth(2)).to_contain_text("Chrome on Linux")
    await expect(rows.nth(2)).to_contain_text("With the master key")

    await rows.nth(2).get_by_role("button", name="End the session of").focus()
    await page.keyboard.press("Enter")

    await expect(notice(page, "The session is ended: Chrome on Linux.")).to_be_visible()
    await expect(rows).to_have_count(2)
    await expect(other).to_have_url(SIGN_IN)  # nobody has touched it
    await expect(other.get_by_role("main")).to_contain_text("Your session has ended.")


async def test_a_new_name_is_typed_and_kept(opens: Opens, ada: Account) -> None:
    page = await (await opens(ada)).new_page()
    await page.goto("/account")
    await settled(page)
    await page.get_by_label("Your name").fill("Ada \u2800")
    await page.get_by_role("button", name="Save name").click()
    wrong = page.get_by_role("alert").filter(has_text="all of them visible")
    await expect(wrong).to_be_visible()
    await expect(page.get_by_label("Your name")).to_have_value("Ada \u2800")

    await page.get_by_label("Your name").fill("Ada Okafor")
    await page.get_by_label("Your name").press("Enter")

    await expect(notice(page, "Your name is Ada Okafor.")).to_be_visible()
    await expect(page.get_by_label("Your name")).to_have_value("Ada Okafor")
    await expect(page.locator("main dd").first).to_have_text("Ada Okafor")
