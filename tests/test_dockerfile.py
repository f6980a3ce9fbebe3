"""What the image asks of itself."""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from orderdesk_app.frontend import ROOT

pytestmark = pytest.mark.slow


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


@pytest.mark.parametrize(("server", "is_healthy"), [(200, True), (503, False)], indirect=["server"])
def test_the_health_check_asks_the_server_and_no_proxy(server: int, is_healthy: bool) -> None:
    check = re.search(
        r"HEALTHCHECK.*?CMD (\[.*?\])\n", (ROOT / "Dockerfile").read_text(), re.DOTALL
    )
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
