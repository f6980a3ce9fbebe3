"""The plain HTTP routes as an OpenAPI 3.1 document, made of what stands beside each route: its
methods, `@open_to`, its form, and what its endpoint reads.
"""

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from orderdesk_app import __version__, wiring
from orderdesk_app.context import Json, JsonObject
from orderdesk_app.routes.consent import show as show_consent
from orderdesk_app.routes.forms import FormKind, form_kind
from orderdesk_app.routes.not_found import not_found
from orderdesk_app.routes.oauth_registration import METADATA, register
from orderdesk_app.routes.oauth_tokens import revoke, token
from orderdesk_app.services.callers import Callers, allowed_callers, open_to
from orderdesk_app.services.roles import Permission
from orderdesk_app.services.sessions import COOKIE

_FORM_TYPE = "application/x-www-form-urlencoded"
_IN_FORM = re.compile(r"""\b(?:form|fields)(?:\.get\(|\[)\s*["'](\w+)["']""")
_IN_QUERY = re.compile(r"""\b(?:query_params|query)(?:\.get\(|\[)\s*["'](\w+)["']""")
_TEXT: JsonObject = {"type": "string"}
# What services read of the requests of OAuth (RFC 6749, 7009, 7636, 8707); the module of the route
# does not name it.
_CLIENT = ("client_id", "client_secret")
_BY_SERVICES: Mapping[Callable[..., Any], tuple[str, ...]] = {
    show_consent: (
        "client_id",
        "code_challenge",
        "code_challenge_method",
        "prompt",
        "redirect_uri",
        "request",
        "request_uri",
        "resource",
        "response_mode",
        "response_type",
        "scope",
        "state",
    ),
    token: (*_CLIENT, "code", "code_verifier", "refresh_token"),
    revoke: (*_CLIENT, "token"),
}
_REFUSED: JsonObject = {
    "description": "Refused: a page, or JSON for programs.",
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "properties": {"error": {"type": "string"}, "message": {"type": "string"}},
                "required": ["error"],
            }
        },
        "text/html": {},
    },
}
_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})  # HEAD is a GET without a body
_CALLERS = {
    Callers.ANYBODY: "Anybody.",
    Callers.SIGNED_IN: "People who are signed in.",
    Callers.OPERATORS: "Operators; to others it is not there.",
}


def openapi(routes: Iterable[Route]) -> JsonObject:
    """The document of these routes, by path."""
    paths: dict[str, JsonObject] = {}
    for route in routes:
        for method in sorted(_METHODS & set(route.methods or ())):
            paths.setdefault(route.path_format, {})[method.lower()] = _operation(route, method)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Order Desk agents: plain HTTP",
            "version": __version__,
            "description": (
                "Forms, downloads, health and metrics. Agents use /mcp (docs/mcp.md). "
                "docs/http.md says what each address is for."
            ),
        },
        "paths": dict(sorted(paths.items())),
        "components": {
            "responses": {"Refused": dict(_REFUSED)},
            "securitySchemes": {"session": {"type": "apiKey", "in": "cookie", "name": COOKIE}},
        },
    }


@open_to(Callers.ANYBODY)
async def show(request: Request) -> Response:
    """This document, in development."""
    if wiring.current().settings.is_production:
        return not_found(request.scope)
    return JSONResponse(openapi(request.scope["router"].routes))


def _operation(route: Route, method: str) -> JsonObject:
    endpoint = route.endpoint
    allowed = allowed_callers(endpoint)
    kind = form_kind(endpoint) if method == "POST" else None
    made: JsonObject = {
        "operationId": re.sub(r"\W+", "_", f"{method.lower()}{route.path_format}"),
        "tags": [_module_of(endpoint)],
        "summary": _summary(endpoint),
        "description": _words(allowed),
        "parameters": list(_parameters(route)),
        "responses": _responses(kind),
        "security": [] if allowed is Callers.ANYBODY else [{"session": []}],
    }
    if kind is not None:
        made["requestBody"] = _body(endpoint, kind)
    if endpoint is register:
        content: JsonObject = {"application/json": {"schema": METADATA}}
        made["requestBody"] = {"required": True, "content": content}
        made["responses"] = {"201": {"description": "Registered."}, **_responses(kind)}
    return made


def _module_of(endpoint: Callable[..., Any]) -> str:
    return str(inspect.unwrap(endpoint).__module__).rpartition(".")[2]


def _summary(endpoint: Callable[..., Any]) -> str:
    words = " ".join((endpoint.__doc__ or endpoint.__name__.replace("_", " ")).split())
    first = str(re.split(r"(?<=\w)[.;:] ", words)[0])
    return first[:1].upper() + first[1:].rstrip(".")


def _words(allowed: Callers | Permission | None) -> str:
    if isinstance(allowed, Permission):
        return f"People with the permission {allowed.value}."
    return _CALLERS[allowed or Callers.SIGNED_IN]


def _parameters(route: Route) -> Iterator[Json]:
    for name in route.param_convertors:
        yield {"name": name, "in": "path", "required": True, "schema": {**_TEXT, "minLength": 1}}
    more = () if form_kind(route.endpoint) else _BY_SERVICES.get(route.endpoint, ())
    for name in sorted({*_read_by(route.endpoint, _IN_QUERY), *more}):
        yield {"name": name, "in": "query", "schema": dict(_TEXT)}


def _body(endpoint: Callable[..., Any], kind: FormKind) -> JsonObject:
    read = {*_read_by(endpoint, _IN_FORM), *_BY_SERVICES.get(endpoint, ())}
    names = sorted(read - {"form_token"})
    properties: JsonObject = {name: dict(_TEXT) for name in names}
    schema: JsonObject = {
        "type": "object",
        "properties": properties,
        "additionalProperties": dict(_TEXT),  # not read
    }
    if kind is FormKind.OF_A_SESSION:
        properties["form_token"] = dict(_TEXT)
        schema["required"] = ["form_token"]
    return {"required": True, "content": {_FORM_TYPE: {"schema": schema}}}


def _responses(kind: FormKind | None) -> JsonObject:
    """A page, a redirect to one, or a refusal in JSON for programs."""
    answers: JsonObject = {
        "200": {"description": "What was asked for."},
        "303": {"description": "Leads to a page."},
        "default": {"$ref": "#/components/responses/Refused"},
    }
    if kind is not None:
        answers["403"] = {
            "description": "From another site, without the form's token, or no right."
        }
    return answers


@cache
def _read_by(endpoint: Callable[..., Any], pattern: re.Pattern[str]) -> tuple[str, ...]:
    """The names that an endpoint reads, with the functions of its module that it calls."""
    function = inspect.unwrap(endpoint)
    module = inspect.getmodule(function)
    found: set[str] = set()
    seen: set[object] = set()
    waiting = [function]
    while waiting:
        current = waiting.pop()
        if current in seen:
            continue
        seen.add(current)
        found.update(pattern.findall(inspect.getsource(current)))
        called = [getattr(module, name, None) for name in current.__code__.co_names]
        waiting += [
            inspect.unwrap(each)
            for each in called
            if inspect.isfunction(each) and inspect.getmodule(each) is module
        ]
    return tuple(sorted(found))


ROUTES = [Route("/openapi.json", show)]
