"""Addresses of the older system, in bookmarks and mails: each leads to the page of that name."""

import re
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from orderdesk_app.security.web import own_page
from orderdesk_app.services.callers import Callers, open_to

PAGES = {
    "signup": "/sign-up",
    "login": "/sign-in",
    "users": "/users",
    "stores": "/stores",
    "console": "/console",
    "settings": "/settings",
}
_TOKEN = re.compile(r"[\w.-]{1,400}", re.ASCII)


@open_to(Callers.ANYBODY)
async def old_page(request: Request) -> Response:
    """The page of that name with the query, where it can be one of ours; else Home."""
    name = request.url.path.removeprefix("/webui").strip("/")
    page = PAGES.get(name, "/")
    query = request.url.query
    wanted = f"{page}?{query}" if query and page != "/" else page
    return RedirectResponse(wanted if own_page(wanted) == wanted else page, 307)


@open_to(Callers.ANYBODY)
async def old_link(request: Request) -> Response:
    """A mailed link: the page says whether it is known, and what to do."""
    token = request.path_params["token"]
    query = urlencode({"token": token}) if _TOKEN.fullmatch(token) else ""
    return RedirectResponse(f"/verify?{query}" if query else "/sign-up", 307)


ROUTES = [
    Route("/signup", old_page, methods=["GET"]),
    Route("/webui", old_page, methods=["GET"]),
    Route("/webui/verify/{token}", old_link, methods=["GET"]),
    Route("/webui/{name:path}", old_page, methods=["GET"]),
]
