"""The README and .env.example say what the code says."""

import pytest

from orderdesk_app import wiring
from orderdesk_app.config import Settings, load_settings
from orderdesk_app.documents import ROOT, env_example, outdated, settings_table


def test_the_tables_are_those_of_the_code() -> None:
    assert outdated() == [], "run `make docs`"


def test_every_setting_and_every_tool_stands_in_the_readme() -> None:
    page = (ROOT / "README.md").read_text(encoding="utf-8")

    missing = [
        name.upper() for name in Settings.model_fields if f"`{name.upper()}`" not in page
    ] + [tool.name for tool in wiring.tools() if f"`{tool.name}`" not in page]

    assert missing == []


def test_a_default_is_written_as_people_type_it() -> None:
    assert "| `TRUST_PROXY` | `false` |" in settings_table()
    assert "\n#TRUST_PROXY=false\n" in env_example()


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_what_stands_in_env_example_is_the_default(name: str) -> None:
    (line,) = [line for line in env_example().splitlines() if line.startswith(f"#{name.upper()}=")]

    assert getattr(load_settings({name.upper(): line.partition("=")[2]}, None), name) == getattr(
        load_settings({}, None), name
    )


def test_the_readme_says_what_several_workers_do_to_limits() -> None:
    page = (ROOT / "README.md").read_text(encoding="utf-8")

    (told,) = [line for line in page.splitlines() if "each worker counts limits for itself" in line]
    assert all(
        word in told
        for word in ("`WORKERS=2`", "`ENABLE_WEBUI=false`", "`RATE_LIMIT_RPM`", "sign-in")
    )
