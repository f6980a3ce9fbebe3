"""A link to us leads somebody on to another site, which then looks like ours. Guard: `own_page`,
for every address that comes from outside.
"""

import inspect
import re
from typing import Any

import pytest
from starlette.routing import Route

from orderdesk_app.routes import sign_in
from orderdesk_app.services.callers import Callers, allowed_callers
from tests.attacks.cast import (
    ANONYMOUS,
    OWNER,
    Cast,
    address_of,
    encoded,
    every_method,
    fields_read_by,
    post,
    switched_off,
)

EVIL = (
    "//evil.example",
    "///evil.example",
    "https://evil.example/",
    "/\\evil.example",
    "\\\\evil.example",
    "/\t/evil.example",
    "/%09/evil.example",
    "/..//evil.example",
    "/./\\evil.example",
    "javascript:alert('evil.example')",
    "data:text/html,evil.example",
    "http:evil.example",
    "/stores\r\nLocation: https://evil.example",
    "/stores\u2028//evil.example",
    "@evil.example",
    ".evil.example",
    "/stores@evil.example",
    "/?next=//evil.example",
)
# names that pages of the web use for it, beside those that our own modules read
NAMES = frozenset({"next", "url", "to", "redirect", "return", "return_to", "continue", "back"})
_LINK = re.compile(r"""(?:href|action|src|content)=["']([^"']*)["']""", re.I)


def links_of(answer: Any) -> list[str]:
    """Where the answer leads, or could lead once somebody clicks."""
    header = [answer.headers[name] for name in ("location", "refresh") if name in answer.headers]
    return header + _LINK.findall(answer.text)


def leads_away(answer: Any) -> bool:
    return any(
        "evil.example" in link and not link.startswith(("/sign-in?", "/confirm?"))
        for link in links_of(answer)
    )


def ask(cast: Cast, who: str, method: str, route: Route, wanted: str) -> Any:
    person = cast[who]
    names = (fields_read_by(route.endpoint) - {"confirm"}) | NAMES
    fields = {**dict.fromkeys(sorted(names), wanted), "form_token": cast.form_token(who)}
    query = encoded(*fields.items())
    if method == "POST":
        answer = post(person, f"{address_of(route)}?{query}", query)
        if answer.headers.get("location", "").startswith("/sign-in"):
            cast.sign_in_again(who)
        return answer
    return person.request(method, f"{address_of(route)}?{query}", headers={"accept": "text/html"})


@pytest.mark.parametrize("who", [ANONYMOUS, OWNER])
def test_no_address_of_ours_leads_to_another_site(cast: Cast, who: str) -> None:
    wrong = []

    for method, _, route in every_method():
        if method not in ("GET", "POST"):
            continue
        if who == OWNER and allowed_callers(route.endpoint) is Callers.ANYBODY and method == "POST":
            continue  # they are the same for both
        leads_on = "own_page" in inspect.getsource(inspect.unwrap(route.endpoint))
        for wanted in EVIL if leads_on else EVIL[:2]:
            answer = ask(cast, who, method, route, wanted)
            location = answer.headers.get("location", "/")
            if leads_away(answer) or not re.fullmatch(r"/(?![/\\])[^\s\\]*", location):
                wrong.append(f"{method} {route.path} with {wanted!r}: {links_of(answer)}")

    assert not wrong, wrong[:5]


def test_a_right_key_leads_nowhere_else_either(cast: Cast) -> None:
    for wanted in EVIL:
        fields = encoded(("key", cast[OWNER].key.reveal()), ("next", wanted))
        answer = post(cast[ANONYMOUS], "/sign-in/key", fields)

        assert answer.headers["location"] == "/", wanted


def test_a_path_with_two_slashes_leads_nowhere_else(cast: Cast) -> None:
    for path in (
        "//evil.example",
        "//evil.example/stores/",
        "/\\evil.example/",
        "//evil.example/..",
    ):
        for who in (ANONYMOUS, OWNER):
            answer = cast[who].request("GET", f"http://localhost:8080{path}")

            assert not leads_away(answer), (path, answer.headers.get("location"))


def test_without_the_check_a_sign_in_would_lead_to_another_site(cast: Cast) -> None:
    fields = encoded(("key", cast[OWNER].key.reveal()), ("next", EVIL[0]))

    with switched_off(sign_in, "own_page", lambda wanted: wanted):
        answer = post(cast[ANONYMOUS], "/sign-in/key", fields)

    assert leads_away(answer)
