"""The `orderdesk` command, as a process: what it prints where, and how it ends."""

import json
import os
import secrets
import socket
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from orderdesk_app.cli import parser
from orderdesk_app.cli.sign_in_link import web_address
from orderdesk_app.frontend import ROOT
from orderdesk_app.serving import server
from orderdesk_app.settings_reader import load_settings
from tests.worlds import free_port, own_environment, serving, start_server, wait_until_ready

pytestmark = pytest.mark.slow

COMMANDS = (
    "serve",
    "build",
    "migrate",
    "stdio",
    "tools",
    "signin-link",
    "mail-test",
    "users",
    "doctor",
)
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs the command with a database of its own, from a folder that is not the project's."""
    clean = {name: value for name, value in os.environ.items() if name in ("HOME", "LANG")}

    def start(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        environment = {
            **clean,
            **own_environment(),
            "DATABASE_URL": f"sqlite:///{tmp_path / 'app.db'}",
            **settings,
        }
        return subprocess.run(
            [sys.executable, "-m", "orderdesk_app", *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return start


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parser().parse_args([command, "--help"])

    words = capsys.readouterr().out
    assert ended.value.code == 0
    assert command in words
    assert len(words.splitlines()) >= 5


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"PORT": "many"}, "PORT"),
        ({"HOST": "0.0.0.0"}, "HOST"),
        ({"APP_ENV": "production"}, "MCP_KMS_KEY"),
        ({"DATABASE_URL": "mysql://x"}, "DATABASE_URL"),
    ],
)
def test_a_wrong_setting_stops_the_start_and_is_named(
    run: Run, settings: dict[str, str], named: str
) -> None:
    ended = run("serve", **settings)

    assert ended.returncode == 2
    assert named in ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""


def test_tools_prints_the_catalogue(run: Run) -> None:
    table, full = run("tools"), run("tools", "--json")

    names = [tool["name"] for tool in json.loads(full.stdout)]
    assert [line.split()[0] for line in table.stdout.splitlines()] == names
    assert "orders_update" in names


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_whoever_has_read_enough_of_the_catalogue_is_told_no_more(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    reading, writing = os.pipe()
    os.close(reading)  # as `head` does
    command = [sys.executable, "-m", "orderdesk_app", "tools", *options]

    ended = subprocess.run(
        command,
        cwd=ROOT,
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    os.close(writing)

    assert ended.stderr == ""


def test_migrate_can_be_repeated(run: Run, tmp_path: Path) -> None:
    first, second = run("migrate"), run("migrate")

    assert (first.returncode, second.returncode) == (0, 0)
    assert (tmp_path / "app.db").is_file()


def test_a_sign_in_link_stands_alone_on_standard_output(run: Run) -> None:
    ended = run("signin-link", LOG_LEVEL="DEBUG")

    (line,) = ended.stdout.splitlines()
    assert ended.returncode == 0
    assert line.startswith("http://localhost:8080/sign-in/link?token=")
    assert line.split("token=")[1] not in ended.stderr


def test_there_is_no_link_without_a_web_app(run: Run) -> None:
    ended = run("signin-link", ENABLE_WEBUI="false")

    assert ended.returncode == 2
    assert "ENABLE_WEBUI" in ended.stderr


def test_a_first_start_that_nobody_could_enter_is_refused(run: Run) -> None:
    ended = run("serve", ENABLE_WEBUI="false", PORT=str(free_port()))

    assert ended.returncode == 2
    assert "ADMIN_MASTER_KEY" in ended.stderr


def test_the_command_imports_no_web_framework() -> None:
    code = (
        "import sys, orderdesk_app.cli, orderdesk_app.server, orderdesk_app.routes; "
        "print(any(name == 'reflex' or name.startswith('reflex.') for name in sys.modules))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert ended.stdout.strip() == "False"


def test_the_server_listens_where_the_settings_say_and_keeps_no_access_log() -> None:
    ours = server(load_settings({"PORT": "9123"}, None))

    assert (ours.bind_addr, ours.bind_port) == ("127.0.0.1", 9123)
    assert not ours.log_access


@pytest.mark.parametrize("timeout", ["30", "0.5", "600"])
def test_a_stop_waits_as_long_as_a_write_may_take(timeout: str) -> None:
    ours = server(load_settings({"HTTP_TIMEOUT": timeout}, None))

    assert ours.workers_kill_timeout is not None
    assert ours.workers_kill_timeout > float(timeout)


def test_the_servers_own_lines_are_json_on_standard_error(tmp_path: Path) -> None:
    code = (
        "from orderdesk_app.settings_reader import load_settings; from orderdesk_app.serving "
        "import server; server(load_settings(), 'no_such_module:app').serve()"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PORT": str(free_port())}

    ended = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    lines = [json.loads(line) for line in ended.stderr.splitlines() if line.startswith("{")]
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert ("error", "Unexpected exit from worker-1") in [
        (line["level"], line["event"]) for line in lines
    ]
    assert "[ERROR]" not in ended.stderr


def test_the_printed_address_has_the_port_that_is_served() -> None:
    assert web_address(load_settings({"PORT": "9123"}, None)) == "http://localhost:9123"
    assert (
        web_address(load_settings({"PUBLIC_URL": "http://[::1]:8080", "PORT": "9123"}, None))
        == "http://[::1]:9123"
    )
    assert (
        web_address(load_settings({"PUBLIC_URL": "http://localhost:8080"}, None))
        == "http://localhost:8080"
    )


# ------------------------------------------------------------------ where it listens


def test_a_busy_port_stops_the_start_before_anything_is_touched(run: Run, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]

        ended = run("serve", PORT=str(port))

    assert ended.returncode == 2
    assert f"PORT: {port} is in use on 127.0.0.1" in ended.stderr
    assert f"Example: PORT={port + 1}" in ended.stderr
    assert "link" not in ended.stdout
    assert not (tmp_path / "app.db").exists()


def test_a_second_server_on_the_port_of_the_first_does_not_start(tmp_path: Path) -> None:
    with serving(tmp_path, f"sqlite:///{tmp_path}/app.db") as (first,):
        second = start_server(tmp_path, f"sqlite:///{tmp_path}/other.db", PORT=str(first.port))

        code = second.process.wait(30)

        assert code == 2
        assert f"PORT: {first.port} is in use" in second.log.read_text()
        assert httpx.get(f"{first.url}/health/live").status_code == 200


def test_an_address_of_another_machine_stops_the_start(run: Run) -> None:
    kms_key = b64encode(secrets.token_bytes(32)).decode()

    ended = run(
        "serve",
        HOST="192.0.2.1",
        APP_ENV="production",
        PUBLIC_URL="https://o.example.com",
        MCP_KMS_KEY=kms_key,
    )

    assert ended.returncode == 2
    assert "HOST: 192.0.2.1 is no address of this machine. Example: HOST=127.0.0.1" in ended.stderr


def test_what_is_said_waits_until_the_server_answers(tmp_path: Path) -> None:
    port = free_port()
    code = (
        "import sys\n"
        "from orderdesk_app.cli.serve import print_when_live\n"
        "from orderdesk_app.settings_reader import load_settings\n"
        f"print_when_live(load_settings({{'PORT': '{port}'}}, None), 'It answers.')\n"
        "exec(sys.argv[1])\n"
    )
    slow = (
        "import http.server, time\n"
        "class Live(http.server.BaseHTTPRequestHandler):\n"
        "    def do_GET(self):\n"
        "        self.send_response(200 if self.path == '/health/live' else 404)\n"
        "        self.end_headers()\n"
        "time.sleep(1)\n"
        f"http.server.HTTPServer(('127.0.0.1', {port}), Live).serve_forever()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, slow],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()

        assert line == "It answers.\n"
        assert httpx.get(f"http://127.0.0.1:{port}/health/live").status_code == 200
        assert Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text() == "", (
            "nobody waits any longer, and nobody is left to bury"
        )
    finally:
        process.terminate()
        process.wait(10)


def test_nothing_is_said_when_the_server_ends_before_it_answers() -> None:
    code = (
        "import sys\n"
        "from orderdesk_app.cli.serve import print_when_live\n"
        "from orderdesk_app.settings_reader import load_settings\n"
        f"print_when_live(load_settings({{'PORT': '{free_port()}'}}, None), 'It answers.')\n"
        "raise SystemExit(3)\n"
    )

    # Whoever waits holds standard output: this returns when nobody does.
    ended = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert (ended.returncode, ended.stdout) == (3, "")


def test_a_server_that_starts_again_on_changes_ends_with_the_command(tmp_path: Path) -> None:
    server = start_server(tmp_path, f"sqlite:///{tmp_path}/app.db", "--reload")
    wait_until_ready(server)

    server.process.terminate()

    assert server.process.wait(30) == 0
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{server.url}/health/live")
