"""Everything works without a mouse: the palette, the letters that go somewhere, Tab through each
page, Esc closing the top thing only.
"""

from typing import Any

import pytest
from playwright.async_api import Locator, Page, expect

from tests.browser.conftest import Account, Opens, Site
from tests.browser.steps import settled


async def open_page(opens: Opens, account: Account, address: str = "/") -> Page:
    page = await (await opens(account)).new_page()
    await page.goto(address)
    await settled(page)
    return page


def heading(page: Page) -> Locator:
    return page.get_by_role("heading", level=1)


@pytest.mark.parametrize(
    ("letter", "title"), [("h", "Home"), ("s", "Stores"), ("c", "Console"), (",", "Settings")]
)
async def test_g_and_a_letter_go_there(
    opens: Opens, settler: Account, letter: str, title: str
) -> None:
    page = await open_page(opens, settler, "/stores" if title == "Home" else "/")

    await page.keyboard.press("g")
    await page.keyboard.press(letter)

    await expect(heading(page)).to_have_text(title)


async def test_letters_typed_into_a_field_go_nowhere(opens: Opens, settler: Account) -> None:
    page = await open_page(opens, settler, "/console")
    search = page.get_by_placeholder("Find a tool")
    await search.focus()

    await page.keyboard.type("gs?/")

    await expect(search).to_have_value("gs?/")
    await expect(heading(page)).to_have_text("Console")
    await expect(page.get_by_role("dialog")).to_have_count(0)


async def test_the_palette_finds_a_page_and_gives_the_focus_back(
    opens: Opens, settler: Account
) -> None:
    page = await open_page(opens, settler)
    opener = page.get_by_role("button", name="Go to…")
    await opener.focus()

    await page.keyboard.press("Control+k")
    palette = page.get_by_role("dialog", name="Go to")
    await expect(palette).to_be_visible()
    await expect(palette.get_by_role("combobox")).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(palette).to_be_hidden()
    await expect(opener).to_be_focused()

    await page.keyboard.press("Control+k")
    await page.keyboard.type("sto")
    await page.keyboard.press("Enter")
    await expect(heading(page)).to_have_text("Stores")
    await expect(palette).to_be_hidden()


async def test_the_palette_is_walked_with_arrows(opens: Opens, settler: Account) -> None:
    page = await open_page(opens, settler)
    await page.keyboard.press("Control+k")
    chosen = page.locator("#palette .chosen")
    first = await chosen.text_content() or ""

    await page.keyboard.press("ArrowDown")
    second = await chosen.text_content() or ""
    await page.keyboard.press("ArrowUp")
    await page.keyboard.press("Tab")  # no entry gets the focus: two would look chosen

    assert first != second
    await expect(chosen).to_have_text(first)
    await expect(page.locator("#palette input")).to_be_focused()
    await page.keyboard.type("zzzz")
    await expect(page.get_by_text("Nothing has that name.")).to_be_visible()


async def test_the_palette_finds_a_tool_also_on_its_own_page(
    opens: Opens, settler: Account
) -> None:
    page = await open_page(opens, settler)

    for words, title in (("products get", "Get a product"), ("orders_delete", "Delete an order")):
        await page.keyboard.press("Control+k")
        await page.keyboard.type(words)
        await page.keyboard.press("Enter")

        await expect(heading(page)).to_have_text("Console")
        await expect(
            page.get_by_role("region", name="Arguments").get_by_role("heading")
        ).to_have_text(title)


async def test_the_palette_chooses_the_store(opens: Opens, settler: Account) -> None:
    page = await open_page(opens, settler)
    name = (
        await page.locator("#palette [role=option]")
        .filter(has_text="Use ")
        .first.locator(".cut")
        .text_content()
        or ""
    ).removeprefix("Use ")

    await page.keyboard.press("Control+k")
    await page.keyboard.type("use store")
    await page.keyboard.press("Enter")

    await expect(page.locator(".notice").filter(has_text=name)).to_be_visible()
    await expect(page.get_by_role("dialog", name="Go to")).to_be_hidden()


async def test_the_palette_opens_above_a_form_and_leaves_it_open(
    opens: Opens, settler: Account
) -> None:
    page = await open_page(opens, settler, "/settings")
    await page.get_by_role("banner").get_by_role("button", name="New key").click()
    form = page.get_by_role("dialog", name="New key")
    await form.get_by_label("Name").fill("Half a na")

    await page.keyboard.press("Control+k")
    await expect(page.get_by_role("dialog", name="Go to")).to_be_visible()
    await page.keyboard.press("Escape")

    await expect(page.get_by_role("dialog", name="Go to")).to_be_hidden()
    await expect(form).to_be_visible()
    await expect(form.get_by_label("Name")).to_be_focused()
    await expect(form.get_by_label("Name")).to_have_value("Half a na")
    await page.keyboard.press("Control+k")
    await page.keyboard.type("settings")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("dialog")).to_have_count(0)


async def test_the_focus_comes_along_to_the_next_page(opens: Opens, settler: Account) -> None:
    page = await open_page(opens, settler)

    await (
        page.get_by_role("complementary", name="Sidebar").get_by_role("link", name="Stores").focus()
    )
    await page.keyboard.press("Enter")
    await expect(heading(page)).to_have_text("Stores")
    await expect(page.get_by_role("main")).to_be_focused()

    await page.keyboard.press("Control+k")
    await page.keyboard.type("settings")
    await page.keyboard.press("Enter")
    await expect(heading(page)).to_have_text("Settings")
    await expect(page.get_by_role("main")).to_be_focused()


async def test_a_button_that_works_keeps_the_focus(opens: Opens, settler: Account) -> None:
    page = await open_page(opens, settler, "/stores")
    button = page.get_by_role("button", name="Test connection").first
    await button.focus()

    await page.keyboard.press("Enter")

    await expect(page.get_by_role("article").first.get_by_role("status")).to_contain_text(
        "the key works"
    )
    await expect(button).to_be_focused()


async def test_a_button_that_is_gone_leaves_the_focus_in_the_content(
    site: Site, opens: Opens
) -> None:
    page = await open_page(
        opens, await site.make_account("By keyboard alone", with_store=False), "/stores"
    )
    await page.get_by_role("button", name="Try the sandbox store").focus()

    await page.keyboard.press("Enter")

    await expect(page.get_by_role("article")).to_have_count(1)
    await expect(page.get_by_role("main")).to_be_focused()


async def test_a_question_mark_lists_the_keys(opens: Opens, settler: Account) -> None:
    page = await open_page(opens, settler)

    await page.keyboard.press("?")

    sheet = page.get_by_role("dialog", name="Keyboard")
    for words in ("Ctrl K", "g s", "g c", "Esc"):
        await expect(sheet.get_by_text(words, exact=True)).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(sheet).to_be_hidden()


async def test_escape_closes_the_dialog_and_returns_the_focus(
    opens: Opens, settler: Account
) -> None:
    page = await open_page(opens, settler, "/settings")
    opener = page.get_by_role("banner").get_by_role("button", name="New key")
    await opener.focus()

    await page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="New key")
    await expect(dialog).to_be_visible()
    for _ in range(12):  # the focus stays inside
        await page.keyboard.press("Tab")
        assert await page.evaluate(
            "() => document.activeElement === document.body || "
            "!!document.activeElement.closest('dialog')"
        )
    await page.keyboard.press("Escape")

    await expect(dialog).to_be_hidden()
    await expect(opener).to_be_focused()


async def test_tab_reaches_everything_and_is_always_seen(
    opens: Opens, settler: Account, pages: list[dict[str, Any]]
) -> None:
    context = await opens(settler)
    page = await context.new_page()
    faults = []

    for entry in pages:
        if entry["route"] == "404" or entry["is_public"]:
            continue
        await page.goto(entry["address"])
        await settled(page)
        wanted: int = await page.evaluate(
            """() => [...document.querySelectorAll(
                    "a[href], button, input, select, textarea, summary, [tabindex='0']")]
                .filter((e) => e.checkVisibility() && !e.disabled)
                .filter((e) => e.type !== "hidden" && e.tabIndex >= 0)
                // the arrow keys reach the others of a group
                .filter((e) => e.type !== "radio" || e.checked)
                .map((e, i) => (e.dataset.test = i)).length"""
        )
        reached: set[str] = set()
        for _ in range(wanted + 5):
            await page.keyboard.press("Tab")
            found = await page.evaluate(
                """() => { const e = document.activeElement; const s = getComputedStyle(e);
                    const name = e.getAttribute("aria-label") || e.textContent || e.tagName;
                    const box = e.getBoundingClientRect();
                    const outlined = s.outlineStyle !== "none" && parseFloat(s.outlineWidth) >= 1;
                    return e === document.body ? null : {
                        at: e.dataset.test || "", name: name.trim().slice(0, 30),
                        seen: outlined || s.boxShadow !== "none",
                        inside: box.bottom > 0 && box.top < innerHeight } }"""
            )
            if found is None:
                continue
            reached.add(found["at"])
            if not found["seen"]:
                faults.append(f"{entry['route']}: nobody sees the focus on “{found['name']}”")
            if not found["inside"]:
                faults.append(
                    f"{entry['route']}: the focus on “{found['name']}” is outside the window"
                )
        missing: list[str] = await page.evaluate(
            (
                "(reached) => [...document.querySelectorAll('[data-test]')].filter((e) => "
                "!reached.includes(e.dataset.test)).map((e) => (e.getAttribute('aria-label') "
                "|| e.textContent || e.tagName).trim().slice(0, 30))"
            ),
            list(reached),
        )
        faults += [f"{entry['route']}: Tab never reaches “{name}”" for name in missing]

    assert not faults, "\n".join(dict.fromkeys(faults))


async def test_the_first_tab_skips_to_the_content(opens: Opens, settler: Account) -> None:
    page = await open_page(opens, settler)

    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    await expect(page.get_by_role("link", name="Skip to content")).to_be_in_viewport()
    await page.keyboard.press("Enter")

    await expect(page.get_by_role("main")).to_be_focused()


async def test_a_phones_menu_opens_goes_and_closes(opens: Opens, settler: Account) -> None:
    page = await (await opens(settler, size=(390, 844), has_touch=True)).new_page()
    await page.goto("/")
    await settled(page)

    await page.get_by_role("button", name="Open menu").tap()
    drawer = page.get_by_role("dialog", name="Menu")
    await drawer.get_by_role("link", name="Stores").tap()

    await expect(heading(page)).to_have_text("Stores")
    await expect(drawer).to_be_hidden()
