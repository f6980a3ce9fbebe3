"""A request names another host (Host, X-Forwarded-Host and the like), so that a link in an answer,
a cache or a mail leads there. Guards: only the host of PUBLIC_URL is answered, no other header
names one, and every link of a mail begins with PUBLIC_URL.
"""

from typing import Any

import pytest

from orderdesk_app.mail.letters import Trial
from orderdesk_app.mail.templates import draw
from orderdesk_app.routes.request_middleware import RequestMiddleware
from tests.attacks.cast import ANONYMOUS, OWNER, Cast, encoded, every_method, post, switched_off
from tests.mail.test_letters import KINDS, PUBLIC_URL, Tags, made

EVIL = "evil.example"
HEADERS = {
    "x-forwarded-host": EVIL,
    "x-forwarded-server": EVIL,
    "x-forwarded-proto": "https",
    "x-forwarded-port": "444",
    "x-forwarded-prefix": f"//{EVIL}",
    "forwarded": f"host={EVIL};proto=https",
    "x-host": EVIL,
    "x-http-host-override": EVIL,
    "x-original-url": f"//{EVIL}/stores",
    "x-original-host": EVIL,
    "x-rewrite-url": f"//{EVIL}/stores",
    "true-client-ip": EVIL,
    "referer": f"https://{EVIL}/",
}
ELSEWHERE = ("/", "/stores", "/_event", "/mcp", "/nowhere", "/assets", "/stores/")


def shows_it(answer: Any) -> bool:
    return EVIL in answer.text or EVIL in repr(answer.headers)


@pytest.mark.parametrize("who", [ANONYMOUS, OWNER])
def test_no_header_puts_another_host_into_an_answer(cast: Cast, who: str) -> None:
    wrong = []

    for method, address, _ in every_method():
        person = cast[who]
        if method == "POST":
            fields = encoded(("form_token", cast.form_token(who)), ("email", "ada@example.com"))
            answer = post(person, address, fields, **HEADERS)
        else:
            answer = person.request(method, address, headers=HEADERS)
        if shows_it(answer) or answer.status_code >= 500:
            wrong.append(f"{method} {address}")
        cast.sign_in_again(who)
    wrong += [
        address
        for address in ELSEWHERE
        if shows_it(cast[who].request("GET", address, headers=HEADERS))
    ]

    assert not wrong, wrong


def test_no_other_host_is_answered(cast: Cast) -> None:
    for host in (EVIL, f"localhost:8080@{EVIL}", f"localhost.{EVIL}", f"{EVIL}:8080", ""):
        for _, address, _ in every_method():
            answer = cast[OWNER].request("GET", address, headers={"host": host})

            is_health = address.startswith(("/health", "/metrics"))
            assert answer.status_code == 421 or is_health, (host, address)
            assert "location" not in answer.headers, (host, address)


@pytest.mark.parametrize("kind", KINDS)
def test_no_mail_leads_anywhere_but_to_public_url(kind: type[Any]) -> None:
    links = Tags(draw(made(kind), PUBLIC_URL).html).links

    assert links
    assert all(link == PUBLIC_URL or link.startswith(f"{PUBLIC_URL}/") for link in links)


# ------------------------------------------------------------------ with the guard off


def test_without_the_check_of_hosts_an_answer_would_lead_there(cast: Cast) -> None:
    serve = RequestMiddleware.__call__

    async def without_check(self: Any, scope: Any, receive: Any, send: Any) -> None:
        inner = self._app
        scope.setdefault("state", {})
        await (inner if scope["type"] == "http" else serve)(scope, receive, send)

    with switched_off(RequestMiddleware, "__call__", without_check):
        answer = cast[OWNER].request("GET", "/_event", headers={"host": EVIL})

    assert shows_it(answer)


def test_a_mail_that_leads_elsewhere_is_seen() -> None:
    assert Tags(draw(Trial(), f"https://{EVIL}").html).links[0].startswith(f"https://{EVIL}")
