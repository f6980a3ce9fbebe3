"""Draws a letter, as text and as HTML. Every link begins with our own address."""

import textwrap
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from orderdesk_app.late_imports import LateImport
from orderdesk_app.mail.letters import Content, Letter

_LIBRARY = LateImport("jinja2")
if TYPE_CHECKING:
    import jinja2
else:
    jinja2 = _LIBRARY

_WIDTH = 72


@dataclass(frozen=True, slots=True)
class Drawn:
    """A letter in both of its forms."""

    subject: str
    text: str
    html: str


async def load() -> None:
    """Load the library, beside the event loop, before the first letter is drawn."""
    await _LIBRARY.load()


def draw(content: Content, public_url: str) -> Drawn:
    """`public_url` has no slash at its end."""
    letter, environment = content.letter(), _environment()
    values = {"letter": letter, "link": _address(letter, public_url), "home": public_url}
    return Drawn(
        letter.subject,
        environment.get_template("letter.txt").render(values),
        environment.get_template("letter.html").render(values),
    )


@lru_cache(1)
def _environment() -> "jinja2.Environment":
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=jinja2.select_autoescape(["html"]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["wrapped"] = lambda text: "\n".join(
        textwrap.wrap(text, _WIDTH, break_long_words=False, break_on_hyphens=False)
    )
    return environment


def _address(letter: Letter, public_url: str) -> str:
    # A second slash would make another host of what follows it.
    assert letter.path.startswith("/") or not letter.button, letter.path
    assert not letter.path.startswith("//"), letter.path
    return public_url + letter.path
