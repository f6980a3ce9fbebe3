"""`/metrics` in the Prometheus text format."""

from hmac import compare_digest

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from orderdesk_app import wiring
from orderdesk_app.observability import metrics_text
from orderdesk_app.services.callers import Callers, open_to

_READ = ("GET", "HEAD")


@open_to(Callers.ANYBODY)
async def metrics(request: Request) -> Response:
    """Open in development; in production only for METRICS_TOKEN as bearer, and 404 without one set
    or sent.
    """
    settings = wiring.current().settings
    token = settings.metrics_token.get_secret_value()
    if not settings.enable_metrics:
        return JSONResponse({"error": "not_found"}, 404)
    if settings.is_production or token:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if (
            not token
            or scheme.lower() != "bearer"
            or not compare_digest(given.strip().encode(), token.encode())
        ):
            return JSONResponse({"error": "not_found"}, 404)
    if request.method not in _READ:  # checked last: without the token the answer is always 404
        return JSONResponse(
            {"error": "method_not_allowed", "message": "Metrics are read with GET."},
            405,
            {"Allow": ", ".join(_READ)},
        )
    await wiring.current().saturation.measure()
    return Response(metrics_text(), media_type="text/plain; version=0.0.4; charset=utf-8")


ROUTES = [Route("/metrics", metrics, methods=[*_READ, "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])]
