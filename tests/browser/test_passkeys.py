"""Passkeys by Chromium's virtual authenticator, and confirming who one is; all by keyboard."""

from datetime import timedelta

from playwright.async_api import BrowserContext, Page, expect
from sqlmodel import col, select, update

from orderdesk_app.context import now
from orderdesk_app.db.memberships import Membership
from orderdesk_app.db.sessions import Session
from orderdesk_app.db.users import User
from tests.browser.conftest import CHAPTER, Account, Opens, Site
from tests.browser.steps import long_address, mailed_link, notice, settled, sign_out, visit
from tests.browser.test_pages import READ_BY_AXE, look
from tests.browser.test_sign_in import give_address
from tests.mail_server import MailServer
from tests.worlds import open_services

DEVICE = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


async def with_device(page: Page, **changed: bool) -> None:
    """The page has an authenticator, which says yes by itself."""
    session = await page.context.new_cdp_session(page)
    await session.send("WebAuthn.enable")
    await session.send("WebAuthn.addVirtualAuthenticator", {"options": {**DEVICE, **changed}})


async def grow_old(site: Site, account: Account) -> None:
    """All sign-ins of that account are an hour old."""
    async with open_services(site.settings) as services, services.database.write() as session:
        rows = update(Session).where(col(Session.tenant_id) == account.tenant_id)
        await session.exec(rows.values(proved_at=now() - timedelta(hours=1)))


async def headed(page: Page, words: str) -> None:
    await expect(page.get_by_role("heading", level=1)).to_have_text(words)


async def add_passkey(page: Page, name: str) -> None:
    await page.goto("/account")
    await settled(page)
    await page.get_by_role("link", name="Add a passkey").press("Enter")
    await headed(page, "Add a passkey")
    await expect(page.get_by_text("This browser makes no passkeys")).to_be_hidden()
    await page.get_by_label("Name").fill(name)
    await page.get_by_label("Name").press("Enter")
    await expect(notice(page, f"The passkey {name} is added.")).to_be_visible()


def rows(page: Page):
    return page.get_by_role("table", name="Your passkeys").get_by_role("row")


async def test_a_passkey_is_added_signs_in_confirms_and_is_removed(
    site: Site, opens: Opens, ada: Account
) -> None:
    page = await (await opens(ada)).new_page()
    await with_device(page)
    await add_passkey(page, "My laptop")
    await expect(rows(page).nth(1)).to_contain_text("My laptop")
    await expect(rows(page).nth(1)).to_contain_text("Never")

    await sign_out(page)
    await page.get_by_role("button", name="Use a passkey").press("Enter")
    await headed(page, "Home")

    await grow_old(site, ada)
    await page.goto("/settings")
    await settled(page)
    await page.get_by_role("banner").get_by_role("button", name="New key").press("Enter")
    dialog = page.get_by_role("dialog", name="New key")
    await dialog.get_by_label("Name").fill("Claude at home")
    await dialog.get_by_label("Change orders").check()
    await dialog.get_by_role("button", name="Make key").press("Enter")
    await headed(page, "Confirm that it is you")
    await page.get_by_role("button", name="Confirm with a passkey").press("Enter")
    await expect(dialog.get_by_label("Name")).to_have_value("Claude at home")
    await expect(dialog.get_by_label("Change orders")).to_be_checked()
    with site.recorder.chapter(CHAPTER):
        await dialog.get_by_role("button", name="Make key").press("Enter")
        await headed(page, "Key “Claude at home”")
    site.shown.append(await page.locator("#new-key").inner_text())

    await page.goto("/account")
    await settled(page)
    await expect(rows(page).nth(1)).not_to_contain_text("Never")
    await expect(page.get_by_role("main")).to_contain_text("With a passkey")
    await rows(page).nth(1).get_by_role("button", name="Remove My laptop").press("Enter")
    await page.get_by_role("dialog").get_by_role("button", name="Remove passkey").press("Enter")
    await expect(notice(page, "The passkey My laptop is removed.")).to_be_visible()
    await expect(rows(page)).to_have_count(0)


async def test_a_mailed_link_opened_in_the_same_browser_leads_back_to_the_form(
    site: Site, opens: Opens, ada: Account, post_office: MailServer
) -> None:
    address = f"{ada.tenant_id.lower()}@example.net"
    async with open_services(site.settings) as services, services.database.write() as session:
        members = select(Membership.user_id).where(col(Membership.tenant_id) == ada.tenant_id)
        users = update(User).where(col(User.id).in_(members))
        await session.exec(users.values(email=address))
    await grow_old(site, ada)
    context = await opens(ada)
    page = await context.new_page()
    await page.goto("/people")
    await settled(page)
    await page.get_by_role("button", name="Invite").first.press("Enter")
    dialog = page.get_by_role("dialog", name="Invite somebody")
    await dialog.get_by_label("E-mail").fill("cleo@example.net")
    await dialog.get_by_role("radio", name="Member").check()
    await dialog.get_by_label("E-mail").press("Enter")
    await headed(page, "Confirm that it is you")
    await page.get_by_role("button", name=f"Mail a link to {address}").press("Enter")
    await expect(page.get_by_role("status")).to_contain_text("A link is on its way")

    link = await mailed_link(post_office, address)
    from_the_mail = await context.new_page()
    await from_the_mail.goto(link)
    await from_the_mail.get_by_role("button", name="Confirm that it is me").press("Enter")

    back = from_the_mail.get_by_role("dialog", name="Invite somebody")
    await expect(back.get_by_label("E-mail")).to_have_value("cleo@example.net")
    await expect(back.get_by_role("radio", name="Member")).to_be_checked()


async def test_what_goes_wrong_with_a_passkey_is_said_at_its_button(
    opens: Opens, ada: Account
) -> None:
    context = await opens(ada)
    page = await context.new_page()
    await with_device(page)
    await add_passkey(page, "My laptop")

    await page.get_by_role("link", name="Add a passkey").click()
    await page.get_by_label("Name").fill("The same again")
    await page.get_by_role("button", name="Make a passkey").click()
    await expect(page.get_by_role("alert")).to_have_text(
        "This device has a passkey of yours already."
    )
    stranger = await (await opens()).new_page()
    await with_device(stranger, isUserVerified=False)
    await visit(stranger, "/sign-in")
    await stranger.get_by_role("button", name="Use a passkey").click()
    await expect(stranger.get_by_role("alert")).to_contain_text("No passkey was used")
    await expect(stranger.get_by_role("button", name="Use a passkey")).to_be_enabled()


async def test_a_store_is_disconnected_after_the_master_key_with_what_was_typed(
    site: Site, opens: Opens, ada: Account
) -> None:
    page = await (await opens(ada)).new_page()
    await grow_old(site, ada)
    await page.goto("/stores")
    await settled(page)
    await page.get_by_role("button", name="Disconnect").first.press("Enter")
    dialog = page.get_by_role("dialog", name=f"Disconnect {ada.store_name}")
    await dialog.get_by_role("textbox").fill(ada.store_name)
    await dialog.get_by_role("button", name="Disconnect store").press("Enter")
    await headed(page, "Confirm that it is you")
    await page.get_by_label("Master key").fill("x" * 64)
    await page.get_by_label("Master key").press("Enter")
    await expect(page.get_by_role("alert")).to_contain_text("That is not your master key")
    await page.get_by_label("Master key").fill(ada.master_key)
    await page.get_by_label("Master key").press("Enter")

    await expect(dialog.get_by_role("textbox")).to_have_value(ada.store_name)
    await expect(notice(page, "You confirmed that it is you. Now do it again.")).to_be_visible()
    await dialog.get_by_role("button", name="Disconnect store").press("Enter")
    await expect(notice(page, f"{ada.store_name} is disconnected.")).to_be_visible()


async def _confirm_page(site: Site, context: BrowserContext, account: Account) -> Page:
    page = await context.new_page()
    await with_device(page)
    await add_passkey(page, "A phone with a rather long name that a person may well choose")
    await grow_old(site, account)
    return page


async def test_the_pages_read_well(site: Site, opens: Opens, ada: Account) -> None:
    await give_address(site, ada, long_address())
    page = await _confirm_page(site, await opens(ada), ada)
    faults: list[str] = []

    await page.goto("/account")
    await settled(page)
    faults += await look(page, "account-passkeys", views=READ_BY_AXE)
    await page.get_by_role("button", name="Remove A phone").click()
    faults += await look(page, "account-passkeys-remove", views=READ_BY_AXE)
    await page.goto("/confirm?next=/settings&error=unknown")
    faults += await look(page, "confirm", views=READ_BY_AXE)
    await page.get_by_label("Master key").fill(ada.master_key)
    await page.get_by_label("Master key").press("Enter")
    await page.goto("/account/passkeys/new")
    faults += await look(page, "passkeys-new", views=READ_BY_AXE)
    await page.context.clear_cookies()
    await visit(page, "/sign-in?error=passkey")
    faults += await look(page, "sign-in-passkey", views=READ_BY_AXE)

    assert not faults, "\n".join(faults)
