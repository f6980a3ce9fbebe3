"""The table of docs/mcp.md names the releases that tests run, and no others.

`DOCUMENTS=write python -m pytest tests/clients/test_tested_with.py` writes it again.
"""

import json
import os
from importlib.metadata import version
from pathlib import Path

from tests.clients.clients import CLIENTS, OUR_SENTENCE
from tests.node_clients import NEWEST, OLDER
from tests.worlds import ROOT

PAGE = ROOT / "docs" / "mcp.md"
BEGIN, END = "<!-- tested-with -->\n", "<!-- /tested-with -->"


def test_the_table_names_what_is_tested() -> None:
    page = PAGE.read_text(encoding="utf-8")
    head, _, rest = page.partition(BEGIN)
    _, _, tail = rest.partition(END)
    now = f"{head}{BEGIN}\n{_table()}\n{END}{tail}"

    if os.environ.get("DOCUMENTS") == "write":
        PAGE.write_text(now, encoding="utf-8")

    assert PAGE.read_text(encoding="utf-8") == now, (
        "DOCUMENTS=write python -m pytest tests/clients/test_tested_with.py"
    )


def _table() -> str:
    lines = ["| Client | Release | With a wrong key |", "| --- | --- | --- |"]
    rows = [(client.name, client.version, client.wrong_key) for client in CLIENTS]
    rows.append(("SDK for Python", version("mcp"), OUR_SENTENCE))
    rows.extend(("mcp-remote", _mcp_remote(folder), OUR_SENTENCE) for folder in (OLDER, NEWEST))
    for name, release, wrong_key in sorted(rows, key=lambda row: row[0].lower()):
        words = "the sentence of this server" if wrong_key == OUR_SENTENCE else f"`{wrong_key}`"
        lines.append(f"| {name} | {release} | {words} |")
    return "\n".join(lines) + "\n"


def _mcp_remote(folder: Path) -> str:
    """The release of tests/mcp/test_mcp_remote.py."""
    wanted: str = json.loads((folder / "package.json").read_text())["dependencies"]["mcp-remote"]
    return wanted
