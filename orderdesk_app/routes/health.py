"""Health checks: is it alive, can it serve, and (for operators) the state of each part."""

import time
from dataclasses import asdict

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from orderdesk_app import __version__, wiring
from orderdesk_app.context import Actor, Scope
from orderdesk_app.db.engine import NO_ANSWER
from orderdesk_app.db.jobs import JobCounts
from orderdesk_app.errors import RateLimited
from orderdesk_app.orderdesk.proxy import proxy_for
from orderdesk_app.routes.request_middleware import ADDRESS
from orderdesk_app.security.web import wait_headers
from orderdesk_app.services.callers import Callers, open_to
from orderdesk_app.services.health import Checked

_STARTED = time.time()
_EVERYTHING = frozenset(
    {
        Scope.STORES_READ,
        Scope.STORES_MANAGE,
        Scope.ORDERS_READ,
        Scope.ORDERS_WRITE,
        Scope.ORDERS_DELETE,
        Scope.PRODUCTS_READ,
    }
)


@open_to(Callers.ANYBODY)
async def live(request: Request) -> Response:
    """200 while the process answers."""
    return JSONResponse({"status": "ok"})


@open_to(Callers.ANYBODY)
async def ready(request: Request) -> Response:
    """200 when database and cache really answer, else 503: `{"status", "checks": {"database",
    "cache"}}`, and in "checks" also "server" while it stops, and "schema" where the database is of
    another release.
    """
    checked = await wiring.current().health.check()
    return JSONResponse(
        {"status": _word(checked), "checks": checked.parts}, 200 if checked.is_fine else 503
    )


@open_to(Callers.ANYBODY)
async def summary(request: Request) -> Response:
    """As `ready`, with the version; for people and simple monitors."""
    checked = await wiring.current().health.check()
    return JSONResponse(
        {"status": _word(checked), "version": __version__, "checks": checked.parts},
        200 if checked.is_fine else 503,
    )


@open_to(Callers.OPERATORS)
async def detailed(request: Request) -> Response:
    """For operators, by session cookie or bearer key: each part with its time."""
    services = wiring.current()
    if not services.settings.enable_detailed_health:
        return JSONResponse({"error": "not_found"}, 404)
    try:
        actor = await services.actor_of_request(
            request.headers.get("authorization", ""),
            ";".join(request.headers.getlist("cookie")),
            address=request.scope.get(ADDRESS, ""),
        )
    except RateLimited as error:
        return JSONResponse(
            {"error": "too_many_requests", "message": error.message},
            error.http_status,
            wait_headers(error),
        )
    if actor is None:
        return JSONResponse(
            {
                "error": "unauthorized",
                "message": "Sign in as an admin, or send an admin's key as Authorization: Bearer.",
            },
            401,
            {"WWW-Authenticate": "Bearer"},
        )
    if not actor.is_operator:
        return JSONResponse({"error": "forbidden", "message": "This is for admins."}, 403)
    # a limited key, such as an agent's; a session reaches as far as a role in one account, and
    # operators are no owners of other accounts
    if actor.session_id is None and not _is_unlimited(actor):
        return JSONResponse(
            {
                "error": "forbidden",
                "message": (
                    "This is for admins: send the account's master key, or a key with every "
                    "permission."
                ),
            },
            403,
        )
    checked = await services.health.check()
    jobs = await _job_counts(services)
    proxy = proxy_for(services.settings.orderdesk_api_url)
    parts: dict[str, object] = {
        "status": _word(checked),
        "version": __version__,
        "checks": checked.parts,
        "check_seconds": round(checked.seconds, 4),
        "uptime_seconds": round(time.time() - _STARTED),
        "database": "sqlite" if services.database.is_sqlite else "postgres",
        "cache": services.settings.cache_backend,
        "environment": services.settings.app_env,
        "web_ui": services.settings.enable_webui,
        "proxy": asdict(proxy) if proxy else None,
        "mail": services.settings.email_provider,
        "jobs": asdict(jobs) if jobs else None,
    }
    return JSONResponse(parts, 200 if checked.is_fine else 503)


def _is_unlimited(actor: Actor) -> bool:
    """Whether a key may do what there is to do: keys that were made before a permission was added
    need not have that one.
    """
    return actor.store_ids is None and actor.scopes >= _EVERYTHING


async def _job_counts(services: wiring.Services) -> JobCounts | None:
    try:
        return await services.jobs.counts()
    except NO_ANSWER:  # the checks say that the database is away
        return None


def _word(checked: Checked) -> str:
    return "ok" if checked.is_fine else "unavailable"


ROUTES = [
    Route("/health", summary, methods=["GET"]),
    Route("/health/live", live, methods=["GET"]),
    Route("/health/ready", ready, methods=["GET"]),
    Route("/health/detailed", detailed, methods=["GET"]),
]
