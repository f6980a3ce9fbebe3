"""Every page that Reflex has registered, in light and dark, wide and narrow: it loads without a
fault, and anybody can read and reach it.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.async_api import Page, expect

from tests.browser.conftest import NARROW, WIDE, Account, Opens, Site
from tests.browser.steps import SIGN_IN, form_of, make_key, result_of, run, settled
from tests.worlds import FIRST_ORDER

View = tuple[str, tuple[int, int]]
VIEWS = [(scheme, size) for scheme in ("light", "dark") for size in (WIDE, NARROW)]
# Each colour and each width once: what axe finds depends on one of them, and it takes long.
READ_BY_AXE = (VIEWS[0], VIEWS[3])
CRITERIA = {
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    # axe has it switched off: who speaks to the page says what is seen
    "rules": {"label-content-name-mismatch": {"enabled": True}},
    "resultTypes": ["violations"],
}


@pytest.mark.parametrize(
    ("scheme", "size"), VIEWS, ids=[f"{scheme}-{size[0]}" for scheme, size in VIEWS]
)
async def test_every_page_reads_well(
    site: Site,
    opens: Opens,
    settler: Account,
    pages: list[dict[str, Any]],
    scheme: str,
    size: tuple[int, int],
) -> None:
    """`settler` has stores, keys and calls, so that every page has something to show."""
    context = await opens(settler, size=size, scheme=scheme)
    context.watch.expect("^404 GET /no/such/page")
    page = await context.new_page()
    faults = []

    for entry in pages:
        if entry["is_public"]:
            await context.clear_cookies()
        await page.goto(entry["address"])
        await settled(page)
        await picture(page, entry["route"], scheme, size)
        found = await shape(page, entry, size)
        if (scheme, size) in READ_BY_AXE:
            found += await axe(page)
        faults += [f"{entry['route']}: {fault}" for fault in found]
        if entry["is_public"]:
            await context.add_cookies([site.cookie_of(settler)])

    assert not faults, "\n".join(faults)


async def test_every_page_has_something_to_show_a_newcomer(
    opens: Opens, newcomer: Account, pages: list[dict[str, Any]]
) -> None:
    """Empty places say what will stand there; they are pages like any other."""
    faults = []

    page = await (await opens(newcomer)).new_page()
    for entry in pages:
        if not entry["is_public"]:
            await page.goto(entry["address"])
            await settled(page)
            name, title = f"{entry['route']}-empty", entry["title"]
            faults += await look(page, name, title=title, views=READ_BY_AXE)

    assert not faults, "\n".join(faults)


async def test_pages_of_an_account_with_two_stores_read_well(site: Site, opens: Opens) -> None:
    """Then a person chooses the store, a live one is named as such, and results name theirs."""
    account = await site.make_account("Two shops")
    await site.connect(account, "10002", "Teas by mail")
    faults = []

    page = await (await opens(account)).new_page()
    for name, address in (
        ("home", "/"),
        ("console", "/console?tool=orders_get"),
        ("stores", "/stores"),
    ):
        await page.goto(address)
        await settled(page)
        await expect(page.get_by_text("Teas by mail").first).to_be_attached()
        faults += await look(page, f"{name}-two-stores", views=READ_BY_AXE)

    assert not faults, "\n".join(faults)


async def test_what_opens_on_a_page_reads_well_too(
    site: Site, opens: Opens, settler: Account
) -> None:
    """Dialogs, the palette, results and errors of the console, and the plain pages: a sign-in link,
    a key shown once.
    """
    page = await (await opens(settler)).new_page()
    faults: list[str] = []

    for address, opener, name in (
        ("/stores", "Connect store", "connect"),
        ("/stores", f"Edit {settler.store_name}", "edit"),
        ("/stores", f"Disconnect {settler.store_name}", "disconnect"),
        ("/settings", "New key", "new-key"),
        ("/settings", "Replace master key", "replace"),
        ("/", "Go to… Ctrl K", "palette"),
    ):
        await page.goto(address)
        await settled(page)
        await page.get_by_role("button", name=opener, exact=True).first.click()
        await expect(page.get_by_role("dialog")).to_be_visible()
        faults += await look(page, f"dialog-{name}", views=READ_BY_AXE)

    await page.goto("/")
    await settled(page)
    await show_in(page, *VIEWS[3])
    await page.get_by_role("button", name="Open menu", exact=True).first.click()
    await expect(page.get_by_role("dialog")).to_be_visible()
    faults += await look(page, "dialog-menu", views=VIEWS[3:])

    await page.goto("/")
    await settled(page)
    await page.keyboard.press("?")
    await expect(page.get_by_role("dialog", name="Keyboard")).to_be_visible()
    faults += await look(page, "dialog-keyboard", views=READ_BY_AXE)

    await page.goto("/console?tool=orders_delete")
    await settled(page)
    await form_of(page).get_by_label("order_id").fill("")
    await run(page)
    await expect(form_of(page).get_by_role("alert")).to_have_text("This is required.")
    faults += await look(page, "console-refused", views=READ_BY_AXE)
    await form_of(page).get_by_label("order_id").fill(FIRST_ORDER)
    await run(page)
    await expect(page.get_by_role("dialog", name="Delete an order")).to_be_visible()
    faults += await look(page, "dialog-question", views=READ_BY_AXE)

    for tool, order_id, outcome in (
        ("orders_list", "", "Done"),
        ("orders_get", "999999999", "NOT_FOUND"),
    ):
        await page.goto(f"/console?tool={tool}")
        await settled(page)
        if order_id:
            await form_of(page).get_by_label("order_id").fill(order_id)
        await run(page)
        await result_of(page, outcome)
        faults += await look(page, f"console-{tool}", views=READ_BY_AXE)
        for view in ("Table", "Tree", "Request") if outcome == "Done" else ():
            shown = page.get_by_role("group", name="Show as").get_by_role("button", name=view)
            await shown.click()
            await expect(shown).to_have_attribute("aria-pressed", "true")
            faults += await look(page, f"console-{tool}-{view.lower()}", views=READ_BY_AXE)

    await page.goto("/activity?outcome=nothing-known")
    await settled(page)
    await expect(page.get_by_role("alert")).to_contain_text("Show all activity")
    faults += await look(page, "activity-refused", views=READ_BY_AXE)
    await make_key(site, page, "Looked at")
    faults += await look(page, "plain-key", views=READ_BY_AXE)
    await page.goto(await site.sign_in_link())
    faults += await look(page, "plain-link", views=READ_BY_AXE)

    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("size", [(1440, 900), NARROW], ids=["1440", "390"])
async def test_nothing_lies_under_the_frameworks_badge_at_the_end_of_a_page(
    opens: Opens, settler: Account, pages: list[dict[str, Any]], size: tuple[int, int]
) -> None:
    page = await (await opens(settler, size=size)).new_page()
    covered = []

    for entry in pages:
        if not entry["is_public"]:
            await page.goto(entry["address"])
            await settled(page)
            found: list[str] = await page.evaluate(
                """() => {
                    scrollTo(0, document.scrollingElement.scrollHeight);
                    const link = document.querySelector("a[href*='reflex.dev']");
                    const badge = link.getBoundingClientRect();
                    return [...document.querySelectorAll(
                        "main button, main a, main input, main select, main textarea"
                    )].filter((e) => {
                        const box = e.getBoundingClientRect();
                        return e.checkVisibility() && !e.closest(".sr") && box.bottom > badge.top
                            && box.top < badge.bottom && box.right > badge.left;
                    }).map((e) => e.textContent || e.name);
                }"""
            )
            covered += [f"{entry['route']}: {words}" for words in found]

    assert not covered, "\n".join(covered)


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["1280", "390"])
@pytest.mark.parametrize("address", ["/", "/stores", "/activity", "/settings"])
async def test_what_comes_moves_nothing_that_is_there(
    opens: Opens, settler: Account, address: str, size: tuple[int, int]
) -> None:
    """Skeletons have the shape of what comes; 0.1 is what browsers' makers call good."""
    page = await (await opens(settler, size=size)).new_page()
    await page.add_init_script(
        "globalThis.moved = []; new PerformanceObserver((list) => "
        "moved.push(...list.getEntries().map((entry) =>"
        " [entry.value, entry.sources.map((source) => source.node?.className || "
        "source.node?.nodeName)]))).observe({ type: 'layout-shift', buffered: true });"
    )

    await page.goto(address)
    await settled(page)
    await page.evaluate(
        "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
    )

    moved = await page.evaluate("() => moved")
    assert sum(value for value, _ in moved) < 0.1, moved


async def test_a_page_that_is_nowhere_is_a_404_that_leads_home(
    opens: Opens, settler: Account
) -> None:
    context = await opens(settler)
    context.watch.expect("^404 GET /no/such/page")
    page = await context.new_page()

    answer = await page.goto("/no/such/page")

    assert answer is not None
    assert answer.status == 404
    await expect(page.get_by_role("main")).to_contain_text(
        f"Reference: {answer.headers['x-request-id']}"
    )
    await page.get_by_role("main").get_by_role("link", name="Home").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Home")


async def test_an_older_systems_address_leads_to_the_page_of_that_name(
    opens: Opens, settler: Account
) -> None:
    page = await (await opens(settler)).new_page()

    await page.goto("/webui/console")

    await expect(page.get_by_role("heading", level=1)).to_have_text("Console")


async def test_every_page_but_the_public_ones_sends_a_stranger_to_the_sign_in(
    site: Site, opens: Opens, pages: list[dict[str, Any]]
) -> None:
    page = await (await opens()).new_page()

    for entry in pages:
        if not entry["is_public"]:
            await page.goto(entry["address"])
            await expect(page, entry["route"]).to_have_url(SIGN_IN)


async def test_the_choice_of_colours_is_kept(opens: Opens, settler: Account) -> None:
    page = await (await opens(settler)).new_page()
    await page.goto("/")
    await settled(page)

    await page.get_by_role("button", name="Dark", exact=True).click()
    await page.reload()
    await settled(page)

    await expect(page.locator("html.dark")).to_have_count(1)
    await expect(page.get_by_role("button", name="Dark", exact=True)).to_have_attribute(
        "aria-pressed", "true"
    )


async def look(
    page: Page, name: str, *, title: str = "", views: Sequence[View] = VIEWS
) -> list[str]:
    """What is wrong with what is open, in each colour and width; with the `title` of a page, its
    shape too. Leaves it light and wide.
    """
    faults = []
    for scheme, size in views:
        await show_in(page, scheme, size)
        await picture(page, name, scheme, size)
        if title:
            found = await shape(page, {"title": title, "is_public": False}, size)
        else:
            found = [*await too_wide(page), *(await small_targets(page) if size == NARROW else [])]
        if (scheme, size) in READ_BY_AXE:
            found += await axe(page)
        faults += [f"{name} ({scheme}-{size[0]}): {fault}" for fault in found]
    await show_in(page, *VIEWS[0])
    return faults


async def show_in(page: Page, scheme: str, size: tuple[int, int]) -> None:
    await page.set_viewport_size({"width": size[0], "height": size[1]})
    await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    if await page.locator(".side").count():  # a built page hears of its colours in a script
        await expect(page.locator("html.dark")).to_have_count(int(scheme == "dark"))


async def picture(page: Page, route: str, scheme: str, size: tuple[int, int]) -> None:
    """For people to look at, where $PICTURES names a folder; nothing is asserted of it."""
    if folder := os.environ.get("PICTURES"):
        name = f"{route.strip('/').replace('/', '-') or 'home'}-{scheme}-{size[0]}.png"
        await page.screenshot(path=Path(folder) / name, full_page=True, animations="disabled")


async def shape(page: Page, entry: dict[str, Any], size: tuple[int, int]) -> list[str]:
    """What is missing of: one h1, a main landmark, the page's own title, navigation, and nothing
    wider than the screen.
    """
    faults = []
    if (count := await page.locator("h1:visible").count()) != 1:
        faults.append(f"{count} h1")
    if await page.get_by_role("main").count() != 1:
        faults.append("not one main")
    if (
        not entry["is_public"]
        and size == WIDE
        and await page.get_by_role("navigation", name="Main").count() != 1
    ):
        faults.append("no navigation")
    if (title := await page.title()) != f"{entry['title']} · Order Desk agents":
        faults.append(f"its title is {title!r}")
    faults += await too_wide(page)
    if size == NARROW:
        faults += await small_targets(page)
    return faults


async def too_wide(page: Page) -> list[str]:
    inner, outer = await page.evaluate("() => [document.scrollingElement.scrollWidth, innerWidth]")
    return [f"scrolls sideways: {inner} px on {outer} px"] if inner > outer else []


async def small_targets(page: Page) -> list[str]:
    """Buttons, links and fields that a thumb would miss: less than 44 px high.

    Links within a sentence are text.
    """
    found: list[str] = await page.evaluate(
        """() => [...document.querySelectorAll(
                "button, a.button, nav a, [role=option], select, summary, "
                + "input:not([type=hidden], [type=checkbox], [type=radio])")]
            .filter((e) => e.checkVisibility() && !e.closest(".sr, .skip"))
            .map((e) => ({ e, height: e.getBoundingClientRect().height }))
            .filter(({ height }) => height < 43.5)
            .map(({ e, height }) => {
                const name = e.getAttribute("aria-label") || e.textContent || e.name || "";
                return `${e.tagName.toLowerCase()} “${name.trim().slice(0, 40)}” is `
                    + `${Math.round(height)} px high`;
            })"""
    )
    return list(dict.fromkeys(found))


async def axe(page: Page) -> list[str]:
    """What axe finds. Its script is half a megabyte: each document reads it once."""
    if not await page.evaluate("() => 'axe' in globalThis"):
        await page.evaluate(AXE_SCRIPT)
    violations: list[dict[str, Any]] = await page.evaluate(
        "async (criteria) => (await axe.run(criteria)).violations", CRITERIA
    )
    return [
        (
            f"{violation['impact']} {violation['id']}: {violation['help']} · "
            f"{'; '.join(' '.join(node['target']) for node in violation['nodes'][:3])}"
        )
        for violation in violations
        if violation["impact"] in ("serious", "critical", "moderate")
    ]
