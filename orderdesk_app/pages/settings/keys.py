"""The list of access keys: what each may do, who used it last, and what can be done with it."""

from typing import Any

import reflex as rx

from orderdesk_app.components.native import post_form
from orderdesk_app.components.widgets import (
    ago,
    badge,
    empty,
    icon,
    open_button,
    skeleton,
    sorting_head,
)
from orderdesk_app.services.roles import Permission, refusal_of
from orderdesk_app.states.settings import REPLACED, SettingsState

S: Any = SettingsState  # on its class, a state's attributes are variables of the browser
MAKES = S.permissions.contains(str(Permission.MANAGE_OWN_KEYS))
HAS_CHOICE = S.store_choices.length() > 1  # of stores that a call may mean
_REVOKES_ALL = S.permissions.contains(str(Permission.MANAGE_ALL_KEYS))
_LONG = 8  # keys that one looks through without help


def new_key(look: str = "button primary") -> rx.Component:
    return open_button("make-key", icon("plus"), rx.el.span("New key"), class_name=look)


def keys() -> rx.Component:
    def head(words: str, column: str = "") -> rx.Component:
        if not column:
            return rx.el.th(words, scope="col")
        return sorting_head(
            words,
            is_sorted=S.sorted_by == column,
            is_descending=S.is_descending,
            on_click=S.sort(column),
        )

    table = rx.el.table(
        rx.el.thead(
            rx.el.tr(
                head("Name", "name"),
                head("Key"),
                head("May"),
                rx.cond(S.has_others, head("Of")),
                rx.cond(HAS_CHOICE, head("Default store")),
                head("Made", "made"),
                head("Last used", "used"),
                rx.el.th(rx.el.span("What to do", class_name="sr"), scope="col"),
            )
        ),
        rx.el.tbody(rx.foreach(S.keys, _key)),
        class_name="table cards-narrow keys",
    )
    nothing = empty(
        "key-round",
        "No access keys yet",
        (
            "A key lets one assistant work for you. Give each its own: then you see who did "
            "what, and can stop one without the others."
        ),
        rx.cond(
            MAKES,
            new_key("button"),
            rx.el.p(refusal_of(Permission.MANAGE_OWN_KEYS), class_name="dim small"),
        ),
    )
    search = rx.el.input(
        type="search",
        class_name="input finder",
        placeholder="Find a key",
        aria_label="Find a key",
        default_value=S.search,
        max_length=80,
        on_change=S.find,
    )
    listed = rx.fragment(
        rx.el.div(table, class_name="scroll long"),
        rx.el.p(
            rx.cond(
                S.keys.length() == 0,
                f"None of the {S.total} keys has “{S.search}” in its name or its last characters.",
                rx.cond(S.keys.length() < S.total, f"{S.keys.length()} of {S.total} keys", ""),
            ),
            class_name="dim small found",
            aria_live="polite",
        ),
    )
    return rx.el.section(
        rx.el.header(
            rx.el.h2("Access keys"),
            rx.cond((S.total > _LONG) | (S.search != ""), search),
            class_name="row apart",
        ),
        rx.cond(
            S.loaded,
            rx.cond(S.total > 0, listed, nothing),
            rx.el.div(skeleton("100%", "100%", "60%"), padding="0 16px 16px"),
        ),
        class_name="panel flush",
        custom_attrs={"data-query": S.view},
    )


def _key(key: Any) -> rx.Component:
    def cell(label: str, *children: Any) -> rx.Component:
        return rx.el.td(*children, custom_attrs={"data-label": label})

    return rx.el.tr(
        cell(
            "Name",
            rx.el.span(
                rx.el.span(key["name"], class_name="strong long-name", title=key["name"]),
                rx.cond(key["state"] != "", rx.el.span(badge(key["state"], key["tone"]))),
                class_name="stack tight",
            ),
        ),
        cell("Key", rx.el.code(key["prefix"], key["hint"], class_name="nowrap")),
        cell(
            "May",
            rx.el.span(
                rx.el.span(key["scopes"], class_name="dim small"),
                rx.cond(key["is_read_only"], rx.el.span(badge("Read only"))),
                rx.cond(
                    key["stores"] != "",
                    rx.el.span(
                        "In ",
                        key["stores"],
                        class_name="dim small long-text",
                        title=key["every_store"],
                    ),
                ),
                class_name="stack tight",
            ),
        ),
        rx.cond(
            S.has_others,
            cell("Of", rx.el.span(rx.cond(key["is_mine"], "You", key["by"]), class_name="small")),
        ),
        rx.cond(
            HAS_CHOICE,
            cell(
                "Default store",
                rx.cond(
                    key["default_store"] != "",
                    rx.el.span(
                        key["default_store"],
                        class_name="small long-name",
                        title=key["default_store"],
                    ),
                    rx.el.span("None", class_name="dim small"),
                ),
            ),
        ),
        cell(
            "Made",
            rx.el.span(ago(key["made"], key["made_at"]), _end(key), class_name="stack tight"),
        ),
        cell(
            "Last used",
            rx.el.span(
                ago(key["used"], key["used_at"]),
                rx.cond(key["used_by"] != "", rx.el.span(key["used_by"], class_name="dim small")),
                class_name="stack tight",
            ),
        ),
        cell("", _acts(key)),
        key=key["id"],
    )


def _end(key: Any) -> rx.Component:
    return rx.cond(
        key["ends"] != "",
        rx.el.span(
            "until ",
            rx.el.time(key["ends"], date_time=key["ends_at"], title=key["ends_exactly"]),
            class_name="dim small",
        ),
    )


def _acts(key: Any) -> rx.Component:
    def act(dialog: str, words: str) -> rx.Component:
        return open_button(
            dialog,
            words,
            class_name="button small",
            aria_label=words + " " + key["name"],
            on_click=S.choose(key["id"]),
        )

    return rx.el.div(
        rx.cond(
            key["is_mine"] & (key["state"] != REPLACED),
            rx.fragment(
                act("edit-key", "Edit"),
                rx.cond(MAKES & (key["state"] == ""), act("rotate-key", "Rotate")),
            ),
        ),
        # no question before it: a key that leaked is an emergency, and a new one is made in seconds
        rx.cond(key["is_mine"] | _REVOKES_ALL, revoke_form(key["id"], "Revoke " + key["name"])),
        class_name="row acts",
    )


def revoke_form(key_id: Any, label: Any, words: str = "Revoke") -> rx.Component:
    return post_form(
        rx.el.input(type="hidden", name="key_id", value=key_id, read_only=True),
        rx.el.button(words, type="submit", class_name="button small danger", aria_label=label),
        action="/settings/keys/revoke",
        token=S.form_token,
    )
