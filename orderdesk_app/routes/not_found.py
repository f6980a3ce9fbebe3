"""What is said at an address that does not take a request's method, or that is nobody's."""

from collections.abc import Collection, Sequence

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Match, Route
from starlette.types import Scope

from orderdesk_app.context import current_request
from orderdesk_app.routes.forms import back
from orderdesk_app.routes.html_pages import error_page, is_for_a_person


def methods_at(scope: Scope, routes: Sequence[Route]) -> frozenset[str]:
    """The methods that the address takes; none where it is no route's."""
    return frozenset(
        method
        for route in routes
        if route.matches(scope)[0] is not Match.NONE
        for method in route.methods or ()
    )


def wrong_method(scope: Scope, taken: Collection[str]) -> Response:
    """Who opens a form's address is led to the page that the form stands on; a program is told what
    the address takes.
    """
    request = Request(scope)
    if request.method in ("GET", "HEAD") and is_for_a_person(scope):
        return back(_page_of(request.url.path))
    allowed = sorted(taken)
    return JSONResponse(
        {
            "error": "method_not_allowed",
            "message": f"This address takes {' or '.join(allowed)} alone.",
        },
        405,
        {"Allow": ", ".join(allowed)},
    )


def no_slash(address: str) -> Response:
    """For programs that were given our endpoint's address with a slash at its end."""
    return JSONResponse(
        {"error": "not_found", "message": f"The address is {address}, without a slash at its end."},
        404,
    )


def not_found(scope: Scope) -> Response:
    """A page for a person, JSON for a program."""
    if not is_for_a_person(scope):
        return JSONResponse(
            {"error": "not_found", "message": "Nothing is served at this address."}, 404
        )
    words = "The address may be mistyped, or what stood here is gone."
    return error_page(404, "There is no such page", words, reference=current_request().request_id)


def _page_of(form: str) -> str:
    """/stores/edit stands on /stores; what has no page above it stands on all of them."""
    page = "/" + form.split("/")[1]
    return page if page != form else "/"
