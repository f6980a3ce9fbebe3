"""Small pages without the framework, in the same look: for what is shown once, and for questions
before sign-in.
"""

from typing import Literal, TypeVar

from markupsafe import Markup
from starlette.responses import HTMLResponse, Response
from starlette.types import Scope

from orderdesk_app.errors import OrderDeskAgentsError
from orderdesk_app.security.web import leads_to_consent, wait_headers

ResponseT = TypeVar("ResponseT", bound=Response)

_PAGE = Markup(
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" '
    'content="width=device-width, initial-scale=1">'
    '<meta name="robots" content="noindex"><title>{title} · Order Desk agents</title><link '
    'rel="icon" type="image/svg+xml" href="/logo.svg">'
    '<link rel="stylesheet" href="/look.css"><script type="module" '
    'src="/ui.js"></script></head>'
    '<body><div class="alone{wide}"><main><div class="panel stack">'
    '<div class="row"><img src="/logo.svg" alt="" width="32" '
    'height="32"><h1>{heading}</h1></div>{body}</div></main></div></body></html>'
)
_ERROR = Markup(
    '<p>{words}</p><div class="row"><a class="button primary" '
    'href="{href}">{label}</a></div>{reference}'
)
# of lucide (ISC licence), which draws the icons of the other pages too
_CIRCLE_CHECK = Markup('<circle cx="12" cy="12" r="10"/><path d="m9 12 2 2 4-4"/>')
_TRIANGLE_ALERT = Markup(
    '<path d="m21.73 18-8-14a2 2 0 0 0-3.48 0l-8 14A2 2 0 0 0 4 21h16a2 2 0 0 0 1.73-3"/>'
    '<path d="M12 9v4"/><path d="M12 17h.01"/>'
)
_FINGERPRINT = Markup(
    '<path d="M12 10a2 2 0 0 0-2 2c0 1.02-.1 2.51-.26 4"/>'
    '<path d="M14 13.12c0 2.38 0 6.38-1 8.88"/><path d="M17.29 21.02c.12-.6.43-2.3.5-3.02"/>'
    '<path d="M2 12a10 10 0 0 1 18-6"/><path d="M2 16h.01"/>'
    '<path d="M21.8 16c.2-2 .131-5.354 0-6"/>'
    '<path d="M5 19.5C5.5 18 6 15 6 12a6 6 0 0 1 .34-2"/><path d="M8.65 22c.21-.66.45-1.32.57-2"/>'
    '<path d="M9 6.8a6 6 0 0 1 9 5.2v2"/>'
)
_FIELD_ERROR = Markup('<span class="wrong" id="{field}-wrong" role="alert">{words}</span>')
_REFERENCE = Markup('<p class="dim small">Reference: <code>{reference}</code></p>')


def is_for_a_person(scope: Scope) -> bool:
    """Whether a browser asks for something to look at; a program is answered in JSON."""
    return "text/html" in _media_types(scope, b"accept") and not is_for_a_program(scope)


def is_for_a_program(scope: Scope) -> bool:
    """Whether the request says that it comes from a program: it accepts JSON or has a JSON body."""
    named = _media_types(scope, b"accept") | _media_types(scope, b"content-type")
    return any(kind == "application/json" or kind.endswith("+json") for kind in named)


def _media_types(scope: Scope, header: bytes) -> frozenset[str]:
    """The media types in a header, without their parameters."""
    given = b",".join(value for name, value in scope["headers"] if name == header)
    return frozenset(
        kind.partition(";")[0].strip() for kind in given.decode("latin-1").lower().split(",")
    )


def plain_page(
    title: str, body: Markup, *, heading: str = "", status: int = 200, wide: bool = False
) -> HTMLResponse:
    """A whole page that no browser and no proxy caches. Its heading is its title, if no other is
    given.
    """
    return HTMLResponse(
        _PAGE.format(
            title=title, heading=heading or title, body=body, wide=" wide" if wide else ""
        ),
        status,
        {"Cache-Control": "no-store"},
    )


def error_page(
    status: int,
    title: str,
    words: str,
    *,
    href: str = "/",
    label: str = "Home",
    reference: str = "",
) -> HTMLResponse:
    """A page that says what happened and where to go, with the reference of the request."""
    shown = _REFERENCE.format(reference=reference) if reference else ""
    return plain_page(
        title, _ERROR.format(words=words, href=href, label=label, reference=shown), status=status
    )


def with_wait(response: ResponseT, error: OrderDeskAgentsError | None) -> ResponseT:
    """The response with the headers that say how long to wait, where the error says it."""
    if error is not None:
        response.headers.update(wait_headers(error))
    return response


def with_opener(response: ResponseT, address: str) -> ResponseT:
    """The response, which leaves the window that an app has opened for a consent joined to that
    app's page: many are told the end by it. `address` is the page's, or where the response leads.
    """
    if leads_to_consent(address):
        response.headers["Cross-Origin-Opener-Policy"] = "unsafe-none"
    return response


def callout(words: str, *, tone: Literal["green", "amber"]) -> Markup:
    """A sentence above a form: something went well, or did not."""
    role, shape = ("status", _CIRCLE_CHECK) if tone == "green" else ("alert", _TRIANGLE_ALERT)
    return Markup(
        '<div class="callout {tone}" role="{role}"><svg aria-hidden="true" viewBox="0 0 24 24" '
        'fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" '
        'stroke-linejoin="round">{shape}</svg><div class="grow">{words}</div></div>'
    ).format(tone=tone, role=role, shape=shape, words=words)


def field_error(field: str, words: str) -> Markup:
    """What is wrong with the input of that id, to be shown below it; nothing without words."""
    return _FIELD_ERROR.format(field=field, words=words) if words else Markup()


def copyable(
    identity: str, text: str, label: str, *, words: str = "", download: str = ""
) -> Markup:
    """A block of text with a button that copies it, and what to do with it; with the name of a file
    one more that saves it.
    """
    saves = Markup(
        '<button type="button" class="button small" data-download="{identity}" '
        'data-file="{file}">Download</button>'
    ).format(identity=identity, file=download)
    told = Markup('<p class="dim small">{words}</p>').format(words=words) if words else Markup()
    return Markup(
        '<div class="stack tight"><div class="row apart"><h2>{label}</h2>'
        '<div class="row"><button type="button" class="button small" data-copy="{identity}"><span '
        "data-copy-label>Copy</span></button>{saves}</div></div>{told}"
        '<pre class="code" id="{identity}" tabindex="0" aria-label="{label}">{text}</pre></div>'
    ).format(
        identity=identity,
        text=text,
        label=label,
        told=told,
        saves=saves if download else Markup(),
    )


def passkey_form(
    act: Literal["create", "get"],
    *,
    action: str,
    options: str,
    label: str,
    inside: Markup,
    is_primary: bool = False,
) -> Markup:
    """A form that asks the authenticator before it is sent (assets/ui/passkeys.js). The script
    shows it where the browser knows passkeys. `options` is where the question is asked for.
    """
    return Markup(
        '<form class="form" action="{action}" method="post" data-passkey="{act}" '
        'data-question="{options}" hidden>{inside}'
        '<input type="hidden" name="credential">'
        '<div class="field" data-passkey-wrong hidden><span class="wrong"></span>'
        '</div><button type="submit" class="button{primary} full">'
        '<svg aria-hidden="true" viewBox="0 0 24 24" width="16" height="16" fill="none" '
        'stroke="currentColor" stroke-width="2" stroke-linecap="round" stroke-linejoin="round">'
        "{shape}</svg>{label}</button></form>"
    ).format(
        action=action,
        act=act,
        options=options,
        inside=inside,
        primary=" primary" if is_primary else "",
        shape=_FINGERPRINT,
        label=label,
    )
