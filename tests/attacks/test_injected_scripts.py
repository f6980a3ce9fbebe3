"""Text of somebody becomes a script of ours. Guards: the content policy of every answer, which
takes no inline script and no eval, and pages that need none.
"""

from html.parser import HTMLParser
from typing import Any

import pytest

from orderdesk_app.routes.headers import SecurityHeaders
from tests.attacks.cast import ANONYMOUS, OWNER, Cast, ask, every_method, switched_off

EVIL = """"><script>alert(1)</script><img src=x onerror=alert(1)>'"""


class Scripts(HTMLParser):
    """The scripts in a page, as a browser would read it: elements, handlers, and addresses."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "script" and "src" not in given:
            self.found.append(tag)
        for name, value in given.items():
            scheme = value.strip().partition(":")[0].lower()
            if name.startswith("on") or scheme in ("javascript", "vbscript"):
                self.found.append(f"{tag} {name}={value[:60]}")


def scripts_in(page: str) -> list[str]:
    return Scripts(page).found


def scripts_allowed(answer: Any) -> str:
    """What the policy says of scripts: of the elements, the attributes and eval."""
    policy = answer.headers.get("content-security-policy", "")
    parts = dict(part.strip().partition(" ")[::2] for part in policy.split(";"))
    return parts.get("script-src", parts.get("default-src", "'unsafe-inline'"))


@pytest.mark.parametrize("who", [ANONYMOUS, OWNER])
@pytest.mark.parametrize("value", ["x", EVIL])
def test_no_page_has_or_takes_a_script_of_its_own(cast: Cast, who: str, value: str) -> None:
    wrong = {}

    for method, address, route in every_method():
        if method in ("GET", "POST"):
            answer = ask(cast, who, method, route, value=value)
            is_page = answer.headers.get("content-type", "").startswith("text/html")
            if is_page and (found := scripts_in(answer.text)):
                wrong[f"{method} {address}"] = found
            if "unsafe" in scripts_allowed(answer) or "*" in scripts_allowed(answer):
                wrong[f"{method} {address} policy"] = [scripts_allowed(answer)]

    assert not wrong, wrong


# ------------------------------------------------------------------ with the guards off


def test_without_the_policy_a_script_would_run(cast: Cast) -> None:
    async def bare(self: Any, scope: Any, receive: Any, send: Any) -> None:
        await self._app(scope, receive, send)

    with switched_off(SecurityHeaders, "__call__", bare):
        answer = cast[ANONYMOUS].get("/sign-in")

    assert "unsafe-inline" in scripts_allowed(answer)


def test_a_script_in_a_page_would_be_found() -> None:
    for page in (
        "<script>x</script>",
        '<script type="module">x</script>',
        '<a href=" javascript:x">',
        '<img src="x" onerror="x">',
        EVIL,
    ):
        assert scripts_in(page), page
    assert scripts_in('<script type="module" src="/ui.js"></script><p data-on="x">') == []
