"""What every request passes first: Host, Origin, its id, and where it comes from."""

import asyncio
import contextlib
import json
from typing import Any

import httpx
import pytest
from sqlalchemy.exc import OperationalError
from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send

from orderdesk_app.context import current_request
from orderdesk_app.routes.request_middleware import ADDRESS, RequestMiddleware, route_of
from orderdesk_app.setting_rules import host_list
from tests.mcp_server import InProcessApp, McpServer
from tests.worlds import MASTER_KEY, counted, on_sqlite

OPEN = ("/health/live", "/health/ready")
PRODUCTION: dict[str, Any] = {"public_url": "https://orders.example.com", "is_production": True}


class EchoApp:
    """An app that answers with what the middleware gave it."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = json.dumps(
            {"address": scope.get(ADDRESS), "request_id": current_request().request_id}
        ).encode()
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [(b"content-type", b"application/json")],
            }
        )
        await send({"type": "http.response.body", "body": body})


def front(
    app: Any = None,
    *,
    public_url: str = "http://localhost:8080",
    port: int = 8080,
    is_production: bool = False,
    proxies: int = 0,
    allowed: str = "",
    have_metrics_token: bool = False,
) -> RequestMiddleware:
    return RequestMiddleware(
        app or EchoApp(),
        public_url=public_url,
        port=port,
        is_production=is_production,
        trusted_proxies=proxies,
        allowed_hosts=host_list(allowed),
        have_metrics_token=have_metrics_token,
    )


async def ask(app: RequestMiddleware, path: str = "/mcp", **headers: str) -> httpx.Response:
    """`host` and others by name, `_` for `-`; the caller's own address is 198.51.100.7."""
    transport = httpx.ASGITransport(app, client=("198.51.100.7", 4711), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8080") as http:
        return await http.get(
            path, headers={name.replace("_", "-"): value for name, value in headers.items()}
        )


async def ask_raw(app: RequestMiddleware, path: str, *lines: tuple[bytes, bytes]) -> Message:
    """The start of the answer to exactly these header lines."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": path, "headers": list(lines), "client": None}
    await app(scope, receive, send)
    return sent[0]


# ------------------------------------------------------------------ Host


@pytest.mark.parametrize(
    "host",
    [
        "localhost:8080",
        "127.0.0.1:8080",
        "[::1]:8080",
        "LOCALHOST:8080",
        "localhost",
        "localhost:9000",
        "localhost.:8080",
        "127.0.0.2",
    ],
)
async def test_in_development_every_name_of_this_machine_is_ours(host: str) -> None:
    assert (await ask(front(), host=host)).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8080",
        "localhost.evil.example",
        "localhost@evil.example",
        "localhost/evil",
        "localhost:port",
        "localhost:99999",
        "10.0.0.1:8080",
        "",
        " ",
        "[::1",
        "[::2]:8080",
    ],
)
async def test_any_other_host_is_misdirected(host: str) -> None:
    answer = await ask(front(), host=host)

    assert answer.status_code == 421
    assert answer.json()["error"] == "misdirected_request"
    assert answer.headers["x-request-id"]


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("orders.example.com", 200),
        ("ORDERS.example.com:443", 200),
        ("orders.example.com:8080", 421),
        ("localhost:8080", 421),
        ("127.0.0.1", 421),
        ("example.com", 421),
    ],
)
async def test_in_production_only_the_public_name_is_ours(host: str, status: int) -> None:
    production = front(public_url="https://orders.example.com", is_production=True)

    assert (await ask(production, host=host)).status_code == status


@pytest.mark.parametrize("path", OPEN)
async def test_probes_that_know_the_address_alone_are_let_in(path: str) -> None:
    production = front(public_url="https://orders.example.com", is_production=True)

    assert (
        await ask(production, path, host="10.1.2.3:8080", origin="http://anywhere")
    ).status_code == 200
    assert (await ask(production, "/stores", host="10.1.2.3:8080")).status_code == 421


# Each has been a way around somebody's check of a host.
_TRICKS = (
    "{host}#.evil.example",
    "{host}?x=1",
    "{host}/",
    "{host}/.evil.example",
    "{host}\\.evil.example",
    "{host}@evil.example",
    "user@{host}",
    "user:pw@{host}",
    "@{host}",
    "{host}..",
    ".{host}",
    "{host}.evil.example",
    "evil.example,{host}",
    "{host},evil.example",
    "{host} evil.example",
    "{host}\tevil.example",
    "http://{host}",
    "//{host}",
    "{host}%00.evil.example",
    "{host}%2f",
    "[{host}]",
    "{host}:",
    "{host}:0",
    "{host}:080",
    "{host}:+443",
    "{host}:-443",
    "{host}:4_43",
    "{host}: 443",
    "{host}:443:443",
    "{host}:443#",
    "{host}:443?x=1",
    "{host}:443@evil.example",
    "{host}:65979",
    "{host}:443.evil.example",
    "{host}\x00",
    "{host}\xa0",
)
_NAMES = ("localhost", "127.0.0.1", "[::1]", "orders.example.com", "agents", "[2001:db8::1]")


@pytest.mark.parametrize("path", ["/mcp", "/", "/register", "/metrics"])
@pytest.mark.parametrize("trick", _TRICKS)
async def test_no_trick_makes_another_host_ours(trick: str, path: str) -> None:
    further = "agents,[2001:db8::1]"
    for middleware in (front(allowed=further), front(allowed=further, **PRODUCTION)):
        for name in _NAMES:
            host = trick.format(host=name)
            answer = await ask_raw(middleware, path, (b"host", host.encode("latin-1")))
            assert answer["status"] == 421, host


@pytest.mark.parametrize("trick", _TRICKS)
async def test_no_trick_makes_another_origin_ours(trick: str) -> None:
    for middleware, scheme, host in (
        (front(), "http", "localhost"),
        (front(**PRODUCTION), "https", "orders.example.com"),
    ):
        origin = f"{scheme}://{trick.format(host=host)}"
        answer = await ask_raw(
            middleware,
            "/mcp",
            (b"host", host.encode()),
            (b"origin", origin.encode("latin-1")),
        )
        assert answer["status"] == 403, origin


@pytest.mark.parametrize(
    "hosts",
    [
        (),
        ("orders.example.com", "orders.example.com"),
        ("orders.example.com", "evil.example"),
        ("evil.example", "orders.example.com"),
        ("agents", "orders.example.com"),
    ],
)
async def test_a_request_has_exactly_one_host(hosts: tuple[str, ...]) -> None:
    lines = [(b"host", host.encode()) for host in hosts]

    answer = await ask_raw(front(allowed="agents", **PRODUCTION), "/mcp", *lines)

    assert answer["status"] == 421


async def test_each_origin_of_a_request_must_be_ours() -> None:
    ours = (b"origin", b"https://orders.example.com")
    others = (b"origin", b"https://evil.example")
    for lines in ((ours, others), (others, ours)):
        answer = await ask_raw(
            front(**PRODUCTION), "/mcp", (b"host", b"orders.example.com"), *lines
        )
        assert answer["status"] == 403


async def test_white_space_around_a_host_does_not_count() -> None:
    answer = await ask_raw(front(**PRODUCTION), "/mcp", (b"host", b"\torders.example.com "))

    assert answer["status"] == 200


@pytest.mark.parametrize(
    "host",
    [
        "[2001:db8::1]:8443",
        "[2001:DB8:0:0:0:0:0:1]:8443",
    ],
)
async def test_an_address_may_be_written_in_any_of_its_forms(host: str) -> None:
    middleware = front(public_url="https://[2001:db8:0::1]:8443", is_production=True)

    assert (await ask(middleware, host=host)).status_code == 200


# ------------------------------------------------------------------ further hosts


AGENTS = (
    "/mcp",
    "/mcp/",
    "/health",
    "/health/live",
    "/health/ready",
    "/health/detailed",
    "/metrics",
    # what a client asks for after a 401, to be shown our sentence
    "/register",
    "/.well-known/oauth-authorization-server",
)
PEOPLE = ("/", "/sign-in", "/sign-in/key", "/stores", "/settings/keys/create", "/ui.js", "/_event/")


@pytest.mark.parametrize(
    ("allowed", "host"),
    [
        ("host.docker.internal", "host.docker.internal:8080"),
        ("host.docker.internal", "HOST.docker.internal"),
        ("host.docker.internal", "host.docker.internal.:1"),
        ("agents_1,orders.example.net:8443", "orders.example.net:8443"),
        ("orders.example.net:443", "orders.example.net"),
        ("orders.example.net:80", "orders.example.net"),
        ("10.1.2.3", "10.1.2.3:8080"),
        ("[2001:db8::1]", "[2001:db8:0::1]:8080"),
    ],
)
async def test_by_a_further_host_agents_and_monitors_are_served_and_the_web_app_is_not(
    allowed: str, host: str
) -> None:
    middleware = front(allowed=allowed, **PRODUCTION)

    for path in AGENTS:
        assert (await ask(middleware, path, host=host)).status_code == 200, path
    for path in PEOPLE:
        answer = await ask(middleware, path, host=host)
        assert answer.status_code == 421, path
        assert "PUBLIC_URL" in answer.json()["message"]
        assert "ALLOWED_HOSTS" in answer.json()["message"]
    assert (await ask(middleware, "/", host="orders.example.com")).status_code == 200


@pytest.mark.parametrize(
    ("allowed", "host"),
    [
        ("orders.example.net:8443", "orders.example.net"),
        ("orders.example.net:8443", "orders.example.net:443"),
        ("orders.example.net:443", "orders.example.net:80"),
        ("example.net", "orders.example.net"),
        ("orders.example.net", "example.net"),
    ],
)
async def test_a_further_host_is_exactly_what_was_written(allowed: str, host: str) -> None:
    answer = await ask(front(allowed=allowed, **PRODUCTION), host=host)

    assert answer.status_code == 421
    assert "ALLOWED_HOSTS" in answer.json()["message"]
    assert host in answer.json()["message"]


async def test_a_further_host_adds_no_origin() -> None:
    answer = await ask(
        front(allowed="orders.example.net", **PRODUCTION),
        host="orders.example.net",
        origin="https://orders.example.net",
    )

    assert answer.status_code == 403


async def test_a_websocket_by_a_further_host_is_closed() -> None:
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    await front(allowed="agents", **PRODUCTION)(
        {"type": "websocket", "path": "/_event", "headers": [(b"host", b"agents")], "client": None},
        receive,
        send,
    )

    assert [message["type"] for message in sent] == ["websocket.close"]


async def test_clients_of_mcp_are_told_of_a_refusal_as_they_read_it() -> None:
    transport = httpx.ASGITransport(front(**PRODUCTION))
    async with httpx.AsyncClient(transport=transport, base_url="http://agents:8080") as http:
        answers = [await http.post(path, json={}) for path in ("/mcp", "/mcp/")]

    for answer in answers:
        assert answer.status_code == 421
        assert answer.json()["jsonrpc"] == "2.0"
        assert "ALLOWED_HOSTS" in answer.json()["error"]["message"]


@pytest.mark.parametrize("token", [True, False])
async def test_monitors_call_by_address(token: bool) -> None:
    """In development metrics are open without a token, and a page of another site that has its name
    lead to this machine must not read them.
    """
    for middleware in (
        front(have_metrics_token=token),
        front(have_metrics_token=token, **PRODUCTION),
    ):
        answers = {
            path: [
                (await ask_raw(middleware, path, *lines))["status"]
                for lines in (((b"host", b"10.1.2.3:8080"),), ())
            ]
            for path in ("/health", "/health/detailed", "/metrics")
        }
        assert answers == {
            "/health": [200, 200],
            "/health/detailed": [200, 200],
            "/metrics": [200, 200] if token else [421, 421],
        }
        strange = await ask(middleware, "/health", host="10.1.2.3", origin="http://10.1.2.3")
        assert strange.status_code == 403


@on_sqlite
async def test_the_setting_reaches_the_app(inside: InProcessApp) -> None:
    token = "b8f1c0d29e7a46538b1f0c2d7e9a4653"
    async with inside(ALLOWED_HOSTS="agents", METRICS_TOKEN=token) as http:
        answers = [
            await http.request(method, path, headers={"host": host, **headers})
            for method, path, host, headers in (
                ("POST", "/mcp", "agents:8080", {}),
                ("POST", "/register", "agents", {}),
                ("GET", "/sign-in", "agents", {}),
                ("GET", "/metrics", "10.1.2.3", {"authorization": f"Bearer {token}"}),
                ("GET", "/metrics", "10.1.2.3", {}),
                ("GET", "/health/detailed", "10.1.2.3", {"authorization": f"Bearer {MASTER_KEY}"}),
                ("POST", "/mcp", "other", {}),
            )
        ]

    assert [answer.status_code for answer in answers] == [401, 403, 421, 200, 404, 200, 421]


# ------------------------------------------------------------------ Origin


@pytest.mark.parametrize(
    "origin", ["http://localhost:8080", "http://127.0.0.1:8080", "http://[::1]:8080"]
)
async def test_pages_of_ours_may_ask(origin: str) -> None:
    assert (await ask(front(), origin=origin)).status_code == 200


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "",
        "https://evil.example",
        "http://localhost:3000",
        "https://localhost:8080",
        "http://localhost:8080.evil.example",
        "http://localhost",
        "localhost:8080",
        "http://localhost:x",
        "http://[",
        "http://[::1",
    ],
)
async def test_pages_of_others_may_not(origin: str) -> None:
    answer = await ask(front(), origin=origin)

    assert answer.status_code == 403
    assert answer.json()["error"] == "forbidden_origin"


async def test_behind_https_the_origin_has_no_port() -> None:
    production = front(public_url="https://orders.example.com", is_production=True)

    assert (
        await ask(production, host="orders.example.com", origin="https://orders.example.com")
    ).status_code == 200
    assert (
        await ask(production, host="orders.example.com", origin="http://orders.example.com")
    ).status_code == 403


# ------------------------------------------------------------------ whose address


@pytest.mark.parametrize(
    ("proxies", "forwarded", "address"),
    [
        (0, "203.0.113.1", "198.51.100.7"),  # nobody is trusted: what is told does not count
        (1, "203.0.113.1", "203.0.113.1"),
        (1, "10.9.9.9, 203.0.113.1", "203.0.113.1"),  # the caller wrote the first one
        (1, "10.9.9.9,, 203.0.113.1 ", "203.0.113.1"),
        (2, "10.9.9.9, 203.0.113.1, 192.0.2.8", "203.0.113.1"),
        (2, "203.0.113.1", "203.0.113.1"),
        (1, "203.0.113.1:5678", "203.0.113.1"),
        (1, "2001:db8::1", "2001:db8::1"),
        (1, "[2001:db8::1]", "2001:db8::1"),
        (1, "[2001:db8::1]:5678", "2001:db8::1"),
        (1, "unknown", "198.51.100.7"),
        (1, "<script>", "198.51.100.7"),
        (1, "", "198.51.100.7"),
    ],
)
async def test_a_forwarded_address_counts_as_far_as_proxies_are_trusted(
    proxies: int, forwarded: str, address: str
) -> None:
    answer = await ask(front(proxies=proxies), x_forwarded_for=forwarded)

    assert answer.json()["address"] == address


async def test_several_forwarding_lines_are_one_list() -> None:
    transport = httpx.ASGITransport(front(proxies=1), client=("198.51.100.7", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8080") as http:
        answer = await http.get(
            "/mcp", headers=[("x-forwarded-for", "10.9.9.9"), ("x-forwarded-for", "203.0.113.1")]
        )

    assert answer.json()["address"] == "203.0.113.1"


# ------------------------------------------------------------------ ids and faults


async def test_the_id_of_a_request_is_known_inside_and_told_outside() -> None:
    answer = await ask(front(), x_request_id="abc-12345")

    assert answer.headers["x-request-id"] == answer.json()["request_id"] == "abc-12345"


async def test_a_fault_of_ours_tells_its_reference_and_nothing_else() -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise KeyError("a secret of the database")

    answer = await ask(front(broken), x_request_id="abc-12345")

    assert answer.status_code == 500
    assert answer.json()["reference"] == "abc-12345"
    assert "secret" not in answer.text


@pytest.mark.parametrize(
    ("error", "status", "title"),
    [
        (KeyError("a secret"), 500, "Something went wrong"),
        (OperationalError("a secret", {}, OSError()), 503, "Not available right now"),
    ],
)
async def test_people_are_shown_a_page_when_something_fails(
    error: Exception, status: int, title: str
) -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise error

    answer = await ask(
        front(broken),
        "//evil.example",
        x_request_id="abc-12345",
        accept="text/html,application/xhtml+xml,*/*;q=0.8",
    )

    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("text/html")
    assert f"<h1>{title}</h1>" in answer.text
    assert "abc-12345" in answer.text
    assert "secret" not in answer.text
    assert "evil" not in answer.text
    assert ("retry-after" in answer.headers) == (status == 503)


async def test_programs_are_told_that_a_database_which_is_away_passes() -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise OperationalError("a secret", {}, OSError())

    answer = await ask(front(broken))

    assert (answer.status_code, answer.json()["error"], answer.headers["retry-after"]) == (
        503,
        "unavailable",
        "10",
    )


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/mcp", "/mcp"),
        ("/health/ready", "/health/ready"),
        ("/assets/x.js", "/assets"),
        ("/stores/1", "web"),
        ("/mcpx", "web"),
        ("/" + "x" * 500, "web"),
    ],
)
def test_metrics_know_a_few_routes_alone(path: str, route: str) -> None:
    assert route_of(path) == route


async def test_a_websocket_from_elsewhere_is_closed() -> None:
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    for headers in (
        [(b"host", b"evil.example")],
        [(b"host", b"localhost:8080"), (b"origin", b"https://evil.example")],
    ):
        await front()(
            {"type": "websocket", "path": "/_event", "headers": headers, "client": None},
            receive,
            send,
        )

    assert [message["type"] for message in sent] == ["websocket.close", "websocket.close"]


async def reads_its_body(scope: Scope, receive: Receive, send: Send) -> None:
    await Request(scope, receive).body()


async def watches_its_caller(scope: Scope, receive: Receive, send: Send) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def is_cancelled(scope: Scope, receive: Receive, send: Send) -> None:
    raise asyncio.CancelledError


@pytest.mark.parametrize(
    ("app", "status"), [(reads_its_body, 400), (watches_its_caller, None), (is_cancelled, None)]
)
async def test_a_caller_that_hangs_up_is_counted_as_gone_and_no_fault_of_ours(
    app: Any, status: int | None
) -> None:
    said: list[int] = []

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        said.extend([message["status"]] if "status" in message else [])

    before, faults = (
        [counted("http_requests", route="/mcp", status=status) for status in ("gone", "5xx")],
        counted("unexpected_errors", where="http"),
    )
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/mcp",
        "headers": [(b"host", b"localhost:8080")],
        "client": None,
    }
    with contextlib.suppress(asyncio.CancelledError):
        await front(app)(scope, receive, send)

    assert said == ([status] if status else [])  # a body that is none looks like a hang-up
    assert [counted("http_requests", route="/mcp", status=name) for name in ("gone", "5xx")] == [
        before[0] + 1,
        before[1],
    ]
    assert counted("unexpected_errors", where="http") == faults


# ------------------------------------------------------------------ the real server


@pytest.mark.parametrize("path", ["/mcp", "/mcp/", "/metrics", "/anything"])
@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (b"host: evil.example", 421),
        (b"host: localhost#.evil.example", 421),
        (b"host: localhost?x=1", 421),
        (b"host: localhost@evil.example", 421),
        (b"host: localhost\r\norigin: https://evil.example", 403),
        (b"host: localhost\r\nhost: evil.example", 421),
    ],
)
def test_a_real_socket_is_judged_alike(
    mcp_server: McpServer, path: str, lines: bytes, status: int
) -> None:
    answer = mcp_server.raw(
        b"GET " + path.encode() + b" HTTP/1.1\r\n" + lines + b"\r\nconnection: close\r\n\r\n"
    )

    assert int(answer.split()[1]) in (status, 400)
    is_malformed = lines.count(b"host:") == 2 or any(sign in lines for sign in (b"#", b"?", b"@"))
    assert answer.split()[1] != b"400" or is_malformed


@pytest.mark.parametrize("path", ["/health", "/health/detailed"])
@pytest.mark.parametrize(
    ("lines", "statuses"),
    [
        (b"host: 10.1.2.3:8080", (200, 401)),
        (b"host: 10.1.2.3\r\norigin: https://evil.example", (403,)),
        (b"host: localhost\r\nhost: evil.example", (400, 421)),
    ],
)
def test_health_is_asked_by_address_on_a_real_socket(
    mcp_server: McpServer, path: str, lines: bytes, statuses: tuple[int, ...]
) -> None:
    answer = mcp_server.raw(
        b"GET " + path.encode() + b" HTTP/1.1\r\n" + lines + b"\r\nconnection: close\r\n\r\n"
    )

    assert int(answer.split()[1]) in statuses


@pytest.mark.parametrize("path", OPEN)
def test_probes_pass_on_a_real_socket(mcp_server: McpServer, path: str) -> None:
    answer = mcp_server.raw(
        b"GET "
        + path.encode()
        + b" HTTP/1.1\r\nhost: 10.1.2.3\r\norigin: http://other\r\nconnection: close\r\n\r\n"
    )

    assert answer.startswith(b"HTTP/1.1 200 ")
