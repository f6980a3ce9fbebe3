"""References lead somewhere: what code, comments and documents name in docs/ is there, with its
heading, and no Markdown file has a dead link.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
API = "docs/orderdesk-api.md"
TEXTS = (".py", ".md", ".toml", ".js", ".mjs", ".css", ".yml", ".ini", ".mako")
NOT_OURS = {
    ".git",
    ".hypothesis",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    ".tools",
    ".venv",
    ".web",
    "data",
    "external",
    "node_modules",
}

_NUMBERS = r"[0-9]+(?:\.[0-9]+)*"
_PATH = re.compile(r"(?<![\w/.-])docs/[\w./-]*\.md(?:#[\w-]+)?")
_SECTION = re.compile(rf"\bsections? ({_NUMBERS}(?:(?:, | and | to ){_NUMBERS})*)")
_BARE_NUMBER = re.compile(rf"\.md,? {_NUMBERS}\b")
_OTHER_STANDARD = re.compile(r"RFC \d+,?\s*$")
_LINK = re.compile(r"(?<!!)\[[^\]\n]*\]\(([^)\s]+)\)")
_FENCE = re.compile(r"^(```|~~~).*?^\1\s*$", re.MULTILINE | re.DOTALL)
_NOT_IN_SLUG = re.compile(r"[^\w\- ]")


def texts(*suffixes: str) -> list[Path]:
    """The files of the repository, without what is built or installed."""
    folders = [path for path in ROOT.iterdir() if path.is_dir() and path.name not in NOT_OURS]
    files = [path for folder in folders for path in folder.rglob("*")]
    return sorted(
        path
        for path in [*ROOT.iterdir(), *files]
        if path.is_file()
        and path.suffix in suffixes
        and not NOT_OURS & set(path.relative_to(ROOT).parts)
    )


def headings(path: Path) -> list[str]:
    text = _FENCE.sub("", path.read_text(encoding="utf-8"))
    return [line.lstrip("#").strip() for line in text.splitlines() if re.match("#{1,6} ", line)]


def anchors(path: Path) -> set[str]:
    """The anchors that GitHub gives the headings of a page."""
    found: set[str] = set()
    for heading in headings(path):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        slug = _NOT_IN_SLUG.sub("", words).replace(" ", "-")
        name, count = slug, 0
        while name in found:
            count += 1
            name = f"{slug}-{count}"
        found.add(name)
    return found


def sections(path: Path) -> set[str]:
    """The numbers of the headings: "7" of "## 7. Writing orders", "7.2" of "### 7.2 PUT"."""
    return {
        found[1] for heading in headings(path) if (found := re.match(rf"({_NUMBERS})\.? ", heading))
    }


def in_one_line(text: str) -> str:
    """The text without line breaks and the signs of comments, as a sentence may be broken."""
    return re.sub(r"\s*\n\s*(?:#|//|\*)?\s*", " ", text)


def wrong_paths(text: str) -> Iterator[str]:
    for found in _PATH.finditer(text):
        name, _, anchor = found[0].partition("#")
        if not (ROOT / name).is_file():
            yield f"{name} does not exist"
        elif anchor and anchor not in anchors(ROOT / name):
            yield f"{name} has no heading #{anchor}"


def wrong_sections(text: str) -> Iterator[str]:
    """A section belongs to the page that was named last; where none was, to Order Desk's API."""
    for found in _SECTION.finditer(text):
        before = text[max(0, found.start() - 60) : found.start()]
        if _OTHER_STANDARD.search(before):
            continue
        named = _PATH.findall(before)
        page = ROOT / (named[-1].partition("#")[0] if named else API)
        there = sections(page) if page.is_file() else set()
        for number in re.findall(_NUMBERS, found[1]):
            if number not in there:
                yield f"{page.relative_to(ROOT)} has no section {number}"


def wrong_code_paths(text: str) -> Iterator[str]:
    """A path is from the top or from orderdesk_app/; a name without a folder is not looked for."""
    for name in re.findall(r"`((?:[a-z_]+/)+[a-z_0-9]+\.(?:py|js|css))`", text):
        if not (ROOT / name).is_file() and not (ROOT / "orderdesk_app" / name).is_file():
            yield f"{name} does not exist"


def wrong_links(path: Path) -> Iterator[str]:
    for target in _LINK.findall(_FENCE.sub("", path.read_text(encoding="utf-8"))):
        if re.match(r"[a-z][a-z+.-]*:", target):
            continue
        name, _, anchor = target.partition("#")
        other = (path.parent / name).resolve() if name else path
        if not other.exists():
            yield f"{target}: no such file"
        elif anchor and other.suffix == ".md" and anchor not in anchors(other):
            yield f"{target}: no such heading"


def names(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_every_reference_to_a_document_leads_to_its_heading() -> None:
    wrong = []
    for path in texts(*TEXTS):
        if path == Path(__file__):
            continue
        text = in_one_line(path.read_text(encoding="utf-8"))
        wrong += [f"{names(path)}: {what}" for what in wrong_paths(text)]
        if path.suffix in (".py", ".md"):
            wrong += [f"{names(path)}: {what}" for what in wrong_sections(text)]
            wrong += [
                f"{names(path)}: say 'section' in {found[0]!r}"
                for found in _BARE_NUMBER.finditer(text)
            ]

    assert wrong == []


def test_every_file_that_a_document_names_is_there() -> None:
    wrong = [
        f"{names(path)}: {what}"
        for path in texts(".md")
        for what in wrong_code_paths(path.read_text(encoding="utf-8"))
    ]

    assert wrong == []


def test_no_markdown_file_has_a_dead_link() -> None:
    wrong = [f"{names(path)}: {what}" for path in texts(".md") for what in wrong_links(path)]

    assert wrong == []


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("see docs/nothing.md", ["docs/nothing.md does not exist"]),
        ("(docs/orderdesk-api.md section 7.2)", []),
        ("(docs/orderdesk-api.md#nowhere)", ["docs/orderdesk-api.md has no heading #nowhere"]),
        ("docs/orderdesk-api.md sections 5 to 77", [f"{API} has no section 77"]),
        ("a bucket (section 99)", [f"{API} has no section 99"]),
        ("RFC 9110 section 10.2.3", []),
    ],
)
def test_a_reference_that_leads_nowhere_is_found(text: str, wrong: list[str]) -> None:
    assert [*wrong_paths(text), *wrong_sections(text)] == wrong


def test_a_dead_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A page\n\n[a](#a-page) [b](#b) [c](other.md) [d](https://example.com)\n")

    assert list(wrong_links(page)) == ["#b: no such heading", "other.md: no such file"]
