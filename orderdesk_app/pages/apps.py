"""Connected apps: who may work in the account by OAuth, what they may, and the way to stop them."""

from typing import Any

import reflex as rx

from orderdesk_app.components.native import go, post_form
from orderdesk_app.components.page import Page
from orderdesk_app.components.widgets import (
    ago,
    badge,
    callout,
    cancel_button,
    dialog,
    empty,
    open_button,
    skeleton,
)
from orderdesk_app.services.roles import Permission, refusal_of
from orderdesk_app.states.apps import AppsState

S: Any = AppsState  # on its class, a state's attributes are variables of the browser
_CONNECTS = S.permissions.contains(str(Permission.MANAGE_OWN_KEYS))


def apps() -> rx.Component:
    return rx.el.div(
        _listed(),
        rx.cond(
            S.apps.length() > 0,
            rx.el.p(
                "Here an app can only be narrowed. To allow it more, connect it again in the app: "
                "you are asked again.",
                class_name="dim small",
            ),
        ),
        rx.foreach(S.apps, _narrow_dialog),
        class_name="stack wide",
    )


def _listed() -> rx.Component:
    # without the last space it would be four lines high
    heads = ["App", "May", "Stores", "Connected", "Last used", "Calls in 30\u00a0days"]
    table = rx.el.table(
        rx.el.thead(
            rx.el.tr(
                rx.el.th(heads[0], scope="col"),
                rx.cond(S.has_others, rx.el.th("Of", scope="col")),
                *[rx.el.th(words, scope="col") for words in heads[1:-1]],
                rx.el.th(heads[-1], scope="col", class_name="number two-lines"),
                rx.el.th(rx.el.span("What to do", class_name="sr"), scope="col"),
            )
        ),
        rx.el.tbody(rx.foreach(S.apps, _app)),
        class_name="table cards-narrow keys",
    )
    nothing = empty(
        "blocks",
        "No connected apps yet",
        (
            "Claude, ChatGPT, Cursor and others connect without a key: the app leads you here, and "
            "you choose what it may do."
        ),
        rx.cond(
            _CONNECTS,
            go("Connect an app", to="/connect", class_name="button"),
            rx.el.p(refusal_of(Permission.MANAGE_OWN_KEYS), class_name="dim small"),
        ),
    )
    return rx.el.section(
        rx.el.header(rx.el.h2("Apps")),
        rx.cond(
            S.loaded,
            rx.cond(S.apps.length() > 0, rx.el.div(table, class_name="scroll"), nothing),
            rx.el.div(skeleton("100%", "100%", "60%"), padding="0 16px 16px"),
        ),
        class_name="panel flush",
    )


def _cell(label: str, *children: Any, **props: Any) -> rx.Component:
    return rx.el.td(*children, custom_attrs={"data-label": label}, **props)


def _app(app: Any) -> rx.Component:
    acts = rx.el.div(
        open_button(
            "narrow-" + app["id"],
            "Narrow",
            class_name="button small",
            aria_label="Narrow " + app["name"],
        ),
        # no question before it: an app that does harm is an emergency, and connecting takes seconds
        post_form(
            rx.el.input(type="hidden", name="app_id", value=app["id"], read_only=True),
            rx.el.button(
                "Disconnect",
                type="submit",
                class_name="button small danger",
                aria_label="Disconnect " + app["name"],
            ),
            action="/apps/disconnect",
            token=S.form_token,
        ),
        class_name="row acts",
    )
    return rx.el.tr(
        _cell(
            "App",
            rx.el.span(
                rx.el.span(app["name"], class_name="strong long-name", title=app["name"]),
                rx.el.span(app["host"], class_name="dim small long-text"),
                class_name="stack tight",
            ),
        ),
        rx.cond(
            S.has_others,
            _cell("Of", rx.el.span(rx.cond(app["by"] == "", "You", app["by"]), class_name="small")),
        ),
        _cell(
            "May",
            rx.el.span(
                rx.el.span(app["may"], class_name="dim small"),
                rx.cond(app["is_read_only"], rx.el.span(badge("Read only"))),
                class_name="stack tight",
            ),
        ),
        _cell(
            "Stores",
            rx.el.span(app["stores"], class_name="dim small long-text", title=app["every_store"]),
        ),
        _cell("Connected", ago(app["connected"], app["connected_at"])),
        _cell(
            "Last used",
            rx.el.span(
                ago(app["used"], app["used_at"]),
                rx.cond(app["client"] != "", rx.el.span(app["client"], class_name="dim small")),
                class_name="stack tight",
            ),
        ),
        _cell("Calls in 30 days", app["calls"], class_name="number"),
        _cell("", acts),
        key=app["id"],
    )


def _narrow_dialog(app: Any) -> rx.Component:
    form = "narrow-" + app["id"]
    is_back = S.problem_form == form
    wrong = rx.cond(is_back, S.problem, "")

    def box(name: str) -> Any:
        def draw(choice: Any) -> rx.Component:
            return rx.el.label(
                rx.el.input(
                    type="checkbox",
                    name=name,
                    value=choice["value"],
                    default_checked=rx.cond(is_back, S.typed[name].contains(choice["value"]), True),
                ),
                choice["words"],
                class_name="check",
            )

        return draw

    read_only = rx.el.label(
        rx.el.input(
            type="checkbox",
            name="read_only",
            value="1",
            default_checked=rx.cond(is_back, S.typed["read_only"] == "1", app["is_read_only"]),
        ),
        "Read only: whatever is ticked above, it changes nothing",
        class_name="check",
    )
    all_stores = rx.el.label(
        rx.el.input(
            type="checkbox",
            name="which",
            value="all",
            default_checked=rx.cond(is_back, S.typed["which"] == "all", True),
        ),
        "All stores, also those that are connected later",
        class_name="check",
    )
    return dialog(
        form,
        "Narrow “" + app["name"] + "”",
        post_form(
            rx.cond(wrong != "", callout(wrong)),
            rx.el.input(type="hidden", name="app_id", value=app["id"], read_only=True),
            rx.el.fieldset(
                rx.el.legend("It may", class_name="strong"),
                rx.foreach(app["scope_choices"], box("scopes")),
                rx.cond(app["has_writes"], read_only),
                class_name="field plain",
            ),
            rx.cond(
                app["store_choices"].length() > 0,
                rx.el.fieldset(
                    rx.el.legend("In", class_name="strong"),
                    rx.cond(app["has_all_stores"], all_stores),
                    rx.el.div(
                        rx.foreach(app["store_choices"], box("stores")), class_name="choices"
                    ),
                    class_name="field plain",
                ),
                rx.cond(
                    app["has_all_stores"],
                    rx.el.input(type="hidden", name="which", value="all", read_only=True),
                ),
            ),
            rx.el.div(
                cancel_button(),
                rx.el.button("Narrow", type="submit", class_name="button primary"),
                class_name="ends",
            ),
            action="/apps/narrow",
            token=S.form_token,
            class_name="form",
            # drawn again with what was typed
            key=form + app["may"] + app["stores"] + rx.cond(is_back, "again" + S.problem, ""),
        ),
        custom_attrs={"data-reopen": rx.cond(is_back, "1", "")},
        key=form,
    )


PAGE = Page(
    route="/apps",
    title="Connected apps",
    icon="blocks",
    draw=apps,
    order=75,
    on_load=S.load,
    on_change=S.refresh,
)
