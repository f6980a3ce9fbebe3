"""Rules about the code that no linter knows, looked for in the source itself."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from orderdesk_app.db.rows import Row
from orderdesk_app.db.schema import METADATA

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "orderdesk_app"
TABLES = {
    "Tenant",
    "User",
    "Membership",
    "Credential",
    "Store",
    "Session",
    "MagicLink",
    "AuditEntry",
    "Change",
    "ConsoleCall",
    "SandboxRow",
}
# Questions that nobody is signed in for yet, or whose row was made by ourselves; each with the
# reason why it needs no actor.
WITHOUT_ACTOR = {
    "access.py:_read_account": (
        "reads the account of the key that was found, its stores through owned()"
    ),
    "keys.py:find": "finds whose key it is, by its digest",
    "keys.py:_note_use": "writes down that this very key was used",
    "sandbox.py:_owner": (
        "the sandbox Order Desk asks whose store it is, as Order Desk knows no tenants"
    ),
    "sandbox.py:get": "rows of the store that the sandbox was asked for with its key",
    "sandbox.py:all": "rows of the store that the sandbox was asked for with its key",
    "sandbox.py:write": "rows of the store that the sandbox was asked for with its key",
    "sessions.py:resume": "finds who it is, by a signed cookie",
    "sessions.py:end": "ends the session of a signed cookie",
    "members.py:_members": "finds who may act for the account, before there is an actor",
    "sign_in.py:_good_link": "finds whose link it is, by its digest",
    "sign_in.py:_use_up": "finds whose link it is, by its digest",
    "tenants.py:_admin": "the first start asks whether there is an admin",
    "tenants.py:get": "the actor's own account, by its id",
}


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


def questions(path: Path) -> Iterator[tuple[str, str]]:
    """Functions that touch a tenant's table, with their source."""
    for function in ast.walk(tree_of(path)):
        if isinstance(function, ast.AsyncFunctionDef | ast.FunctionDef):
            for node in ast.walk(function):
                if not isinstance(node, ast.Call) or not node.args:
                    continue
                called = ast.unparse(node.func).rsplit(".", 1)[-1]
                touched = {
                    name.id
                    for argument in node.args
                    for name in ast.walk(argument)
                    if isinstance(name, ast.Name)
                } & TABLES
                if called in ("select", "update", "delete", "get", "insert") and touched:
                    yield function.name, ast.unparse(function)


def test_there_is_no_second_way_to_a_tenants_rows() -> None:
    ways_around = []
    for path in PACKAGE.rglob("*.py"):
        if path.parent.name == "db":
            continue
        for name, source in questions(path):
            asks_the_actor = "owned(actor" in source or re.search(
                r"tenant_id\)? == (actor|write\.actor|tenant)", source
            )
            if not asks_the_actor and f"{path.name}:{name}" not in WITHOUT_ACTOR:
                ways_around.append(f"{relative(path)} {name}")

    assert ways_around == []


def test_the_list_of_questions_without_an_actor_holds_no_old_ones() -> None:
    there = {f"{path.name}:{name}" for path in PACKAGE.rglob("*.py") for name, _ in questions(path)}

    assert set(WITHOUT_ACTOR) <= there


def test_every_table_of_a_tenant_is_looked_for() -> None:
    models = [
        model
        for model in Row.__subclasses__()
        if "tenant_id" in METADATA.tables[tablename(model)].c
    ]

    # The data keys of tenants are read by the keyring alone, before anybody is signed in.
    forgotten = {model.__name__ for model in models} - {"MasterKeyMetadata"} - TABLES
    assert len(models) > 5
    assert not forgotten, f"name {sorted(forgotten)} in TABLES in tests/test_layout.py"


def tablename(model: type[Row]) -> str:
    return str(model.__tablename__)


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
