"""The main job as a person does it, from the printed link to the empty screen after signing out."""

import json
import re

from playwright.async_api import Page, WebSocketRoute, expect

from tests.browser.conftest import Opens, Serving, Site, agent
from tests.browser.steps import (
    SIGN_IN,
    choose_tool,
    form_of,
    go_to,
    result_of,
    run,
    settled,
    sign_out,
)
from tests.worlds import FIRST_ORDER

CITY = "Göteborg-Västra"


async def test_the_printed_link_asks_first_and_works_once(
    serving: Serving, site: Site, opens: Opens
) -> None:
    # it is good for 15 minutes, and on a slow machine those of the first start are over
    link = await serving.restart()
    session, second = await opens(), await opens()
    second.watch.expect(r"^4\d\d (GET|POST) /sign-in/link")
    page = await session.new_page()

    await page.goto(link)
    await page.reload()  # looking uses nothing up: mail scanners open links
    await page.get_by_role("button", name="Sign in as").click()

    await expect(page.get_by_role("heading", level=1)).to_have_text("Home")
    other = await second.new_page()
    await other.goto(link)
    await expect(other.get_by_role("heading", level=1)).to_have_text("This link no longer works")
    await expect(other.get_by_text("was used before")).to_be_visible()
    await other.goto("/")
    await expect(other).to_have_url(SIGN_IN)


async def test_a_person_changes_an_order_and_leaves_nothing_behind(
    site: Site, opens: Opens
) -> None:
    context = await opens()
    page = await context.new_page()

    await page.goto(await site.sign_in_link())
    await page.get_by_role("button", name="Sign in as").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Home")

    await go_to(page, "Stores")
    await page.get_by_role("button", name="Try the sandbox store").click()
    await expect(page.get_by_role("heading", name="Sandbox store", level=2)).to_be_visible()

    await go_to(page, "Console")
    await choose_tool(page, "orders_update")
    await form_of(page).get_by_label("order_id").fill(FIRST_ORDER)
    await form_of(page).get_by_label("changes").fill(json.dumps({"shipping": {"city": CITY}}))
    await run(page)
    changed = await result_of(page)
    assert changed["changed"] == ["shipping.city"]

    await choose_tool(page, "orders_get")
    await form_of(page).get_by_label("order_id").fill(FIRST_ORDER)
    await run(page)
    assert (await result_of(page))["order"]["shipping"]["city"] == CITY

    await go_to(page, "Home")
    await expect(
        page.get_by_role("main").get_by_text(f"changed order {FIRST_ORDER}")
    ).to_be_visible()

    cookies = await context.cookies()
    await sign_out(page)
    await expect(page.get_by_text("You are signed out.")).to_be_visible()
    for _ in range(3):
        await page.go_back()
        await expect(page).to_have_url(SIGN_IN)
        await _shows_nothing(page)

    await context.add_cookies(
        [{"name": c["name"], "value": c["value"], "url": site.url} for c in cookies]
    )
    await page.goto("/console")
    await expect(page).to_have_url(SIGN_IN)
    await _shows_nothing(page)


async def test_signing_out_in_one_tab_ends_the_others(site: Site, opens: Opens) -> None:
    account = await site.make_account("Two tabs")
    context = await opens(account)
    context.watch.expect_the_session_to_end()
    first, second = await context.new_page(), await context.new_page()
    for page in (first, second):
        await page.goto("/console")
        await settled(page)

    await sign_out(first)

    await expect(second).to_have_url(SIGN_IN)
    await expect(second.get_by_role("alert")).to_have_text("Your session has ended. Sign in again.")
    # nothing has been typed yet
    await expect(second.get_by_label("Key", exact=True)).to_have_attribute("aria-invalid", "false")
    await second.get_by_label("Key", exact=True).fill(account.master_key)
    await second.get_by_role("button", name="Sign in", exact=True).click()
    await expect(second.get_by_role("heading", level=1)).to_have_text("Console")
    await second.goto("/sign-in")
    await expect(second.get_by_role("heading", level=1)).to_have_text("Home")


async def test_a_page_that_lost_its_connection_and_its_session_leads_to_the_sign_in(
    site: Site, opens: Opens
) -> None:
    """Without a session there is no websocket, so the page could try again for ever."""
    account = await site.make_account("Ada asleep", with_store=False)
    first = await (await opens(account)).new_page()
    context = await opens(account)
    context.watch.expect_the_session_to_end()
    second = await context.new_page()
    connections: list[WebSocketRoute] = []

    def pass_on(connection: WebSocketRoute) -> None:
        connection.connect_to_server()
        connections.append(connection)

    await second.route_web_socket(re.compile("/_event"), pass_on)
    await first.goto("/")
    await settled(first)
    await second.goto("/stores")
    await settled(second)

    await sign_out(first)
    await connections[-1].close()

    await expect(second).to_have_url(re.compile(r"/sign-in\?error=ended&next=%2Fstores$"))
    await expect(second.get_by_role("alert")).to_have_text("Your session has ended. Sign in again.")


async def test_what_an_agent_changes_a_person_sees(site: Site, opens: Opens) -> None:
    account = await site.make_account("Ada and her agent")
    page = await (await opens(account)).new_page()

    async with agent(site, account) as client:
        await client.get(
            "orders_update", order_id=FIRST_ORDER, changes={"shipping": {"city": CITY}}
        )
    await page.goto("/console?tool=orders_get")
    await settled(page)
    await form_of(page).get_by_label("order_id").fill(FIRST_ORDER)
    await run(page)

    assert (await result_of(page))["order"]["shipping"]["city"] == CITY


async def test_a_wrong_key_is_told_and_the_right_one_signs_in(site: Site, opens: Opens) -> None:
    account = await site.make_account("Grace", with_store=False)
    page = await (await opens()).new_page()
    await page.goto("/sign-in")
    await settled(page)

    await page.get_by_label("Key", exact=True).fill(
        "not-a-key-of-anybody-0123456789abcdefghijklmnopqrstuvwxyz-ABCDEF"
    )
    await page.get_by_role("button", name="Sign in", exact=True).click()
    await expect(page.get_by_role("alert")).to_have_text(
        "That key is not known here. Check that you copied all 64 characters."
    )

    await page.get_by_label("Key", exact=True).fill(f"  {account.master_key}\n")
    await page.get_by_role("button", name="Sign in", exact=True).click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Home")
    await expect(page.get_by_role("complementary").get_by_text("Grace")).to_be_visible()


async def _shows_nothing(page: Page) -> None:
    content = await page.content()
    for word in (CITY, FIRST_ORDER, "Sandbox store"):
        assert word not in content, f"“{word}” is still to be seen"
