"""The main job as a person does it, from the printed link to the empty screen after signing out."""

from playwright.async_api import expect

from tests.browser.conftest import Opens, Site


async def test_a_sign_in_link_asks_first_and_works_once(site: Site, opens: Opens) -> None:
    visitor, second = await opens(), await opens()
    second.watch.expect(r"^4\d\d (GET|POST) /sign-in/link")
    link = await site.sign_in_link()

    page = await visitor.new_page()
    await page.goto(link)
    await page.get_by_role("button", name="Sign in as").click()

    await expect(page.get_by_role("heading", level=1)).to_have_text("Home")
    other = await second.new_page()
    await other.goto(link)
    await expect(other.get_by_role("heading", level=1)).to_have_text("This link no longer works")
    await expect(other.get_by_text("was used before")).to_be_visible()
    await other.goto("/")
    await expect(other).to_have_url(f"{site.url}/sign-in")
