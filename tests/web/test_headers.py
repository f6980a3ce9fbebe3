"""What stands on every answer, and who gets a page."""

import base64
import hashlib
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from orderdesk_app.frontend import Frontend
from orderdesk_app.routes.headers import SecurityHeaders, content_policy
from orderdesk_app.routes.pages import PageGate
from orderdesk_app.services.sessions import COOKIE
from tests.web.browser_session import BrowserSession, Web

INLINE = "document.title='x'"


@pytest.fixture
def built(tmp_path: Path) -> Frontend:
    """A built frontend, as small as can be."""
    client = tmp_path / ".web" / "build" / "client"
    (client / "stores").mkdir(parents=True)
    (client / "sign-in").mkdir()
    for page in ("index.html", "stores/index.html", "sign-in/index.html", "404.html"):
        (client / page).write_text(f'<script>{INLINE}</script><script src="/ui.js"></script>')
    return Frontend(tmp_path)


async def told(scope: Scope, receive: Receive, send: Send) -> None:
    """Says which path arrived."""
    await PlainTextResponse(scope["path"])(scope, receive, send)


def browser(app: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost")


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/health/live",
        "/sign-in/link?token=x",
        "/nowhere",
        "/webui",
        "/mcp",
        "/metrics",
        "/_event/",
    ],
)
def test_every_answer_carries_the_policy(web: Web, path: str) -> None:
    headers = web.client.get(path).headers

    assert "default-src 'self'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["x-request-id"]


def test_a_refusal_carries_the_policy_too(web: Web) -> None:
    refused = [
        web.client.get("/", headers={"host": "evil.example"}),
        web.client.get("/", headers={"origin": "https://evil.example"}),
    ]

    assert [answer.status_code for answer in refused] == [421, 403]
    for answer in refused:
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-request-id"]


def test_no_script_may_stand_inline_or_be_made_of_text(built: Frontend) -> None:
    policy = content_policy(built.script_hashes())
    scripts = next(part for part in policy.split("; ") if part.startswith("script-src"))

    assert "unsafe" not in scripts
    assert (
        f"'sha256-{base64.b64encode(hashlib.sha256(INLINE.encode()).digest()).decode()}'" in scripts
    )
    assert "http" not in policy
    assert "frame-ancestors 'none'" in policy


async def test_what_has_its_hash_in_its_name_is_kept_and_the_rest_is_asked_for_anew() -> None:
    async with browser(SecurityHeaders(told)) as client:
        kept = {
            path: (await client.get(path)).headers["cache-control"]
            for path in ("/assets/page-1a2b.js", "/ui.js", "/stores")
        }

    assert kept == {
        "/assets/page-1a2b.js": "public, max-age=31536000, immutable",
        "/ui.js": "no-cache",
        "/stores": "no-store",
    }


@pytest.mark.parametrize(
    "path",
    ["/x.css", "/account/x.js", "/assets/none.js", "/webui/verify/a.js", "/webui/x.css?token=a"],
)
def test_what_is_no_file_is_not_kept_for_its_name(web: Web, path: str) -> None:
    answers = [web.client.request(method, path) for method in ("GET", "HEAD", "POST")]

    assert {answer.headers["cache-control"] for answer in answers} == {"no-store"}


async def test_https_is_kept_where_it_is_served() -> None:
    async with (
        browser(SecurityHeaders(told, is_https=True)) as secure,
        browser(SecurityHeaders(told, is_https=True, is_production=True)) as live,
        browser(SecurityHeaders(told)) as plain,
    ):
        name, always = "strict-transport-security", "max-age=31536000"
        assert (await secure.get("/")).headers[name] == always
        assert (await live.get("/")).headers[name] == f"{always}; includeSubDomains"
        assert "strict-transport-security" not in (await plain.get("/")).headers


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "//",
        "/stores",
        "/stores/",
        "//stores",
        "/index.html",
        "/stores.html",
        "/stores/index.html",
        "/stores/index.html.gz",
        "/stores.html.br",
    ],
)
async def test_nobody_loads_a_page_without_signing_in(built: Frontend, path: str) -> None:
    async def nobody(_: HTTPConnection) -> bool:
        return False

    async with browser(PageGate(told, pages=built.pages(), is_signed_in=nobody)) as client:
        page, script = (
            await client.get(f"http://localhost{path}"),
            await client.get("/ui.js"),
        )
        ended = await client.get(
            f"http://localhost{path}", headers={"cookie": f"{COOKIE}=of-a-session-that-ended"}
        )

    assert page.status_code == 303
    assert page.headers["location"] == (
        "/sign-in?next=%2Fstores" if "stores" in path else "/sign-in"
    )
    assert ended.headers["location"].startswith("/sign-in?error=ended")
    assert script.text == "/ui.js"


@pytest.mark.parametrize(
    ("path", "file"),
    [
        ("/", "/index.html"),
        ("/stores", "/stores/index.html"),
        ("/stores/", "/stores/index.html"),
        ("//stores", "/stores/index.html"),
    ],
)
async def test_who_is_signed_in_gets_the_built_page_without_a_detour(
    built: Frontend, path: str, file: str
) -> None:
    async def somebody(_: HTTPConnection) -> bool:
        return True

    async with browser(PageGate(told, pages=built.pages(), is_signed_in=somebody)) as client:
        answer = await client.get(f"http://localhost{path}")  # "//x" alone would be another host

    assert (answer.status_code, answer.text) == (200, file)


@pytest.mark.parametrize(
    ("path", "address"),
    [("/index.html", "/"), ("/stores/index.html", "/stores"), ("/stores.html", "/stores")],
)
async def test_the_name_of_a_built_file_leads_to_its_page(
    built: Frontend, path: str, address: str
) -> None:
    async def somebody(_: HTTPConnection) -> bool:
        return True

    async with browser(PageGate(told, pages=built.pages(), is_signed_in=somebody)) as client:
        answer = await client.get(path)

    assert (answer.status_code, answer.headers["location"]) == (303, address)


@pytest.mark.parametrize("path", ["/sign-in/", "//sign-in", "/sign-in.html", "/sign-in/index.html"])
@pytest.mark.parametrize("is_known", [True, False])
async def test_the_sign_in_page_has_one_address_and_is_no_built_page(
    built: Frontend, path: str, is_known: bool
) -> None:
    async def anybody(_: HTTPConnection) -> bool:
        return is_known

    async with browser(PageGate(told, pages=built.pages(), is_signed_in=anybody)) as client:
        answer = await client.get(f"http://localhost{path}?error=many")

    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in?error=many")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", 405),
        ("/stores", 405),
        ("/stores/", 405),
        ("/stores/index.html", 405),
        ("/look.css", 405),
        ("/nowhere", 404),
        ("/assets/nothing.js", 404),
    ],
)
async def test_a_built_file_takes_nothing_and_an_unknown_address_is_not_found(
    built: Frontend, path: str, status: int, method: str
) -> None:
    """Starlette refuses both with the same 405 and a bare text."""

    async def nobody(_: HTTPConnection) -> bool:
        return False

    folder = built.root / ".web" / "build" / "client"
    (folder / "look.css").write_text("")
    files = Starlette(routes=[Mount("/", StaticFiles(directory=folder, html=True))])
    async with browser(PageGate(files, pages=built.pages(), is_signed_in=nobody)) as client:
        program = await client.request(method, path, json={})
        person = await client.request(method, path, headers={"accept": "text/html,*/*"})

    assert program.status_code == person.status_code == status
    assert program.json()["error"] == ("not_found" if status == 404 else "method_not_allowed")
    assert person.headers["content-type"].startswith("text/html")
    if status == 405:
        assert program.headers["allow"] == person.headers["allow"] == "GET, HEAD"


def test_a_signed_in_page_is_not_kept_by_the_browser(ada: BrowserSession) -> None:
    assert ada.get("/").headers["cache-control"] == "no-store"
