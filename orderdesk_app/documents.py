"""The tables of the README, `.env.example` and `docs/openapi.json`, generated from the code:
`python -m orderdesk_app.documents` rewrites them.
"""

import json
import re
import sys
from pathlib import Path

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from orderdesk_app.config import Settings
from orderdesk_app.observability import metric_families
from orderdesk_app.routes import every_route
from orderdesk_app.routes.openapi import openapi
from orderdesk_app.tools.catalogue import every_tool

ROOT = Path(__file__).resolve().parent.parent
OPENAPI = Path("docs") / "openapi.json"


def settings_table() -> str:
    """Every setting: name, default, when to change it."""
    rows = [
        f"| `{name.upper()}` | {_default(field)} | {field.description} |"
        for name, field in Settings.model_fields.items()
    ]
    return "\n".join(("| Setting | Default | When to change it |", "| --- | --- | --- |", *rows))


def tools_table() -> str:
    """Every tool: name, what it does, what it takes (required ones in bold)."""
    rows = []
    for tool in every_tool():
        required = set(tool.input_schema.get("required", ()))
        takes = (
            ", ".join(
                f"**{name}**" if name in required else name
                for name in tool.input_schema.get("properties", {})
            )
            or "nothing"
        )
        kind = "reads" if tool.reads else "destroys" if tool.destructive else "writes"
        rows.append(f"| `{tool.name}` | {tool.description} | {takes} | {kind}, `{tool.scope}` |")
    return "\n".join(
        (
            "| Tool | What it does | Arguments | Kind, permission |",
            "| --- | --- | --- | --- |",
            *rows,
        )
    )


def metrics_table() -> str:
    """Every metric family of ours."""
    rows = [
        f"| `{family.name}` | {family.type} | {family.documentation} |"
        for family in sorted(metric_families(), key=lambda family: family.name)
    ]
    return "\n".join(("| Family | Type | What it counts |", "| --- | --- | --- |", *rows))


def env_example() -> str:
    """`.env.example`: each setting commented out at its default."""
    lines = [
        (
            "# Copy to .env and change what you need; every line shows its default. "
            "README.md says the same in a table."
        ),
        "",
    ]
    for name, field in Settings.model_fields.items():
        extra = field.json_schema_extra
        example = str(extra.get("example", "")) if isinstance(extra, dict) else ""
        value = _plain(field)
        lines.append(f"# {(field.description or '').replace('`', '')}")
        if not value and example:
            lines.append(f"# Example: {name.upper()}={example}")
        lines += [f"#{name.upper()}={value}", ""]
    return "\n".join(lines)


BLOCKS = {"settings": settings_table, "tools": tools_table, "metrics": metrics_table}


def readme(text: str) -> str:
    """The README with its generated blocks replaced; each is between `<!-- name -->` and
    `<!-- /name -->`.
    """
    for name, make in BLOCKS.items():
        pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.S)
        text = pattern.sub(lambda found, make=make: f"{found[1]}{make()}\n{found[2]}", text)  # type: ignore[misc]
    return text


def openapi_document() -> str:
    """`docs/openapi.json`: the plain HTTP routes."""
    return json.dumps(openapi(every_route()), indent=2, ensure_ascii=False) + "\n"


def outdated(root: Path = ROOT) -> list[str]:
    """The files that differ from what the code generates."""
    page, example = root / "README.md", root / ".env.example"
    old = [(page, readme(page.read_text(encoding="utf-8"))), (example, env_example())]
    old.append((root / OPENAPI, openapi_document()))
    return [
        path.name
        for path, text in old
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]


def main() -> int:
    page = ROOT / "README.md"
    page.write_text(readme(page.read_text(encoding="utf-8")), encoding="utf-8")
    (ROOT / ".env.example").write_text(env_example(), encoding="utf-8")
    (ROOT / OPENAPI).write_text(openapi_document(), encoding="utf-8")
    return 0


def _plain(field: FieldInfo) -> str:
    extra = field.json_schema_extra
    if isinstance(extra, dict) and extra.get("shown"):
        return str(extra["shown"])
    value = field.default
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def _default(field: FieldInfo) -> str:
    text = _plain(field)
    return f"`{text}`" if text else ""


if __name__ == "__main__":
    sys.exit(main())
