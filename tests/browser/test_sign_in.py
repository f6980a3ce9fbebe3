"""Signing in by a mailed link, read from a real mail server; its pages, and what goes wrong."""

from playwright.async_api import Page, expect

from orderdesk_app.context import new_id
from tests.browser.conftest import Account, Opens, Site
from tests.browser.steps import mailed_link, settled, visit
from tests.browser.test_pages import READ_BY_AXE, look
from tests.mail_server import MailServer
from tests.worlds import eventually, open_services


async def headed(page: Page, words: str) -> None:
    await expect(page.get_by_role("heading", level=1)).to_have_text(words)


async def give_address(site: Site, account: Account, address: str = "") -> str:
    """A verified address of its owner."""
    address = address or f"owner-{new_id().lower()}@example.net"
    async with open_services(site.settings) as services:
        await services.database.execute(
            "UPDATE users SET email = :email WHERE id = "
            "(SELECT user_id FROM memberships WHERE tenant_id = :tenant)",
            {"email": address, "tenant": account.tenant_id},
        )
    return address


async def join(site: Site, account: Account, address: str) -> None:
    """The user of that address belongs to this account too."""
    async with open_services(site.settings) as services:
        await services.database.execute(
            "INSERT INTO memberships (tenant_id, user_id, role, created_at) "
            "SELECT :tenant, id, 'viewer', created_at FROM users WHERE email = :email",
            {"tenant": account.tenant_id, "email": address},
        )


async def ask_for_link(page: Page, address: str) -> None:
    await page.goto("/sign-in?next=%2Fstores")
    await page.get_by_label("E-mail").fill(address)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("status")).to_contain_text("a link is on its way")


async def test_a_mailed_link_signs_in_by_keyboard_and_a_new_browser_is_told(
    site: Site, opens: Opens, ada: Account, post_office: MailServer
) -> None:
    address = await give_address(site, ada)
    page = await (await opens()).new_page()

    await ask_for_link(page, address)
    link = await mailed_link(post_office, address)
    site.links.append(link)
    await page.goto(link)
    await page.reload()  # looking uses nothing up
    await expect(page.get_by_role("main")).to_contain_text("This link signs you in as Ada's Teas.")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")

    await headed(page, "Stores")  # where they were going
    await settled(page)

    async def told() -> bool:
        subjects = [mail["Subject"] for mail in post_office.mails if mail["To"] == address]
        return "New sign-in to your account" in subjects

    await eventually(told, 20)


async def test_a_used_link_says_so_and_leads_back(
    site: Site, opens: Opens, ada: Account, post_office: MailServer
) -> None:
    address = await give_address(site, ada)
    context = await opens()
    context.watch.expect("^410 GET /sign-in/link")
    page = await context.new_page()
    await ask_for_link(page, address)
    link = await mailed_link(post_office, address)
    site.links.append(link)
    await page.goto(link)
    await page.get_by_role("button", name="Sign in as Ada's Teas").click()
    await headed(page, "Stores")

    await visit(page, link)

    await headed(page, "This link no longer works")
    await expect(page.get_by_role("main")).to_contain_text("used before")
    await expect(page.get_by_role("link", name="Sign in")).to_be_visible()


async def test_the_pages_of_signing_in_read_well(
    site: Site, opens: Opens, ada: Account, post_office: MailServer
) -> None:
    """The form, its answers, the choice between accounts, and a wait."""
    address = await give_address(site, ada)
    other = await site.make_account("Bert's Bikes", with_store=False)
    await join(site, other, address)
    context = await opens()
    context.watch.expect("^4(00|29) POST /sign-in/mail")
    page = await context.new_page()
    faults: list[str] = []

    await ask_for_link(page, address)
    faults += await look(page, "sign-in-mailed", views=READ_BY_AXE)
    link = await mailed_link(post_office, address)
    site.links.append(link)
    await page.goto(link)
    await expect(page.get_by_role("button", name="Bert's Bikes")).to_be_visible()
    faults += await look(page, "sign-in-choose", views=READ_BY_AXE)
    await page.goto("/sign-in")
    await page.get_by_label("E-mail").fill("ada@example")
    await page.get_by_role("button", name="E-mail me a link").click()
    await expect(page.get_by_role("alert")).to_contain_text("This is no e-mail address.")
    await expect(page.get_by_label("E-mail")).to_be_focused()
    faults += await look(page, "sign-in-no-address", views=READ_BY_AXE)
    await ask_for_link(page, address)
    await page.goto("/sign-in")
    await page.get_by_label("E-mail").fill(address)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_contain_text("Try again in 60 s.")
    faults += await look(page, "sign-in-wait", views=READ_BY_AXE)
    await page.goto(link)
    await page.get_by_role("button", name="Bert's Bikes").click()
    await headed(page, "Stores")
    await expect(page.locator(".side .who > span")).to_have_text("Bert's Bikes")

    assert not faults, "\n".join(faults)
