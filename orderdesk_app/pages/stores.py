"""A card for each store, and three short steps to another."""

from typing import Any

import reflex as rx

from orderdesk_app.components.native import post_form
from orderdesk_app.components.page import Page
from orderdesk_app.components.widgets import (
    ago,
    badge,
    busy_button,
    callout,
    cancel_button,
    dialog,
    empty,
    field,
    icon,
    meter,
    open_button,
    second_store_note,
    secret_input,
    skeleton,
    text_input,
)
from orderdesk_app.services.roles import Permission, refusal_of
from orderdesk_app.states.stores import StoresState

S: Any = StoresState  # on its class, a state's attributes are variables of the browser
_MANAGES = S.permissions.contains(str(Permission.MANAGE_STORES))


def stores() -> rx.Component:
    nothing = rx.el.section(
        empty(
            "store",
            "No stores yet",
            (
                "Connect your Order Desk store and assistants can read and change its "
                "orders, within what you allow. The sandbox is a store of 500 believable "
                "orders to try things on."
            ),
            rx.cond(
                _MANAGES,
                rx.el.div(
                    _connect_button("button"),
                    _sandbox_button(),
                    class_name="row",
                    justify_content="center",
                ),
                _only_owners(),
            ),
        ),
        class_name="panel",
    )
    filled = rx.el.div(
        rx.el.div(rx.foreach(S.stores, _card), class_name="cards"),
        rx.cond(
            _MANAGES,
            rx.fragment(
                rx.el.div(_sandbox_button(), class_name="row"),
                rx.foreach(S.stores, _edit_dialog),
                rx.foreach(S.stores, _disconnect_dialog),
            ),
            _only_owners(),
        ),
        class_name="stack",
    )
    waiting = rx.el.div(
        *[rx.el.div(skeleton("60%", "100%", "40%"), class_name="panel") for _ in range(2)],
        class_name="cards",
    )
    return rx.el.div(
        rx.cond(S.loaded, rx.cond(S.stores.length() > 0, filled, nothing), waiting),
        rx.cond(_MANAGES, _connect_dialog()),
    )


def _only_owners() -> rx.Component:
    return rx.el.p(refusal_of(Permission.MANAGE_STORES), class_name="dim small")


def _connect_action() -> rx.Component:
    return rx.cond(_MANAGES, _connect_button())


def _connect_button(look: str = "button primary") -> rx.Component:
    return open_button("connect", icon("plus"), "Connect store", class_name=look)


def _sandbox_button() -> rx.Component:
    return busy_button(
        icon("flask-conical"),
        rx.cond(S.has_sandbox, "Add another sandbox store", "Try the sandbox store"),
        class_name="button",
        on_click=S.add_sandbox,
        is_busy=S.busy.contains("sandbox"),
    )


def _card(store: Any) -> rx.Component:
    return rx.el.article(
        rx.el.div(
            rx.el.h2(store["name"], class_name="title"),
            rx.cond(store["is_sandbox"], badge("Sandbox")),
            badge(store["health"], store["tone"]),
            class_name="row",
        ),
        rx.el.dl(
            rx.el.dt("Store id"),
            rx.el.dd(rx.el.code(store["store_id"])),
            rx.cond(store["label"] != "", rx.fragment(rx.el.dt("Label"), rx.el.dd(store["label"]))),
            rx.el.dt("Last call"),
            rx.el.dd(ago(store["last"], store["last_at"])),
            rx.el.dt("Calls in 24 h"),
            rx.el.dd(store["calls"], style={"fontVariantNumeric": "tabular-nums"}),
            rx.el.dt("Ready"),
            rx.el.dd(meter(store["filled"], rx.fragment(store["free"], " requests free"))),
            rx.el.dt("Folders"),
            rx.el.dd(store["folders"]),
            class_name="facts",
        ),
        rx.el.div(
            rx.cond(
                S.answers.contains(store["id"]),
                rx.cond(
                    S.answers_tone[store["id"]] == "green",
                    callout(S.answers[store["id"]], tone="green", role="status"),
                    callout(S.answers[store["id"]], tone="red", role="status"),
                ),
            ),
            aria_live="polite",
        ),
        rx.el.div(
            busy_button(
                "Test connection",
                class_name="button small",
                on_click=S.test(store["id"]),
                is_busy=S.busy.contains(store["id"]),
                aria_label="Test connection of " + store["name"],
            ),
            rx.cond(
                _MANAGES,
                rx.fragment(
                    open_button(
                        "edit-" + store["id"],
                        "Edit",
                        class_name="button small",
                        aria_label="Edit " + store["name"],
                    ),
                    rx.el.span(class_name="grow"),
                    open_button(
                        "disconnect-" + store["id"],
                        "Disconnect",
                        class_name="button small danger",
                        aria_label="Disconnect " + store["name"],
                    ),
                ),
            ),
            class_name="row",
        ),
        class_name="panel stack",
        key=store["id"],
        aria_label=store["name"],
    )


def _wrong(form: Any, name: str) -> Any:
    """The message for that field of that form."""
    return rx.cond((S.problem_form == form) & (S.problem_field == name), S.problem, "")


def _connect_dialog() -> rx.Component:
    known = ("store_id", "api_key", "store_name", "label")
    elsewhere = (S.problem_form == "connect") & ~_any_of(known)
    return dialog(
        "connect",
        "Connect a store",
        rx.el.ol(
            rx.el.li("1. In Order Desk open Store Settings, then the API tab."),
            rx.el.li(
                "2. Copy the store id and the API key, and paste both here. The key is "
                "tried at once and kept encrypted."
            ),
            rx.el.li("3. Its folders and settings are read, and assistants can start."),
            class_name="stack tight dim",
        ),
        post_form(
            rx.cond(elsewhere, callout(S.problem)),
            second_store_note(S.store_choices),
            field(
                "Store id",
                "store_id",
                text_input(
                    "store_id",
                    error=_wrong("connect", "store_id"),
                    required=True,
                    input_mode="numeric",
                    max_length=20,
                    placeholder="10001",
                    auto_complete="off",
                    default_value=_typed("connect", "store_id"),
                    custom_attrs={"data-trim": "1"},
                ),
                error=_wrong("connect", "store_id"),
                required=True,
            ),
            field(
                "API key",
                "api_key",
                secret_input(
                    "api_key", error=_wrong("connect", "api_key"), required=True, max_length=512
                ),
                error=_wrong("connect", "api_key"),
                required=True,
            ),
            field(
                "Name",
                "store_name",
                text_input(
                    "store_name",
                    error=_wrong("connect", "store_name"),
                    max_length=120,
                    placeholder="Order Desk's own name for it",
                    auto_complete="off",
                    default_value=_typed("connect", "store_name"),
                ),
                error=_wrong("connect", "store_name"),
            ),
            field(
                "Label",
                "label",
                text_input(
                    "label",
                    error=_wrong("connect", "label"),
                    max_length=60,
                    placeholder="eu",
                    auto_complete="off",
                    default_value=_typed("connect", "label"),
                ),
                help_text="A short word by which assistants find the store.",
                error=_wrong("connect", "label"),
            ),
            rx.el.div(
                cancel_button(),
                rx.el.button("Test and connect", type="submit", class_name="button primary"),
                class_name="ends",
            ),
            action="/stores/connect",
            token=S.form_token,
            class_name="form",
            key="connect" + S.problem,
        ),
        custom_attrs={"data-reopen": rx.cond(S.problem_form == "connect", "1", "")},
    )


def _any_of(names: tuple[str, ...]) -> Any:
    found: Any = S.problem_field == names[0]
    for name in names[1:]:
        found = found | (S.problem_field == name)
    return found


def _typed(form: Any, name: str, otherwise: Any = "") -> Any:
    return rx.cond((S.problem_form == form) & S.typed.contains(name), S.typed[name], otherwise)


def _edit_dialog(store: Any) -> rx.Component:
    form = "edit-" + store["id"]
    elsewhere = (S.problem_form == form) & ~_any_of(("store_name", "label", "api_key"))
    return dialog(
        form,
        "Edit " + store["name"],
        post_form(
            rx.cond(elsewhere, callout(S.problem)),
            rx.el.input(type="hidden", name="row_id", value=store["id"], read_only=True),
            field(
                "Name",
                "name-" + store["id"],
                text_input(
                    "store_name",
                    id="name-" + store["id"],
                    error=_wrong(form, "store_name"),
                    required=True,
                    max_length=120,
                    auto_complete="off",
                    default_value=_typed(form, "store_name", store["name"]),
                ),
                error=_wrong(form, "store_name"),
                required=True,
            ),
            field(
                "Label",
                "label-" + store["id"],
                text_input(
                    "label",
                    id="label-" + store["id"],
                    error=_wrong(form, "label"),
                    max_length=60,
                    auto_complete="off",
                    default_value=_typed(form, "label", store["label"]),
                ),
                error=_wrong(form, "label"),
            ),
            rx.cond(
                store["is_sandbox"],
                rx.fragment(),
                field(
                    "New API key",
                    "key-" + store["id"],
                    secret_input(
                        "api_key",
                        id="key-" + store["id"],
                        error=_wrong(form, "api_key"),
                        max_length=512,
                    ),
                    help_text="Leave it empty to keep the present one.",
                    error=_wrong(form, "api_key"),
                ),
            ),
            rx.el.div(
                cancel_button(),
                rx.el.button("Save", type="submit", class_name="button primary"),
                class_name="ends",
            ),
            action="/stores/edit",
            token=S.form_token,
            class_name="form",
            # drawn again with what was typed
            key=form + rx.cond(S.problem_form == form, S.problem, ""),
        ),
        custom_attrs={"data-reopen": rx.cond(S.problem_form == form, "1", "")},
        key=form,
    )


def _disconnect_dialog(store: Any) -> rx.Component:
    form = "disconnect-" + store["id"]
    return dialog(
        form,
        "Disconnect " + store["name"],
        rx.cond(
            store["is_sandbox"],
            rx.el.p(
                "Its orders go with it, and the record of what was changed in them, for "
                "good. A new sandbox store starts with its original orders."
            ),
            rx.el.p(
                "Its key and the record of what was changed in it are deleted here, for "
                "good. Nothing changes at Order Desk, and it can be connected again."
            ),
        ),
        post_form(
            rx.cond(
                (S.problem_form == form) & (S.problem_field != "confirm") & (S.problem != ""),
                callout(S.problem),
            ),
            rx.el.input(type="hidden", name="row_id", value=store["id"], read_only=True),
            field(
                rx.fragment("Type ", rx.el.span(store["name"], class_name="mono"), " to confirm"),
                "confirm-" + store["id"],
                text_input(
                    "confirm",
                    id="confirm-" + store["id"],
                    error=_wrong(form, "confirm"),
                    auto_complete="off",
                    default_value=rx.cond(S.problem_form == form, S.typed["confirm"], ""),
                    custom_attrs={"data-confirm": store["name"]},
                ),
                error=_wrong(form, "confirm"),
            ),
            rx.el.div(
                cancel_button(),
                rx.el.button(
                    "Disconnect store",
                    type="submit",
                    class_name="button danger primary",
                    disabled=True,
                ),
                class_name="ends",
            ),
            action="/stores/disconnect",
            token=S.form_token,
            class_name="form",
            # drawn again with what was typed
            key=rx.cond(S.problem_form == form, "again" + S.problem, "disconnect"),
        ),
        custom_attrs={"data-reopen": rx.cond(S.problem_form == form, "1", "")},
        key=form,
    )


PAGE = Page(
    route="/stores",
    title="Stores",
    icon="store",
    draw=stores,
    order=40,
    key="s",
    on_load=S.load,
    on_change=S.refresh,
    actions=_connect_action,
)
