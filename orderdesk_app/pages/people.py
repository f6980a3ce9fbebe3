"""The people of the account: their roles, and invitations that wait."""

from typing import Any

import reflex as rx

from orderdesk_app.components.native import post_form
from orderdesk_app.components.page import Page
from orderdesk_app.components.widgets import (
    ago,
    badge,
    callout,
    cancel_button,
    dialog,
    field,
    icon,
    open_button,
    panel,
    skeleton,
    text_input,
)
from orderdesk_app.context import Role
from orderdesk_app.services.roles import Permission, refusal_of
from orderdesk_app.states.people import PeopleState

S: Any = PeopleState  # on its class, a state's attributes are variables of the browser
_MANAGES = S.permissions.contains(str(Permission.MANAGE_PEOPLE))
_ROLES = (
    (Role.VIEWER, "Sees everything but secrets, and changes nothing."),
    (Role.MEMBER, "Also changes orders, and makes keys for their own assistants."),
    (Role.OWNER, "Everything: stores, people, all keys, and the account itself."),
)


def people() -> rx.Component:
    return rx.el.div(
        _members(),
        rx.cond(S.invitations.length() > 0, _waiting()),
        rx.cond(
            S.loaded & ~_MANAGES,
            rx.el.p(refusal_of(Permission.MANAGE_PEOPLE), class_name="dim small"),
        ),
        _leave(),
        rx.cond(
            _MANAGES,
            rx.fragment(
                _invite_dialog(),
                rx.foreach(S.people, _role_dialog),
                rx.foreach(S.people, _remove_dialog),
            ),
        ),
        class_name="stack wide",
    )


def _head(*names: str) -> rx.Component:
    return rx.el.thead(
        rx.el.tr(
            *[rx.el.th(name, scope="col") for name in names],
            rx.cond(_MANAGES, rx.el.th(rx.el.span("What to do", class_name="sr"), scope="col")),
        )
    )


def _cell(label: str, *children: Any, **props: Any) -> rx.Component:
    return rx.el.td(*children, custom_attrs={"data-label": label}, **props)


def _members() -> rx.Component:
    table = rx.el.table(
        _head("Name", "E-mail", "Role", "Last sign-in", "Here since"),
        rx.el.tbody(rx.foreach(S.people, _member)),
        class_name="table cards-narrow people",
    )
    return rx.el.section(
        rx.el.header(rx.el.h2("People")),
        rx.cond(
            S.loaded,
            rx.el.div(table, class_name="scroll"),
            rx.el.div(skeleton("100%", "100%"), padding="0 16px 16px"),
        ),
        class_name="panel flush",
    )


def _member(person: Any) -> rx.Component:
    acts = rx.el.div(
        open_button(
            "role-" + person["id"],
            "Change role",
            class_name="button small",
            aria_label="Change role of " + person["name"],
        ),
        rx.cond(
            person["is_you"],
            rx.fragment(),
            open_button(
                "remove-" + person["id"],
                "Remove",
                class_name="button small danger",
                aria_label="Remove " + person["name"],
            ),
        ),
        class_name="row",
    )
    return rx.el.tr(
        _cell(
            "Name",
            rx.el.span(
                rx.el.span(person["name"], class_name="strong"),
                rx.cond(person["is_you"], rx.el.span(" (you)", class_name="dim small")),
                class_name="long-name",
                title=person["name"],
            ),
            rx.cond(person["is_disabled"], rx.fragment(" ", badge("Disabled", "amber"))),
        ),
        _cell("E-mail", rx.el.span(person["email"], class_name="long-name")),
        _cell("Role", badge(person["role_words"], person["tone"])),
        _cell("Last sign-in", ago(person["seen"], person["seen_at"])),
        _cell("Here since", ago(person["since"], person["since_at"])),
        rx.cond(_MANAGES, _cell("", acts)),
        key=person["id"],
    )


def _waiting() -> rx.Component:
    table = rx.el.table(
        _head("To", "Role", "Invited by", "Expires"),
        rx.el.tbody(rx.foreach(S.invitations, _invitation)),
        class_name="table cards-narrow people",
    )
    return rx.el.section(
        rx.el.header(rx.el.h2("Invitations that wait")),
        rx.el.div(table, class_name="scroll"),
        class_name="panel flush",
    )


def _invitation(invitation: Any) -> rx.Component:
    def act(words: str, action: str, look: str) -> rx.Component:
        return post_form(
            rx.el.input(
                type="hidden", name="invitation_id", value=invitation["id"], read_only=True
            ),
            rx.el.button(
                words,
                type="submit",
                class_name=look,
                aria_label=words + ": the invitation of " + invitation["email"],
            ),
            action=action,
            token=S.form_token,
        )

    return rx.el.tr(
        _cell("To", rx.el.span(invitation["email"], class_name="strong long-name")),
        _cell("Role", badge(invitation["role_words"], "gray")),
        _cell("Invited by", rx.el.span(invitation["by"], class_name="long-name")),
        _cell(
            "Expires",
            rx.cond(
                invitation["is_expired"],
                badge("Expired", "amber"),
                rx.el.span(invitation["until"], title=invitation["until_at"], class_name="small"),
            ),
        ),
        rx.cond(
            _MANAGES,
            _cell(
                "",
                rx.el.div(
                    act("Send again", "/people/invitations/resend", "button small"),
                    act("Withdraw", "/people/invitations/withdraw", "button small danger"),
                    class_name="row",
                ),
            ),
        ),
        key=invitation["id"],
    )


def _invite_action() -> rx.Component:
    return rx.cond(
        _MANAGES,
        open_button("invite", icon("user-plus"), rx.el.span("Invite"), class_name="button primary"),
    )


def _role_choice(form: str, chosen: Any) -> rx.Component:
    """One of the three roles. `form` sets its ids apart from those of other dialogs."""

    def one(role: Role, words: str) -> rx.Component:
        return rx.el.label(
            rx.el.input(
                type="radio",
                name="role",
                value=role.value,
                default_checked=chosen == role.value,
                required=True,
            ),
            rx.el.span(
                rx.el.span(role.words, class_name="strong"),
                rx.el.span(words, class_name="dim small"),
                class_name="stack tight",
            ),
            class_name="check",
        )

    return rx.el.fieldset(
        rx.el.legend("Role", class_name="strong"),
        *[one(*role) for role in _ROLES],
        class_name="field roles",
        style={"border": "0", "padding": "0", "margin": "0"},
        key=form,
    )


def _invite_dialog() -> rx.Component:
    is_back = S.problem_form == "invite"
    wrong = rx.cond(is_back, S.problem, "")
    return dialog(
        "invite",
        "Invite somebody",
        rx.cond(
            S.are_mailed,
            rx.fragment(),
            callout(
                "Mail is not set up on this server. You get a link to pass on yourself.",
                tone="amber",
                role="note",
            ),
        ),
        post_form(
            field(
                "E-mail",
                "email",
                text_input(
                    "email",
                    type="email",
                    error=wrong,
                    required=True,
                    max_length=254,
                    placeholder="cleo@example.com",
                    auto_complete="off",
                    default_value=rx.cond(is_back, S.typed["email"], ""),
                ),
                help_text="The invitation is for this address alone, and works for 7 days.",
                error=wrong,
                required=True,
            ),
            _role_choice(
                "invite",
                rx.cond(is_back & (S.typed["role"] != ""), S.typed["role"], Role.VIEWER.value),
            ),
            rx.el.div(
                cancel_button(),
                rx.el.button(
                    rx.cond(S.are_mailed, "Send invitation", "Make invitation"),
                    type="submit",
                    class_name="button primary",
                ),
                class_name="ends",
            ),
            action="/people/invite",
            token=S.form_token,
            class_name="form",
            # drawn again with what was typed
            key=rx.cond(is_back, "invite-again" + S.problem, "invite"),
        ),
        custom_attrs={"data-reopen": rx.cond(is_back, "1", "")},
    )


def _role_dialog(person: Any) -> rx.Component:
    form = "role-" + person["id"]
    is_back = S.problem_form == form
    return dialog(
        form,
        "Role of " + person["name"],
        post_form(
            rx.cond(is_back & (S.problem != ""), callout(S.problem)),
            rx.el.input(type="hidden", name="user_id", value=person["id"], read_only=True),
            _role_choice(
                form, rx.cond(is_back & S.typed.contains("role"), S.typed["role"], person["role"])
            ),
            rx.el.p(
                "It acts at once, on what they have open and on their keys too.",
                class_name="dim small",
            ),
            rx.el.div(
                cancel_button(),
                rx.el.button("Save role", type="submit", class_name="button primary"),
                class_name="ends",
            ),
            action="/people/role",
            token=S.form_token,
            class_name="form",
            key=form + person["role"] + rx.cond(is_back, "again" + S.problem, ""),
        ),
        custom_attrs={"data-reopen": rx.cond(is_back, "1", "")},
        key=form,
    )


def _remove_dialog(person: Any) -> rx.Component:
    form = "remove-" + person["id"]
    is_back = S.problem_form == form
    return dialog(
        form,
        "Remove " + person["name"],
        rx.el.p(
            "They are signed out, their keys of this account stop working at once, and invitations "
            "that they sent end. What they did stays in the activity, with their name."
        ),
        rx.cond(
            person["role"] == Role.OWNER.value,
            callout(
                "An owner may know the master key. Replace it under Settings afterwards.",
                tone="amber",
                role="note",
            ),
        ),
        post_form(
            rx.cond(is_back & (S.problem != ""), callout(S.problem)),
            rx.el.input(type="hidden", name="user_id", value=person["id"], read_only=True),
            rx.el.div(
                cancel_button(),
                rx.el.button(
                    "Remove " + person["name"], type="submit", class_name="button danger primary"
                ),
                class_name="ends",
            ),
            action="/people/remove",
            token=S.form_token,
            class_name="form",
        ),
        custom_attrs={"data-reopen": rx.cond(is_back, "1", "")},
        key=form,
    )


def _leave() -> rx.Component:
    is_back = S.problem_form == "leave"
    wrong = rx.cond(is_back, S.problem, "")
    return panel(
        rx.cond(
            S.is_last_owner,
            rx.el.p(
                "You are the only owner, and an account needs one. Make somebody else an owner to "
                "leave it.",
                class_name="dim",
            ),
            rx.fragment(
                rx.el.p(
                    "Your keys of this account stop working and you are signed out. What you did "
                    "stays in the activity, with your name.",
                    class_name="dim",
                ),
                rx.el.div(
                    open_button(
                        "leave", icon("log-out"), "Leave account", class_name="button danger"
                    ),
                    class_name="row",
                    margin_top="12px",
                ),
            ),
        ),
        dialog(
            "leave",
            "Leave " + S.account,
            rx.el.p("Only an owner can let you in again."),
            post_form(
                field(
                    rx.fragment("Type ", rx.el.span(S.account, class_name="mono"), " to confirm"),
                    "confirm-leave",
                    text_input(
                        "confirm",
                        id="confirm-leave",
                        error=wrong,
                        auto_complete="off",
                        default_value=rx.cond(is_back, S.typed["confirm"], ""),
                        custom_attrs={"data-confirm": S.account},
                    ),
                    error=wrong,
                ),
                rx.el.div(
                    cancel_button(),
                    rx.el.button(
                        "Leave account",
                        type="submit",
                        class_name="button danger primary",
                        disabled=True,
                    ),
                    class_name="ends",
                ),
                action="/people/leave",
                token=S.form_token,
                class_name="form",
                # drawn again with what was typed
                key=rx.cond(is_back, "again" + S.problem, "leave"),
            ),
            custom_attrs={"data-reopen": rx.cond(is_back, "1", "")},
        ),
        title="Leave this account",
    )


PAGE = Page(
    route="/people",
    title="People",
    icon="users",
    draw=people,
    order=70,
    key="p",
    on_load=S.load,
    on_change=S.refresh,
    actions=_invite_action,
)
