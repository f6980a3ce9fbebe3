"""Rules about the code that no linter knows, looked for in the source itself."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.scheduling import SHARED_FOLDERS, UNITS

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "orderdesk_app"


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_no_state_holds_a_secret_or_a_row() -> None:
    """What a state holds is sent to the browser, or saved with the web state."""
    for path in PACKAGE.glob("states/*.py"):
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.AnnAssign):
                annotation = ast.unparse(node.annotation)
                assert not re.search(
                    r"\b(Secret|SecretStr|Sealed|StoreAccess|OpenStore|StoreRecord|Services|Session|Credential)\b",
                    annotation,
                ), f"{relative(path)}: {ast.unparse(node)}"
                name = ast.unparse(node.target)
                assert (
                    not re.search(r"(api_key|master_key|password|secret)$", name)
                    or annotation == "bool"
                ), f"{relative(path)}: {name}"


def committed() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    return [ROOT / name for name in listed if (ROOT / name).is_file()]


def test_no_file_names_a_path_of_one_machine() -> None:
    """What is committed works anywhere."""
    own = re.compile(
        "|".join(
            ("/" + "work/", "/" + "root/", r"/home/(?!nonroot|app|runner)\w+/", "/" + "Users/")
        )
    )
    found = []
    for path in committed():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [
            f"{relative(path)}:{number}"
            for number, line in enumerate(text.splitlines(), 1)
            if own.search(line)
        ]

    assert found == []


def test_the_top_level_holds_what_everybody_expects_and_no_more() -> None:
    allowed = {
        "rxconfig.py",
        "orderdesk_app",
        "assets",
        "alembic",
        "tests",
        "Dockerfile",
        "pyproject.toml",
        "README.md",
        "Makefile",
        "LICENSE",
        "reflex.lock",
        ".ci",
        ".github",
        "alembic.ini",
        "deploy",
        "benchmarks",
        "requirements.lock",
        "requirements-dev.lock",
        ".gitignore",
        ".dockerignore",
        ".git-blame-ignore-revs",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "docs",
        ".env.example",
        ".gitattributes",
        ".python-version",
    }

    assert {path.relative_to(ROOT).parts[0] for path in committed()} <= allowed
    assert not (ROOT / "alembic" / "__init__.py").exists()
    assert not list((ROOT / "tests").rglob("__init__.py"))


def too_long(path: Path) -> Iterator[str]:
    """A file over 500 lines, and functions over 60; one that draws may have 100."""
    if len(path.read_text(encoding="utf-8").splitlines()) > 500:
        yield relative(path)
    most = 100 if path.relative_to(PACKAGE).parts[0] in ("pages", "components") else 60
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.AsyncFunctionDef | ast.FunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > most:
                yield f"{relative(path)} {node.name}"


def test_functions_and_files_stay_short() -> None:
    found = [name for path in sorted(PACKAGE.rglob("*.py")) for name in too_long(path)]

    assert found == []


# Private names that tests use, each with the reason why there is no public way.
PRIVATE_NAMES = {
    "tests/browser/conftest.py: playwright._impl": "the type of a cookie, which has no public name",
    "tests/conftest.py: httpx._transports": "httpx makes a new SSL context for each client",
    "tests/proofs/test_neighbours.py: _mapping": "public in SQLAlchemy, in spite of its name",
    "tests/states/test_pages.py: _var_type": "Reflex has no public name for a variable's type",
}


def private_names(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Names with a leading underscore that belong to somebody else, with their lines: attributes
    of anything but self, cls and super(), imported names, and names that are patched by their text.
    """
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(
                value=ast.Name(id="self" | "cls") | ast.Call(func=ast.Name(id="super"))
            ):
                continue
            case ast.Attribute(attr=name):
                names = [name]
            case ast.Import(names=aliases):
                names = [alias.name for alias in aliases]
            case ast.ImportFrom(module=module, names=aliases):
                names = [f"{module or ''}.{alias.name}" for alias in aliases]
            case ast.Call(func=ast.Name(id=called) | ast.Attribute(attr=called)) if called in (
                "setattr",
                "getattr",
                "hasattr",
                "delattr",
            ):
                names = [
                    given.value
                    for given in node.args
                    if isinstance(given, ast.Constant) and isinstance(given.value, str)
                ]
            case _:
                continue
        for name in names:
            if re.search(r"(^|\.)_(?!_)", name):
                yield re.sub(r"(\._\w+).*", r"\1", name), node.lineno


def private_names_of_tests() -> list[tuple[str, int]]:
    return [
        (f"{relative(path)}: {name}", line)
        for path in sorted((ROOT / "tests").rglob("*.py"))
        for name, line in private_names(tree_of(path))
    ]


def test_tests_use_no_private_names() -> None:
    found = [
        f"{place} (line {line})"
        for place, line in private_names_of_tests()
        if place not in PRIVATE_NAMES
    ]

    assert not found, (
        "Use a public way instead: hand the fake in where the object is made, or ask for what a "
        f"reader of the app would ask for too: {found}"
    )


def test_an_exception_for_a_private_name_that_is_gone_goes_too() -> None:
    stale = sorted(set(PRIVATE_NAMES) - {place for place, _ in private_names_of_tests()})

    assert not stale, f"Take these out of PRIVATE_NAMES, as nothing needs them now: {stale}"


def test_a_private_name_is_seen_in_each_of_its_forms() -> None:
    for line, seen in {
        "cache._entries.clear()": "_entries",
        "self.cache._entries": "_entries",
        "f()._late = 1": "_late",
        "from orderdesk_app.services.console import _MOST": "orderdesk_app.services.console._MOST",
        "from a import b, _c as d": "a._c",
        "import httpx._transports.default as t": "httpx._transports",
        "monkeypatch.setattr(audit, '_commit', f)": "_commit",
        "monkeypatch.setattr('app.db.migrate._WAIT', 1)": "app.db.migrate._WAIT",
        "getattr(database, '_reading')": "_reading",
    }.items():
        assert [name for name, _ in private_names(ast.parse(line))] == [seen]
    for line in ("self._kept = cls._kept", "x.__dict__", "_own()", "super()._own()"):
        assert [*private_names(ast.parse(line))] == []


def test_what_the_scheduling_of_the_tests_names_is_there() -> None:
    assert not [name for name in (*UNITS, *SHARED_FOLDERS) if not (ROOT / name).exists()]
