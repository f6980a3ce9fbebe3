"""A tile for each client, the steps for the chosen one, what to copy, and the light of its first
call.
"""

from typing import Any

import reflex as rx

from orderdesk_app.components.native import jump, post_form
from orderdesk_app.components.page import Page
from orderdesk_app.components.widgets import (
    ago,
    badge,
    callout,
    copy_button,
    field,
    icon,
    panel,
    skeleton,
    text_input,
)
from orderdesk_app.services.client_setups import EXPIRIES, USUAL_EXPIRY
from orderdesk_app.services.roles import Permission, refusal_of
from orderdesk_app.services.snippets import PLACEHOLDER
from orderdesk_app.states.connect import ConnectState

S: Any = ConnectState  # on its class, a state's attributes are variables of the browser
_MAKES = S.permissions.contains(str(Permission.MANAGE_OWN_KEYS))
_ANSWER = "made"  # the id of the place where the answer of the form is shown


def connect() -> rx.Component:
    return rx.el.div(
        _tiles(),
        rx.cond(
            S.loaded,
            rx.el.div(
                _client(), rx.el.div(_light(), _address(), class_name="stack"), class_name="two"
            ),
            panel(skeleton("40%", "100%", "100%", "60%")),
        ),
        class_name="stack",
        custom_attrs={"data-query": S.view},
    )


def _tiles() -> rx.Component:
    def tile(client: Any) -> rx.Component:
        return rx.el.li(
            rx.el.button(
                rx.el.span(
                    rx.el.span(client["name"], class_name="strong"),
                    rx.el.span(client["about"], class_name="dim small"),
                    class_name="tool-words",
                ),
                rx.cond(
                    client["ago"] != "",
                    rx.el.span(
                        badge("Connected", "green"),
                        ago(client["ago"], client["at"]),
                        class_name="tile-state",
                    ),
                ),
                type="button",
                on_click=S.choose(client["id"]),
                class_name="tool client",
                aria_pressed=rx.cond(S.client == client["id"], "true", "false"),
            ),
            key=client["id"],
        )

    return rx.el.section(
        rx.el.h2("Which assistant?"),
        rx.cond(
            S.loaded,
            rx.el.ul(rx.foreach(S.tiles, tile), class_name="clients"),
            skeleton("100%", "100%", "100%"),
        ),
        class_name="panel stack tight",
    )


def _client() -> rx.Component:
    return rx.el.section(
        rx.el.h2(S.client_name),
        rx.cond(
            S.out_of_reach != "",
            callout(
                S.out_of_reach,
                tone="amber",
                role="note",
            ),
        ),
        rx.cond(
            ~_MAKES & (S.signs_in | S.takes_key),
            rx.el.p(refusal_of(Permission.MANAGE_OWN_KEYS), class_name="dim"),
        ),
        rx.cond(S.signs_in & _MAKES, _by_oauth()),
        rx.cond(
            S.takes_key,
            _by_key(),
            rx.cond(
                ~S.signs_in,
                rx.el.p(
                    S.client_name,
                    " takes no key, and this server has no sign-in for apps. Choose another "
                    "assistant.",
                    class_name="dim",
                ),
            ),
        ),
        # The framework keeps it empty; assets/ui/answers.js shows the answer of the form there.
        rx.el.div(id=_ANSWER, tab_index=-1, aria_live="polite", class_name="answer"),
        class_name="panel stack",
        aria_label="How to connect it",
    )


def _steps(steps: Any) -> rx.Component:
    return rx.el.ol(rx.foreach(steps, rx.el.li), class_name="steps")


def _parts(parts: Any) -> rx.Component:
    def part(entry: Any) -> rx.Component:
        return rx.el.div(
            rx.el.div(rx.el.h4(entry["title"]), copy_button(entry["id"]), class_name="row apart"),
            rx.el.p(entry["where"], class_name="dim small"),
            rx.el.pre(
                entry["text"],
                id=entry["id"],
                class_name="code",
                tab_index=0,
                aria_label=entry["title"],
            ),
            class_name="stack tight",
            key=entry["id"],
        )

    return rx.fragment(rx.foreach(parts, part))


def _by_oauth() -> rx.Component:
    return rx.el.div(
        rx.el.h3("Sign in with your browser"),
        rx.el.p(
            "The best way: no key to keep, and you choose in your browser what it may do.",
            class_name="dim",
        ),
        _steps(S.oauth_steps),
        rx.cond(
            S.link != "",
            rx.el.div(
                # a page opens beside this one, where the light is; another program opens by itself
                rx.cond(
                    S.link.startswith("https:"),
                    _add(custom_attrs={"target": "_blank", "rel": "noopener noreferrer"}),
                    _add(),
                ),
                class_name="row",
            ),
        ),
        _parts(S.oauth_parts),
        class_name="stack tight",
    )


def _add(**props: Any) -> rx.Component:
    return jump(
        icon("external-link"),
        "Add to ",
        S.client_name,
        to=S.link,
        class_name="button primary",
        **props,
    )


def _by_key() -> rx.Component:
    return rx.el.div(
        rx.el.h3("With a key"),
        rx.cond(_MAKES, _key_form()),
        rx.el.details(
            rx.el.summary("I have a key already"),
            rx.el.div(
                rx.el.p("Put it in place of ", rx.el.code(PLACEHOLDER), ".", class_name="dim"),
                _steps(S.key_steps),
                _parts(S.key_parts),
                class_name="stack tight",
            ),
        ),
        class_name="stack tight",
    )


def _key_form() -> rx.Component:
    is_back = S.problem_form == "connect"
    # a message that is about no field is shown at the first one
    elsewhere = (
        (S.problem_field == "scopes")
        | (S.problem_field == "stores")
        | (S.problem_field == "expires")
    )
    wrong = rx.cond(is_back & ~elsewhere, S.problem, "")
    unchosen = rx.cond(is_back & (S.problem_field == "scopes"), S.problem, "")

    def preset(choice: Any, number: Any) -> rx.Component:
        chosen = rx.cond(
            is_back & S.typed.contains("preset"),
            S.typed["preset"] == choice["name"],
            number == 0,  # the least
        )
        return rx.el.label(
            rx.el.input(type="radio", name="preset", value=choice["name"], default_checked=chosen),
            rx.el.span(
                rx.el.span(choice["name"]),
                rx.el.span(choice["words"], class_name="dim small"),
                class_name="stack",
            ),
            class_name="check",
            key=choice["name"],
        )

    return post_form(
        rx.el.input(type="hidden", name="client", value=S.client, read_only=True),
        field(
            "Name",
            "name",
            text_input(
                "name",
                error=wrong,
                required=True,
                max_length=80,
                auto_complete="off",
                default_value=rx.cond(
                    is_back & S.typed.contains("name"), S.typed["name"], S.key_name
                ),
                key=S.client,
            ),
            help_text="Everything that is done with this key shows this name.",
            error=wrong,
            required=True,
        ),
        rx.el.fieldset(
            rx.el.legend("It may", class_name="strong"),
            rx.foreach(S.presets, preset),
            rx.cond(
                unchosen != "",
                rx.el.span(unchosen, class_name="wrong", id="preset-wrong", role="alert"),
            ),
            class_name="field roles",
            style={"border": "0", "padding": "0", "margin": "0"},
        ),
        rx.cond(S.store_choices.length() > 1, _stores(is_back)),
        _expiry(is_back),
        rx.el.div(
            rx.el.button(icon("key-round"), "Make key", type="submit", class_name="button primary"),
            class_name="row",
        ),
        action="/connect/keys",
        token=S.form_token,
        class_name="form",
        custom_attrs={"data-answer-in": _ANSWER},
        # drawn again with what was typed
        key=rx.cond(is_back, "again" + S.problem, "key"),
    )


def _stores(is_back: Any) -> rx.Component:
    """Which stores the key reaches, where there is a choice."""
    wrong = rx.cond(is_back & (S.problem_field == "stores"), S.problem, "")

    def box(store: Any) -> rx.Component:
        ticked = is_back & S.typed.contains("stores") & S.typed["stores"].contains(store["id"])
        return rx.el.label(
            rx.el.input(type="checkbox", name="stores", value=store["id"], default_checked=ticked),
            rx.el.span(store["name"], class_name="long-name", title=store["name"]),
            class_name="check",
            key=store["id"],
        )

    return rx.el.fieldset(
        rx.el.legend("In these stores", class_name="strong"),
        rx.el.div(rx.foreach(S.store_choices, box), class_name="key-stores"),
        rx.el.span("None ticked means every store, also those that come later.", class_name="help"),
        rx.cond(wrong != "", rx.el.span(wrong, class_name="wrong", role="alert")),
        class_name="field",
        style={"border": "0", "padding": "0", "margin": "0"},
    )


def _expiry(is_back: Any) -> rx.Component:
    wrong = rx.cond(is_back & (S.problem_field == "expires"), S.problem, "")
    select = rx.el.select(
        *[rx.el.option(words, value=days) for days, words in EXPIRIES.items()],
        id="expires",
        name="expires",
        class_name="input",
        default_value=rx.cond(
            is_back & S.typed.contains("expires"), S.typed["expires"], USUAL_EXPIRY
        ),
    )
    return field("Ends", "expires", select, error=wrong)


def _light() -> rx.Component:
    return rx.el.section(
        rx.el.h2("First call"),
        rx.el.div(
            rx.cond(
                S.is_lit,
                rx.el.div(
                    icon("circle-check"),
                    rx.el.div(
                        rx.el.p(S.light, class_name="strong"),
                        ago(S.light_ago, S.light_at),
                        class_name="grow",
                    ),
                    class_name="callout green",
                ),
                rx.el.div(
                    icon("circle-dashed"),
                    rx.el.p(S.light, class_name="grow"),
                    class_name="callout",
                ),
            ),
            rx.cond(
                S.refused != "",
                rx.el.div(
                    icon("triangle-alert"),
                    rx.el.div(
                        rx.el.p(S.refused), ago(S.refused_ago, S.refused_at), class_name="grow"
                    ),
                    class_name="callout amber",
                ),
            ),
            class_name="stack tight",
            role="status",
            aria_live="polite",
        ),
        rx.el.p(
            "It changes by itself, as soon as the assistant connects. Some wait until they are "
            "asked something: ask it to list your stores.",
            class_name="dim small",
        ),
        class_name="panel stack tight",
        aria_label="First call",
    )


def _address() -> rx.Component:
    return panel(
        rx.el.pre(
            S.address, id="mcp-address", class_name="code", tab_index=0, aria_label="Address"
        ),
        rx.el.p(
            "For everything else that speaks MCP, over Streamable HTTP. A key goes into the header "
            "Authorization, after Bearer.",
            class_name="dim small",
        ),
        title="Address",
        aside=copy_button("mcp-address"),
        class_name="stack tight",
    )


PAGE = Page(
    route="/connect",
    title="Connect",
    icon="cable",
    draw=connect,
    order=65,
    key="n",
    on_load=S.load,
    on_change=S.refresh,
    hears_strangers=True,
)
