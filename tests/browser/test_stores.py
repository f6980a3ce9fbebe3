"""Stores at the hands of a person: the sandbox in one click, a real key tried first, renamed, asked
anew, disconnected by its name.
"""

import re

from playwright.async_api import Page, expect

from tests.browser.conftest import NARROW, Account, Opens, Site, agent
from tests.browser.steps import card, notice, settled
from tests.worlds import API_KEY, SandboxServer


async def open_stores(page: Page) -> None:
    await page.goto("/stores")
    await settled(page)


async def connect(page: Page, store_id: str, key: str, name: str = "", label: str = "") -> None:
    await page.get_by_role("banner").get_by_role("button", name="Connect store").click()
    dialog = page.get_by_role("dialog", name="Connect a store")
    await dialog.get_by_label("Store id").fill(store_id)
    await dialog.get_by_label("API key").fill(key)
    await dialog.get_by_label("Name").fill(name)
    await dialog.get_by_label("Label").fill(label)
    await dialog.get_by_role("button", name="Test and connect").click()


async def test_the_sandbox_store_is_one_click_away(site: Site, opens: Opens) -> None:
    page = await (await opens(await site.make_account("First day", with_store=False))).new_page()
    await open_stores(page)
    await expect(page.get_by_text("No stores yet")).to_be_visible()

    await page.get_by_role("button", name="Try the sandbox store").click()

    await expect(card(page, "Sandbox store")).to_contain_text(
        "New, Prepared, Shipped, Closed, Canceled"
    )
    await expect(notice(page, "Sandbox store is ready")).to_be_visible()
    await expect(page.get_by_role("button", name="Add another sandbox store")).to_be_visible()


async def test_a_double_click_adds_one_sandbox_store(site: Site, opens: Opens) -> None:
    account = await site.make_account("Quick hand", with_store=False)
    page = await (await opens(account)).new_page()
    await open_stores(page)

    await page.get_by_role("button", name="Try the sandbox store").dblclick()
    await expect(notice(page, "Sandbox store is ready")).to_be_visible()
    more = page.get_by_role("button", name="Add another sandbox store")
    await more.evaluate("(button) => { button.click(); button.click(); }")
    await expect(notice(page, "Sandbox store 2 is ready")).to_be_visible()
    await expect(more).to_have_attribute("aria-busy", "false")

    await open_stores(page)
    await expect(page.get_by_role("article")).to_have_count(2)


async def test_a_button_works_from_the_click_on(page: Page, ada: Account) -> None:
    await open_stores(page)
    button = card(page, ada.store_name).get_by_role("button", name="Test connection")

    busy = await button.evaluate(
        "(button) => { button.click(); return button.getAttribute('aria-busy'); }"
    )

    assert busy == "true"
    await expect(card(page, ada.store_name).get_by_role("status")).to_contain_text("the key works")
    await expect(button).to_have_attribute("aria-busy", "false")


async def test_a_second_stores_test_leaves_the_first_one_working(
    page: Page, ada: Account, sandbox_server: SandboxServer
) -> None:
    await open_stores(page)
    await connect(page, "10015", API_KEY, name="Slow one")
    await expect(card(page, "Slow one")).to_be_visible()
    sandbox_server.fault("slow", store_id="10015", seconds=2, times=1)
    slow = card(page, "Slow one").get_by_role("button", name="Test connection")

    await slow.click()
    await card(page, ada.store_name).get_by_role("button", name="Test connection").click()
    await expect(card(page, ada.store_name).get_by_role("status")).to_contain_text("the key works")

    await expect(slow).to_have_attribute("aria-busy", "true")
    await expect(card(page, "Slow one").get_by_role("status")).to_contain_text("the key works")
    await expect(slow).to_have_attribute("aria-busy", "false")


async def test_a_store_is_connected_after_its_key_was_tried(
    opens: Opens, ada: Account, page: Page, sandbox_server: SandboxServer
) -> None:
    await open_stores(page)

    await connect(page, "10011", API_KEY, name="Ada's shop", label="eu")

    await expect(notice(page, "Ada's shop is connected.")).to_be_visible()
    await expect(card(page, "Ada's shop")).to_contain_text("10011")
    await expect(card(page, "Ada's shop")).to_contain_text("eu")
    assert sandbox_server.requests(store_id="10011"), "Order Desk was asked"


async def test_a_refused_key_is_told_at_its_field_and_is_not_kept(page: Page) -> None:
    await open_stores(page)

    await connect(page, "10012", "a-key-that-is-not-right", name="Wrong key")

    dialog = page.get_by_role("dialog", name="Connect a store")
    await expect(dialog).to_be_visible()
    await expect(dialog.get_by_role("alert")).to_contain_text("refused")
    await expect(dialog.get_by_label("Store id")).to_have_value("10012")
    await expect(dialog.get_by_label("API key")).to_have_value("")
    await page.reload()
    await settled(page)
    await expect(card(page, "Wrong key")).to_have_count(0)
    await expect(dialog).to_be_hidden()


async def test_the_form_says_what_it_cannot_do_without(page: Page) -> None:
    await open_stores(page)

    await page.get_by_role("banner").get_by_role("button", name="Connect store").click()

    dialog = page.get_by_role("dialog", name="Connect a store")
    await expect(dialog.get_by_role("note")).to_contain_text(
        "This is your second store. Assistants whose key has no default store then have to name"
    )
    marked = dialog.locator("label").filter(has_text="(required)")
    assert [await label.inner_text() for label in await marked.all()] == [
        "Store id (required)",
        "API key (required)",
    ]


async def test_a_store_that_is_there_already_is_told(page: Page) -> None:
    await open_stores(page)
    await connect(page, "10013", API_KEY, name="Once")
    await expect(card(page, "Once")).to_be_visible()

    await connect(page, "10013", API_KEY, name="Twice")

    await expect(
        page.get_by_role("dialog", name="Connect a store").get_by_role("alert")
    ).to_contain_text("already")
    await page.keyboard.press("Escape")
    await expect(card(page, "Twice")).to_have_count(0)


async def test_a_connection_is_tried_now_and_the_real_answer_shown(
    page: Page, sandbox_server: SandboxServer
) -> None:
    await open_stores(page)
    await connect(page, "10014", API_KEY, name="Asked")
    await expect(card(page, "Asked")).to_be_visible()
    sandbox_server.forget()

    await card(page, "Asked").get_by_role("button", name="Test connection").click()
    await expect(card(page, "Asked").get_by_role("status")).to_contain_text(
        "the key works, 5 folders"
    )
    assert sandbox_server.requests(store_id="10014")

    sandbox_server.fault("server_error", store_id="10014", times=50)
    await card(page, "Asked").get_by_role("button", name="Test connection").click()
    await expect(card(page, "Asked").get_by_role("status")).not_to_contain_text(
        "the key works", timeout=30_000
    )
    sandbox_server.control("DELETE", "faults")


async def test_the_cards_catch_up_while_somebody_looks(
    site: Site, page: Page, ada: Account
) -> None:
    await open_stores(page)
    mine = card(page, ada.store_name)
    await mine.get_by_role("button", name="Test connection").click()
    await expect(mine.get_by_role("status")).to_contain_text("the key works")
    await expect(mine).to_contain_text("Never")

    async with agent(site, ada) as client:
        await client.get("orders_list", limit=1)

    await expect(mine.locator("dd").filter(has_text=re.compile(r"^\d+ s ago$"))).to_be_visible()
    # Order Desk's bucket fills again
    await expect(mine).to_contain_text("20 requests free")
    await expect(mine.get_by_role("status")).to_contain_text("the key works")


async def test_a_store_is_renamed(page: Page, ada: Account) -> None:
    await open_stores(page)

    await card(page, ada.store_name).get_by_role("button", name="Edit").click()
    dialog = page.get_by_role("dialog", name=f"Edit {ada.store_name}")
    await dialog.get_by_label("Name").fill("Tea & <b>Pots</b>")
    await dialog.get_by_label("Label").fill("tea")
    await dialog.get_by_role("button", name="Save").click()

    await expect(card(page, "Tea & <b>Pots</b>")).to_be_visible()
    await expect(card(page, ada.store_name)).to_have_count(0)


async def test_a_phone_shows_a_stores_name_whole(opens: Opens, ada: Account) -> None:
    page = await (await opens(ada, size=NARROW)).new_page()
    await open_stores(page)

    name = card(page, ada.store_name).get_by_role("heading")

    assert await name.evaluate("(name) => name.scrollWidth - name.clientWidth") <= 0
    await expect(name).not_to_have_css("text-overflow", "ellipsis")


async def test_a_store_is_disconnected_only_by_its_name(page: Page, ada: Account) -> None:
    await open_stores(page)

    await card(page, ada.store_name).get_by_role("button", name="Disconnect").click()
    dialog = page.get_by_role("dialog", name=f"Disconnect {ada.store_name}")
    await expect(dialog).not_to_contain_text("Order Desk")  # the sandbox is ours
    gone = dialog.get_by_role("button", name="Disconnect store")
    await expect(gone).to_be_disabled()
    await dialog.get_by_role("textbox").fill("Sandbox")
    await expect(gone).to_be_disabled()
    await dialog.get_by_role("textbox").fill(ada.store_name)
    await gone.click()

    await expect(notice(page, f"{ada.store_name} is disconnected.")).to_be_visible()
    await expect(page.get_by_text("No stores yet")).to_be_visible()
