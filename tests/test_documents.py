"""The README and .env.example say what the code says."""

from orderdesk_app import wiring
from orderdesk_app.config import Settings
from orderdesk_app.documents import ROOT, outdated


def test_the_tables_are_those_of_the_code() -> None:
    assert outdated() == [], "run `make docs`"


def test_every_setting_and_every_tool_stands_in_the_readme() -> None:
    page = (ROOT / "README.md").read_text(encoding="utf-8")

    missing = [name.upper() for name in Settings.model_fields if f"`{name.upper()}`" not in page] + [
        tool.name for tool in wiring.tools() if f"`{tool.name}`" not in page
    ]

    assert missing == []
