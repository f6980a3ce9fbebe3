"""Pages name the variables of states, and Reflex tells of a mistyped one only when it draws: every
`S.name` of a page is a variable or a handler of its state, and every `row["name"]` of a list is a
field of the list's rows.
"""

import ast
import importlib
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args, is_typeddict

import pytest
import reflex as rx
from reflex_base.components.component import Component
from reflex_base.utils.exceptions import VarAttributeError

from orderdesk_app import pages
from orderdesk_app.components.frame import Viewer
from orderdesk_app.components.frame import frame as frame_of
from orderdesk_app.states.console import ConsoleState
from orderdesk_app.states.signed_in import Notices, SignedInState
from orderdesk_app.states.switcher import Switcher

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "orderdesk_app"
APP = PACKAGE / "orderdesk_app.py"
FRAME = PACKAGE / "components" / "frame.py"
DRAWING = sorted((PACKAGE / "pages").rglob("*.py"))


def variables_of(state: Any) -> dict[str, Any]:
    """The types of a state's variables, its parents' included."""
    return {name: variable._var_type for name, variable in state.vars.items()}


def handlers_of(state: Any) -> set[str]:
    parent = state.get_parent_state()
    return set(state.event_handlers) | (handlers_of(parent) if parent else set())


@dataclass
class Drawing:
    """One file that draws: which of its names are states, and what it asks of them."""

    path: Path
    tree: ast.Module = field(init=False)
    states: dict[str, Any] = field(init=False)
    # What a name's attributes are, where it is no state: {"viewer": {"stores": list[StoreChoice]}}
    others: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.tree = ast.parse(self.path.read_text(encoding="utf-8"))
        modules = {
            alias.asname or alias.name: (node.module, alias.name)
            for node in ast.walk(self.tree)
            if isinstance(node, ast.ImportFrom)
            and node.module
            and node.module.startswith("orderdesk_app.states")
            for alias in node.names
        }
        self.states = {
            node.target.id: getattr(importlib.import_module(modules[node.value.id][0]), name)
            for node in self.tree.body
            if isinstance(node, ast.AnnAssign)
            and isinstance(node.target, ast.Name)
            and isinstance(node.value, ast.Name)
            and node.value.id in modules
            for name in [modules[node.value.id][1]]
        }

    def attributes(self) -> Iterator[tuple[int, Any, str]]:
        """(line, state, attribute) for each attribute of a state that the file names."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) in self.states:
                yield node.lineno, self.states[ast.unparse(node.value)], node.attr

    def type_of(self, node: ast.expr) -> Any:
        """The type of `S.name`; None for everything else."""
        if not (isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)):
            return None
        if node.value.id in self.states:
            return variables_of(self.states[node.value.id]).get(node.attr)
        return self.others.get(node.value.id, {}).get(node.attr)

    def wrong_fields(self) -> list[str]:
        """Fields that are read from a row and that the row has not."""
        functions = {
            node.name: node for node in ast.walk(self.tree) if isinstance(node, ast.FunctionDef)
        }
        found: list[str] = []
        seen: set[tuple[int, str]] = set()

        def follow(drawer: ast.expr, row: Any) -> None:
            function: Any = functions.get(drawer.id) if isinstance(drawer, ast.Name) else drawer
            if isinstance(function, ast.FunctionDef | ast.Lambda) and function.args.args:
                read(function, function.args.args[0].arg, row)

        def read(function: Any, name: str, row: Any) -> None:
            if (id(function), name) in seen:
                return
            seen.add((id(function), name))
            for node in ast.walk(function):
                name_read = field_read(node, name)
                if name_read and name_read not in row.__annotations__:
                    found.append(f"{self.path.name}:{node.lineno} {row.__name__}.{name_read}")
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                    called = functions.get(node.func.id)
                    for place, argument in enumerate(node.args):
                        if called and is_named(argument, name) and place < len(called.args.args):
                            read(called, called.args.args[place].arg, row)

        for node in ast.walk(self.tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "rx.foreach":
                row = next(iter(get_args(self.type_of(node.args[0]))), None)
                if is_typeddict(row):
                    follow(node.args[1], row)
        return found


def is_named(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def field_read(node: Any, name: str) -> str:
    """The field in `name["field"]`; empty for everything else."""
    if not (isinstance(node, ast.Subscript) and is_named(node.value, name)):
        return ""
    key = node.slice.value if isinstance(node.slice, ast.Constant) else ""
    return key if isinstance(key, str) else ""


def frame() -> Drawing:
    """The frame, which gets the variables of its viewer from orderdesk_app.py."""
    app = Drawing(APP)
    [viewer] = [
        node
        for node in ast.walk(app.tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "Viewer"
    ]
    given = {keyword.arg or "": app.type_of(keyword.value) for keyword in viewer.keywords}
    return Drawing(FRAME, others={"viewer": given})


@pytest.mark.parametrize("path", [*DRAWING, APP], ids=lambda path: path.stem)
def test_every_variable_that_a_page_names_is_its_states(path: Path) -> None:
    wrong = [
        f"{path.name}:{line} {state.__name__}.{name}"
        for line, state, name in Drawing(path).attributes()
        if name not in variables_of(state) and name not in handlers_of(state)
    ]

    assert wrong == []


@pytest.mark.parametrize("path", DRAWING, ids=lambda path: path.stem)
def test_every_field_that_a_page_names_is_its_rows(path: Path) -> None:
    assert Drawing(path).wrong_fields() == []


def test_every_field_that_the_frame_names_is_its_rows() -> None:
    assert frame().wrong_fields() == []


@pytest.mark.parametrize("name", ["route", "order", "key"])
def test_no_two_pages_share_an_address_a_place_or_a_shortcut(name: str) -> None:
    found = [
        importlib.import_module(f"orderdesk_app.pages.{module.name}").PAGE
        for module in pkgutil.iter_modules([str(PACKAGE / "pages")])
    ]
    given = [value for page in found if page.section != "none" and (value := getattr(page, name))]

    assert len(given) > 1
    assert len(set(given)) == len(given)


def test_a_mistyped_name_is_found(tmp_path: Path) -> None:
    path = tmp_path / "typo.py"
    path.write_text(
        "from orderdesk_app.states.home import HomeState\n"
        "S: Any = HomeState\n"
        "def draw():\n"
        "    def row(entry): return rx.el.li(entry['titel'], other(entry))\n"
        "    def other(line): return line['outcom']\n"
        "    return rx.el.ol(S.latesst, rx.foreach(S.latest, row), rx.foreach(S.steps, step))\n"
        "def step(entry): return entry['words']\n"
    )
    drawing = Drawing(path)

    variables = [name for _, state, name in drawing.attributes() if name not in state.vars]
    fields = [wrong.rsplit(".", 1)[1] for wrong in drawing.wrong_fields()]

    assert variables == ["latesst"]
    assert sorted(fields) == ["outcom", "titel"]


# ------------------------------------------------------------------ what drawing shows

# What pages give as styles beside their classes. Reflex takes any argument that a component does
# not know for a style, so a mistyped property (`aria_lable`) is lost without a word.
STYLES = {
    "border",
    "fill",
    "flexWrap",
    "fontVariantNumeric",
    "gap",
    "height",
    "justifyContent",
    "margin",
    "marginTop",
    "padding",
    "stroke",
    "width",
}


def unknown_properties(draw: Callable[[], Any]) -> list[str]:
    """The properties in what `draw` draws that their component does not have. Reflex itself raises
    for a variable or a field that is not there, however it is reached.
    """
    found: list[str] = []
    create: Any = Component.create.__func__

    def watched(component: Any, *children: Any, **named: Any) -> Any:
        made = create(component, *children, **named)
        found.extend(f"{component.__name__}.{name}" for name in made.style if name not in STYLES)
        return made

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Component, "create", classmethod(watched))
        draw()
    return sorted(set(found))


@pytest.mark.parametrize("name", [module.name for module in pkgutil.iter_modules(pages.__path__)])
def test_a_page_is_drawn_with_properties_that_its_components_have(name: str) -> None:
    page = importlib.import_module(f"{pages.__name__}.{name}").PAGE
    state: Any = SignedInState
    viewer = Viewer(
        name=state.name,
        is_operator=state.is_operator,
        form_token=state.form_token,
        notices=state.notices,
        server_time=state.server_time,
        dismiss=Notices.dismiss,
        stores=state.store_choices,
        active_store=state.active_store,
        choose_store=Switcher.choose_store,
        accounts=state.account_choices,
        account=state.account_id,
    )

    wrong = unknown_properties(lambda: frame_of(page, [page], [("a", "A")], viewer, page.draw()))

    assert wrong == []


def test_a_mistyped_property_is_found_by_drawing() -> None:
    assert unknown_properties(lambda: rx.el.input(auto_complet="off")) == ["Input.autoComplet"]


@pytest.mark.parametrize(
    "read",
    [
        lambda state: rx.foreach(state.fields, lambda row: rx.el.b(row["hnt"])),
        lambda state: rx.foreach(state.fields, lambda row: rx.foreach(row["optins"], rx.el.b)),
        lambda state: rx.foreach(state.rows, lambda _, at: rx.el.b(state.columns[at]["nam"])),
        lambda state: rx.foreach(state.more, lambda row: rx.el.b(*[row[at] for at in ("wrds",)])),
    ],
    ids=["row", "nested list", "list by place", "name in a loop"],
)
def test_a_mistyped_field_is_found_by_drawing(read: Callable[[Any], Any]) -> None:
    with pytest.raises(VarAttributeError):
        read(ConsoleState)
