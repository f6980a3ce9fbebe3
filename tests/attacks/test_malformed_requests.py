"""Requests that no browser of ours sends: huge, broken, doubled, with more fields than the form
has, or of another kind. None of them is a fault of ours (5xx), and none gives anybody more rights.
Guards: the limits and checks of routes/forms.py and mcp/body.py.
"""

import gzip
from typing import Any

import pytest

from orderdesk_app.routes import forms
from orderdesk_app.services.callers import Callers, allowed_callers
from orderdesk_app.services.sessions import COOKIE
from tests.attacks.cast import (
    ANONYMOUS,
    OWNER,
    Belongings,
    Cast,
    address_of,
    encoded,
    every_method,
    fields_read_by,
    post,
)
from tests.attacks.cast import forms as every_form
from tests.web.browser_session import ORIGIN
from tests.worlds import counted

KIB = 1024
HUGE = 300 * KIB
NASTY = (
    "\0",
    "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"),
    "\u202e\u2066\u200b\ufeff",
    "'; DROP TABLE users; --",
    '"><script>alert(1)</script>',
    "{{7*7}}${7*7}#{7*7}",
    "../../../../etc/passwd",
    "-1",
    "1e309",
    "NaN",
    "99999999999999999999999999",
    "[]",
    "%00%0d%0a",
    "x" * 5000,
)


ROUNDS = 4
RAW = (
    b"",
    b"&&&===&=",
    b"%",
    b"%ff%fe=%c3%28",
    b"\xff\xfe\x00",
    b"a=" + b"x" * HUGE,
    b"&".join(b"a%d=1" % number for number in range(500)),
    b"{}",
    gzip.compress(b"form_token=x"),
)


def nasty_pairs(names: set[str], turn: int) -> list[tuple[str, str]]:
    """Each field with something nasty; in so many turns each field has had several."""
    fields = sorted(names - {"form_token", "confirm"})
    return [
        (name, NASTY[(place + turn * len(NASTY) // ROUNDS) % len(NASTY)])
        for place, name in enumerate(fields)
    ]


def bodies_of(names: set[str], token: str) -> list[bytes]:
    """Bodies of a form with these fields."""
    fields = sorted(names - {"form_token", "confirm"})
    pairs = [
        # nobody is called so: it would delete them
        [("form_token", token), ("confirm", f"{NASTY[turn]}!"), *nasty_pairs(names, turn)]
        for turn in range(ROUNDS)
    ]
    doubled = [("form_token", token), *((name, value) for name in fields for value in ("x", "y"))]
    listed = [("form_token", token), *((f"{name}[]", "x") for name in fields)]
    return [encoded(*each).encode() for each in (*pairs, doubled, listed)]


@pytest.mark.parametrize("path", ["/sign-in/key", "/account/name"])
def test_what_is_no_form_is_refused_before_anything_reads_it(cast: Cast, path: str) -> None:
    for body in RAW:
        assert post(cast[OWNER], path, body).status_code in (303, 400, 403, 413), body[:40]


@pytest.mark.parametrize("who", [ANONYMOUS, OWNER])
def test_no_form_is_a_fault_of_ours(cast: Cast, who: str) -> None:
    before = counted("unexpected_errors")
    wrong = []

    for method, address, route in every_method():
        if method != "POST" or (
            who == OWNER and allowed_callers(route.endpoint) is Callers.ANYBODY
        ):
            continue
        for body in bodies_of(fields_read_by(route.endpoint), cast.form_token(who)):
            answer = post(cast[who], address, body)
            if answer.status_code >= 500:
                wrong.append(f"{address}: {answer.status_code} to {body[:80]!r}")
        cast.sign_in_again(who)

    assert not wrong, wrong[:5]
    assert counted("unexpected_errors") == before


@pytest.mark.parametrize("who", [ANONYMOUS, OWNER])
def test_no_query_is_a_fault_of_ours(cast: Cast, who: str) -> None:
    before = counted("unexpected_errors")
    wrong = []

    for method, address, route in every_method():
        if method != "GET":
            continue
        names = fields_read_by(route.endpoint)
        for turn in range(ROUNDS):
            query = encoded(*nasty_pairs(names, turn))
            for path in (f"{address}?{query}", address_of(route, "%00%ff%2e%2e")):
                answer = cast[who].request(method, path)
                if answer.status_code >= 500:
                    wrong.append(f"{path[:80]}: {answer.status_code}")

    assert not wrong, wrong[:5]
    assert counted("unexpected_errors") == before


async def whose_body_ends_early(app: Any, path: str, headers: dict[str, str]) -> int:
    """The status that a client gets whose chunks are none, or who hangs up: the server takes the
    body for ended. 500 where we say nothing, as the server says that then.
    """
    statuses = [500]

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "client": ("203.0.113.9", 50000),
        "server": ("localhost", 8080),
    }
    await app(scope, receive, send)
    return statuses[-1]


def test_a_body_that_ends_early_is_a_fault_of_its_sender(cast: Cast) -> None:
    """Of every route, programs' too: chunks that are none, lengths that are not kept."""
    sent = {
        "host": "localhost:8080",
        "origin": ORIGIN,
        "cookie": f"{COOKIE}={cast[OWNER].cookie}",
        "transfer-encoding": "chunked",
    }
    form = sent | {"content-type": "application/x-www-form-urlencoded"}
    rpc = sent | {
        "content-type": "application/json",
        "authorization": f"Bearer {cast[OWNER].key.reveal()}",
    }
    asked = [(path, form) for method, path, _ in every_method() if method == "POST"]

    statuses = {
        path: cast.web.do(whose_body_ends_early, cast.web.client.app, path, headers)
        for path, headers in [*asked, ("/mcp", rpc)]
    }

    assert {"/register", "/token", "/revoke", "/sign-in/key"} < set(statuses)
    assert {path: status for path, status in statuses.items() if status >= 500} == {}


def test_no_message_to_mcp_is_a_fault_of_ours(cast: Cast) -> None:
    web = cast.web
    headers = {
        "authorization": f"Bearer {cast[OWNER].key.reveal()}",
        "content-type": "application/json",
    }

    for body in (
        b"",
        b"null",
        b"[]",
        b"{}",
        b'"x"',
        b"{",
        b"\xff\xfe",
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":[]}',
        b'{"jsonrpc":"2.0","id":{},"method":5}',
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":null,"arguments":"x"}}',
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
        b"[" * 20000,
        b'{"jsonrpc":"2.0","id":1e999,"method":"tools/list"}',
    ):
        web.client.cookies.clear()
        answer = web.client.post("/mcp", content=body, headers=headers)

        assert answer.status_code < 500, body[:80]


# ------------------------------------------------------------------ more fields than the form has


def test_fields_that_a_form_does_not_have_change_nothing(cast: Cast, ours: Belongings) -> None:
    """Mass assignment: the columns of our tables as fields of every form."""
    owner = cast[OWNER]
    more = {
        "id": "x",
        "user_id": cast.users["neighbour"],
        "tenant_id": str(cast["neighbour"].view.id),
        "role": "owner",
        "is_operator": "true",
        "is_admin": "1",
        "scopes": "orders:delete",
        "created_at": "2020-01-01",
        "disabled_at": "",
        "verified_at": "2020-01-01",
        "proved_at": "2030-01-01",
        "via": "mcp",
        "credential_id": "x",
        "kind": "master",
    }
    before = owner.actor

    for path in set(every_form()) - {"/sign-out"}:
        cast.sign_in_again(OWNER)
        post(owner, path, encoded(("form_token", owner.form_token()), *more.items()))

    after = cast[OWNER].actor
    assert (after.tenant_id, after.user_id, after.role, after.is_operator) == (
        before.tenant_id,
        before.user_id,
        before.role,
        before.is_operator,
    )


# ------------------------------------------------------------------ with the guards off


def test_the_limit_is_what_refuses_a_huge_form(cast: Cast) -> None:
    for size, status in ((HUGE, 413), (200 * KIB, 303)):
        assert post(cast[ANONYMOUS], "/sign-in/key", b"a=" + b"x" * size).status_code == status


def test_a_form_that_takes_every_field_is_seen(cast: Cast) -> None:
    """As a careless form would do it."""
    user = cast.users[OWNER]
    sql = "UPDATE users SET is_operator = :value WHERE id = :user"
    before = cast[OWNER].actor.is_operator
    cast.web.do(cast.web.services.database.execute, sql, {"value": True, "user": user})

    assert cast[OWNER].actor.is_operator != before
    cast.web.do(cast.web.services.database.execute, sql, {"value": False, "user": user})


def test_without_the_count_many_fields_would_be_read(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = b"&".join(b"a%d=1" % number for number in range(500))
    assert post(cast[ANONYMOUS], "/sign-in/key", body).status_code == 413

    def any_number(*given: Any, max_num_fields: int, **named: Any) -> Any:
        return parse_qsl(*given, **named)

    parse_qsl = forms.parse_qsl
    monkeypatch.setattr(forms, "parse_qsl", any_number)
    assert post(cast[ANONYMOUS], "/sign-in/key", body).status_code == 303
