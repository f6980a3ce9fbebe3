"""Keys, and what runs here."""

from typing import Any

import reflex as rx

from orderdesk_app.components.native import go, post_form
from orderdesk_app.components.page import Page
from orderdesk_app.components.widgets import (
    ago,
    callout,
    cancel_button,
    dialog,
    empty,
    field,
    icon,
    open_button,
    panel,
    skeleton,
    sorting_head,
    text_input,
)
from orderdesk_app.context import READING_SCOPES, SCOPE_PRESETS, Scope
from orderdesk_app.services.roles import Permission, refusal_of
from orderdesk_app.states.settings import SettingsState

S: Any = SettingsState  # on its class, a state's attributes are variables of the browser
_MAKES = S.permissions.contains(str(Permission.MANAGE_OWN_KEYS))
_REVOKES_ALL = S.permissions.contains(str(Permission.MANAGE_ALL_KEYS))
_ROTATES = S.permissions.contains(str(Permission.MANAGE_MASTER_KEY))
_LONG = 8  # keys that one looks through without help
_HAS_CHOICE = S.store_choices.length() > 1  # of stores that a call may mean


def settings() -> rx.Component:
    return rx.el.div(
        _keys(),
        rx.el.div(
            _connect(),
            rx.cond(_ROTATES, _master()),
            _system(),
            class_name=rx.cond(S.loaded, "stack wide", "stack wide unread"),
        ),
        rx.cond(_MAKES, _make_dialog()),
        class_name="stack wide",
    )


def _new_key_action() -> rx.Component:
    return rx.cond(_MAKES, _new_key())


def _new_key(look: str = "button primary") -> rx.Component:
    return open_button("make-key", icon("plus"), rx.el.span("New key"), class_name=look)


def _keys() -> rx.Component:
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
                head("Ends with"),
                head("May"),
                rx.cond(S.has_others, head("Of")),
                rx.cond(_HAS_CHOICE, head("Default store")),
                head("Made", "made"),
                head("Last used", "used"),
                rx.el.th(rx.el.span("Revoke", class_name="sr"), scope="col"),
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
            _MAKES,
            _new_key("button"),
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
        cell("Name", rx.el.span(key["name"], class_name="strong long-name", title=key["name"])),
        cell("Ends with", rx.el.code(key["hint"])),
        cell("May", rx.el.span(key["scopes"], class_name="dim small")),
        rx.cond(
            S.has_others,
            cell("Of", rx.el.span(rx.cond(key["is_mine"], "You", key["by"]), class_name="small")),
        ),
        rx.cond(
            _HAS_CHOICE,
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
        cell("Made", ago(key["made"], key["made_at"])),
        cell("Last used", ago(key["used"], key["used_at"])),
        cell(
            "",
            # no question before it: a key that leaked is an emergency, and a new one is made in
            # seconds
            rx.cond(
                key["is_mine"] | _REVOKES_ALL,
                post_form(
                    rx.el.input(type="hidden", name="key_id", value=key["id"], read_only=True),
                    rx.el.button(
                        "Revoke",
                        type="submit",
                        class_name="button small danger",
                        aria_label="Revoke " + key["name"],
                    ),
                    action="/settings/keys/revoke",
                    token=S.form_token,
                ),
            ),
        ),
        key=key["id"],
    )


def _default_store(is_back: Any) -> rx.Component:
    """Which store the calls of this key mean when they name none; there is a choice of two."""
    wrong = rx.cond(is_back & (S.problem_field == "default_store"), S.problem, "")
    select = rx.el.select(
        rx.el.option("None: each call names its store", value=""),
        rx.foreach(S.store_choices, lambda store: rx.el.option(store["name"], value=store["id"])),
        id="default_store",
        name="default_store",
        class_name="input",
        default_value=rx.cond(
            is_back & S.typed.contains("default_store"), S.typed["default_store"], ""
        ),
    )
    return rx.cond(
        _HAS_CHOICE,
        field(
            "Default store",
            "default_store",
            select,
            help_text="For calls that name no store. The assistant can choose another one.",
            error=wrong,
        ),
    )


def _make_dialog() -> rx.Component:
    is_back = S.problem_form == "key"
    unticked = rx.cond(is_back & (S.problem_field == "scopes"), S.problem, "")
    # a message that is about no field is shown at the first one
    elsewhere = (S.problem_field == "scopes") | (S.problem_field == "default_store")
    wrong = rx.cond(is_back & ~elsewhere, S.problem, "")

    def box(scope: Scope) -> rx.Component:
        ticked = rx.cond(is_back, S.typed["scopes"].contains(str(scope)), scope in READING_SCOPES)
        given = {
            "aria_invalid": rx.cond(unticked != "", "true", "false"),
            "aria_describedby": "scopes-wrong",
        }
        return rx.cond(
            S.offered.contains(str(scope)),
            rx.el.label(
                rx.el.input(
                    type="checkbox",
                    name="scopes",
                    value=str(scope),
                    default_checked=ticked,
                    **given,
                ),
                scope.words,
                class_name="check",
            ),
        )

    def preset(words: str, scopes: frozenset[Scope]) -> rx.Component:
        return rx.el.button(
            words,
            type="button",
            class_name="button small",
            custom_attrs={"data-tick": ",".join(sorted(scopes))},
        )

    return dialog(
        "make-key",
        "New key",
        post_form(
            field(
                "Name",
                "name",
                text_input(
                    "name",
                    error=wrong,
                    required=True,
                    max_length=80,
                    placeholder="Claude on my laptop",
                    auto_complete="off",
                    default_value=rx.cond(is_back, S.typed["name"], ""),
                ),
                help_text=(
                    "Who will use it. Everything that is done with this key shows this name."
                ),
                error=wrong,
                required=True,
            ),
            rx.el.fieldset(
                rx.el.legend("It may", class_name="strong"),
                rx.el.div(
                    *[preset(words, scopes) for words, scopes in SCOPE_PRESETS.items()],
                    class_name="row",
                ),
                *[box(scope) for scope in Scope],
                rx.cond(
                    unticked != "",
                    rx.el.span(unticked, class_name="wrong", id="scopes-wrong", role="alert"),
                ),
                class_name="field",
                style={"border": "0", "padding": "0", "margin": "0"},
            ),
            _default_store(is_back),
            rx.el.div(
                cancel_button(),
                rx.el.button("Make key", type="submit", class_name="button primary"),
                class_name="ends",
            ),
            action="/settings/keys/create",
            token=S.form_token,
            class_name="form",
            # drawn again with what was typed
            key=rx.cond(is_back, "key-again" + S.problem, "key"),
        ),
        custom_attrs={"data-reopen": rx.cond(S.problem_form == "key", "1", "")},
    )


def _connect() -> rx.Component:
    return panel(
        rx.el.div(
            rx.el.p(
                "Connect has the steps and the text to paste for each assistant, makes its key, "
                "and shows its first call.",
                class_name="dim",
            ),
            rx.el.div(
                go(icon("cable"), "Connect an assistant", to="/connect", class_name="button"),
                class_name="row",
            ),
            class_name="stack",
        ),
        title="Assistants",
    )


def _master() -> rx.Component:
    unmeant = rx.cond(S.problem_form == "rotate-master", S.problem, "")
    return panel(
        rx.cond(
            S.master_hint != "",
            rx.el.p(
                "The master key signs in here and may do everything. It ends with ",
                rx.el.code("…", S.master_hint),
                ".",
                rx.cond(
                    _HAS_CHOICE & (S.master_default_store != ""),
                    rx.fragment(
                        " At /mcp its calls that name no store mean ", S.master_default_store, "."
                    ),
                ),
                class_name="dim",
            ),
            rx.el.p(
                (
                    "This account has no master key yet: you came by a link. Make one to "
                    "sign in with, and keep it safe."
                ),
                class_name="dim",
            ),
        ),
        rx.el.div(
            rx.cond(
                S.master_hint != "",
                open_button(
                    "rotate-master",
                    icon("rotate-cw"),
                    "Replace master key",
                    class_name="button danger",
                ),
                post_form(
                    rx.el.button(
                        icon("key-round"), "Make master key", type="submit", class_name="button"
                    ),
                    action="/settings/keys/rotate-master",
                    token=S.form_token,
                ),
            ),
            class_name="row",
            margin_top="12px",
        ),
        dialog(
            "rotate-master",
            "Replace the master key",
            callout(
                "The old master key stops working at once. Access keys stay as they are.",
                tone="amber",
                role="note",
            ),
            post_form(
                field(
                    "Type “replace” to confirm",
                    "confirm-rotate",
                    text_input(
                        "confirm",
                        id="confirm-rotate",
                        error=unmeant,
                        auto_complete="off",
                        default_value=rx.cond(
                            S.problem_form == "rotate-master", S.typed["confirm"], ""
                        ),
                        custom_attrs={"data-confirm": "replace"},
                    ),
                    error=unmeant,
                ),
                rx.el.div(
                    cancel_button(),
                    rx.el.button(
                        "Replace master key",
                        type="submit",
                        class_name="button danger primary",
                        disabled=True,
                    ),
                    class_name="ends",
                ),
                action="/settings/keys/rotate-master",
                token=S.form_token,
                class_name="form",
                key=rx.cond(S.problem_form == "rotate-master", "again" + S.problem, "rotate"),
            ),
            custom_attrs={"data-reopen": rx.cond(S.problem_form == "rotate-master", "1", "")},
        ),
        title="Master key",
    )


def _system() -> rx.Component:
    return rx.cond(
        S.facts.length() > 0,
        panel(
            rx.el.dl(
                rx.foreach(
                    S.facts,
                    lambda fact: rx.fragment(rx.el.dt(fact["name"]), rx.el.dd(fact["value"])),
                ),
                class_name="facts",
            ),
            title="System",
        ),
    )


PAGE = Page(
    route="/settings",
    title="Settings",
    icon="settings",
    draw=settings,
    order=90,
    section="foot",
    key=",",
    on_load=S.load,
    on_change=S.refresh,
    actions=_new_key_action,
)
