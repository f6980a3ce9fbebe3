"""The browser is chosen in this order: the system's, npm's, Playwright's; and a machine without any
says so.
"""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.browser.chromium import (
    ORDER,
    Chromium,
    NoChromium,
    choose,
    of_npm,
    of_playwright,
    of_the_system,
)


class Shell:
    """Answers commands as told and remembers them."""

    def __init__(self, *, code: int = 0, makes: Path | None = None) -> None:
        self.commands: list[list[str]] = []
        self._code, self._makes = code, makes

    def __call__(self, command: list[str], **options: Any) -> "subprocess.CompletedProcess[str]":
        self.commands.append(command)
        if self._makes is not None and command[0] == "node":
            self._makes.touch()
        return subprocess.CompletedProcess(
            command, self._code, "", "no network" if self._code else ""
        )


def absent() -> Chromium:
    raise NoChromium("not here")


def test_the_order_is_the_systems_then_npms_then_playwrights() -> None:
    assert (of_the_system, of_npm, of_playwright) == ORDER


def test_the_first_that_is_there_is_taken_and_no_other_is_asked() -> None:
    here = Chromium(Path("/usr/bin/chromium"))

    def unasked() -> Chromium:
        raise AssertionError("asked although one was there")

    assert choose([absent, lambda: here, unasked]) is here


def test_a_machine_without_any_fails_loudly_and_names_the_next_step(tmp_path: Path) -> None:
    with pytest.raises(NoChromium, match="apt-get install chromium") as told:
        choose(
            [absent, lambda: of_npm(tmp_path, Shell(code=1)), lambda: of_playwright(Shell(code=1))]
        )

    assert "not here" in str(told.value)


@pytest.mark.parametrize("name", ["chromium", "google-chrome"])
def test_the_systems_own_is_found_under_its_usual_names(name: str) -> None:
    found = of_the_system(which=lambda asked: f"/usr/bin/{asked}" if asked == name else None)

    assert found.executable == Path(f"/usr/bin/{name}")


def test_the_headless_shell_is_taken_before_a_desktop_browser() -> None:
    found = of_the_system(which=lambda asked: f"/usr/bin/{asked}")

    assert found.executable == Path("/usr/bin/chromium-headless-shell")


def test_a_system_without_one_says_which_names_were_looked_for() -> None:
    with pytest.raises(NoChromium, match="chromium, "):
        of_the_system(which=lambda asked: None)


def test_npms_is_installed_from_the_lock_file_and_unpacked_once(tmp_path: Path) -> None:
    shell = Shell(makes=tmp_path / ".tools" / "chromium")

    first, second = of_npm(tmp_path, shell), of_npm(tmp_path, shell)

    assert first == second
    assert first.executable == tmp_path / ".tools" / "chromium"
    assert [command[:2] for command in shell.commands] == [["npm", "ci"], ["node", "unpack.js"]]
    assert first.environment["LD_LIBRARY_PATH"].startswith(str(tmp_path))


def test_npms_that_cannot_be_installed_gives_its_reason(tmp_path: Path) -> None:
    with pytest.raises(NoChromium, match="no network"):
        of_npm(tmp_path, Shell(code=1))


def test_playwrights_own_download_is_the_last_way() -> None:
    shell = Shell()

    found = of_playwright(shell)

    assert found.executable is None
    assert shell.commands[0][-3:] == ["playwright", "install", "chromium-headless-shell"]
