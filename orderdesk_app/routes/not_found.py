"""The answers at an address that does not take the request's method, or that serves nothing."""

from collections.abc import Collection, Sequence

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Match, Route
from starlette.types import Scope

from orderdesk_app import wiring
from orderdesk_app.context import current_request
from orderdesk_app.routes.forms import redirect_to
from orderdesk_app.routes.html_pages import error_page, is_for_a_person, is_for_a_program
from orderdesk_app.routes.oauth import FOR_PROGRAMS
from orderdesk_app.routes.request_middleware import ADDRESS
from orderdesk_app.services.connections import Why

# A client is often given the address of the web app, or that of an older transport.
_FOR_AGENTS = "An MCP client connects to /mcp."


def methods_at(scope: Scope, routes: Sequence[Route]) -> frozenset[str]:
    """The methods that the routes at this address take; empty where there is no route."""
    return frozenset(
        method
        for route in routes
        if route.matches(scope)[0] is not Match.NONE
        for method in route.methods or ()
    )


def wrong_method(scope: Scope, taken: Collection[str]) -> Response:
    """For a person who opens a form's address: 303 to the page of that form. Else 405 with the
    methods that the address takes, as a page for a person and as JSON for a program.
    """
    request = Request(scope)
    is_person = is_for_a_person(scope)
    if is_person and request.method in ("GET", "HEAD") and request.url.path not in FOR_PROGRAMS:
        return redirect_to(_page_of(request.url.path))
    allowed = sorted(taken)
    words = f"This address takes {' or '.join(allowed)} alone."
    answer: Response
    if is_person:
        reference = current_request().request_id
        answer = error_page(405, "That cannot be done here", words, reference=reference)
    else:
        if scope["path"] == "/" and request.method == "POST":
            words = f"{words} {_FOR_AGENTS}"
        answer = JSONResponse({"error": "method_not_allowed", "message": words}, 405)
        _note_lost_program(scope)
    answer.headers["Allow"] = ", ".join(allowed)
    return answer


def not_found(scope: Scope) -> Response:
    """404, as a page for a person and as JSON for a program."""
    if not is_for_a_person(scope):
        words = f"Nothing is served at this address. {_FOR_AGENTS}"
        _note_lost_program(scope)
        return JSONResponse({"error": "not_found", "message": words}, 404)
    words = "The address may be mistyped, or the page was removed."
    return error_page(404, "There is no such page", words, reference=current_request().request_id)


def _note_lost_program(scope: Scope) -> None:
    """The page Connect tells a person that a client of theirs asks at a wrong address."""
    if scope["method"] == "POST" and is_for_a_program(scope):
        wiring.current().connections.note_refused(Why.WRONG_ADDRESS, scope.get(ADDRESS, ""))


def _page_of(form: str) -> str:
    """/stores for the form /stores/edit; / for a form of every page, such as /sign-out."""
    page = "/" + form.split("/")[1]
    return page if page != form else "/"
