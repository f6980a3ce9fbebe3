"""Rules about the code that no linter knows, looked for in the source itself."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

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
