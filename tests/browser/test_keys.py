"""Keys are made, shown once, used by a real client, revoked and replaced; each from the page."""

import asyncio
import contextlib
import json
import re
from contextlib import AsyncExitStack
from typing import Any

import httpx
import httpx2
import pytest
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from playwright.async_api import BrowserContext, Error, Page, expect

from tests.browser.conftest import CHAPTER, NARROW, WIDE, Account, Opens, Site, agent
from tests.browser.steps import SIGN_IN, make_key, notice, settled, visit
from tests.browser.test_pages import look


async def test_a_new_key_is_shown_once_with_a_configuration_ready_to_paste(
    site: Site, page: Page
) -> None:
    key = await make_key(site, page, "Claude on my laptop")

    await page.locator("summary").filter(has_text=re.compile("^Claude$")).click()
    configuration = json.loads(await page.locator("#claude-1").inner_text())

    server = configuration["mcpServers"]["orderdesk"]
    assert key in server["env"].values() or f"Bearer {key}" in server["env"].values()
    assert key not in " ".join(server["args"])
    assert f"{site.url}/mcp" in server["args"]
    assert "mcp-remote" in server["args"]
    assert any("${" in argument for argument in server["args"]), (
        "the header comes from an environment variable"
    )
    await page.get_by_role("link", name="I have copied it").click()
    await settled(page)
    row = page.get_by_role("row").filter(has_text="Claude on my laptop")
    await expect(row).to_contain_text(f"…{key[-4:]}")
    await _is_nowhere(page, key)
    # the browser has not kept the answer, and asks before it sends the form again
    page.context.watch.expect("ERR_CACHE_MISS")
    with contextlib.suppress(Error):
        await page.go_back()
    await expect(page.locator("html")).not_to_contain_text(key)
    assert site.recorder.outside(CHAPTER).count(key.encode()) == 0


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["1280", "390"])
async def test_a_name_of_one_long_word_stays_inside_the_page(
    site: Site, opens: Opens, ada: Account, size: tuple[int, int]
) -> None:
    page = await (await opens(ada, size=size)).new_page()
    name = "K" * 80
    store = "Bücher 👩\u200d👧 " + "W" * 80
    await site.connect(ada, "10044", store)
    await page.goto("/settings")
    await settled(page)
    await page.get_by_role("banner").get_by_role("button", name="New key").click()
    default = page.get_by_role("dialog", name="New key").get_by_label("Default store")
    await expect(default.locator("option")).to_have_text(
        ["None: each call names its store", "Sandbox store", store]
    )

    key = await make_key(site, page, name, default_store=store)
    assert await _too_wide(page) <= 0
    await page.goto("/settings")
    await settled(page)
    assert await _too_wide(page) <= 0
    row = page.get_by_role("row").filter(has_text=f"…{key[-4:]}")
    revoke = row.get_by_role("button", name=f"Revoke {name}")
    for words in (name, store):
        cell = row.get_by_title(words)
        await expect(cell).to_have_text(words)
        is_cut = await cell.evaluate("(e) => e.scrollWidth > e.clientWidth")
        assert is_cut == (size == WIDE)  # nobody can hover on a phone: there it is whole
        if is_cut:
            await expect(cell).to_have_css("text-overflow", "ellipsis")
    if size == WIDE:
        await expect(revoke).to_be_in_viewport(ratio=1)
    short = page.get_by_role("row").filter(has_text="Claude on the till").get_by_text("Everything")
    assert await short.evaluate("(words) => words.getClientRects().length") == 1, (
        "it breaks within the word"
    )
    await revoke.click()
    await expect(notice(page, "The key is revoked.")).to_be_visible()
    assert await _too_wide(page) <= 0


async def test_settings_catch_up_while_somebody_looks(site: Site, ada: Account, page: Page) -> None:
    await page.goto("/settings")
    await settled(page)
    row = page.get_by_role("row").filter(has_text="Claude on the till")
    await expect(row).to_contain_text("Never")
    await page.get_by_role("banner").get_by_role("button", name="New key").click()
    name = page.get_by_role("dialog", name="New key").get_by_label("Name")
    await name.fill("Half a na")

    async with agent(site, ada) as client:
        await client.get("stores_list")

    await expect(row).to_contain_text(re.compile(r"\d+ s ago"))
    await expect(name).to_have_value("Half a na")  # the form that is being filled stays
    await expect(name).to_be_focused()


async def test_a_long_list_of_keys_is_sorted_and_searched_and_its_view_is_a_link(
    site: Site, ada: Account, page: Page
) -> None:
    await site.new_keys(
        ada,
        [
            f"{word} {number}"
            for word in ("Warehouse", "accounts", "Support")
            for number in range(1, 13)
        ],
    )
    await page.goto("/settings")
    await settled(page)
    table = page.get_by_role("table")
    names = table.locator("tbody tr td:first-child")
    name_head = table.get_by_role("columnheader", name="Name")
    await expect(names).to_have_count(37)
    await expect(names.first).to_have_text("Support 12")  # the newest first
    await expect(table.get_by_role("columnheader", name="Made")).to_have_attribute(
        "aria-sort", "descending"
    )

    await name_head.get_by_role("button").click()
    await expect(name_head).to_have_attribute("aria-sort", "ascending")
    await expect(names.first).to_have_text("accounts 1")
    await name_head.get_by_role("button").click()
    await expect(names.first).to_have_text("Warehouse 9")
    await page.get_by_role("searchbox", name="Find a key").fill("SUPPORT 1")

    await expect(names).to_have_text(["Support 12", "Support 11", "Support 10", "Support 1"])
    await expect(page.get_by_text("4 of 37 keys")).to_be_visible()
    await expect(page).to_have_url(re.compile(r"/settings\?sort=-name&q=SUPPORT\+1$"))
    other = await page.context.new_page()
    await other.goto(page.url)
    await settled(other)
    await expect(other.get_by_role("searchbox", name="Find a key")).to_have_value("SUPPORT 1")
    await expect(other.get_by_role("table").locator("tbody tr td:first-child")).to_have_text(
        ["Support 12", "Support 11", "Support 10", "Support 1"]
    )
    await other.get_by_role("searchbox", name="Find a key").fill("nobody")
    await expect(
        other.get_by_text("None of the 37 keys has “nobody” in its name or its last characters.")
    ).to_be_visible()


async def test_the_head_of_a_long_list_stays_in_sight(site: Site, ada: Account, page: Page) -> None:
    await site.new_keys(ada, [f"Till {number}" for number in range(1, 31)])
    await page.goto("/settings")
    await settled(page)

    await page.get_by_role("row").last.scroll_into_view_if_needed()

    await expect(page.get_by_role("row").last).to_be_in_viewport(ratio=1)
    await expect(page.get_by_role("columnheader", name="Last used")).to_be_in_viewport(ratio=1)


async def test_loading_the_answer_anew_makes_no_second_key(site: Site, page: Page) -> None:
    key = await make_key(site, page, "Pressed F5")

    with site.recorder.chapter(CHAPTER):
        await page.reload()
        await expect(notice(page, "This form was sent before")).to_be_visible()
        await _is_nowhere(page, key)

    await page.goto("/settings")
    await settled(page)
    await expect(page.get_by_role("row").filter(has_text="Pressed F5")).to_have_count(1)


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
async def test_a_new_key_opens_the_agents_door_until_it_is_revoked(
    site: Site, page: Page, mode: str
) -> None:
    key = await make_key(site, page, "A real client")

    async with AsyncExitStack() as closing:
        http = await closing.enter_async_context(
            httpx2.AsyncClient(headers={"Authorization": f"Bearer {key}"}, timeout=30)
        )
        client = await closing.enter_async_context(
            Client(streamable_http_client(f"{site.url}/mcp", http_client=http), mode=mode)
        )
        answer = await client.call_tool("orders_list", {"limit": 1})
    assert not answer.is_error
    assert answer.structured_content["pagination"]["count"] == 1

    await page.goto("/settings")
    await settled(page)
    await page.get_by_role("button", name="Revoke A real client").click()  # and no question
    await expect(notice(page, "The key is revoked.")).to_be_visible()
    await expect(page.get_by_role("row").filter(has_text="A real client")).to_have_count(0)
    async with httpx.AsyncClient() as plain:
        refused = await plain.post(
            f"{site.url}/mcp",
            headers={"Authorization": f"Bearer {key}"},
            json={"jsonrpc": "2.0", "id": 1, "method": "tools/list"},
        )
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"].startswith("Bearer")


async def test_a_key_without_a_name_is_told_where_the_mistake_is(page: Page) -> None:
    await page.goto("/settings")
    await settled(page)
    await page.get_by_role("banner").get_by_role("button", name="New key").click()
    dialog = page.get_by_role("dialog", name="New key")
    await dialog.get_by_label("Name").fill("   ")
    await dialog.get_by_label("Change orders").uncheck()

    await dialog.get_by_role("button", name="Make key").click()

    await expect(dialog).to_be_visible()
    await expect(dialog.get_by_role("alert")).to_contain_text("A key's name has 1 to")
    await expect(dialog.get_by_label("Name")).to_be_focused()
    await expect(dialog.get_by_label("Change orders")).not_to_be_checked()
    await expect(dialog.get_by_label("Read orders")).to_be_checked()


async def test_a_key_that_may_do_nothing_is_told_at_the_boxes(page: Page) -> None:
    await page.goto("/settings")
    await settled(page)
    await page.get_by_role("banner").get_by_role("button", name="New key").click()
    dialog = page.get_by_role("dialog", name="New key")
    await dialog.get_by_label("Name").fill("Idle")
    may = dialog.get_by_role("group", name="It may")
    for box in await may.get_by_role("checkbox").all():
        await box.uncheck()

    await dialog.get_by_role("button", name="Make key").click()

    await expect(may.get_by_role("alert")).to_contain_text("at least one permission")
    await expect(may.get_by_role("checkbox").first).to_be_focused()
    await expect(may.get_by_role("checkbox", checked=True)).to_have_count(0)
    await expect(dialog.get_by_label("Name")).to_have_value("Idle")


async def test_a_key_may_do_only_what_was_ticked(site: Site, page: Page) -> None:
    await page.goto("/settings")
    await settled(page)
    await page.get_by_role("banner").get_by_role("button", name="New key").click()
    dialog = page.get_by_role("dialog", name="New key")
    await dialog.get_by_label("Name").fill("Only reads")
    reading = ["See stores", "Read orders", "Read products", "Read reports"]
    may = dialog.get_by_role("group", name="It may")
    ticked = may.get_by_role("checkbox", checked=True)
    await expect(ticked).to_have_count(4)
    await dialog.get_by_role("button", name="Everything").click()
    await expect(may.get_by_role("checkbox", checked=False)).to_have_count(0)
    await dialog.get_by_role("button", name="Read and change").click()
    await expect(dialog.get_by_label("Change orders")).to_be_checked()
    await expect(dialog.get_by_label("Delete orders")).not_to_be_checked()
    await expect(dialog.get_by_label("Connect and disconnect stores")).not_to_be_checked()
    await dialog.get_by_role("button", name="Read only").click()
    await expect(ticked).to_have_count(4)
    await expect(dialog.get_by_label("All stores")).to_be_checked()  # no preset's business
    for words in reading:
        await expect(dialog.get_by_label(words)).to_be_checked()

    with site.recorder.chapter(CHAPTER):
        await dialog.get_by_role("button", name="Make key").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("Key “Only reads”")
    key = await page.locator("#new-key").inner_text()
    site.shown.append(key)

    async with (
        httpx2.AsyncClient(headers={"Authorization": f"Bearer {key}"}, timeout=30) as http,
        Client(streamable_http_client(f"{site.url}/mcp", http_client=http)) as client,
    ):
        names = {tool.name for tool in (await client.list_tools()).tools}
        answer = await client.call_tool("orders_delete", {"order_id": "100000001"})
    assert "orders_get" in names
    assert "orders_delete" not in names
    assert answer.is_error
    assert answer.content[0].text.startswith("PERMISSION_DENIED")


async def test_a_replaced_master_key_signs_in_and_the_old_one_does_not(
    site: Site, opens: Opens, ada: Account, page: Page
) -> None:
    elsewhere = await opens()
    elsewhere.watch.expect_the_session_to_end()
    other = await elsewhere.new_page()
    await _sign_in(other, ada.master_key)
    await expect(other.get_by_role("heading", level=1)).to_have_text("Home")

    await page.goto("/settings")
    await settled(page)
    await page.get_by_role("button", name="Replace master key").click()
    dialog = page.get_by_role("dialog", name="Replace the master key")
    go_on = dialog.get_by_role("button", name="Replace master key")
    await expect(go_on).to_be_disabled()
    await dialog.get_by_role("textbox").fill("replac")
    await expect(go_on).to_be_disabled()
    await dialog.get_by_role("textbox").fill("replace")
    with site.recorder.chapter(CHAPTER):
        await go_on.click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("New master key")
    new = await page.locator("#new-key").inner_text()
    site.shown.append(new)

    assert len(new) == 64
    # whoever was signed in by the old key is out: the open page, and every other
    await expect(other).to_have_url(SIGN_IN)
    await visit(other, "/")
    await expect(other).to_have_url(SIGN_IN)
    await _sign_in(other, ada.master_key)
    await expect(other.get_by_role("alert")).to_contain_text("That key is not known here.")
    await _sign_in(other, new)
    await expect(other.get_by_role("heading", level=1)).to_have_text("Home")


async def test_copying_takes_the_whole_key(site: Site, opens: Opens, ada: Account) -> None:
    context: BrowserContext = await opens(ada)
    await context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = await context.new_page()
    key = await make_key(site, page, "To be copied")

    await page.get_by_role("button", name="Copy").first.click()

    await expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert await page.evaluate("() => navigator.clipboard.readText()") == key


async def test_an_admin_sees_what_runs_and_a_member_does_not(
    site: Site, opens: Opens, page: Page
) -> None:
    admin = await (await opens()).new_page()
    await admin.goto(await site.sign_in_link())
    await admin.get_by_role("button", name="Sign in as").click()
    await expect(admin.get_by_role("heading", level=1)).to_have_text("Home")

    await asyncio.gather(admin.goto("/settings"), page.goto("/settings"))
    await asyncio.gather(settled(admin), settled(page))

    await expect(admin.get_by_role("heading", name="System")).to_be_visible()
    await expect(admin.get_by_role("main").get_by_text("SQLite", exact=True)).to_be_visible()
    await expect(page.get_by_role("heading", name="System")).to_have_count(0)


async def _sign_in(page: Page, key: str) -> None:
    await page.goto("/sign-in")
    await settled(page)
    await page.get_by_label("Key", exact=True).fill(key)
    await page.get_by_role("button", name="Sign in", exact=True).click()


async def _too_wide(page: Page) -> int:
    """By how many pixels the page is wider than its window."""
    inner, outer = await page.evaluate("() => [document.scrollingElement.scrollWidth, innerWidth]")
    return int(inner - outer)


async def _is_nowhere(page: Page, key: str) -> None:
    assert key not in await page.content(), "the key is shown a second time"


async def test_a_key_of_one_store_cannot_read_the_other_and_is_narrowed_and_rotated(
    site: Site, opens: Opens
) -> None:
    account = await site.make_account("Ada With Two Stores")
    await site.connect(account, "10045", "Paper and Ink")
    page = await (await opens(account)).new_page()
    await page.goto("/settings")
    await settled(page)
    await page.get_by_role("banner").get_by_role("button", name="New key").click()
    dialog = page.get_by_role("dialog", name="New key")
    await dialog.get_by_label("Name").fill("Only paper")
    await dialog.get_by_role("button", name="Read and change").click()
    await dialog.get_by_label("All stores").uncheck()
    await dialog.get_by_role("group", name="In").get_by_label("Paper and Ink").check()
    await dialog.get_by_label("Expires").select_option(label="In 30 days")
    faults = await look(page, "/settings New key")
    with site.recorder.chapter(CHAPTER):
        await dialog.get_by_role("button", name="Make key").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("Key “Only paper”")
        async with page.expect_download() as downloading:
            await page.get_by_role("button", name="Download").click()
    old = await page.locator("#new-key").inner_text()
    site.shown.append(old)
    file = await (await downloading.value).path()
    assert file.read_text() == f"{old}\n"

    listed = await call(site, old, "stores_list", {})
    refused = await call(site, old, "orders_list", {"store_identifier": "Sandbox store"})
    assert [store["name"] for store in listed.structured_content["stores"]] == ["Paper and Ink"]
    assert refused.content[0].text.startswith("NOT_FOUND")

    await page.goto("/settings")
    await settled(page)
    row = page.get_by_role("row").filter(has_text="Only paper")
    await expect(row).to_contain_text(f"{old[:8]}…{old[-4:]}")
    await expect(row).to_contain_text("In Paper and Ink")
    faults += await look(page, "/settings", title="Settings")
    edit = row.get_by_role("button", name="Edit Only paper")
    await edit.focus()
    await page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Edit key")
    await expect(dialog.get_by_label("Name")).to_have_value("Only paper")
    await expect(dialog.get_by_label("Expires")).to_have_value("keep")
    faults += await look(page, "/settings Edit key")
    await page.keyboard.press("Escape")
    await expect(edit).to_be_focused()
    await page.keyboard.press("Enter")
    await dialog.get_by_label("Read only:").check()
    await dialog.get_by_role("button", name="Save key").click()
    await expect(notice(page, "Only paper is saved.")).to_be_visible()
    await settled(page)
    await expect(row).to_contain_text("Read only")
    denied = await call(site, old, "orders_update", {"order_id": "100000001", "changes": {}})
    assert denied.content[0].text.startswith("PERMISSION_DENIED")

    await row.get_by_role("button", name="Rotate Only paper").click()
    dialog = page.get_by_role("dialog", name="Rotate key")
    await dialog.get_by_label("The old key stops").select_option(label="In 24 hours")
    faults += await look(page, "/settings Rotate key")
    with site.recorder.chapter(CHAPTER):
        await dialog.get_by_role("button", name="Rotate key").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("New key “Only paper”")
    new = await page.locator("#new-key").inner_text()
    site.shown.append(new)
    for key in (old, new):
        assert not (await call(site, key, "stores_list", {})).is_error
    await page.goto("/settings")
    await settled(page)
    faults += await look(page, "/settings with a replaced key", title="Settings")
    assert not faults, "\n".join(faults)


async def call(site: Site, key: str, tool: str, arguments: dict[str, Any]) -> Any:
    """What a client with that key gets."""
    async with (
        httpx2.AsyncClient(headers={"Authorization": f"Bearer {key}"}, timeout=30) as http,
        Client(streamable_http_client(f"{site.url}/mcp", http_client=http)) as client,
    ):
        return await client.call_tool(tool, arguments)
