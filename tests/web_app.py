"""The whole app in this process, without a browser and without a build: plain forms over HTTP,
events over the raw websocket. tests/conftest.py has these fixtures for tests/web and tests/attacks.
"""

import contextlib
import os
from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from orderdesk_app import wiring
from orderdesk_app.db.migrate import upgrade
from orderdesk_app.frontend import MOUNTS, reflex_environment
from orderdesk_app.routes import sockets
from orderdesk_app.server import create_app
from orderdesk_app.services import limits
from orderdesk_app.settings_reader import load_settings
from tests.web.browser_session import ORIGIN, BrowserSession, Web
from tests.worlds import open_services


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """Reflex's app can be built once in a process, so all tests share it."""
    folder = tmp_path_factory.mktemp("web")
    url = f"sqlite:///{folder / 'app.db'}"
    upgrade(url)
    generous = {
        "WEBUI_RATE_LIMIT_LOGIN": "10000",
        "WEBUI_RATE_LIMIT_API_CONSOLE": "10000",
        "RATE_LIMIT_RPM": "100000",
    }
    settings = load_settings({"DATABASE_URL": url, **generous}, None)
    os.environ.update({**reflex_environment(settings), MOUNTS: "false"})  # no build is needed here
    with pytest.MonkeyPatch.context() as patched:
        # tests open tabs and send events faster than people do
        for name in ("MAX_NEW_PER_MINUTE", "MESSAGES_AT_ONCE", "MESSAGES_PER_SECOND"):
            patched.setattr(sockets, name, 1_000_000)
        app = create_app(settings, open_services=open_services)
    with contextlib.ExitStack() as closing:
        with pytest.MonkeyPatch.context() as patched:
            for name in ("FORMS", "INVITATION_ANSWERS", "SIGN_INS", "TOKEN_PAIRS"):
                patched.setattr(limits, name, 1_000_000)
            client = closing.enter_context(TestClient(app, base_url=ORIGIN, follow_redirects=False))
        yield Web(client, wiring.current())


@pytest.fixture
def web(served: Web) -> Web:
    """The served app, met by somebody who is not signed in."""
    served.client.cookies.clear()
    return served


@pytest.fixture
def ada(web: Web) -> BrowserSession:
    return web.make_account("Ada's Teas")


@pytest.fixture
def bert(web: Web) -> BrowserSession:
    """The neighbour."""
    return web.make_account("Bert's Bikes")


@pytest.fixture
def admin(web: Web) -> BrowserSession:
    return web.make_account("The house", is_operator=True)


@pytest.fixture
def sockets_for_strangers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The guard does not trust that strangers have none: sessions end while a socket is open."""
    monkeypatch.setattr(
        sockets.SocketLimits,
        "__call__",
        lambda self, scope, receive, send: self._app(scope, receive, send),
    )
