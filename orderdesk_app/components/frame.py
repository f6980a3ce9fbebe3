"""The frame of every page: menu, top bar, drawer on phones, palette, shortcuts, notices."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import reflex as rx
from reflex.style import color_mode, set_color_mode
from reflex_components_core.core.banner import has_connection_errors

from orderdesk_app.components.native import go, jump, post_form
from orderdesk_app.components.page import Page
from orderdesk_app.components.widgets import icon


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who looks, as variables of the state that the pages hand in."""

    name: Any
    is_operator: Any
    form_token: Any
    notices: Any
    server_time: Any
    dismiss: Any  # the handler that closes a notice
    stores: Any  # id and name of each, for the switcher
    active_store: Any
    choose_store: Any  # the handler that makes one the active one
    accounts: Any  # id and name of each that the person may go to
    account: Any  # the id of the one that they are in


def frame(
    page: Page,
    menu: Sequence[Page],
    tools: Sequence[tuple[str, str]],
    viewer: Viewer,
    content: rx.Component,
) -> rx.Component:
    """The page in its frame, or alone when it is for people who are not signed in.

    `tools` are (name, title), for the palette.
    """
    if page.is_public:
        return rx.el.div(rx.el.main(content, id="main"), class_name="alone")
    return rx.el.div(
        jump("Skip to content", to="#main", class_name="skip"),
        rx.el.div(
            rx.el.aside(
                _menu(menu, viewer, with_keys=True), class_name="side", aria_label="Sidebar"
            ),
            rx.el.div(
                _top(page, viewer),
                rx.el.main(content, id="main", class_name="content", tab_index=-1),
                class_name="grow",
            ),
            class_name="frame",
            custom_attrs={"data-server-time": viewer.server_time},
        ),
        rx.el.dialog(
            _menu(menu, viewer, with_keys=False),
            id="drawer",
            class_name="drawer",
            aria_label="Menu",
        ),
        _palette(menu, tools, viewer),
        _shortcuts(menu, viewer),
        _notices(viewer),
        _offline(),
    )


def _menu(menu: Sequence[Page], viewer: Viewer, *, with_keys: bool) -> rx.Component:
    def link(page: Page) -> rx.Component:
        return go(
            icon(page.icon),
            page.title,
            to=page.route,
            class_name="menu-link",
            aria_current=rx.cond(_is_here(page.route), "page", "false"),
            custom_attrs={"data-shortcut": page.key} if with_keys and page.key else {},
        )

    admin = [link(page) for page in menu if page.section == "admin"]
    return rx.el.div(
        go(
            rx.el.img(src="/logo.svg", alt="", width="24", height="24"),
            "Order Desk agents",
            to="/",
            class_name="brand",
        ),
        rx.el.nav(
            *[link(page) for page in menu if page.section == "work"],
            *(
                [
                    rx.cond(
                        viewer.is_operator,
                        rx.el.div(
                            rx.el.p("Admin", class_name="menu-head dim small"),
                            *admin,
                            role="group",
                            aria_label="Admin",
                        ),
                    )
                ]
                if admin
                else []
            ),
            aria_label="Main",
            class_name="stack",
            style={"gap": "2px"},
        ),
        rx.el.div(
            *[link(page) for page in menu if page.section == "foot"],
            _colour_mode(),
            _accounts(viewer),
            rx.el.div(
                rx.el.span(viewer.name, class_name="cut grow", title=viewer.name),
                post_form(
                    rx.el.button(
                        icon("log-out"), "Sign out", type="submit", class_name="button small bare"
                    ),
                    action="/sign-out",
                    token=viewer.form_token,
                ),
                class_name="row who",
                style={"flexWrap": "nowrap"},
            ),
            class_name="menu-foot",
        ),
        class_name="menu",
    )


def _accounts(viewer: Viewer) -> rx.Component:
    """For people of several accounts: the one that they are in, and the way to another."""
    return rx.cond(
        viewer.accounts.length() > 1,
        post_form(
            rx.el.select(
                rx.foreach(viewer.accounts, lambda one: rx.el.option(one["name"], value=one["id"])),
                name="tenant_id",
                default_value=viewer.account,
                key=viewer.account,
                class_name="input grow",
                aria_label="Account",
            ),
            rx.el.button("Switch", type="submit", class_name="button small"),
            action="/account/switch",
            token=viewer.form_token,
            class_name="row accounts",
            style={"flexWrap": "nowrap"},
        ),
    )


def _is_here(route: str) -> Any:
    path = rx.State.router.url.path
    return path == route if route == "/" else path.startswith(route)


def _colour_mode() -> rx.Component:
    def choice(mode: Any, name: str, words: str) -> rx.Component:
        return rx.el.button(
            icon(name),
            type="button",
            on_click=set_color_mode(mode),
            aria_pressed=rx.cond(color_mode == mode, "true", "false"),
            aria_label=words,
            title=words,
        )

    return rx.el.div(
        choice("light", "sun", "Light"),
        choice("system", "monitor", "As the system"),
        choice("dark", "moon", "Dark"),
        class_name="segments",
        role="group",
        aria_label="Colours",
    )


def _top(page: Page, viewer: Viewer) -> rx.Component:
    return rx.el.header(
        rx.el.button(
            icon("menu"),
            type="button",
            class_name="button bare square only-narrow",
            aria_label="Open menu",
            aria_haspopup="dialog",
            custom_attrs={"data-open-dialog": "drawer"},
        ),
        rx.el.h1(page.title),
        _switcher(viewer),
        rx.el.button(
            icon("search"),
            rx.el.span("Go to…", class_name="grow"),
            " ",
            rx.el.kbd("Ctrl K"),
            type="button",
            class_name="find",
            aria_label="Go to… Ctrl K",
            aria_haspopup="dialog",
            custom_attrs={"data-open-dialog": "palette"},
        ),
        *([page.actions()] if page.actions else []),
        class_name="top",
    )


def _switcher(viewer: Viewer) -> rx.Component:
    """Which store a call from the console means that names none; each key has its own. There is
    nothing to switch with fewer than two.
    """
    return rx.cond(
        viewer.stores.length() > 1,
        rx.el.label(
            rx.el.span("Store in this console", class_name="dim small"),
            rx.el.select(
                rx.el.option("None chosen", value="", disabled=True),
                rx.foreach(
                    viewer.stores, lambda store: rx.el.option(store["name"], value=store["id"])
                ),
                value=viewer.active_store,
                on_change=viewer.choose_store,
                class_name="input",
            ),
            class_name="switcher",
            title="Calls from this console that name no store mean this one. Each key has its own.",
        ),
    )


def _palette(
    menu: Sequence[Page], tools: Sequence[tuple[str, str]], viewer: Viewer
) -> rx.Component:
    def entry(identity: str, name: str, title: str, kind: str, to: str, words: str) -> rx.Component:
        option = go(
            icon(name),
            rx.el.span(title, class_name="grow"),
            rx.el.span(kind, class_name="dim small"),
            to=to,
            id=f"palette-{identity}",
            role="option",
            tab_index=-1,  # the keyboard stays in the field: there is one chosen entry
        )
        return rx.el.li(option, role="presentation", custom_attrs={"data-filter-text": words})

    def store(row: Any) -> rx.Component:
        option = rx.el.button(
            icon("store"),
            rx.el.span("Use ", row["name"], class_name="grow cut"),
            rx.el.span("In this console", class_name="dim small"),
            type="button",
            on_click=viewer.choose_store(row["id"]),
            id="palette-store-" + row["id"],
            role="option",
            tab_index=-1,
        )
        return rx.el.li(
            option,
            role="presentation",
            custom_attrs={"data-filter-text": "use store " + row["name"]},
            key=row["id"],
        )

    return rx.el.dialog(
        rx.el.input(
            type="text",
            placeholder="A page, a store or a tool…",
            aria_label="Find a page, a store or a tool",
            role="combobox",
            aria_expanded="true",
            aria_controls="palette-list",
            auto_complete="off",
            custom_attrs={"data-filter": "palette-list"},
        ),
        rx.el.ul(
            *[
                _for_viewer(
                    page,
                    viewer,
                    entry(f"page-{number}", page.icon, page.title, "Page", page.route, page.title),
                )
                for number, page in enumerate(menu)
            ],
            rx.foreach(viewer.stores, store),
            *[
                entry(
                    f"tool-{name}",
                    "terminal",
                    title,
                    "Tool",
                    f"/console?tool={name}",
                    f"{title} {name}",
                )
                for name, title in tools
            ],
            id="palette-list",
            role="listbox",
            aria_label="Pages, stores and tools",
        ),
        rx.el.p(
            "Nothing has that name.",
            class_name="none",
            hidden=True,
            custom_attrs={"data-filter-empty": "1"},
        ),
        id="palette",
        class_name="palette",
        aria_label="Go to",
    )


def _for_viewer(page: Page, viewer: Viewer, entry: rx.Component) -> rx.Component:
    """What leads to a page for operators is shown to operators alone."""
    return rx.cond(viewer.is_operator, entry) if page.is_for_operators else entry


def _shortcuts(menu: Sequence[Page], viewer: Viewer) -> rx.Component:
    def line(keys: str, words: str) -> rx.Component:
        return rx.fragment(rx.el.dt(rx.el.kbd(keys)), rx.el.dd(words))

    rows = [
        line("Ctrl K", "Go to anything"),
        line("Ctrl Enter", "Run, in the console"),
        line("/", "Search on this page"),
        line("?", "This list"),
        line("Esc", "Close the top thing"),
        *(
            _for_viewer(page, viewer, line(f"g {page.key}", page.title))
            for page in menu
            if page.key
        ),
    ]
    return rx.el.dialog(
        rx.el.div(
            rx.el.h2("Keyboard"),
            rx.el.dl(
                *rows,
                class_name="facts",
            ),
            rx.el.div(
                rx.el.button(
                    "Close",
                    type="button",
                    class_name="button",
                    custom_attrs={"data-close-dialog": "1"},
                ),
                class_name="ends",
            ),
            class_name="body",
        ),
        id="shortcuts",
        class_name="sheet",
        aria_label="Keyboard",
    )


def _notices(viewer: Viewer) -> rx.Component:
    def one(notice: Any) -> rx.Component:
        return rx.el.div(
            rx.match(
                notice["tone"],
                ("green", icon("circle-check")),
                ("red", icon("circle-alert")),
                icon("triangle-alert"),
            ),
            rx.el.span(notice["text"], class_name="grow"),
            rx.el.button(
                icon("x"),
                type="button",
                class_name="button bare small square",
                aria_label="Close this notice",
                on_click=viewer.dismiss(notice["id"]),
            ),
            class_name=["notice", notice["tone"]],
            key=notice["id"],
        )

    return rx.el.div(
        rx.foreach(viewer.notices, one),
        class_name="notices",
        role="status",
        aria_live="polite",
        aria_label="Notices",
    )


def _offline() -> rx.Component:
    return rx.cond(
        has_connection_errors,
        rx.el.div(
            "No connection to the server. Trying again…",
            class_name="callout amber offline",
            role="status",
        ),
    )
