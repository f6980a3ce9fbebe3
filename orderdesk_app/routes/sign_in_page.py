"""The sign-in page and the page of a sign-in link, as plain HTML."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from markupsafe import Markup
from starlette.responses import Response

from orderdesk_app.mail.addresses import MOST_CHARACTERS
from orderdesk_app.routes.html_pages import (
    callout,
    field_error,
    passkey_form,
    plain_page,
    with_opener,
)
from orderdesk_app.security.web import leads_to_consent, sign_up_address
from orderdesk_app.services.sign_in import LinkView

_KEY_FORM = Markup(
    '<form class="form" action="/sign-in/key" method="post">{notice}'
    '<input type="hidden" name="next" value="{wanted}">'
    '<div class="field"><label for="key">Key</label><div class="withbutton">'
    '<input class="input" id="key" name="key" type="password" required {autofocus}'
    'maxlength="512" placeholder="Master key, 64 characters" data-trim="1" spellcheck="false" '
    'autocapitalize="off" autocomplete="off" aria-invalid="{is_wrong}" '
    'aria-describedby="key-wrong">'
    '<button type="button" class="button" aria-label="Show or hide the key" '
    'aria-pressed="false" data-reveal="key">Show</button></div>{wrong}</div>'
    '<button type="submit" class="button primary full">Sign in</button></form>'
)
_MAIL_FORM = Markup(
    '<form class="form" action="/sign-in/mail" method="post">'
    '<input type="hidden" name="next" value="{wanted}">'
    '<div class="field"><label for="email">E-mail</label>'
    '<input class="input" id="email" name="email" type="email" required {autofocus}'
    'maxlength="{most}" placeholder="ada@example.com" value="{typed}" data-trim="1" '
    'spellcheck="false" autocapitalize="off" autocomplete="email" aria-invalid="{is_wrong}" '
    'aria-describedby="email-help email-wrong">{wrong}'
    '<span class="help" id="email-help">A link that signs you in once, to the verified address of '
    "your account.</span></div>"
    '<button type="submit" class="button full">E-mail me a link</button></form>'
)
_FROM_AN_APP = Markup(
    "<p>An app wants to connect to your account. Sign in first; then you choose what it may do.</p>"
)
_NEXT = Markup('<input type="hidden" name="next" value="{wanted}">')
_AUTOFOCUS = Markup("autofocus ")
_OTHER_WAYS = Markup(
    '<p class="dim small">No key at hand? In development the server prints a one-time link when '
    "it starts; an administrator makes one with <code>orderdesk signin-link</code>.</p>"
)
_SIGN_UP = Markup('<p class="small">New here? <a href="{address}">Create an account</a>.</p>')
_ASK = Markup(
    "<p>This link signs you in as <strong>{name}</strong>. It works once.</p>"
    # goes to the address that was opened, token and all: the server never sends the token
    '<form method="post"><input type="hidden" name="next" value="{wanted}">'
    '<button type="submit" class="button primary full">Sign in as {name}</button></form>'
)
_CHOOSE = Markup(
    "<p>You belong to several accounts. The link works once: choose the one to sign in to.</p>"
    '<form method="post" class="stack tight"><input type="hidden" name="next" value="{wanted}">'
    "{buttons}</form>"
)
_CHOICE = Markup(
    '<button type="submit" name="account" value="{id}" class="button full{look}">'
    '<span class="cut">{name}</span></button>'
)
_MAILED = (
    "If this address belongs to an account, a link is on its way to it. It works once, for 15 "
    "minutes. Nothing there after a minute? Look among spam, and check the address."
)


@dataclass(frozen=True, slots=True)
class SignInWays:
    """What the page offers besides the key."""

    has_passkeys: bool
    has_mail: bool
    has_sign_up: bool


def sign_in_page(
    wanted: str,
    *,
    notices: Mapping[str, Literal["green", "amber"]],
    ways: SignInWays,
    is_mailed: bool = False,
    wrong_key: str = "",
    wrong_email: str = "",
    typed_email: str = "",
    status: int = 200,
) -> Response:
    """`wanted` is the page to go to afterwards. What is wrong stands at the field that it is about;
    the other notices stand above the form.
    """
    next_page = "" if wanted == "/" else wanted
    shown = Markup().join(callout(words, tone=tone) for words, tone in notices.items())
    if is_mailed:
        shown += callout(_MAILED, tone="green")
    is_about_mail = bool(wrong_email)
    body = _FROM_AN_APP if leads_to_consent(wanted) else Markup()
    body += _KEY_FORM.format(
        notice=shown,
        wanted=next_page,
        autofocus=_focus(not is_about_mail),
        is_wrong="true" if wrong_key else "false",
        wrong=field_error("key", wrong_key),
    )
    if ways.has_passkeys:
        body += passkey_form(
            "get",
            action="/sign-in/passkey",
            options="/sign-in/passkey/options",
            label="Use a passkey",
            inside=_NEXT.format(wanted=next_page),
        )
    if ways.has_mail:
        body += _MAIL_FORM.format(
            wanted=next_page,
            autofocus=_focus(is_about_mail),
            most=MOST_CHARACTERS,
            typed=typed_email,
            is_wrong="true" if wrong_email else "false",
            wrong=field_error("email", wrong_email),
        )
    body += _OTHER_WAYS
    if ways.has_sign_up:
        body += _SIGN_UP.format(address=sign_up_address(wanted))
    heading = "Sign in to Order Desk agents"
    return with_opener(plain_page("Sign in", body, heading=heading, status=status), wanted)


def link_page(link: LinkView) -> Response:
    """Asks before the link is used up; whoever has several accounts chooses one."""
    first, *others = link.accounts
    if not others:
        return plain_page("Sign in", _ASK.format(name=first.name, wanted=link.next_page))
    buttons = Markup().join(
        _CHOICE.format(id=each.id, name=each.name, look=" primary" if each is first else "")
        for each in link.accounts
    )
    return plain_page("Sign in", _CHOOSE.format(buttons=buttons, wanted=link.next_page))


def _focus(is_here: bool) -> Markup:
    return _AUTOFOCUS if is_here else Markup()
