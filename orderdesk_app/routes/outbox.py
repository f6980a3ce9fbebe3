"""The mails that a development machine would have sent, for the developer, who is not signed in.

Only there, only with EMAIL_PROVIDER=console, and only for this machine: the mails hold links that
sign in. Development answers for loopback hosts alone (setting_rules.py, request_middleware.py).
"""

from ipaddress import ip_address

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from orderdesk_app import wiring
from orderdesk_app.mail.addresses import readable
from orderdesk_app.mail.message import Mail
from orderdesk_app.mail.outbox import KEPT, OutboxSender
from orderdesk_app.routes.forms import client_address
from orderdesk_app.routes.html_pages import plain_page
from orderdesk_app.routes.not_found import not_found
from orderdesk_app.services.callers import Callers, open_to

_EMPTY = Markup(
    "<p>No mail yet. What this server would send is shown here, and printed where it was started: "
    "EMAIL_PROVIDER is console. Sign up or invite somebody, then reload.</p>"
)
_LIST = Markup(
    '<p class="dim">The last {most} mails since the start, the newest first. Nothing is sent: '
    "EMAIL_PROVIDER is console.</p>"
    '<ul class="stack">{rows}</ul>'
)
_ROW = Markup(
    '<li><a href="/outbox/{id}">{subject}</a><div class="dim small">to {to}, '
    '<time datetime="{at}">{clock} UTC</time></div></li>'
)
_MAIL = Markup(
    '<p class="dim">To {to}, <time datetime="{at}">{clock} UTC</time></p>'
    '<iframe title="The mail as HTML" src="/outbox/{id}/html" '
    'sandbox="allow-popups allow-popups-to-escape-sandbox '
    'allow-top-navigation-by-user-activation"></iframe>'
    '<h2>As text</h2><pre class="code" tabindex="0" aria-label="The mail as text">{text}</pre>'
    '<div class="row"><a class="button" href="/outbox">All mails</a></div>'
)
# Nothing of the mail runs or is loaded; its links leave the frame.
_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; "
    "frame-ancestors 'self'; sandbox allow-popups allow-popups-to-escape-sandbox "
    "allow-top-navigation-by-user-activation"
)
_BASE = '<head><base target="_top">'


@open_to(Callers.ANYBODY)
async def show_mails(request: Request) -> Response:
    sender = _outbox(request)
    if sender is None:
        return not_found(request.scope)
    rows = Markup().join(_ROW.format(**_values(mail)) for mail in reversed(sender.mails))
    return plain_page("Outbox", _LIST.format(most=KEPT, rows=rows) if rows else _EMPTY, wide=True)


@open_to(Callers.ANYBODY)
async def show_mail(request: Request) -> Response:
    mail = _mail(request)
    if mail is None:
        return not_found(request.scope)
    return plain_page(mail.subject, _MAIL.format(**_values(mail), text=mail.text), wide=True)


@open_to(Callers.ANYBODY)
async def show_html(request: Request) -> Response:
    """The mail itself, in a sandbox of its own also where it is opened alone."""
    mail = _mail(request)
    if mail is None:
        return not_found(request.scope)
    headers = {
        "Content-Security-Policy": _POLICY,
        "X-Frame-Options": "SAMEORIGIN",
        "Cache-Control": "no-store",
    }
    return HTMLResponse(mail.html.replace("<head>", _BASE, 1), headers=headers)


def _outbox(request: Request) -> OutboxSender | None:
    services = wiring.current()
    sender = services.mail_sender
    is_shown = not services.settings.is_production and _is_here(client_address(request))
    return sender if is_shown and isinstance(sender, OutboxSender) else None


def _is_here(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False


def _mail(request: Request) -> Mail | None:
    sender = _outbox(request)
    wanted = request.path_params["mail_id"]
    return next((mail for mail in sender.mails if mail.id == wanted), None) if sender else None


def _values(mail: Mail) -> dict[str, str]:
    return {
        "id": mail.id,
        "to": readable(mail.to),
        "subject": mail.subject,
        "at": mail.at.isoformat(),
        "clock": f"{mail.at:%d %B, %H:%M:%S}".lstrip("0"),
    }


ROUTES = [
    Route("/outbox", show_mails, methods=["GET"]),
    Route("/outbox/{mail_id}", show_mail, methods=["GET"]),
    Route("/outbox/{mail_id}/html", show_html, methods=["GET"]),
]
