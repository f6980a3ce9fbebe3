"""All users of the installation: a table to search, narrow and sort, for operators."""

from typing import Any

import reflex as rx

from orderdesk_app.components.native import go
from orderdesk_app.components.page import Page
from orderdesk_app.components.widgets import (
    ago,
    badge,
    callout,
    empty,
    field,
    for_operators,
    skeleton,
)
from orderdesk_app.context import Role
from orderdesk_app.services.user_filter import LONGEST_SEARCH
from orderdesk_app.states.users import SORT_WORDS, UsersState

S: Any = UsersState  # on its class, a state's attributes are variables of the browser
_STATES = (("active", "Active"), ("operator", "Operators"), ("disabled", "Disabled"))
_ROLES = tuple((role.value, role.words) for role in Role)


def users() -> rx.Component:
    return for_operators(
        S.is_operator,
        S.server_time,
        rx.el.div(
            _form(),
            rx.cond(
                S.fault != "",
                callout(
                    S.fault,
                    " ",
                    go("Show all users", to="/users", class_name="button small"),
                    tone="red",
                ),
                _list(),
            ),
            class_name="stack",
        ),
    )


def _form() -> rx.Component:
    def select(
        label: str, name: str, choices: tuple[tuple[str, str], ...], value: Any
    ) -> rx.Component:
        return field(
            label,
            name,
            rx.el.select(
                *[rx.el.option(words, value=code) for code, words in choices],
                class_name="input",
                default_value=value,
                **_names(name),
            ),
            error=_wrong(name),
        )

    # another address is another form, with what that address asks for
    return rx.el.form(
        field(
            "Name or e-mail begins with",
            "search",
            rx.el.input(
                type="search",
                class_name="input",
                default_value=S.search,
                auto_complete="off",
                max_length=LONGEST_SEARCH,
                **_names("search"),
            ),
            error=_wrong("search"),
        ),
        select("State", "state", (("", "Every state"), *_STATES), S.account_state),
        select("Role", "role", (("", "Every role"), *_ROLES), S.role),
        select("Sort by", "sort", tuple(SORT_WORDS.items()), S.sort),
        select(
            "Order",
            "order",
            (("ascending", "Ascending"), ("descending", "Descending")),
            rx.cond(S.is_descending, "descending", "ascending"),
        ),
        rx.el.div(
            rx.el.button("Show", type="submit", class_name="button primary"),
            rx.cond(S.query != "", go("Clear", to="/users", class_name="button")),
            class_name="row",
        ),
        on_submit=S.apply,
        key=S.query,
        class_name="filter-form wide",
    )


def _names(name: str) -> dict[str, Any]:
    return {
        "id": name,
        "name": name,
        "aria_invalid": rx.cond(S.form_field == name, "true", "false"),
        "aria_describedby": f"{name}-wrong",
    }


def _wrong(name: str) -> Any:
    return rx.cond(S.form_field == name, S.form_fault, "")


def _list() -> rx.Component:
    return rx.el.div(
        rx.el.section(
            rx.el.h2("Users", class_name="sr"),
            rx.cond(
                S.loaded,
                rx.cond(S.rows.length() > 0, _table(), _nobody()),
                rx.el.div(skeleton(*["100%"] * 12), padding="16px"),
            ),
            class_name="panel flush",
        ),
        _pages(),
        class_name="stack",
    )


def _table() -> rx.Component:
    def head(entry: Any) -> rx.Component:
        return rx.el.th(
            go(
                entry["words"],
                rx.match(entry["order"], ("ascending", " ↑"), ("descending", " ↓"), ""),
                to=entry["address"],
                class_name="sorts",
            ),
            scope="col",
            aria_sort=entry["order"],
            key=entry["words"],
        )

    return rx.el.div(
        rx.el.table(
            rx.el.caption("Users, by the filters above", class_name="sr"),
            rx.el.thead(
                rx.el.tr(
                    rx.foreach(S.heads, head),
                    rx.el.th("State", scope="col"),
                    rx.el.th("Role", scope="col"),
                    rx.el.th("Stores", scope="col", class_name="number"),
                    rx.el.th("Calls in 30 d", scope="col", class_name="number"),
                )
            ),
            rx.el.tbody(rx.foreach(S.rows, _row)),
            class_name="table cards-narrow users",
        ),
        class_name="scroll long",
        tab_index=0,
        role="region",
        aria_label="Users",
    )


def _row(user: Any) -> rx.Component:
    def cell(label: str, *children: Any, **props: Any) -> rx.Component:
        return rx.el.td(*children, custom_attrs={"data-label": label}, **props)

    return rx.el.tr(
        cell(
            "Name",
            go(user["name"], to=user["address"], class_name="strong long-name", title=user["name"]),
        ),
        cell("E-mail", rx.cond(user["email"] != "", _email(user))),
        cell("Created", ago(user["created"], user["created_at"])),
        cell(
            "Last sign-in",
            rx.cond(user["signed_in"] != "", ago(user["signed_in"], user["signed_in_at"])),
        ),
        cell(
            "Last activity", rx.cond(user["active"] != "", ago(user["active"], user["active_at"]))
        ),
        cell("State", badge(user["state"], user["tone"])),
        cell("Role", rx.el.span(user["role"], class_name="one-line")),
        cell("Stores", user["stores"], class_name="number"),
        cell("Calls in 30 d", user["calls"], class_name="number"),
        key=user["id"],
    )


def _email(user: Any) -> rx.Component:
    return rx.el.span(user["email"], class_name="long-name", title=user["email"])


def _nobody() -> rx.Component:
    return rx.cond(
        S.is_cut,
        empty(
            "list-filter",
            "Nobody so far",
            "The search fits many users, and none of those that were looked through. Go on with "
            "“Next”, or type more letters.",
        ),
        empty(
            "list-filter",
            "Nobody fits these filters",
            "A name or an e-mail address has to begin with what is searched for.",
            go("Show all users", to="/users", class_name="button"),
        ),
    )


def _pages() -> rx.Component:
    return rx.el.nav(
        rx.cond(
            S.is_cut & (S.rows.length() > 0),
            rx.el.p(
                "The search fits many users: “Next” looks further. More letters find faster.",
                class_name="dim small",
            ),
        ),
        rx.cond(S.first != "", go("First", to=S.first, class_name="button")),
        rx.cond(S.previous != "", go("Previous", to=S.previous, class_name="button")),
        rx.cond(S.following != "", go("Next", to=S.following, class_name="button")),
        class_name="row",
        aria_label="Pages of the list",
    )


PAGE = Page(
    route="/users",
    title="Users",
    icon="contact",
    draw=users,
    order=80,
    section="admin",
    key="u",
    on_load=S.load,
    is_for_operators=True,
)
