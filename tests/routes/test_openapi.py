"""The OpenAPI document says what the routes say."""

import inspect
import json
import re
from types import ModuleType
from typing import Any

import pytest

from orderdesk_app.documents import OPENAPI, ROOT
from orderdesk_app.routes import every_route, oauth_tokens
from orderdesk_app.routes.forms import FormKind, form_kind
from orderdesk_app.routes.openapi import openapi
from orderdesk_app.services import oauth_authorization
from orderdesk_app.services.callers import Callers, allowed_callers
from tests.web.browser_session import Web


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return json.loads((ROOT / OPENAPI).read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def test_every_route_is_in_the_file(document: dict[str, Any]) -> None:
    assert document == openapi(every_route()), "run `make docs`"
    assert set(document["paths"]) == {route.path_format for route in every_route()}


def test_every_operation_has_a_name_of_its_own(document: dict[str, Any]) -> None:
    names = [
        operation["operationId"]
        for path in document["paths"].values()
        for operation in path.values()
    ]

    assert len(set(names)) == len(names)


def test_who_may_call_is_what_stands_beside_the_route(document: dict[str, Any]) -> None:
    for route in every_route():
        for operation in document["paths"][route.path_format].values():
            is_open = allowed_callers(route.endpoint) is Callers.ANYBODY
            assert (operation["security"] == []) is is_open or len(
                document["paths"][route.path_format]
            ) > 1


def test_each_form_names_its_fields_and_its_token(document: dict[str, Any]) -> None:
    for route in every_route():
        kind = form_kind(route.endpoint)
        if kind is None:
            continue
        body = document["paths"][route.path_format]["post"]["requestBody"]["content"]
        schema = body["application/x-www-form-urlencoded"]["schema"]
        assert (schema.get("required") == ["form_token"]) is (kind is FormKind.OF_A_SESSION)
    sign_in = document["paths"]["/sign-in/key"]["post"]["requestBody"]["content"]
    assert {"key", "next"} <= set(
        sign_in["application/x-www-form-urlencoded"]["schema"]["properties"]
    )


def test_what_services_read_of_a_request_of_oauth_is_in_it(document: dict[str, Any]) -> None:
    """The fuzz of tests/attacks sends what is in the document."""
    query = {found["name"] for found in document["paths"]["/authorize"]["get"]["parameters"]}
    forms = {
        path: set(
            document["paths"][path]["post"]["requestBody"]["content"][
                "application/x-www-form-urlencoded"
            ]["schema"]["properties"]
        )
        for path in ("/token", "/revoke")
    }
    read = _read_in(oauth_authorization, r"_one\(given, \"(\w+)\"|\"(\w+)\" in given")
    needed = _read_in(oauth_tokens, r"_required\(form, \"(\w+)\"")

    assert read | {"redirect_uri", "resource"} == query
    assert needed <= forms["/token"] | forms["/revoke"]
    assert all({"client_id", "client_secret"} <= fields for fields in forms.values())


def _read_in(module: ModuleType, pattern: str) -> set[str]:
    found = re.findall(pattern, inspect.getsource(module))
    return {"".join(names) if isinstance(names, tuple) else names for names in found}


def test_every_post_says_its_body(document: dict[str, Any]) -> None:
    without = [
        path
        for path, operations in document["paths"].items()
        if "post" in operations and "requestBody" not in operations["post"]
    ]

    assert [path for path in without if path not in ("/metrics",)] == []


def test_development_serves_it_and_production_does_not(
    web: Web, document: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    served = web.client.get("/openapi.json")
    production = web.services.settings.model_copy(update={"app_env": "production"})
    monkeypatch.setattr(web.services, "settings", production)
    hidden = web.client.get("/openapi.json")

    assert served.json() == document
    assert hidden.status_code == 404
