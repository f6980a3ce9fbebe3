"""Is it alive, can it serve, and (for admins) how is each part."""

import asyncio
import time
from collections.abc import Awaitable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from orderdesk_app import __version__, wiring
from orderdesk_app.cache.store import Cache
from orderdesk_app.observability import log

_LOG = log(__name__)
_STARTED = time.time()
_SECONDS = 3.0


async def live(request: Request) -> Response:
    """200 while the process answers."""
    return JSONResponse({"status": "ok"})


async def ready(request: Request) -> Response:
    """200 when database and cache really answer, else 503: `{"status", "checks": {"database", "cache"}}`."""
    checks = await _checks()
    fine = all(value == "ok" for value in checks.values())
    return JSONResponse({"status": "ok" if fine else "unavailable", "checks": checks}, 200 if fine else 503)


async def summary(request: Request) -> Response:
    """The one for people and simple monitors: as ready, with the version."""
    checks = await _checks()
    fine = all(value == "ok" for value in checks.values())
    return JSONResponse({"status": "ok" if fine else "unavailable", "version": __version__, "checks": checks}, 200 if fine else 503)


async def detailed(request: Request) -> Response:
    """For admins, by session cookie or bearer key: each part with its time."""
    house = wiring.current()
    if not house.settings.enable_detailed_health:
        return JSONResponse({"error": "not_found"}, 404)
    actor = await house.who_is(request.headers.get("authorization", ""), request.headers.get("cookie", ""))
    if actor is None:
        return JSONResponse(
            {"error": "unauthorized", "message": "Sign in as an admin, or send an admin's key as Authorization: Bearer."}, 401, {"WWW-Authenticate": "Bearer"}
        )
    if not actor.is_admin:
        return JSONResponse({"error": "forbidden", "message": "This is for admins."}, 403)
    started = time.perf_counter()
    checks = await _checks()
    parts: dict[str, Any] = {
        "status": "ok" if all(value == "ok" for value in checks.values()) else "unavailable",
        "version": __version__,
        "checks": checks,
        "check_seconds": round(time.perf_counter() - started, 4),
        "uptime_seconds": round(time.time() - _STARTED),
        "database": "sqlite" if house.database.is_sqlite else "postgres",
        "cache": house.settings.cache_backend,
        "environment": house.settings.app_env,
        "web_ui": house.settings.enable_webui,
    }
    return JSONResponse(parts, 200 if parts["status"] == "ok" else 503)


async def _checks() -> dict[str, str]:
    house = wiring.current()
    database, cache = await asyncio.gather(_try(house.database.ping()), _try(_use(house.cache)))
    return {"database": database, "cache": cache}


async def _use(cache: Cache) -> None:
    """A cache works when it gives back what it was given."""
    await cache.ping()
    await cache.put("health", b"kept", 10, ())
    if await cache.get("health") != b"kept":
        raise LookupError


async def _try(part: Awaitable[None]) -> str:
    try:
        async with asyncio.timeout(_SECONDS):
            await part
    except Exception as error:
        _LOG.error("a part does not answer", exc_info=error)
        return "unavailable"
    return "ok"


ROUTES = [
    Route("/health", summary, methods=["GET"]),
    Route("/health/live", live, methods=["GET"]),
    Route("/health/ready", ready, methods=["GET"]),
    Route("/health/detailed", detailed, methods=["GET"]),
]
