"""A figure with its target, and the table that is printed at the end."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """`passed` is None for a figure that is only told, for comparison."""

    name: str
    value: str
    target: str = ""
    passed: bool | None = None

    @property
    def verdict(self) -> str:
        return "" if self.passed is None else "pass" if self.passed else "FAIL"


def at_most(name: str, value: float, limit: float, unit: str, *, digits: int = 1) -> Figure:
    return Figure(name, f"{value:.{digits}f} {unit}", f"at most {limit:g} {unit}", value <= limit)


def told(name: str, value: str) -> Figure:
    return Figure(name, value)


def table(figures: list[Figure]) -> str:
    rows = [
        ("figure", "value", "target", ""),
        *((f.name, f.value, f.target, f.verdict) for f in figures),
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)
