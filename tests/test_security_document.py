"""docs/security.md goes through the standards, and each test that it names is there."""

import re

import pytest

from orderdesk_app.documents import ROOT

TESTS = ROOT / "tests"
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
STANDARDS = PAGE.partition("## By the standards")[2].partition("\n## ")[0]
_PATH = re.compile(r"`([\w/]*test_\w+\.py)(?:::(\w+))?`")
# of ASVS 5.0: how many sections each chapter has; one row stands for all of these
SECTIONS = {1: 5, 2: 4, 3: 7, 4: 4, 6: 8, 7: 6, 8: 4, 9: 2, 10: 7, 11: 6, 12: 3, 13: 4, 14: 3}
SECTIONS |= {15: 4, 16: 5}
WHOLE = (5, 17)


def rows(part: str) -> list[list[str]]:
    """The cells of each row of the table under that heading."""
    table = STANDARDS.partition(f"### {part}")[2].partition("\n### ")[0]
    lines = [line for line in table.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


PARTS = ("OWASP ASVS 5.0", "OWASP Top 10", "MCP security best practices")


def test_each_test_that_is_named_is_there() -> None:
    named = _PATH.findall(PAGE)
    missing = []
    for path, name in named:
        places = [ROOT / path, TESTS / "attacks" / path]
        found = next((place for place in places if place.exists()), None)
        if found is None or (name and f"def {name}(" not in found.read_text(encoding="utf-8")):
            missing.append(f"{path}::{name}")

    assert missing == []
    assert len(named) > 100


@pytest.mark.parametrize("part", PARTS)
def test_each_row_names_a_guard_and_a_test_or_says_why_not(part: str) -> None:
    assert len(rows(part)) >= 10
    for row in rows(part):
        assert len(row) == 3, row
        subject, guard, test = row
        assert subject, row
        assert guard, row
        assert _PATH.search(test) or guard.startswith("Does not apply"), row


def test_every_section_of_asvs_has_a_row() -> None:
    named = " ".join(row[0] for row in rows(PARTS[0]))
    wanted = [f"V{chapter}.{n + 1}" for chapter, most in SECTIONS.items() for n in range(most)]
    wanted += [f"V{chapter}" for chapter in WHOLE]

    assert [name for name in wanted if not re.search(rf"{re.escape(name)}\b", named)] == []


def test_every_file_of_attacks_is_in_the_table() -> None:
    files = {path.name for path in (TESTS / "attacks").glob("test_*.py")}

    assert files - set(re.findall(r"test_\w+\.py", PAGE)) == set()
