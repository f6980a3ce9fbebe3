"""One user, for operators: what they have, what they did, and the danger zone."""

from typing import Any

import reflex as rx

from orderdesk_app.components.deletion import deletion_dialog
from orderdesk_app.components.native import go, post_form
from orderdesk_app.components.page import Page
from orderdesk_app.components.widgets import (
    ago,
    badge,
    empty,
    for_operators,
    icon,
    open_button,
    panel,
    skeleton,
)
from orderdesk_app.states.user import DELETE, UserState

S: Any = UserState  # on its class, a state's attributes are variables of the browser


def user() -> rx.Component:
    known = rx.fragment(
        _head(),
        _activity(),
        _accounts(),
        _stores(),
        _keys(),
        _browsers(),
        _danger(),
    )
    return for_operators(
        S.is_operator,
        S.server_time,
        rx.el.div(
            rx.cond(
                S.loaded,
                rx.cond(S.user_row_id != "", known, _nobody()),
                panel(skeleton("40%", "100%", "100%", "100%")),
            ),
            class_name="stack wide",
        ),
    )


def _nobody() -> rx.Component:
    return empty(
        "user-x",
        "There is no such user",
        "The address may be mistyped, or the user was deleted.",
        go("All users", to="/users", class_name="button primary"),
    )


def _head() -> rx.Component:
    def fact(entry: Any) -> rx.Component:
        return rx.fragment(
            rx.el.dt(entry["label"]),
            rx.el.dd(rx.cond(entry["at"] != "", ago(entry["words"], entry["at"]), entry["words"])),
            key=entry["label"],
        )

    return panel(
        rx.el.div(
            rx.el.h2(S.user_name, class_name="cut", title=S.user_name),
            badge(S.state_words, S.tone),
            rx.cond(S.is_user_disabled & S.is_user_operator, badge("Operator", "gray")),
            rx.cond(S.is_you, rx.el.span("This is you", class_name="dim small")),
            class_name="row",
        ),
        rx.el.dl(rx.foreach(S.facts, fact), class_name="facts"),
        class_name="stack",
    )


def _activity() -> rx.Component:
    def bar(day: Any) -> rx.Component:
        return rx.el.svg.rect(
            x=day["x"], y=day["y"], width=day["width"], height=day["height"], key=day["day"]
        )

    def day_row(day: Any) -> rx.Component:
        return rx.el.tr(
            rx.el.th(day["day"], scope="row"),
            rx.el.td(day["calls"], class_name="number"),
            key=day["day"],
        )

    chart = rx.el.svg(
        rx.foreach(S.bars, bar),
        custom_attrs={
            "viewBox": "0 0 600 80",
            "preserveAspectRatio": "none",
            "aria-hidden": "true",
            "focusable": "false",
        },
        class_name="bars",
    )
    table = rx.el.table(
        rx.el.caption("Calls by day (UTC)", class_name="sr"),
        rx.el.thead(
            rx.el.tr(
                rx.el.th("Day", scope="col"), rx.el.th("Calls", scope="col", class_name="number")
            )
        ),
        rx.el.tbody(rx.foreach(S.bars, day_row)),
        class_name="table",
    )
    return panel(
        rx.el.p(S.finding, class_name="dim"),
        rx.cond(
            S.has_calls,
            rx.fragment(
                chart,
                rx.el.details(
                    rx.el.summary("Show as table", class_name="button small"),
                    rx.el.div(
                        table,
                        class_name="scroll long",
                        tab_index=0,
                        role="region",
                        aria_label="Calls by day",
                    ),
                    class_name="by-day",
                ),
            ),
        ),
        title="What they did",
    )


def _table(title: str, heads: tuple[str, ...], rows: Any, row: Any, nothing: str) -> rx.Component:
    return rx.el.section(
        rx.el.header(rx.el.h2(title)),
        rx.cond(
            rows.length() > 0,
            rx.el.div(
                rx.el.table(
                    rx.el.thead(rx.el.tr(*[rx.el.th(name, scope="col") for name in heads])),
                    rx.el.tbody(rx.foreach(rows, row)),
                    class_name="table cards-narrow",
                ),
                class_name="scroll long",
                tab_index=0,
                role="region",
                aria_label=title,
            ),
            rx.el.p(nothing, class_name="dim", padding="0 16px 16px"),
        ),
        class_name="panel flush",
    )


def _cell(label: str, *children: Any) -> rx.Component:
    return rx.el.td(*children, custom_attrs={"data-label": label})


def _long(words: Any) -> rx.Component:
    return rx.el.span(words, class_name="long-name", title=words)


def _accounts() -> rx.Component:
    def account_row(account: Any) -> rx.Component:
        return rx.el.tr(
            _cell(
                "Account",
                _long(account["name"]),
                rx.cond(account["is_disabled"], badge("Disabled", "amber")),
            ),
            _cell("Role", account["role"]),
            _cell("Since", ago(account["since"], account["since_at"])),
            key=account["id"],
        )

    return _table(
        "Accounts",
        ("Account", "Role", "Since"),
        S.accounts,
        account_row,
        "They belong to no account, so they cannot sign in.",
    )


def _stores() -> rx.Component:
    def store_row(store: Any, place: Any) -> rx.Component:
        return rx.el.tr(
            _cell("Store", _long(store["name"])),
            _cell("Account", _long(store["account"])),
            _cell("Kind", store["kind"]),
            _cell("Connected", ago(store["since"], store["since_at"])),
            key=place,
        )

    heads = ("Store", "Account", "Kind", "Connected")
    return _table(
        "Stores", heads, S.user_stores, store_row, "Their accounts have no connected store."
    )


def _keys() -> rx.Component:
    def key_row(key: Any, place: Any) -> rx.Component:
        return rx.el.tr(
            _cell("Key or app", _long(key["name"])),
            _cell("Ends in", rx.cond(key["hint"] == "", badge("App"), rx.el.code(key["hint"]))),
            _cell("Account", _long(key["account"])),
            _cell("Made", ago(key["created"], key["created_at"])),
            _cell("Last used", rx.cond(key["used"] != "", ago(key["used"], key["used_at"]))),
            key=place,
        )

    heads = ("Key or app", "Ends in", "Account", "Made", "Last used")
    return _table(
        "Keys and apps", heads, S.user_keys, key_row, "They have no key that works and no app."
    )


def _browsers() -> rx.Component:
    def browser_row(browser: Any, place: Any) -> rx.Component:
        return rx.el.tr(
            _cell("Browser", _long(browser["browser"])),
            _cell("Address", rx.el.code(browser["address"])),
            _cell("Account", _long(browser["account"])),
            _cell("Signed in", ago(browser["begun"], browser["begun_at"])),
            _cell("Last used", ago(browser["seen"], browser["seen_at"])),
            key=place,
        )

    heads = ("Browser", "Address", "Account", "Signed in", "Last used")
    return _table("Signed in on", heads, S.browsers, browser_row, "They are signed in nowhere.")


# ------------------------------------------------------------------ danger zone


def _danger() -> rx.Component:
    acts = rx.el.div(
        rx.cond(S.is_user_disabled, _enable(), _disable()),
        rx.cond(S.is_user_operator, _demote(), _promote()),
        _line(
            "Delete",
            "The user and everything of theirs. It cannot be undone.",
            open_button(
                DELETE,
                icon("trash-2"),
                "Delete user",
                class_name="button danger",
                on_click=S.count,
            ),
        ),
        class_name="stack",
    )
    delete = deletion_dialog(
        DELETE,
        state=S,
        view=S.deletion,
        title="Delete " + S.user_name,
        words="They are signed out everywhere, and nothing of this can be brought back. Nothing "
        "changes at Order Desk.",
        label="Delete user",
        action="/users/delete",
        row_id=S.user_row_id,
    )
    return panel(acts, delete, title="Danger zone")


def _line(title: str, words: str, act: rx.Component) -> rx.Component:
    return rx.el.div(
        rx.el.div(rx.el.h3(title), rx.el.p(words, class_name="dim small"), class_name="grow"),
        act,
        class_name="row apart",
    )


def _form(action: str, words: str, look: str, *fields: rx.Component) -> rx.Component:
    return post_form(
        rx.el.input(type="hidden", name="user_id", value=S.user_row_id, read_only=True),
        *fields,
        rx.el.button(words, type="submit", class_name=look),
        action=action,
        token=S.form_token,
    )


def _operator_flag(value: str) -> rx.Component:
    return rx.el.input(type="hidden", name="operator", value=value, read_only=True)


def _enable() -> rx.Component:
    return _line(
        "Enable",
        "They can sign in, and their keys work again.",
        _form("/users/enable", "Enable user", "button"),
    )


def _disable() -> rx.Component:
    return _line(
        "Disable",
        "At once they are signed out everywhere, and their keys and apps are refused, master "
        "keys too. Nothing is deleted.",
        _form("/users/disable", "Disable user", "button danger"),
    )


def _promote() -> rx.Component:
    return _line(
        "Operator",
        "Operators see and control every user of this installation.",
        _form("/users/operator", "Make operator", "button danger", _operator_flag("1")),
    )


def _demote() -> rx.Component:
    return _line(
        "Operator",
        "They see and control every user of this installation.",
        _form("/users/operator", "Remove operator rights", "button danger", _operator_flag("0")),
    )


PAGE = Page(
    route="/users/[user_id]",
    title="User",
    icon="contact",
    draw=user,
    order=81,
    section="none",
    on_load=S.load,
    is_for_operators=True,
)
