"""All activity: every row, with filters that are the address, page by page."""

from typing import Any

import reflex as rx

from orderdesk_app.components.activity import activity_line, row_details
from orderdesk_app.components.native import go, jump
from orderdesk_app.components.page import Page
from orderdesk_app.components.widgets import callout, empty, field, icon, skeleton
from orderdesk_app.services.activity_export import MOST_EXPORTED
from orderdesk_app.services.roles import Permission
from orderdesk_app.states.activity import ActivityState

S: Any = ActivityState  # on its class, a state's attributes are variables of the browser
_MAY_EXPORT = S.permissions.contains(str(Permission.EXPORT_ACCOUNT))


def activity() -> rx.Component:
    return rx.el.div(
        _filters(),
        rx.cond(
            S.fault != "",
            callout(
                S.fault,
                " ",
                go("Show all activity", to="/activity"),
                tone="red",
            ),
        ),
        rx.cond(
            S.fault == "",
            rx.el.section(
                rx.el.h2("What happened", class_name="sr"),
                rx.cond(
                    S.loaded,
                    rx.cond(S.rows.length() > 0, _rows(), _nothing()),
                    rx.el.div(skeleton(*["100%"] * 12), padding="16px"),
                ),
                class_name="panel flush",
            ),
        ),
        _pages(),
        class_name="stack",
    )


def _filters() -> rx.Component:
    def chip(entry: Any) -> rx.Component:
        return rx.el.li(
            go(
                rx.el.span(entry["words"], class_name="cut"),
                icon("x"),
                to=entry["without"],
                class_name="chip",
                aria_label="Remove the filter: " + entry["words"],
            ),
            key=entry["name"],
        )

    return rx.el.div(
        rx.el.details(
            rx.el.summary(icon("list-filter"), "Filter", class_name="button"),
            _form(),
            class_name="filters",
            open=S.form_field != "",
        ),
        rx.cond(
            S.chips.length() > 0,
            rx.el.ul(
                rx.foreach(S.chips, chip),
                rx.el.li(go("Clear all", to="/activity", class_name="button small bare")),
                class_name="row chips",
                aria_label="Filters that are set",
            ),
        ),
        rx.cond((S.rows.length() > 0) & _MAY_EXPORT, _export()),
        class_name="row filter-bar",
    )


def _form() -> rx.Component:
    def choice(entry: Any) -> rx.Component:
        return rx.el.option(entry["label"], value=entry["value"], key=entry["value"])

    def select(label: str, name: str, everything: str, choices: Any, value: Any) -> rx.Component:
        return _field(
            label,
            name,
            rx.el.select(
                rx.el.option(everything, value=""),
                rx.foreach(choices, choice),
                class_name="input",
                default_value=value,
                **_names(name),
            ),
        )

    def text(label: str, name: str, value: Any, kind: str) -> rx.Component:
        return _field(
            label,
            name,
            rx.el.input(
                type=kind,
                class_name="input",
                default_value=value,
                auto_complete="off",
                **_names(name),
            ),
        )

    # another address is another form, with what that address asks for
    return rx.el.form(
        select("What", "tool", "Everything", S.tools, S.tool),
        select("Outcome", "outcome", "Any outcome", S.outcomes, S.outcome),
        select("Program", "client", "Every program", S.clients, S.client),
        select("Store", "store", "Every store", S.stores, S.store),
        select("Person", "person", "Everybody", S.people, S.person),
        text("From day", "from", S.since, "date"),
        text("To day", "to", S.until, "date"),
        text("Request id", "request", S.request, "search"),
        rx.el.label(
            rx.el.input(
                type="checkbox", name="writes", value="1", id="writes", default_checked=S.writes
            ),
            "Changes only",
            class_name="check",
            html_for="writes",
        ),
        rx.el.input(
            type="hidden", name="zone", default_value=S.zone, custom_attrs={"data-zone": "1"}
        ),
        rx.el.div(
            rx.el.button("Show", type="submit", class_name="button primary"),
            go("Clear", to="/activity", class_name="button"),
            class_name="row",
        ),
        on_submit=S.apply,
        key=S.query,
        class_name="filter-form",
    )


def _names(name: str) -> dict[str, Any]:
    return {
        "id": name,
        "name": name,
        "aria_invalid": rx.cond(S.form_field == name, "true", "false"),
        "aria_describedby": f"{name}-wrong",
    }


def _field(label: str, name: str, control: rx.Component) -> rx.Component:
    return field(
        label,
        name,
        control,
        error=rx.cond(S.form_field == name, S.form_fault, ""),
    )


def _export() -> rx.Component:
    return rx.el.div(
        *[
            jump(
                icon("download"),
                words,
                to=address,
                class_name="button small",
                title=f"The rows that are asked for, the newest {MOST_EXPORTED:,} at most",
            )
            for words, address in (("CSV", S.as_csv), ("JSON Lines", S.as_json_lines))
        ],
        class_name="row exports",
        role="group",
        aria_label="Download",
    )


def _rows() -> rx.Component:
    details = row_details(difference=S.difference, arguments=S.arguments, request_id=S.request_id)
    return rx.el.ol(
        rx.foreach(
            S.rows,
            lambda entry: activity_line(
                entry, opened=S.opened, on_open=S.open_row, details=details
            ),
        ),
        class_name="lines",
    )


def _nothing() -> rx.Component:
    return rx.cond(
        S.chips.length() > 0,
        rx.cond(
            S.looked_at != "",
            empty(
                "list-filter",
                "Nothing so far",
                "None of the rows that were looked through is what the filters ask for.",
            ),
            empty(
                "list-filter",
                "Nothing fits these filters",
                "Take one of them away, or ask for more days.",
                go("Clear all filters", to="/activity", class_name="button"),
            ),
        ),
        empty(
            "activity",
            "No calls yet",
            "What assistants and people do with your stores stands here as it happens.",
            go("Open the console", to="/console", class_name="button"),
        ),
    )


def _pages() -> rx.Component:
    further = S.looked_at != ""
    return rx.el.nav(
        rx.cond(
            further,
            rx.el.p(
                rx.cond(S.looked_on, "Looked on to ", "Looked back to "),
                rx.el.time(S.looked_minute, date_time=S.looked_at),
                ".",
                class_name="dim small",
            ),
        ),
        rx.cond(S.newest != "", go("Newest", to=S.newest, class_name="button")),
        rx.cond(
            S.newer != "",
            go(
                rx.cond(further & S.looked_on, "Look further", "Newer"),
                to=S.newer,
                class_name="button",
            ),
        ),
        rx.cond(
            S.older != "",
            go(
                rx.cond(further & ~S.looked_on, "Look further", "Older"),
                to=S.older,
                class_name="button",
            ),
        ),
        class_name="row",
        aria_label="Pages of the activity",
    )


PAGE = Page(
    route="/activity",
    title="Activity",
    icon="activity",
    draw=activity,
    order=60,
    key="a",
    on_load=S.load,
    on_change=S.refresh,
)
