"""The frontend is built when its sources changed, and only then."""

import fcntl
import gzip
import json
import os
import shutil
import signal
import subprocess
from base64 import b64encode
from pathlib import Path
from secrets import token_bytes
from threading import Thread
from typing import Any

import brotli
import pytest

from orderdesk_app import cli
from orderdesk_app.cli import build
from orderdesk_app.errors import ConfigurationError
from orderdesk_app.frontend import (
    LOCKS,
    ROOT,
    SOURCES,
    Frontend,
    allowed_origins,
    make_origin_relative,
    reflex_environment,
)
from orderdesk_app.settings_reader import load_settings


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of all that the build reads."""
    for name in (*SOURCES, *LOCKS, "requirements.lock"):
        source, target = ROOT / name, tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    return tmp_path


@pytest.fixture
def built(project: Path) -> Frontend:
    """The same, as a build leaves it."""
    frontend = Frontend(project)
    frontend.client.mkdir(parents=True)
    (frontend.client / "assets").mkdir()
    (frontend.client / "assets/entry.js").write_text("")
    (frontend.client / "index.html").write_text(
        '<html><link rel="modulepreload" href="/assets/entry.js"/></html>'
    )
    frontend.stamp.write_text(json.dumps({"fingerprint": frontend.fingerprint()}))
    return frontend


def test_an_unchanged_frontend_is_not_built_again(built: Frontend) -> None:
    for path in built.root.rglob("*.py"):
        os.utime(path, (1, 1))  # a checkout changes times, not contents

    assert built.is_current()


@pytest.mark.parametrize(
    "name",
    [
        "orderdesk_app/states/home.py",
        "orderdesk_app/pages/home.py",
        "orderdesk_app/components/frame.py",
        "assets/look.css",
        "rxconfig.py",
        LOCKS[1],
    ],
)
def test_a_changed_source_is_built(built: Frontend, name: str) -> None:
    with (built.root / name).open("a") as file:
        file.write("\n# changed\n")

    assert not built.is_current()


def test_a_new_state_and_a_removed_page_are_built(built: Frontend) -> None:
    (built.root / "orderdesk_app/states/new.py").write_text("")
    with_new = built.is_current()
    (built.root / "orderdesk_app/states/new.py").unlink()
    as_before = built.is_current()
    (built.root / "orderdesk_app/pages/home.py").unlink()

    assert (with_new, as_before, built.is_current()) == (False, True, False)


def test_another_version_of_the_framework_is_built(built: Frontend) -> None:
    lock = built.root / "requirements.lock"
    lock.write_text(lock.read_text().replace("reflex==", "reflex==9."))

    assert not built.is_current()


def test_a_service_that_changes_needs_no_build(built: Frontend) -> None:
    (built.root / "orderdesk_app/services").mkdir()
    (built.root / "orderdesk_app/services/keys.py").write_text("changed = True")

    assert built.is_current()


@pytest.mark.parametrize("name", ["index.html", "assets/entry.js"])
def test_an_interrupted_build_is_none(built: Frontend, name: str) -> None:
    (built.client / name).unlink()

    assert not built.is_current()


@pytest.mark.parametrize("content", ["[]", "null", "{", ""])
def test_a_stamp_that_says_nothing_is_none(built: Frontend, content: str) -> None:
    built.stamp.write_text(content)

    assert not built.is_current()


class Reflex:
    """Stands in for the processes of a build, and notes their environment."""

    def __init__(self, frontend: Frontend, *, works: bool = True) -> None:
        self.frontend, self.works, self.environment = frontend, works, dict[str, str]()
        self.builds = 0

    def __call__(
        self, command: list[str], *, env: dict[str, str], **_: object
    ) -> subprocess.CompletedProcess[str]:
        if "export" in command:
            self.builds += 1
            self.environment = env
            (self.frontend.client / "assets").mkdir(parents=True, exist_ok=True)
            (self.frontend.client / "assets/reflex-env-1a2b.js").write_text(
                "var e={A:`http://localhost:8000/ping`,B:`ws://localhost:8000/_event`}"
            )
            (self.frontend.client / "index.html").write_text("<html></html>")
            (self.frontend.client / "ui").mkdir()
        elif "--file" in command and self.works:
            Path(command[command.index("--file") + 1]).write_text("start()")
        return subprocess.CompletedProcess(command, 0 if self.works else 1, "", "")


def test_a_build_keeps_to_the_project(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frontend = Frontend(project)
    reflex = Reflex(frontend)
    monkeypatch.setattr("orderdesk_app.frontend.subprocess.run", reflex)
    for name in ("REFLEX_DIR", "npm_config_cache", "NPM_CONFIG_CACHE"):
        monkeypatch.delenv(name, raising=False)

    frontend.build()

    assert frontend.is_current()
    kept = [
        Path(reflex.environment[name]).relative_to(project).parts[0]
        for name in ("REFLEX_DIR", "npm_config_cache")
    ]
    assert kept == [".tools"] * 2, "Reflex empties .web"


def test_the_browser_script_is_one_file(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frontend = Frontend(project)
    monkeypatch.setattr("orderdesk_app.frontend.subprocess.run", Reflex(frontend))

    frontend.build()

    script = frontend.client / "ui.js"
    assert script.read_text() == "start()"
    assert gzip.decompress(Path(f"{script}.gz").read_bytes()) == b"start()"
    assert brotli.decompress(Path(f"{script}.br").read_bytes()) == b"start()"
    assert not (frontend.client / "ui").exists()


@pytest.mark.parametrize("has_packages", [False, True])
def test_a_build_that_failed_speaks_of_the_network_only_where_npm_brought_nothing(
    project: Path, monkeypatch: pytest.MonkeyPatch, has_packages: bool
) -> None:
    frontend = Frontend(project)
    monkeypatch.setattr("orderdesk_app.frontend.subprocess.run", Reflex(frontend, works=False))
    if has_packages:
        (frontend.web / "node_modules").mkdir(parents=True)

    with pytest.raises(ConfigurationError) as failed:
        frontend.build()

    assert ("network" in str(failed.value)) != has_packages


def test_who_comes_during_a_build_takes_what_it_made(
    built: Frontend, monkeypatch: pytest.MonkeyPatch
) -> None:
    reflex = Reflex(built)
    monkeypatch.setattr("orderdesk_app.frontend.subprocess.run", reflex)
    stamp = built.stamp.read_text()
    with (built.root / "rxconfig.py").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        built.stamp.unlink()
        waiting = Thread(target=built.build)
        waiting.start()
        waiting.join(0.2)
        was_waiting = waiting.is_alive()
        built.stamp.write_text(stamp)
    waiting.join(30)

    assert was_waiting
    assert reflex.builds == 0
    assert built.is_current()


def chunk(folder: Path, text: str) -> Path:
    (folder / "assets").mkdir()
    path = folder / "assets" / "reflex-env-1a2b.js"
    path.write_text(text)
    return path


def test_built_pages_talk_to_the_host_they_came_from(tmp_path: Path) -> None:
    path = chunk(
        tmp_path,
        (
            "var "
            "e={PING:`http://localhost:8000/ping`,EVENT:`ws://localhost:8000/_event`};export{e "
            "as t};"
        ),
    )

    make_origin_relative(tmp_path)

    text = path.read_text()
    assert "localhost" not in text
    assert "location.origin+`/ping`" in text
    assert gzip.decompress(Path(f"{path}.gz").read_bytes()).decode() == text
    assert brotli.decompress(Path(f"{path}.br").read_bytes()).decode() == text


def test_another_shape_of_the_build_is_not_served(tmp_path: Path) -> None:
    chunk(tmp_path, "var e={}")

    with pytest.raises(ConfigurationError, match="make run"):
        make_origin_relative(tmp_path)


def test_the_lock_names_no_registry_and_no_machine() -> None:
    text = "".join((ROOT / name).read_text() for name in LOCKS)

    assert "resolved" not in text
    assert "http://" not in text


def test_serving_asks_the_network_nothing() -> None:
    environment = reflex_environment(load_settings({}, None))

    assert environment["REFLEX_TELEMETRY_ENABLED"] == "false"
    assert environment["REFLEX_CHECK_LATEST_VERSION"] == "false"
    assert environment["__REFLEX_SKIP_COMPILE"] == "true"


def test_only_our_own_pages_may_connect() -> None:
    production = {
        "APP_ENV": "production",
        "PUBLIC_URL": "https://orders.example.com",
        "MCP_KMS_KEY": b64encode(token_bytes(32)).decode(),
    }

    assert allowed_origins(load_settings(production, None)) == ("https://orders.example.com",)
    assert set(allowed_origins(load_settings({}, None))) == {
        "http://localhost:8080",
        "http://127.0.0.1:8080",
        "http://[::1]:8080",
    }
    assert "http://localhost:9123" in allowed_origins(load_settings({"PORT": "9123"}, None))


@pytest.mark.parametrize("code", [-signal.SIGINT, 128 + signal.SIGINT, None])
def test_a_build_that_is_interrupted_says_so(
    code: int | None,
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Whether the signal reached this process or the build alone."""

    def interrupted(command: list[str], **_: Any) -> Any:
        if code is None:
            raise KeyboardInterrupt
        return subprocess.CompletedProcess(command, code, stdout="", stderr="")

    monkeypatch.setattr(build, "Frontend", lambda: Frontend(project))
    monkeypatch.setattr("orderdesk_app.frontend.subprocess.run", interrupted)

    ended = cli.main(["build", "--force"])

    said = capsys.readouterr().err
    assert ended == 130
    assert "the build was interrupted" in said
    assert "network" not in said
