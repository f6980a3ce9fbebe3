"""Draws a letter, as text and as HTML. Every link begins with our own address."""

import textwrap
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from orderdesk_app.mail.letters import Content, Letter

_WIDTH = 72
_ENVIRONMENT = Environment(
    loader=FileSystemLoader(Path(__file__).with_name("templates")),
    autoescape=select_autoescape(["html"]),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
_ENVIRONMENT.filters["wrapped"] = lambda text: "\n".join(
    textwrap.wrap(text, _WIDTH, break_long_words=False, break_on_hyphens=False)
)


@dataclass(frozen=True, slots=True)
class Drawn:
    """A letter in both of its forms."""

    subject: str
    text: str
    html: str


def draw(content: Content, public_url: str) -> Drawn:
    """`public_url` has no slash at its end."""
    letter = content.letter()
    values = {"letter": letter, "link": _address(letter, public_url), "home": public_url}
    return Drawn(
        letter.subject,
        _ENVIRONMENT.get_template("letter.txt").render(values),
        _ENVIRONMENT.get_template("letter.html").render(values),
    )


def _address(letter: Letter, public_url: str) -> str:
    # A second slash would make another host of what follows it.
    assert letter.path.startswith("/") or not letter.button, letter.path
    assert not letter.path.startswith("//"), letter.path
    return public_url + letter.path
