"""The Reflex app: every page of `pages/` in its frame, behind the guard."""

import importlib
import pkgutil
from collections.abc import Callable
from typing import Any

import reflex as rx
from reflex.event import Event
from reflex.istate.manager.memory import StateManagerMemory
from reflex_base.utils.format import format_event_handler
from reflex_components_core.base.error_boundary import ErrorBoundary

from orderdesk_app import pages
from orderdesk_app.components.frame import Viewer, frame
from orderdesk_app.components.page import Page
from orderdesk_app.observability import ERRORS, WEB_EVENTS, log
from orderdesk_app.states.guard import Guard
from orderdesk_app.states.live import LIVE
from orderdesk_app.states.signed_in import Notices, PageLoad, SignedInState
from orderdesk_app.states.switcher import Switcher
from orderdesk_app.tools.catalogue import every_tool

# any browser can make these lines, so there are few in a minute (observability.py)
_LOG = log("reflex.event")


def every_page() -> list[Page]:
    """The pages, in the order of the menu."""
    found = [
        importlib.import_module(f"{pages.__name__}.{module.name}").PAGE
        for module in pkgutil.iter_modules(pages.__path__)
    ]
    return sorted(found, key=lambda page: (page.order, page.route))


def report_backend(exception: Exception) -> None:
    # Handlers answer for themselves (states/signed_in.py: handler). What arrives here is the
    # framework's, and a toast of its would need eval.
    ERRORS.labels("web").inc()
    _LOG.error("an event failed", exc_info=exception)


def report_frontend(exception: Exception) -> None:
    # no unexpected error: any browser can send one
    WEB_EVENTS.labels("browser_error").inc()
    # its text comes from outside and may hold anything
    _LOG.warning("a browser reported an error", size=len(str(exception)))


_BADGE = (0, "StickyBadge")  # the framework's own name for it in `app_wraps`


def _badge_in_a_landmark(has_state: bool) -> rx.Component | None:
    """The framework's badge as the foot of the page, as it stands outside every landmark; None
    where the operator has switched it off.
    """
    badge = app.app_wraps.get(_BADGE)
    return None if badge is None else rx.fragment(rx.el.footer(badge(has_state)))


app = rx.App(
    html_lang="en",
    stylesheets=["/look.css"],
    head_components=[
        rx.el.script(src="/ui.js", type="module"),
        rx.el.link(rel="icon", type="image/svg+xml", href="/logo.svg"),
    ],
    backend_exception_handler=report_backend,
    frontend_exception_handler=report_frontend,
    toaster=None,
    app_wraps={(55, "ErrorBoundary"): lambda _: ErrorBoundary.create()},
    extra_app_wraps={_BADGE: _badge_in_a_landmark},
)
app.add_middleware(Guard(), index=0)

_PAGES = every_page()
OPERATORS_PAGES = frozenset(page.route for page in _PAGES if page.is_for_operators)
_MENU = [page for page in _PAGES if page.section != "none"]
_TOOLS = [(tool.name, tool.title) for tool in every_tool()]
_SIGNED_IN_STATE: Any = (
    SignedInState  # on its class, a state's attributes are variables of the browser
)
_PAGE_LOAD: Any = PageLoad
_VIEWER = Viewer(
    name=_SIGNED_IN_STATE.name,
    is_operator=_SIGNED_IN_STATE.is_operator,
    form_token=_SIGNED_IN_STATE.form_token,
    notices=_SIGNED_IN_STATE.notices,
    server_time=_SIGNED_IN_STATE.server_time,
    dismiss=Notices.dismiss,
    stores=_SIGNED_IN_STATE.store_choices,
    active_store=_SIGNED_IN_STATE.active_store,
    choose_store=Switcher.choose_store,
    accounts=_SIGNED_IN_STATE.account_choices,
    account=_SIGNED_IN_STATE.account_id,
)


async def _send_event(tab: str, name: str, router_data: dict[str, Any]) -> Any:
    """Runs a handler in a tab. A state that expired is made again from the router data, by which
    the guard knows the session.
    """
    manager = app.state_manager
    assert isinstance(manager, StateManagerMemory), "rxconfig.py says so"
    is_kept = tab in manager.states
    event = Event(name=name, router_data={} if is_kept else dict(router_data))
    return await app.event_processor.enqueue(tab, event)


def _is_open(tab: str) -> bool:
    namespace = app.event_namespace
    return namespace is not None and tab in namespace.token_to_sid


LIVE.configure(
    {page.route: format_event_handler(page.on_change) for page in _PAGES if page.on_change},
    send=_send_event,
    is_open=_is_open,
    check=format_event_handler(_PAGE_LOAD.check_session),
    of_strangers=frozenset(
        format_event_handler(page.on_change) for page in _PAGES if page.hears_strangers
    ),
)


def _drawing(page: Page) -> Callable[[], rx.Component]:
    """Draws the page in its frame. A build draws; a server never does, and so keeps no drawing in
    its memory.
    """

    def draw() -> rx.Component:
        return frame(page, _MENU, _TOOLS, _VIEWER, page.draw())

    return draw


for _page in _PAGES:
    app.add_page(
        _drawing(_page),
        route=_page.route,
        title=f"{_page.title} · Order Desk agents",
        description="AI assistants and people work on Order Desk orders.",
        on_load=None
        if _page.is_public
        else [PageLoad.load_page, *([_page.on_load] if _page.on_load else [])],
    )
