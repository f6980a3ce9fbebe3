"""The console: any tool, a form from its schema with its example in it, typed values, results and
errors as an assistant gets them.
"""

import json
import re
from typing import Any

import pytest
from playwright.async_api import Page, expect

from orderdesk_app.tools.catalogue import every_tool
from tests.browser.conftest import Account, Opens, Serving, Site
from tests.browser.steps import (
    choose_tool,
    form_of,
    notice,
    result_of,
    result_region,
    run,
    settled,
    sign_out,
)
from tests.worlds import API_KEY, FIRST_ORDER, eventually


async def open_console(page: Page, tool: str = "") -> None:
    await page.goto(f"/console?tool={tool}" if tool else "/console")
    await settled(page)


async def test_every_tool_has_a_form_with_its_example_in_it(page: Page) -> None:
    await open_console(page)

    for tool in every_tool():
        await choose_tool(page, tool.name)
        await expect(form_of(page).get_by_role("heading")).to_have_text(tool.title)
        example: dict[str, Any] = tool.example.model_dump(mode="json", exclude_unset=True)
        await (
            form_of(page)
            .locator("summary")
            .evaluate_all("(all) => all.forEach((one) => { one.parentElement.open = true; })")
        )
        for name in tool.input_schema.get("properties", {}):
            control = form_of(page).locator(f"[name={name}]")
            await expect(control).to_have_count(1)
            value = await control.input_value()
            if name in tool.secrets:
                assert value == "", "a secret is never filled in"
            elif isinstance(example.get(name), dict | list):
                assert json.loads(value) == example[name]
            else:
                assert value == str(example.get(name, "")), f"{tool.name}.{name}"


async def test_values_are_typed(page: Page) -> None:
    await open_console(page, "orders_list")

    await form_of(page).get_by_label("limit").fill("2")
    await run(page)

    answer = await result_of(page)
    assert len(answer["orders"]) == 2
    assert answer["pagination"]["limit"] == 2
    await page.get_by_role("group", name="Show as").get_by_role("button", name="Request").click()
    await expect(page.locator("#result")).to_contain_text('"limit": 2')


async def test_json_that_is_none_is_told_under_its_field(page: Page) -> None:
    await open_console(page, "orders_update")

    await form_of(page).get_by_label("changes").fill('{"shipping": ')
    await run(page)

    await expect(form_of(page).get_by_role("alert")).to_have_text(
        "This must be an object in JSON. Line 1, column 13: a value is missing."
    )
    await expect(form_of(page).get_by_label("changes")).to_have_attribute("aria-invalid", "true")
    await expect(form_of(page).get_by_label("changes")).to_have_value('{"shipping": ')


async def test_an_error_is_an_error(page: Page) -> None:
    await open_console(page, "orders_get")

    await form_of(page).get_by_label("order_id").fill("999999999")
    await run(page)

    await expect(result_region(page).locator(".badge.red")).to_be_visible()
    # said once, where it is about an argument
    await expect(form_of(page).get_by_role("alert")).to_contain_text("999999999")
    await expect(result_region(page).get_by_role("alert")).to_have_count(0)
    answer = json.loads(await page.locator("#result").inner_text())
    assert answer["error"]["code"] == "NOT_FOUND"


async def test_the_result_says_how_long_it_took_and_whether_it_was_cached(page: Page) -> None:
    await open_console(page, "orders_get")
    await form_of(page).get_by_label("order_id").fill(FIRST_ORDER)

    await run(page)
    await result_of(page)
    await run(page)

    await expect(result_region(page).get_by_text("From cache")).to_be_visible()
    await expect(result_region(page)).to_contain_text(" ms")


async def test_a_result_is_copied_and_downloaded_whole(opens: Opens, ada: Account) -> None:
    context = await opens(ada)
    await context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = await context.new_page()
    await open_console(page, "stores_list")
    await run(page)
    answer = await result_of(page)

    await result_region(page).get_by_role("button", name="Copy").click()
    await expect(result_region(page).get_by_role("button", name="Copied")).to_be_visible()
    async with page.expect_download() as downloading:
        await result_region(page).get_by_role("button", name="Download the result").click()

    assert json.loads(await page.evaluate("() => navigator.clipboard.readText()")) == answer
    download = await downloading.value
    assert download.suggested_filename == "stores_list.json"
    assert json.loads((await download.path()).read_text()) == answer


async def test_a_result_is_copied_in_every_view(opens: Opens, ada: Account) -> None:
    context = await opens(ada)
    await context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = await context.new_page()
    await open_console(page, "orders_list")
    await run(page)
    answer = await result_of(page)

    await page.get_by_role("group", name="Show as").get_by_role("button", name="Table").click()
    await expect(result_region(page).get_by_role("table")).to_be_visible()
    await result_region(page).get_by_role("button", name="Copy").click()
    await expect(result_region(page).get_by_role("button", name="Copied")).to_be_visible()

    assert json.loads(await page.evaluate("() => navigator.clipboard.readText()")) == answer
    await expect(result_region(page)).to_contain_text("Not cached")
    await expect(result_region(page)).to_contain_text(" kB")


async def test_a_result_is_shown_as_a_tree_with_every_digit(
    site: Site, ada: Account, page: Page
) -> None:
    await open_console(page, "orders_update")
    await form_of(page).get_by_label("order_id").fill(FIRST_ORDER)
    await (
        form_of(page)
        .get_by_label("changes")
        .fill('{"order_metadata": {"cart_id": "123456789012345678"}}')
    )
    await run(page)
    await result_of(page)

    await page.get_by_role("group", name="Show as").get_by_role("button", name="Tree").click()

    tree = page.get_by_role("region", name="Result as a tree")
    await expect(tree).to_contain_text("order_metadata")
    # a branch fills when it is opened
    await expect(tree.get_by_text('"123456789012345678"', exact=True)).to_have_count(0)
    await tree.locator("summary").filter(has_text="order_metadata").click()
    await expect(tree.get_by_text('"123456789012345678"', exact=True)).to_be_visible()


async def test_on_a_phone_the_result_comes_into_view(opens: Opens, ada: Account) -> None:
    page = await (await opens(ada, size=(390, 844), has_touch=True)).new_page()
    await open_console(page, "orders_list")

    await form_of(page).get_by_role("button", name="Run").tap()
    await result_of(page)

    await expect(result_region(page).locator(".badge").first).to_be_in_viewport()


async def test_the_last_ten_calls_are_kept_and_run_again(page: Page) -> None:
    await open_console(page, "orders_list")
    for limit in range(1, 13):
        await form_of(page).get_by_label("limit").fill(str(limit))
        await run(page)
        await expect(page.locator("#result")).to_contain_text(f'"limit": {limit},')

    await page.reload()
    await settled(page)

    history = (
        page.get_by_role("table")
        .get_by_role("row")
        .filter(has=page.get_by_role("button", name="Open orders_list"))
    )
    await expect(history).to_have_count(10)
    await expect(history.first).to_contain_text("12")
    await history.nth(9).get_by_role("button").click()
    await expect(form_of(page).get_by_label("limit")).to_have_value("3")
    await expect(page.locator("#result")).to_contain_text('"limit": 3,')
    await run(page)
    await expect(history.first).to_contain_text("3")


HEIGHT = (
    "(cell) => { const range = document.createRange(); range.selectNodeContents(cell); "
    "return range.getBoundingClientRect().height; }"
)


async def test_in_the_history_the_arguments_give_way_and_everything_else_is_one_line(
    site: Site, ada: Account, page: Page
) -> None:
    await site.console_call(
        ada,
        "orders_update",
        {
            "order_id": FIRST_ORDER,
            "changes": {"order_notes": [{"content": "Leave it at the door. " * 9}]},
        },
    )
    await site.console_call(ada, "orders_list", {"limit": 0})
    for width in (1280, 900, 600):
        await page.set_viewport_size({"width": width, "height": 800})
        await open_console(page)
        for row in await page.get_by_role("table").get_by_role("row").all():
            for cell in await row.locator("td:not(:has(button))").all():
                assert await cell.evaluate(HEIGHT) < 30, f"{await cell.inner_text()} at {width}"
        if width == 1280:
            assert await page.locator(".scroll:has(table)").evaluate(
                "(box) => box.scrollWidth <= box.clientWidth"
            )


async def test_a_tool_with_a_secret_is_posted_plainly_and_the_secret_is_not_kept(
    site: Site, page: Page
) -> None:
    await open_console(page, "stores_register")
    await expect(form_of(page).get_by_role("note")).to_contain_text("This is your second store.")
    await form_of(page).get_by_label("store_id").fill("10031")
    await form_of(page).get_by_label("api_key").fill(API_KEY)

    await run(page)

    answer = await result_of(page)
    assert answer["store"]["store_id"] == "10031"
    await expect(page.get_by_role("table")).to_contain_text("***")
    await expect(form_of(page).get_by_label("api_key")).to_have_value("")
    assert API_KEY not in await page.content()
    assert API_KEY.encode() not in site.recorder.all()


async def test_a_refused_secret_form_keeps_what_was_typed_but_not_the_secret(page: Page) -> None:
    await open_console(page, "stores_register")
    await form_of(page).get_by_label("store_id").fill("10032")
    await form_of(page).get_by_label("api_key").fill("not-the-right-key")

    await run(page)

    await expect(
        result_region(page)
        .locator(".badge.red")
        .or_(form_of(page).get_by_role("alert"))
        .or_(notice(page, "refused"))
        .first
    ).to_be_visible()
    await expect(form_of(page).get_by_label("store_id")).to_have_value("10032")
    await expect(form_of(page).get_by_label("api_key")).to_have_value("")
    assert "not-the-right-key" not in await page.content()


async def test_customers_words_are_words_and_never_markup(
    site: Site, opens: Opens, ada: Account, page: Page
) -> None:
    words = "<img src=x onerror=alert(1)><script>alert(2)</script>"
    await open_console(page, "orders_update")
    await form_of(page).get_by_label("order_id").fill(FIRST_ORDER)
    await form_of(page).get_by_label("changes").fill(json.dumps({"shipping": {"city": words}}))

    await run(page)

    answer = await result_of(page)
    assert answer["order"]["shipping"]["city"] == words
    await expect(page.locator("main img")).to_have_count(0)


async def test_a_tool_is_found_by_its_name(page: Page) -> None:
    await open_console(page)

    await page.keyboard.press("/")
    await expect(page.get_by_placeholder("Find a tool")).to_be_focused()
    await page.keyboard.type("inventory")
    await page.get_by_placeholder("Find a tool").fill("resolve")

    await expect(
        page.get_by_role("region", name="Tools", exact=True).get_by_role("button")
    ).to_have_count(1)
    await page.get_by_placeholder("Find a tool").fill("no such tool")
    await expect(page.get_by_text("No tool has that name.")).to_be_visible()


async def test_a_double_click_runs_once_and_the_focus_stays_on_the_button(
    site: Site, page: Page
) -> None:
    await open_console(page, "orders_create")
    button = form_of(page).get_by_role("button", name="Run")

    await button.dblclick()
    await result_of(page)
    await expect(page.get_by_role("button", name="Open orders_create")).to_have_count(1)
    await expect(button).to_have_attribute("aria-busy", "false")
    await button.focus()
    await page.keyboard.press("Enter")

    await expect(page.get_by_role("button", name="Open orders_create")).to_have_count(2)
    await expect(button).to_be_focused()


async def test_an_order_is_deleted_after_its_id_was_typed(page: Page) -> None:
    await open_console(page, "orders_delete")
    await form_of(page).get_by_label("order_id").fill("100000007")
    dialog = page.get_by_role("dialog", name="Delete an order")

    await run(page)
    await expect(dialog).to_contain_text("Type 100000007 to confirm")
    await expect(dialog).to_contain_text("Sandbox store (a sandbox: nothing in it is real)")
    await expect(dialog.get_by_role("button", name="Delete an order")).to_be_disabled()
    await page.keyboard.press("Enter")
    await page.keyboard.press("Escape")
    await expect(dialog).to_be_hidden()
    await expect(form_of(page).get_by_role("button", name="Run")).to_be_focused()
    await run(page)
    await expect(dialog.get_by_label("Type 100000007 to confirm")).to_be_focused()
    await page.keyboard.type("100000007")
    await dialog.get_by_role("button", name="Delete an order").click()

    await expect(dialog).to_be_hidden()
    assert (await result_of(page))["deleted"] is True


async def test_what_another_tab_chose_is_seen_before_anything_is_changed(
    site: Site, opens: Opens, ada: Account
) -> None:
    await site.connect(ada, "10041", "Bücherei Nord")
    context = await opens(ada)
    page, other = await context.new_page(), await context.new_page()
    await open_console(page, "orders_update")
    await page.get_by_role("combobox", name="Store in this console").select_option(
        label="Bücherei Nord"
    )
    await expect(form_of(page).get_by_role("note")).to_contain_text("Bücherei Nord")
    await other.goto("/stores")
    await settled(other)
    await other.get_by_role("combobox", name="Store in this console").select_option(
        label="Sandbox store"
    )
    await expect(notice(other, "now mean Sandbox store")).to_be_visible()

    await form_of(page).get_by_label("order_id").fill(FIRST_ORDER)
    await form_of(page).get_by_label("changes").fill('{"shipping": {"city": "Quito"}}')
    await run(page)

    await expect(
        notice(
            page,
            (
                "Nothing was run: the chosen store changed in another tab. This page now "
                "shows Sandbox store."
            ),
        )
    ).to_be_visible()
    await expect(form_of(page).get_by_role("note")).to_contain_text("Sandbox store (a sandbox")
    await expect(
        page.get_by_role("combobox", name="Store in this console").locator("option:checked")
    ).to_have_text("Sandbox store")
    await expect(form_of(page).get_by_label("order_id")).to_have_value(FIRST_ORDER)
    await run(page)
    await result_of(page)


async def test_the_dialog_names_the_store_that_was_typed(
    site: Site, ada: Account, page: Page
) -> None:
    await site.connect(ada, "10042", "Bücherei Süd")
    await open_console(page, "orders_delete")
    await form_of(page).locator("summary").click()
    await form_of(page).get_by_label("store_identifier").fill("nobody's")
    await form_of(page).get_by_label("order_id").fill(FIRST_ORDER)

    await run(page)
    await expect(form_of(page).get_by_role("alert")).to_contain_text("No store of this account")
    await form_of(page).get_by_label("store_identifier").fill("bücherei süd")
    await run(page)

    await expect(page.get_by_role("dialog", name="Delete an order")).to_contain_text(
        "Store: Bücherei Süd"
    )


async def test_the_field_at_fault_is_found_wherever_it_stands(page: Page) -> None:
    await open_console(page, "orders_update")
    changes, store = (
        form_of(page).get_by_label("changes"),
        form_of(page).get_by_label("store_identifier"),
    )
    await expect(store).to_be_hidden()

    await changes.fill('{"shipping": {"citty": "Quito"}}')
    await run(page)
    await expect(changes).to_be_focused()
    await expect(changes).to_have_attribute(
        "aria-describedby", "arg-changes-help arg-changes-wrong"
    )
    await expect(page.locator("#arg-changes-wrong")).to_contain_text("citty")
    await changes.fill('{"shipping": {"city": "Quito"}}')
    await store.evaluate("(input) => { input.value = 'nobody'; }")
    await run(page)

    await expect(store).to_be_focused()
    await expect(form_of(page).get_by_role("alert")).to_contain_text("No store of this account")


async def test_the_address_says_what_is_on_the_screen(page: Page) -> None:
    await open_console(page)
    for tool in (
        "products_list",
        "orders_list",
    ):  # another one first: the address then tells when the form has been drawn anew
        await choose_tool(page, tool)
        await expect(page).to_have_url(re.compile(rf"/console\?tool={tool}$"))
    await form_of(page).get_by_label("limit").fill("2")
    await run(page)
    await result_of(page)
    await expect(page).to_have_url(re.compile(r"/console\?call=\w+$"))

    await page.reload()
    await settled(page)

    await expect(form_of(page).get_by_label("limit")).to_have_value("2")
    assert len((await result_of(page))["orders"]) == 2
    await page.keyboard.press("Control+k")
    await page.keyboard.type("orders_get")
    await page.keyboard.press("Enter")
    await expect(form_of(page).get_by_role("heading")).to_have_text("Get an order")
    await expect(page).to_have_url(re.compile(r"/console\?tool=orders_get$"))


async def test_a_link_to_what_is_no_longer_there_opens_the_console(page: Page) -> None:
    for address, words in (
        ("?call=01M8AY1EB51SCJNPYHWNM0RXXX", "no longer in the history"),
        ("?tool=nope", "There is no tool named nope"),
    ):
        await page.goto(f"/console{address}")
        await settled(page)

        await expect(notice(page, words)).to_be_visible()
        await run(page)
        await result_of(page)


async def test_a_long_result_is_cut_at_a_row_and_downloaded_as_it_is_shown(page: Page) -> None:
    await open_console(page, "orders_list")
    await form_of(page).locator("summary").click()
    await form_of(page).get_by_label("view").select_option("full")
    for limit in (70, 100):
        await form_of(page).get_by_label("limit").fill(str(limit))
        await run(page)
        await expect(result_region(page)).to_contain_text("30 orders")
        await expect(result_region(page).get_by_role("button", name="Copy")).to_be_visible()

        async with page.expect_download() as downloading:
            await result_region(page).get_by_role("button", name="Download the result").click()

        answer = json.loads((await (await downloading.value).path()).read_text())
        # a result is cut at a row before it is longer than clients take
        assert len(answer["orders"]) == answer["pagination"]["count"] > 20
        assert answer["cut"]
    await page.get_by_role("group", name="Show as").get_by_role("button", name="Request").click()
    await expect(result_region(page).get_by_role("button", name="Copy")).to_be_visible()


async def test_what_was_typed_outlives_the_server(
    serving: Serving, opens: Opens, ada: Account
) -> None:
    context = await opens(ada)
    context.watch.expect("WebSocket|ERR_")  # type: ignore[attr-defined]
    page = await context.new_page()
    await open_console(page, "orders_update")
    changes, store = (
        form_of(page).get_by_label("changes"),
        form_of(page).get_by_label("store_identifier"),
    )
    await form_of(page).get_by_label("order_id").fill(FIRST_ORDER)
    await changes.fill('{"shipping": {"city": "Quito"}}')
    await form_of(page).locator("summary").click()
    await store.fill("Sandbox store")

    serving.stop()
    await expect(page.get_by_text("No connection to the server")).to_be_visible()
    await run(page)
    serving.start()

    await expect(form_of(page).get_by_text("What you typed is still here.")).to_be_in_viewport(
        timeout=60_000
    )
    await expect(notice(page, "Nothing was run")).to_be_visible()
    await expect(changes).to_have_value('{"shipping": {"city": "Quito"}}')
    await expect(store).to_be_visible()
    await expect(store).to_have_value("Sandbox store")
    await expect(page.get_by_role("heading", name="Last calls")).to_have_count(0)
    await run(page)
    assert (await result_of(page))["order"]["shipping"]["city"] == "Quito"
    await expect(form_of(page).get_by_text("What you typed is still here.")).to_be_hidden()


async def test_a_page_that_is_loaded_after_the_server_started_again_says_that_its_form_is_new(
    serving: Serving, opens: Opens, ada: Account
) -> None:
    page = await (await opens(ada)).new_page()
    filled_anew = form_of(page).get_by_text("This form was filled again")
    await open_console(page, "orders_update")
    await page.reload()
    await settled(page)
    await expect(filled_anew).to_be_hidden()

    await page.goto("about:blank")
    await serving.restart()
    await open_console(page, "orders_update")
    await expect(filled_anew).to_be_visible()

    await sign_out(page)
    await page.get_by_label("Key", exact=False).first.fill(ada.master_key)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Home")
    await open_console(page, "orders_update")
    await expect(filled_anew).to_be_hidden()


async def test_the_run_button_and_every_tool_are_at_hand(page: Page) -> None:
    await open_console(page, "orders_list")
    await form_of(page).locator("summary").click()

    await expect(form_of(page).get_by_role("button", name="Run")).to_be_in_viewport()
    box = await page.locator("#tools").bounding_box()
    assert box is not None
    assert box["height"] > 600


async def test_the_store_that_is_changed_is_named_beside_run(page: Page) -> None:
    await open_console(page, "orders_update")
    await form_of(page).locator("summary").click()

    await expect(form_of(page).get_by_role("note")).to_be_in_viewport(ratio=1)
    note, button = [
        await form_of(page).get_by_role(role).last.bounding_box() for role in ("note", "button")
    ]
    assert note is not None
    assert button is not None
    assert note["y"] + note["height"] < button["y"]


async def test_the_chosen_tool_is_in_view_on_the_list(page: Page) -> None:
    await page.set_viewport_size({"width": 1280, "height": 620})
    await open_console(page, "tenant_use_master_key")
    tools = page.get_by_role("region", name="Tools", exact=True)

    await expect(tools.get_by_role("button", pressed=True)).to_be_in_viewport(ratio=1)
    assert await page.evaluate("() => scrollY") == 0
    await page.keyboard.press("Control+k")
    await page.keyboard.type("orders_list")
    await page.keyboard.press("Enter")
    await expect(tools.get_by_role("button", pressed=True)).to_contain_text("orders_list")
    await expect(tools.get_by_role("button", pressed=True)).to_be_in_viewport(ratio=1)


async def test_copy_and_download_stand_side_by_side(page: Page) -> None:
    await open_console(page, "orders_get")
    await form_of(page).get_by_label("order_id").fill("999999999")
    for width in (1280, 1101, 390):
        await page.set_viewport_size({"width": width, "height": 800})
        await run(page)
        await expect(result_region(page).locator(".badge.red")).to_be_visible()

        async def stand_side_by_side() -> (
            bool
        ):  # the result of the run before may still be there, and give way
            boxes = [
                await result_region(page).get_by_role("button", name=name).bounding_box()
                for name in ("Copy", "Download the result")
            ]
            middles = [box["y"] + box["height"] / 2 for box in boxes if box is not None]
            return len(middles) == 2 and abs(middles[0] - middles[1]) < 2

        await eventually(stand_side_by_side, 5)


async def test_a_live_store_is_changed_after_its_difference_was_shown(
    site: Site, ada: Account, page: Page
) -> None:
    await site.connect(ada, "10043", "Bücherei West")
    await open_console(page, "orders_update")
    await page.get_by_role("combobox", name="Store in this console").select_option(
        label="Bücherei West"
    )
    await expect(form_of(page).get_by_role("note")).to_contain_text("Bücherei West")
    changes = form_of(page).get_by_label("changes")
    await expect(changes).to_have_value("")
    await form_of(page).get_by_label("order_id").fill(FIRST_ORDER)
    await changes.fill('{"folder_name": "Shipped"}')
    dialog = page.get_by_role("dialog", name="Update an order")

    await changes.press("Control+Enter")
    await expect(dialog).to_contain_text("Bücherei West")
    await expect(dialog.get_by_role("table", name="What would change")).to_contain_text("Shipped")
    await page.keyboard.press("Escape")
    await expect(dialog).to_be_hidden()
    await expect(page.get_by_role("button", name="Open orders_update")).to_have_count(0)
    await run(page)
    await dialog.get_by_role("button", name="Update an order").click()

    await expect(dialog).to_be_hidden()
    await expect(result_region(page).locator(".headline")).to_contain_text("→ Shipped")
    await expect(page.get_by_role("status").filter(has_text="→ Shipped")).to_have_count(1)
    await expect(page.get_by_role("button", name="Open orders_update")).to_have_count(1)


@pytest.mark.parametrize("size", [(1280, 800), (390, 844)])
async def test_an_error_is_in_view_and_the_last_result_stays(
    opens: Opens, ada: Account, size: tuple[int, int]
) -> None:
    page = await (await opens(ada, size=size)).new_page()
    await open_console(page, "orders_list")
    await run(page)
    await result_of(page)
    await choose_tool(page, "orders_update")
    await form_of(page).get_by_label("changes").fill('{"shipping": ')

    await run(page)

    wrong = page.locator("#arg-changes-wrong")
    await expect(wrong).to_be_in_viewport(ratio=1)
    bar = form_of(page).locator(".run")
    await expect(bar).to_contain_text("Nothing was run. Look at changes.")
    box, cover = await wrong.bounding_box(), await bar.bounding_box()
    assert box is not None
    assert cover is not None
    assert box["y"] + box["height"] <= cover["y"]
    await expect(page.locator("#result")).to_contain_text('"orders"')

    many = {f"no_such_field_{number}": {"x": 1} for number in range(30)}
    await form_of(page).get_by_label("changes").fill(json.dumps(many))
    await run(page)

    await expect(wrong).to_contain_text("no_such_field_0")
    top, head = await wrong.bounding_box(), await page.get_by_role("banner").bounding_box()
    assert top is not None
    assert head is not None
    assert head["y"] + head["height"] <= top["y"] < size[1] / 2  # the beginning of a long error
