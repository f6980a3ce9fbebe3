"""What is yours: the file, and the end of it; whoever has a page open then is signed out."""

import json
from pathlib import Path

from playwright.async_api import Page, expect

from tests.browser.conftest import Opens, Site
from tests.browser.steps import SIGN_IN, settled
from tests.browser.test_account import sign_in
from tests.browser.test_pages import look


async def open_dialog(page: Page, button: str, title: str) -> None:
    await page.goto("/account")
    await settled(page)
    await page.get_by_role("button", name=button, exact=True).first.focus()
    await page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name=title)
    await expect(dialog.get_by_label("to confirm")).to_be_visible()


async def test_the_dialogs_read_well(site: Site, opens: Opens) -> None:
    page = await (await opens(await site.make_account("Ada Who Looks"))).new_page()
    faults = []

    for button, title in (
        ("Delete me", "Delete yourself"),
        ("Delete this account", "Delete this account"),
    ):
        await open_dialog(page, button, title)
        faults += await look(page, f"/account {button}")
        await page.keyboard.press("Escape")
        focused = page.get_by_role("button", name=button, exact=True).first
        await expect(focused).to_be_focused()

    assert not faults, "\n".join(faults)


async def test_who_deletes_themselves_is_signed_out_in_every_browser(
    site: Site, opens: Opens
) -> None:
    account = await site.make_account("Ada Who Leaves")
    elsewhere = await opens()
    elsewhere.watch.expect_the_session_to_end()
    other = await elsewhere.new_page()
    await sign_in(other, account.master_key)
    await other.goto("/stores")
    await settled(other)
    context = await opens(account)
    context.watch.expect_the_session_to_end()
    page = await context.new_page()
    await open_dialog(page, "Delete me", "Delete yourself")
    dialog = page.get_by_role("dialog", name="Delete yourself")
    await expect(dialog).to_contain_text("1 connected store")
    await expect(dialog).to_contain_text("2 keys")
    button = dialog.get_by_role("button", name="Delete me")
    await expect(button).to_be_disabled()

    await dialog.get_by_label("to confirm").fill("Ada Who Leaves")
    await expect(button).to_be_enabled()
    await page.keyboard.press("Enter")

    await expect(page.get_by_role("heading", level=1)).to_have_text("You are deleted")
    await expect(page.get_by_role("main")).to_contain_text("1 connected store")
    await expect(other).to_have_url(SIGN_IN)  # nobody has touched it
    await page.goto("/account")
    await expect(page).to_have_url(SIGN_IN)


async def test_the_file_is_saved(site: Site, opens: Opens, tmp_path: Path) -> None:
    account = await site.make_account("Ada Who Keeps")
    page = await (await opens(account)).new_page()
    await page.goto("/account")
    await settled(page)

    async with page.expect_download() as started:
        await page.get_by_role("link", name="Download my data").click()

    download = await started.value
    assert download.suggested_filename.startswith("my-data-")
    await download.save_as(tmp_path / "file.json")
    found = json.loads((tmp_path / "file.json").read_text())
    assert found["user"]["name"] == "Ada Who Keeps"
    assert len(found["accounts"][0]["keys"]) == 2
