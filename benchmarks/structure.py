"""The shape of the code, as one table: `python -m benchmarks.structure CHECKOUT [CHECKOUT …]`.

Each checkout is a folder and gets a column. Its code is read, never run: sources as text and as
syntax trees, imports by grimp, complexity by ruff. `--check` and `--test` take the seconds of
`make check` and `make test`, one for each checkout, measured by the caller.
"""

import argparse
import ast
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import grimp

PACKAGE = "orderdesk_app"
WIDTH = 100
MOST_COMPLEX = 15
FOLDERS = ("orderdesk", "services", "tools", "mcp")
Function = ast.FunctionDef | ast.AsyncFunctionDef


def sources(checkout: Path, folder: str = "") -> dict[Path, str]:
    """Path and text of every Python file of the app, or of one of its folders."""
    top = checkout / PACKAGE / folder
    return {path: path.read_text(encoding="utf-8") for path in sorted(top.rglob("*.py"))}


def functions(texts: dict[Path, str]) -> Iterator[Function]:
    """Every function, also the ones inside functions and classes."""
    for text in texts.values():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, Function):
                yield node


def length(function: Function) -> int:
    """Lines from `def` to the end, docstring included, decorators not."""
    return (function.end_lineno or function.lineno) - function.lineno + 1


def spread(numbers: list[int]) -> str:
    """Median, 90th percentile and maximum."""
    p90 = quantiles(numbers, n=10, method="inclusive")[-1]
    return f"{median(numbers):.0f} / {p90:.0f} / {max(numbers)}"


def lines_of(texts: dict[Path, str]) -> list[str]:
    return [line for text in texts.values() for line in text.splitlines()]


def any_per_thousand_lines(texts: dict[Path, str]) -> float:
    """How often `Any` is used as a type; an import of it does not count."""
    used = sum(
        isinstance(node, ast.Name) and node.id == "Any"
        for text in texts.values()
        for node in ast.walk(ast.parse(text))
    )
    return 1000 * used / len(lines_of(texts))


def complex_functions(checkout: Path) -> list[str]:
    """Functions whose cyclomatic complexity is over 15, by ruff's C901."""
    limit = f"lint.mccabe.max-complexity = {MOST_COMPLEX}"
    command = ["ruff", "check", "--isolated", "--no-cache", "--exit-zero", "--ignore-noqa"]
    command += ["--select=C901", "--output-format=json", "--config", limit, PACKAGE]
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=checkout, capture_output=True, text=True, check=True
    )
    return [found["message"].split("`")[1] for found in json.loads(done.stdout)]


def import_graph(checkout: Path) -> grimp.ImportGraph:
    """The imports of the checkout's own package, whichever one is installed."""
    sys.path.insert(0, str(checkout))
    try:
        return grimp.build_graph(PACKAGE, cache_dir=None)
    finally:
        sys.path.remove(str(checkout))


def layer_numbers(checkout: Path) -> dict[str, int]:
    """The layer of each top module, 0 for the top, as the checkout's import contract has them."""
    settings: dict[str, Any] = tomllib.loads((checkout / "pyproject.toml").read_text("utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    layers = next(each["layers"] for each in contracts if each["type"] == "layers")
    return {
        name: number for number, layer in enumerate(layers) for name in re.findall(r"\w+", layer)
    }


def upward_imports(graph: grimp.ImportGraph, layers: dict[str, int]) -> list[str]:
    """Imports of a module on a higher layer, or of a neighbour on the same one."""

    def top(module: str) -> str:
        return module.split(".")[1]

    def goes_up(importer: str, imported: str) -> bool:
        return importer != imported and layers[imported] <= layers[importer]

    return [
        f"{each['importer']} -> {each['imported']}"
        for each in graph.find_matching_direct_imports(f"{PACKAGE}.** -> {PACKAGE}.**")
        if goes_up(top(each["importer"]), top(each["imported"]))
    ]


def circles(graph: grimp.ImportGraph) -> list[set[str]]:
    """Sets of modules of which each imports, at last, every other one."""
    imports = {module: graph.find_upstream_modules(module) for module in graph.modules}
    found = []
    left = set(graph.modules)
    while left:
        module = left.pop()
        circle = {module} | {each for each in imports[module] if module in imports[each]}
        left -= circle
        if len(circle) > 1:
            found.append(circle)
    return found


def measured(checkout: Path) -> dict[str, str]:
    """Every figure of a checkout, by its name, in the order of the table."""
    texts = sources(checkout)
    lines = lines_of(texts)
    lengths = [length(function) for function in functions(texts)]
    too_wide = sum(len(line) > WIDTH for line in lines)
    graph = import_graph(checkout)
    figures = {
        "files": str(len(texts)),
        "lines": f"{len(lines):,}",
        "functions": f"{len(lengths):,}",
        "lines a function: median / p90 / max": spread(lengths),
        "lines a file: median / p90 / max": spread([len(t.splitlines()) for t in texts.values()]),
        f"lines over {WIDTH} columns": f"{100 * too_wide / len(lines):.1f} %",
        "`Any` per 1,000 lines": f"{any_per_thousand_lines(texts):.1f}",
    }
    for folder in FOLDERS:
        few = any_per_thousand_lines(sources(checkout, folder))
        figures[f"`Any` per 1,000 lines in {folder}/"] = f"{few:.1f}"
    complex_ones = complex_functions(checkout)
    upward = upward_imports(graph, layer_numbers(checkout))
    figures[f"functions over a complexity of {MOST_COMPLEX}"] = str(len(complex_ones))
    figures["upward imports"] = str(len(upward))
    figures["import circles"] = str(len(circles(graph)))
    return figures


def table(names: list[str], columns: list[dict[str, str]]) -> str:
    """A table in Markdown, one column a checkout."""
    rows = [["", *names], *([figure, *(c[figure] for c in columns)] for figure in columns[0])]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]

    def drawn(row: list[str], pad: Callable[[str, int], str]) -> str:
        cells = [row[0].ljust(widths[0])]
        cells += [pad(cell, width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        return f"| {' | '.join(cells)} |"

    ruler = f"|{'-' * (widths[0] + 2)}|" + "".join(f"{'-' * (w + 1)}:|" for w in widths[1:])
    return "\n".join(
        [drawn(rows[0], str.rjust), ruler, *(drawn(row, str.rjust) for row in rows[1:])]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkouts", nargs="+", type=Path, metavar="CHECKOUT")
    for goal in ("check", "test"):
        parser.add_argument(
            f"--{goal}", nargs="*", default=[], metavar="SECONDS", help=f"of `make {goal}`"
        )
    chosen = parser.parse_args()
    columns = [measured(checkout.resolve()) for checkout in chosen.checkouts]
    for goal in ("check", "test"):
        seconds = getattr(chosen, goal)
        if seconds and len(seconds) != len(columns):
            parser.error(f"--{goal} needs one number for each checkout")
        for column, each in zip(columns, seconds, strict=False):
            column[f"seconds of `make {goal}`"] = each
    print(table([checkout.resolve().name for checkout in chosen.checkouts], columns))


if __name__ == "__main__":
    main()
