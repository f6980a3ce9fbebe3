"""An owner invites by mail, another browser joins, and what an owner changes is seen at once."""

from playwright.async_api import Page, expect

from tests.browser.conftest import Opens, Site
from tests.browser.steps import SIGN_IN, long_address, mailed_link, settled
from tests.browser.test_pages import VIEWS, look, show_in
from tests.mail_server import MailServer

_NUMBERS = iter(range(1, 1000))


def new_address() -> str:
    return f"cleo-{next(_NUMBERS)}@example.net"


async def headed(page: Page, words: str) -> None:
    await expect(page.get_by_role("heading", level=1)).to_have_text(words)


async def invite(page: Page, address: str, role: str) -> None:
    """By keyboard alone."""
    await page.goto("/people")
    await settled(page)
    await page.get_by_role("banner").get_by_role("button", name="Invite").press("Enter")
    dialog = page.get_by_role("dialog", name="Invite somebody")
    await dialog.get_by_label("E-mail").fill(address)
    await dialog.get_by_role("radio", name=role).press("Space")
    await dialog.get_by_role("button", name="Send invitation").press("Enter")
    await expect(page.get_by_role("status", name="Notices")).to_contain_text("on its way")
    await settled(page)


async def join(page: Page, link: str, name: str) -> None:
    await page.goto(link)
    await headed(page, "Invitation")
    await page.get_by_label("Your name").fill(name)
    await page.keyboard.press("Enter")
    await headed(page, "Home")
    await settled(page)


async def test_an_invitation_is_accepted_by_a_second_browser_and_ends_at_once(
    site: Site, opens: Opens, post_office: MailServer
) -> None:
    account = await site.make_account("Ada's Teas")
    owner = await (await opens(account)).new_page()
    guests = await opens()
    guests.watch.expect_the_session_to_end()
    guest = await guests.new_page()
    address = new_address()

    await invite(owner, address, "Member")
    waiting = owner.get_by_role("row").filter(has_text=address)
    await expect(waiting.get_by_role("button", name="Withdraw")).to_be_visible()
    link = await mailed_link(post_office, address)
    site.links.append(link)
    await join(guest, link, "Cleo Park")
    # the owner's open page shows it by itself
    cleo = owner.get_by_role("row").filter(has_text="Cleo Park")
    await expect(cleo).to_contain_text("Member")
    await expect(owner.get_by_role("button", name="Withdraw")).to_have_count(0)

    await guest.goto("/people")
    await settled(guest)
    await expect(guest.get_by_role("main")).to_contain_text("Only an owner of the account can")
    await expect(guest.get_by_role("button", name="Invite")).to_have_count(0)
    await guest.goto("/stores")
    await settled(guest)
    await expect(guest.get_by_role("button", name="Connect store")).to_have_count(0)
    await guest.goto("/console")
    await settled(guest)
    await expect(guest.locator(".tool", has_text="stores_register")).to_be_disabled()
    await expect(guest.locator(".tool", has_text="orders_update")).to_be_enabled()

    await owner.get_by_role("button", name="Change role of Cleo Park").press("Enter")
    dialog = owner.get_by_role("dialog", name="Role of Cleo Park")
    await dialog.get_by_role("radio", name="Viewer").press("Space")
    await dialog.get_by_role("button", name="Save role").press("Enter")
    await expect(cleo).to_contain_text("Viewer")
    # the guest's open page is drawn again by itself
    await expect(guest.locator(".tool", has_text="orders_update")).to_be_disabled()

    await owner.get_by_role("button", name="Remove Cleo Park").press("Enter")
    await (
        owner.get_by_role("dialog", name="Remove Cleo Park")
        .get_by_role("button", name="Remove Cleo Park")
        .press("Enter")
    )
    await expect(owner.get_by_role("status", name="Notices")).to_contain_text("removed")
    # the open page of the removed one is signed out by itself
    await expect(guest).to_have_url(SIGN_IN)


async def test_people_and_invitations_read_well(
    site: Site, opens: Opens, post_office: MailServer
) -> None:
    page = await (await opens(await site.make_account("Ada's Teas", with_store=False))).new_page()
    guests = await opens()
    guests.watch.expect(r"^410 GET /invitation")
    guest = await guests.new_page()
    member, waiting = long_address(), new_address()
    await invite(page, member, "Member")
    await invite(page, waiting, "Owner")
    link = await mailed_link(post_office, member)

    await guest.goto(link)
    await headed(guest, "Invitation")
    faults = await look(guest, "people-invitation")
    await join(guest, link, "Cleo Park")
    await expect(page.get_by_role("row").filter(has_text="Cleo Park")).to_be_visible()
    faults += await look(page, "people-owner")
    await page.get_by_role("button", name="Change role of Cleo Park").click()
    faults += await look(page, "people-role")
    await page.keyboard.press("Escape")
    await page.get_by_role("button", name="Remove Cleo Park").click()
    faults += await look(page, "people-remove")
    await page.keyboard.press("Escape")
    await page.get_by_role("banner").get_by_role("button", name="Invite").click()
    faults += await look(page, "people-invite")
    await page.keyboard.press("Escape")
    await guest.goto("/people")
    await settled(guest)
    faults += await look(guest, "people-member")
    await guest.goto("/console")
    await settled(guest)
    faults += await look(guest, "people-console")
    await guest.goto(link)
    await headed(guest, "This invitation no longer works")
    faults += await look(guest, "people-used")

    assert not faults, "\n".join(faults)


async def test_a_person_of_two_accounts_switches_in_the_menu(
    site: Site, opens: Opens, post_office: MailServer
) -> None:
    address = new_address()
    guest = await (await opens()).new_page()
    for number, name in enumerate(("Ada's Teas", "Bert's Bikes"), 1):
        owner = await (await opens(await site.make_account(name, with_store=False))).new_page()
        await invite(owner, address, "Member")
        link = await mailed_link(post_office, address, count=number)
        if number == 1:
            await join(guest, link, "Cleo Park")
        else:
            await guest.goto(link)
            await guest.get_by_role("button", name="Accept").press("Enter")
            await headed(guest, "Home")
            await settled(guest)
    faults: list[str] = []

    for view, before, after in (
        (VIEWS[0], "Bert's Bikes", "Ada's Teas"),
        (VIEWS[3], "Ada's Teas", "Bert's Bikes"),
    ):
        await show_in(guest, *view)
        if view == VIEWS[3]:
            await guest.get_by_role("button", name="Open menu").click()
        menu = guest.locator("#drawer" if view == VIEWS[3] else ".side")
        await expect(menu.get_by_role("combobox", name="Account")).to_be_visible()
        faults += await look(guest, "people-switch", views=[view])
        await show_in(guest, *view)
        await expect(menu.locator(".who")).to_contain_text(before)
        await menu.get_by_role("combobox", name="Account").select_option(after)
        await menu.get_by_role("button", name="Switch").press("Enter")
        await expect(guest.locator(".side .who")).to_contain_text(after)
        await settled(guest)

    assert not faults, "\n".join(faults)
