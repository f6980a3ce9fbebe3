"""The list of tools, by toolset, with a search."""

from typing import Any

import reflex as rx

from orderdesk_app.components.widgets import badge, skeleton
from orderdesk_app.states.console import ConsoleState
from orderdesk_app.tools.catalogue import every_tool

S: Any = ConsoleState  # on its class, a state's attributes are variables of the browser


TOOLSETS = tuple(dict.fromkeys(tool.toolset.capitalize() for tool in every_tool()))


def tool_list() -> rx.Component:
    def entry(tool: Any) -> rx.Component:
        return rx.el.li(
            rx.el.button(
                rx.el.span(
                    rx.el.span(tool["title"]),
                    rx.el.span(tool["name"], class_name="mono dim cut"),
                    class_name="tool-words",
                ),
                badge(tool["does"], tool["tone"]),
                type="button",
                disabled=tool["refused"] != "",
                on_click=S.choose(tool["name"]),
                class_name="tool",
                aria_pressed=rx.cond(S.tool == tool["name"], "true", "false"),
            ),
            custom_attrs={"data-filter-text": tool["words"]},
            key=tool["name"],
        )

    def group(toolset: str) -> rx.Component:
        mine = rx.foreach(S.tools, lambda tool: rx.cond(tool["toolset"] == toolset, entry(tool)))
        return rx.el.div(
            rx.el.h3(toolset, class_name="dim small tools-of"),
            rx.el.ul(mine),
            custom_attrs={"data-filter-group": toolset},
        )

    return rx.el.section(
        rx.el.h2("Tools", class_name="sr"),
        rx.el.label("Find a tool", html_for="find-tool", class_name="sr"),
        rx.el.input(
            type="search",
            id="find-tool",
            placeholder="Find a tool",
            class_name="input",
            auto_complete="off",
            custom_attrs={"data-filter": "tools"},
        ),
        rx.cond(S.refusals != "", rx.el.p(S.refusals, class_name="dim small")),
        rx.cond(
            S.loaded,
            rx.el.div(*(group(name) for name in TOOLSETS), id="tools", class_name="tools"),
            skeleton("100%", "100%", "100%", "100%"),
        ),
        rx.el.p(
            "No tool has that name.",
            class_name="dim small",
            hidden=True,
            custom_attrs={"data-filter-empty": "1"},
        ),
        class_name="panel stack tight tool-list",
        aria_label="Tools",
    )
