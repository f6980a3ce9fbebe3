"""What the image is made of, and what it asks of itself."""

import json
import os
import re
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from orderdesk_app.frontend import LOCKS, ROOT, SOURCES

DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")


def sent_to_the_build() -> set[str]:
    """What .dockerignore lets through: it refuses everything and names the exceptions."""
    first, *others = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert first == "*"
    return {line[1:] for line in others if line.startswith("!")}


def test_what_the_build_gets_is_there() -> None:
    assert [name for name in sent_to_the_build() if not (ROOT / name).exists()] == []


def test_the_build_gets_all_that_it_needs() -> None:
    """The package with what its metadata names, the frontend's sources, the migrations, and each
    file that the Dockerfile copies by name.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    package = {"pyproject.toml", project["readme"], "LICENSE", "orderdesk_app"}
    frontend = {name.split("/")[0] for name in (*SOURCES, *LOCKS)}
    copied = set(re.findall(r"^COPY (\w[\w.-]+) ", DOCKERFILE, re.MULTILINE))

    assert copied == {"requirements.lock"}
    assert package | frontend | copied | {"alembic", "alembic.ini"} <= sent_to_the_build()


def test_the_image_installs_what_the_lock_names_and_nothing_else() -> None:
    installs = re.findall(r"pip install ([^&\n]*)", DOCKERFILE)

    assert [line.strip() for line in installs] == [
        "--no-deps --require-hashes -r requirements.lock",
        "--no-deps --no-build-isolation -e .",
    ]
    taken_out = re.findall(r"pip uninstall --yes ([\w -]+)", DOCKERFILE)[0].split()
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert [name for name in taken_out if f"\n{name}==" not in lock] == []


def stages() -> list[str]:
    return re.split(r"^(?=FROM )", DOCKERFILE, flags=re.MULTILINE)[1:]


def test_the_base_is_pinned_and_the_same_in_both_stages() -> None:
    bases = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)

    assert len(set(bases)) == 1
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+(@sha256:[0-9a-f]{64})?", bases[0])


def test_the_image_runs_as_a_number_that_is_not_root() -> None:
    assert re.findall(r"^USER (.*)$", stages()[-1], re.MULTILINE) == ["10001:10001"]


def test_the_image_says_what_it_is() -> None:
    labels = set(re.findall(r"org\.opencontainers\.image\.(\w+)=", stages()[-1]))

    assert labels == {"title", "description", "licenses"}


def test_the_image_has_no_pip() -> None:
    built, final = stages()

    assert "python -m venv --without-pip /venv" in built
    assert re.findall(r"COPY --from=built (\S+)", final) == ["/venv", "/web", "/app/reflex.lock"]
    assert "RUN python -m pip uninstall --yes pip " in final
    assert "rm -r /usr/local/lib/python3.*/ensurepip " in final
    assert "pip install" not in final


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[int]:
    """The port of a server that answers with one status."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(request.param if self.path == "/health/ready" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.mark.slow
@pytest.mark.parametrize(("server", "is_healthy"), [(200, True), (503, False)], indirect=["server"])
def test_the_health_check_asks_the_server_and_no_proxy(server: int, is_healthy: bool) -> None:
    check = re.search(r"HEALTHCHECK.*?CMD (\[.*?\])\n", DOCKERFILE, re.DOTALL)
    assert check is not None
    proxies = {
        "http_proxy": "http://127.0.0.1:9",
        "HTTP_PROXY": "http://127.0.0.1:9",
        "all_proxy": "http://127.0.0.1:9",
    }
    environment = {"PATH": os.environ["PATH"], "PORT": str(server), **proxies}

    ended = subprocess.run(
        [sys.executable, *json.loads(check.group(1))[1:]],
        env=environment,
        capture_output=True,
        timeout=60,
        check=False,
    )

    assert (ended.returncode == 0) == is_healthy, ended.stderr
