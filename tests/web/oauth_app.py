"""A public OAuth client as a program is one, over HTTP, and what it asks of `/mcp`."""

from typing import Any

from orderdesk_app.services.oauth_client import Client
from tests.oauth import REDIRECT, VERIFIER, OAuthPerson, add_client, query
from tests.web.browser_session import BrowserSession, Web


class App:
    """A public client as a program is one, and the person who approves it."""

    def __init__(self, person: BrowserSession, client_id: str = "an-app", **values: object) -> None:
        self.web = person.web
        self.person = person
        self.client: Client = self.web.do(add_client, self.web.services, client_id, **values)

    def code(self, **asked: str | None) -> str:
        ada = OAuthPerson(self.web.services, self.person.actor)
        return str(self.web.do(ada.approve, query(self.client.client_id, **asked)))

    def send(self, path: str = "/token", headers: Any = None, **form: str) -> Any:
        self.web.client.cookies.clear()
        given = {"client_id": self.client.client_id, **form}
        return self.web.client.post(
            path,
            data={name: value for name, value in given.items() if value},
            headers=headers or {},
        )

    def exchange(self, code: str, **form: str) -> Any:
        return self.send(
            **{
                "grant_type": "authorization_code",
                "code": code,
                "code_verifier": VERIFIER,
                "redirect_uri": REDIRECT,
                **form,
            }
        )

    def connect(self, **asked: str | None) -> dict[str, Any]:
        answer = self.exchange(self.code(**asked))
        assert answer.status_code == 200, answer.text
        return dict(answer.json())


def ask(web: Web, token: str | None, body: Any = None, **headers: str) -> Any:
    """A request to /mcp, of 2025-11-25 unless the headers say another revision."""
    web.client.cookies.clear()
    given = {"authorization": f"Bearer {token}"} if token is not None else {}
    return web.client.post(
        "/mcp",
        json=body or {"jsonrpc": "2.0", "id": 1, "method": "ping"},
        headers={"accept": "application/json, text/event-stream", **given, **headers},
    )


def calling(tool: str, **arguments: Any) -> dict[str, Any]:
    params = {"name": tool, "arguments": arguments}
    return {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
