"""Small pages without the framework, in the same look: for what is shown once, and for questions
before sign-in.
"""

from markupsafe import Markup
from starlette.responses import HTMLResponse
from starlette.types import Scope

_PAGE = Markup(
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" '
    'content="width=device-width, initial-scale=1">'
    '<meta name="robots" content="noindex"><title>{title} · Order Desk agents</title><link '
    'rel="icon" type="image/svg+xml" href="/logo.svg">'
    '<link rel="stylesheet" href="/look.css"><script type="module" '
    'src="/ui.js"></script></head>'
    '<body><div class="alone{wide}"><main><div class="panel stack">'
    '<div class="row"><img src="/logo.svg" alt="" width="32" '
    'height="32"><h1>{title}</h1></div>{body}</div></main></div></body></html>'
)
_ERROR = Markup(
    '<p>{words}</p><div class="row"><a class="button primary" '
    'href="{href}">{label}</a></div>{reference}'
)
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


def plain_page(title: str, body: Markup, *, status: int = 200, wide: bool = False) -> HTMLResponse:
    """A whole page that no browser and no proxy caches."""
    return HTMLResponse(
        _PAGE.format(title=title, body=body, wide=" wide" if wide else ""),
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


def copyable(identity: str, text: str, label: str) -> Markup:
    """A block of text with a button that copies it."""
    return Markup(
        '<div class="stack tight"><div class="row apart"><h2>{label}</h2>'
        '<button type="button" class="button small" data-copy="{identity}"><span '
        "data-copy-label>Copy</span></button></div>"
        '<pre class="code" id="{identity}" tabindex="0" aria-label="{label}">{text}</pre></div>'
    ).format(identity=identity, text=text, label=label)
