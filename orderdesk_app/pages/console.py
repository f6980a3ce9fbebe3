"""Any tool by hand: the list, the form from its schema, the result beside it, the last calls
below.
"""

from typing import Any

import reflex as rx

from orderdesk_app import wiring
from orderdesk_app.components.native import post_form
from orderdesk_app.components.page import Page
from orderdesk_app.components.pieces import (
    ago,
    badge,
    callout,
    cancel_button,
    copy_button,
    dialog,
    empty,
    field,
    icon,
    secret_input,
    skeleton,
    sorting_head,
    text_input,
)
from orderdesk_app.states.console import ConsoleState

S: Any = ConsoleState  # on its class, a state's attributes are variables of the browser


def console() -> rx.Component:
    return rx.el.div(
        rx.el.div(_tools(), _form(), _result(), class_name="console"),
        _history(),
        # Pressed by keys.js every five seconds while somebody looks.
        rx.cond(
            S.history.length() > 0,
            rx.el.button(
                "Refresh",
                type="button",
                on_click=S.refresh_history,
                hidden=True,
                custom_attrs={"data-every": "5"},
            ),
        ),
        class_name="stack",
        custom_attrs={
            "data-address": rx.cond(
                S.call != "", "?call=" + S.call, rx.cond(S.tool != "", "?tool=" + S.tool, "")
            )
        },
    )


TOOLSETS = tuple(dict.fromkeys(tool.toolset.capitalize() for tool in wiring.tools()))


def _tools() -> rx.Component:
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
                on_click=S.choose(tool["name"]),
                class_name="tool",
                aria_pressed=rx.cond(S.tool == tool["name"], "true", "false"),
            ),
            custom_attrs={"data-words": tool["words"]},
            key=tool["name"],
        )

    def group(toolset: str) -> rx.Component:
        mine = rx.foreach(S.tools, lambda tool: rx.cond(tool["toolset"] == toolset, entry(tool)))
        return rx.el.div(
            rx.el.h3(toolset, class_name="dim small tools-of"),
            rx.el.ul(mine),
            custom_attrs={"data-group": toolset},
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
            custom_attrs={"data-filters": "tools"},
        ),
        rx.cond(
            S.loaded,
            rx.el.div(*(group(name) for name in TOOLSETS), id="tools", class_name="tools"),
            skeleton("100%", "100%", "100%", "100%"),
        ),
        rx.el.p(
            "No tool has that name.",
            class_name="dim small",
            hidden=True,
            custom_attrs={"data-none": "1"},
        ),
        class_name="panel stack tight tool-list",
        aria_label="Tools",
    )


def _form() -> rx.Component:
    rows = rx.fragment(
        rx.el.input(type="hidden", name="tool", value=S.tool, read_only=True),
        rx.el.input(type="hidden", name="run_token", value=S.run_token, read_only=True),
        rx.el.input(
            type="hidden", name="default_store_id", value=S.default_store_id, read_only=True
        ),
        rx.foreach(S.fields, _field),
        rx.cond(
            S.more.length() > 0,
            rx.el.details(
                rx.el.summary("More arguments (", S.more.length(), ")", class_name="strong"),
                rx.el.div(rx.foreach(S.more, _field), class_name="stack", margin_top="12px"),
            ),
        ),
    )
    # keys.js opens it when the server asks.
    confirms = dialog(
        "confirm-run",
        S.title,
        rx.el.p(S.description),
        rx.cond(S.confirm_store != "", rx.el.p("Store: ", rx.el.strong(S.confirm_store))),
        rx.el.input(
            type="hidden", name="confirm_store_id", value=S.confirm_store_id, read_only=True
        ),
        field(
            rx.fragment("Type ", rx.el.span(S.confirm_text, class_name="mono"), " to go on"),
            "confirm",
            text_input(
                "confirm", auto_complete="off", custom_attrs={"data-confirms": S.confirm_text}
            ),
        ),
        rx.el.div(
            cancel_button(),
            rx.el.button(S.title, type="submit", class_name="button danger primary", disabled=True),
            class_name="ends",
        ),
    )
    run = rx.el.div(
        # Shown by keys.js when the server had forgotten the form.
        _remark(
            "kept",
            "The server has forgotten this page meanwhile. What you typed stands here as before.",
        ),
        _remark(
            "lost",
            (
                "The server has forgotten this page meanwhile. This form was filled anew, "
                "and what you had typed is gone."
            ),
        ),
        rx.cond(
            S.changes_orders & (S.default_store != ""),
            callout(
                "Unless you name a store, this changes ",
                S.default_store,
                ".",
                tone="amber",
                role="note",
            ),
        ),
        rx.el.button(icon("play"), "Run", type="submit", class_name="button primary"),
        class_name="run",
    )
    # keys.js marks the button busy within the click; it stays focusable, so that the focus stays on
    # it.
    stands = {"data-memory": S.page_id}
    runs = {
        **stands,
        "data-run": S.run_token,
        "data-running": rx.cond(S.running, "1", ""),
        "data-asks": rx.cond(S.confirm_text != "", S.run_token, ""),
    }
    return rx.el.section(
        rx.el.div(rx.el.h2(S.title), rx.el.p(S.description, class_name="dim small clamp")),
        rx.cond(
            S.has_secret,
            post_form(
                rows,
                run,
                action="/console/run",
                token=S.form_token,
                class_name="form",
                custom_attrs=stands,
                key=S.form_id,
            ),
            rx.el.form(
                rows,
                run,
                rx.cond(S.deletes != "", confirms),
                on_submit=S.run,
                reset_on_submit=False,
                class_name="form",
                custom_attrs=runs,
                key=S.form_id,
            ),
        ),
        class_name="panel stack",
        aria_label="Arguments",
        custom_attrs={"data-fault": S.error_focus},
    )


def _remark(name: str, words: str) -> rx.Component:
    rest = (
        " If a run was under way, look under “Last calls” and at what it was to change "
        "before you run it again."
    )
    return rx.el.div(
        callout(words, rest, tone="amber", role="status"),
        hidden=True,
        custom_attrs={"data-remark": name},
    )


def _field(field: Any) -> rx.Component:
    name = field["name"]
    identity = "arg-" + name
    wrong = S.errors[name]
    is_wrong = S.errors.contains(name)
    common: dict[str, Any] = {
        "id": identity,
        "name": name,
        "class_name": "input",
        "aria_invalid": rx.cond(is_wrong, "true", "false"),
        "aria_describedby": identity + "-help" + rx.cond(is_wrong, " " + identity + "-wrong", ""),
    }
    text = {
        **common,
        "default_value": field["value"],
        "placeholder": field["hint"],
        "auto_complete": "off",
        "spell_check": False,
    }
    control = rx.match(
        field["kind"],
        ("integer", rx.el.input(type="number", step="1", **text)),
        ("number", rx.el.input(type="number", step="any", **text)),
        (
            "boolean",
            rx.el.select(
                rx.el.option("", value=""),
                rx.el.option("true", value="true"),
                rx.el.option("false", value="false"),
                default_value=field["value"],
                **common,
            ),
        ),
        (
            "choice",
            rx.el.select(
                rx.el.option("", value=""),
                rx.foreach(field["options"], lambda option: rx.el.option(option, value=option)),
                default_value=field["value"],
                **common,
            ),
        ),
        ("json", rx.el.textarea(rows="5", **text)),
        rx.cond(
            field["is_secret"],
            secret_input(
                name, **{part: common[part] for part in ("id", "aria_invalid", "aria_describedby")}
            ),
            rx.el.input(type="text", **text),
        ),
    )
    return rx.el.div(
        rx.el.label(
            rx.el.code(name),
            rx.cond(field["required"], rx.el.span(" required", class_name="dim small")),
            html_for=identity,
        ),
        control,
        rx.el.span(
            rx.cond(field["note"] != "", field["note"] + ". ", ""),
            field["words"],
            class_name="help",
            id=identity + "-help",
        ),
        rx.cond(
            is_wrong, rx.el.span(wrong, class_name="wrong", id=identity + "-wrong", role="alert")
        ),
        class_name="field",
        key=S.form_id + name,
    )


def _result() -> rx.Component:
    def view(name: str, words: str) -> rx.Component:
        return rx.el.button(
            words,
            type="button",
            on_click=S.show(name),
            aria_pressed=rx.cond(S.view == name, "true", "false"),
        )

    head = rx.el.div(
        badge(S.code, rx.cond(S.ok, "green", "red")),
        rx.cond(
            S.cached, badge("From cache", "blue"), rx.cond(S.ok & S.reads, badge("Not cached"))
        ),
        rx.el.span(
            S.took,
            " · ",
            S.size,
            class_name="dim small",
            style={"fontVariantNumeric": "tabular-nums"},
        ),
        rx.el.span(class_name="grow"),
        rx.el.span(
            rx.cond(S.is_whole | (S.view == "request"), copy_button("result")),
            rx.cond(
                S.is_cut,
                rx.fragment(),
                rx.el.button(
                    icon("download"),
                    type="button",
                    class_name="button small square",
                    aria_label="Download the result",
                    title="Download",
                    on_click=S.download,
                ),
            ),
            class_name="row whole",
        ),
        class_name="row",
    )

    def head_of(column: Any) -> rx.Component:
        name = column["name"]
        looks = rx.cond(column["is_number"], "number", "")
        return sorting_head(
            name,
            is_sorted=S.sorted_by == name,
            is_descending=S.is_descending,
            on_click=S.sort(name),
            class_name=looks,
        )

    def cell_of(cell: Any, place: Any) -> rx.Component:
        return rx.el.td(cell, class_name=rx.cond(S.columns[place]["is_number"], "number", ""))

    table = rx.el.div(
        rx.el.table(
            rx.el.thead(rx.el.tr(rx.foreach(S.columns, head_of))),
            rx.el.tbody(rx.foreach(S.rows, lambda row: rx.el.tr(rx.foreach(row, cell_of)))),
            class_name="table",
        ),
        class_name="scroll result-body",
        tab_index=0,
        role="region",
        aria_label="Result as a table",
    )
    # Grown by keys.js from the text beside it, which is also what is copied.
    tree = rx.el.div(
        key=S.call,
        class_name="code result-body tree",
        tab_index=0,
        role="region",
        aria_label="Result as a tree",
        custom_attrs={"data-tree": "result"},
    )
    to_copy = rx.el.pre(S.result, id="result", hidden=True)
    filled = rx.el.div(
        head,
        rx.cond(~S.ok, callout(S.message)),
        rx.cond((S.rest != "") & (S.view != "request"), callout(S.rest, tone="blue", role="note")),
        rx.el.div(
            view("raw", "Raw"),
            rx.cond(S.is_whole, view("tree", "Tree")),
            rx.cond(S.rows.length() > 0, view("table", "Table")),
            view("request", "Request"),
            class_name="segments",
            role="group",
            aria_label="Show as",
        ),
        rx.match(
            S.view,
            ("table", rx.fragment(table, to_copy)),
            ("tree", rx.fragment(tree, to_copy)),
            (
                "request",
                rx.el.pre(
                    S.request,
                    id="result",
                    class_name="code result-body",
                    tab_index=0,
                    custom_attrs={"data-json": "1"},
                    aria_label="Request",
                ),
            ),
            rx.el.pre(
                S.result,
                id="result",
                class_name="code result-body",
                tab_index=0,
                custom_attrs={"data-json": "1"},
                aria_label="Result",
            ),
        ),
        class_name="stack tight",
    )
    return rx.el.section(
        rx.el.h2("Result", class_name="sr"),
        rx.cond(
            S.running,
            skeleton("40%", "100%", "90%", "60%"),
            rx.cond(
                S.call != "",
                filled,
                empty(
                    "terminal",
                    "Nothing run yet",
                    "Run the tool, and its structured answer stands here.",
                ),
            ),
        ),
        class_name="panel result",
        aria_live="polite",
        aria_label="Result",
        custom_attrs={"data-result": S.call},
    )


def _history() -> rx.Component:
    def row(call: Any) -> rx.Component:
        def cell(label: str, *children: Any, **props: Any) -> rx.Component:
            return rx.el.td(*children, custom_attrs={"data-label": label}, **props)

        return rx.el.tr(
            cell("Tool", rx.el.code(call["tool"]), class_name="one-line"),
            cell(
                "Arguments",
                rx.el.div(call["arguments"], class_name="mono dim cut"),
                class_name="gives-way",
            ),
            cell("Outcome", badge(call["outcome"], call["tone"])),
            cell("Took", call["duration"], class_name="number one-line"),
            cell("When", ago(call["ago"], call["exact"]), class_name="one-line"),
            cell(
                "",
                rx.el.button(
                    "Open",
                    type="button",
                    class_name="button small",
                    on_click=S.open_call(call["id"]),
                    aria_label="Open " + call["tool"] + ", " + call["ago"],
                ),
            ),
            key=call["id"],
        )

    return rx.cond(
        S.history.length() > 0,
        rx.el.section(
            rx.el.header(
                rx.el.h2("Last calls"),
                rx.el.p(
                    (
                        "The last ten from this console, secrets removed. Open one to see "
                        "its result and to run it again."
                    ),
                    class_name="dim small",
                ),
            ),
            rx.el.div(
                rx.el.table(
                    rx.el.thead(
                        rx.el.tr(
                            rx.el.th("Tool", scope="col"),
                            rx.el.th("Arguments", scope="col"),
                            rx.el.th("Outcome", scope="col"),
                            rx.el.th("Took", scope="col", class_name="number"),
                            rx.el.th("When", scope="col"),
                            rx.el.th(rx.el.span("Open", class_name="sr"), scope="col"),
                        )
                    ),
                    rx.el.tbody(rx.foreach(S.history, row)),
                    class_name="table cards-narrow",
                ),
                class_name="scroll",
            ),
            class_name="panel flush",
        ),
    )


PAGE = Page(
    route="/console",
    title="Console",
    icon="terminal",
    draw=console,
    order=50,
    key="c",
    on_load=S.load,
)
