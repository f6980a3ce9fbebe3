"""An operator finds a user, disables and deletes them; what the user has open is signed out."""

import pytest_asyncio
from playwright.async_api import Page, expect

from tests.browser.conftest import Account, Opens, Site
from tests.browser.steps import SIGN_IN, settled
from tests.browser.test_pages import look


@pytest_asyncio.fixture(loop_scope="session")
async def operator(site: Site) -> Account:
    return await site.make_account("The house", with_store=False, is_operator=True)


async def find(page: Page, name: str) -> None:
    """By keyboard alone, from any page."""
    await page.goto("/")
    await settled(page)
    await page.keyboard.press("g")
    await page.keyboard.press("u")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Users")
    await settled(page)
    await page.get_by_label("Name or e-mail begins with").fill(name.upper())
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("row")).to_have_count(2)
    await page.get_by_role("link", name=name).press("Enter")
    await expect(page.get_by_role("heading", level=2, name=name)).to_be_visible()


async def test_who_is_disabled_and_deleted_is_signed_out_in_the_open_page(
    site: Site, opens: Opens, operator: Account
) -> None:
    zelda = await site.make_account("Zelda's Zithers")
    elsewhere = await opens(zelda)
    elsewhere.watch.expect_the_session_to_end()
    theirs = await elsewhere.new_page()
    page = await (await opens(operator)).new_page()
    await theirs.goto("/console")
    await settled(theirs)

    await find(page, zelda.name)
    await page.get_by_role("button", name="Disable user").press("Enter")

    await expect(page.get_by_role("status", name="Notices")).to_contain_text("is disabled")
    await expect(theirs).to_have_url(SIGN_IN)
    await expect(page.get_by_role("button", name="Enable user")).to_be_visible()

    await page.get_by_role("button", name="Enable user").press("Enter")
    await expect(page.get_by_role("button", name="Disable user")).to_be_visible()
    await theirs.get_by_label("Key", exact=True).fill(zelda.master_key)
    await theirs.keyboard.press("Enter")
    await expect(theirs.get_by_role("heading", level=1)).to_have_text("Console")
    await settled(theirs)
    await page.get_by_role("button", name="Delete user").press("Enter")
    dialog = page.get_by_role("dialog", name=f"Delete {zelda.name}")
    await expect(dialog).to_contain_text("1 connected store")
    await dialog.get_by_label("to confirm").fill(zelda.name)
    await page.keyboard.press("Enter")

    await expect(page.get_by_role("status", name="Notices")).to_contain_text("deleted")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Users")
    await expect(theirs).to_have_url(SIGN_IN)
    await page.goto("/users?search=Zelda's+Zithers")
    await settled(page)
    await expect(page.get_by_role("main")).to_contain_text("Nobody fits these filters")


async def test_to_others_there_is_no_such_page(opens: Opens, newcomer: Account) -> None:
    context = await opens(newcomer)
    context.watch.expect("^404 GET /users")
    page = await context.new_page()

    await page.goto("/users")

    await expect(page.get_by_role("heading", level=1)).to_have_text("There is no such page")
    await page.goto("/")
    await settled(page)
    await expect(page.get_by_role("link", name="Users", exact=True)).to_have_count(0)
    await page.keyboard.press("Control+k")
    await page.keyboard.type("users")
    await expect(page.locator("#palette").get_by_text("Nothing has that name.")).to_be_visible()


async def test_pages_of_users_read_well(opens: Opens, operator: Account, settler: Account) -> None:
    page = await (await opens(operator)).new_page()

    await page.goto("/users?sort=created&order=descending")
    await settled(page)
    faults = await look(page, "users-list", title="Users")
    for name, address, title, words in (
        ("nobody", "/users?search=nobody+at+all", "Users", "Nobody fits these filters"),
        ("fault", "/users?sort=salary", "Users", "There is no sort"),
        ("unknown", "/users/01NOBODY", "User", "There is no such user"),
    ):
        await page.goto(address)
        await expect(page.get_by_role("main")).to_contain_text(words)
        faults += await look(page, f"users-{name}", title=title)
    await page.goto("/users?search=Sofia+Lindqvist")
    await settled(page)
    await page.get_by_role("link", name=settler.name).first.click()
    await expect(page.get_by_role("heading", level=2, name=settler.name)).to_be_visible()
    await settled(page)
    faults += await look(page, "users-user", title="User")
    await page.get_by_role("button", name="Delete user").click()
    await expect(page.get_by_role("dialog")).to_contain_text("connected store")
    faults += await look(page, "users-delete", title="User")

    assert not faults, "\n".join(faults)
