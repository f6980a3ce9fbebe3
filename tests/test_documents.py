"""The README, .env.example and docs/http.md say what the code says."""

import argparse
import importlib
import pkgutil
import re

import pytest

from orderdesk_app import pages
from orderdesk_app.cli import COMMANDS
from orderdesk_app.config import Settings
from orderdesk_app.db.schema import METADATA
from orderdesk_app.documents import ROOT, env_example, outdated, settings_table
from orderdesk_app.routes import every_route
from orderdesk_app.settings_reader import load_settings
from orderdesk_app.tools.catalogue import every_tool


def test_the_tables_are_those_of_the_code() -> None:
    assert outdated() == [], "run `make docs`"


def test_every_setting_and_every_tool_stands_in_the_readme() -> None:
    page = (ROOT / "README.md").read_text(encoding="utf-8")

    missing = [
        name.upper() for name in Settings.model_fields if f"`{name.upper()}`" not in page
    ] + [tool.name for tool in every_tool() if f"`{tool.name}`" not in page]

    assert missing == []


def test_every_command_and_every_table_stands_in_the_readme() -> None:
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = page.partition("\n## Commands\n")[2].partition("\n## ")[0]

    adds = argparse.ArgumentParser().add_subparsers()
    for command in COMMANDS:
        command.add_command(adds)

    assert [
        name for name in adds.choices if not re.search(rf"`(orderdesk )?{name}`", commands)
    ] == []
    assert [name for name in METADATA.tables if f"`{name}`" not in page] == []


def test_a_default_is_written_as_people_type_it() -> None:
    assert "| `TRUST_PROXY` | `false` |" in settings_table()
    assert "\n#TRUST_PROXY=false\n" in env_example()


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_what_stands_in_env_example_is_the_default(name: str) -> None:
    (line,) = [line for line in env_example().splitlines() if line.startswith(f"#{name.upper()}=")]

    assert getattr(load_settings({name.upper(): line.partition("=")[2]}, None), name) == getattr(
        load_settings({}, None), name
    )


def test_every_address_stands_in_the_table_of_addresses() -> None:
    drawn = [
        importlib.import_module(f"{pages.__name__}.{module.name}").PAGE.route
        for module in pkgutil.iter_modules(pages.__path__)
    ]
    routes = [route.path for route in every_route()]
    served = {re.sub(r"\{\w+:path\}", "…", path) for path in [*drawn, *routes] if path[0] == "/"}

    table = (ROOT / "docs" / "http.md").read_text(encoding="utf-8").partition("| --- |")[2]
    named = set(re.findall(r"`(/[^`]*)`", table.partition("\n\n")[0]))

    # these two are no routes: server.py answers the one, the web framework the other
    assert named - {"/mcp", "/_event"} == served, "name it in the table of docs/http.md"


def test_the_readme_says_what_several_workers_do_to_limits() -> None:
    page = (ROOT / "README.md").read_text(encoding="utf-8")

    (told,) = [line for line in page.splitlines() if "each worker counts limits for itself" in line]
    assert all(
        word in told
        for word in ("`WORKERS=2`", "`ENABLE_WEBUI=false`", "`RATE_LIMIT_RPM`", "sign-in")
    )
