"""The page Connect: a tile for each client, the steps for the chosen one, and a light that turns
green on its first call. A key that is made here never stands in a state: routes/connect.py.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import TypedDict

import reflex as rx

from orderdesk_app import wiring
from orderdesk_app.context import SCOPE_PRESETS, Scope, now
from orderdesk_app.services.callers import open_to
from orderdesk_app.services.client_setups import (
    CLIENTS,
    ClientSetup,
    Snippet,
    client_called,
    find_client,
    is_call_of,
    is_out_of_reach,
    key_client,
)
from orderdesk_app.services.connections import Connection, Lights, Newcomer, Refusal, Why
from orderdesk_app.services.roles import Permission
from orderdesk_app.services.snippets import PLACEHOLDER, mcp_address
from orderdesk_app.states.signed_in import SignedInState, handler
from orderdesk_app.states.times import ago, stamp
from orderdesk_app.tools.catalogue import every_tool

_NEEDS_THE_INTERNET = (
    "They need an https address that the internet can reach: whoever runs this server sets "
    "PUBLIC_URL to one."
)


class Tile(TypedDict):
    """A client, and when it called last; `ago` is empty where it has not in a day."""

    id: str
    name: str
    about: str
    ago: str
    at: str


class Part(TypedDict):
    """Something to copy."""

    id: str  # of its element
    title: str
    where: str
    text: str


class PresetChoice(TypedDict):
    """A choice of permissions, as far as this person may give them."""

    name: str
    words: str


class ConnectState(SignedInState):
    loaded: bool = False
    tiles: list[Tile] = []
    presets: list[PresetChoice] = []
    address: str = ""
    is_local: bool = False  # nobody's cloud can call the address
    offers_oauth: bool = False
    # the chosen client
    client: str = ""
    client_name: str = ""
    client_about: str = ""
    out_of_reach: str = ""  # why it cannot call us; empty where it can
    signs_in: bool = False  # by OAuth, which is offered here
    oauth_steps: list[str] = []
    oauth_parts: list[Part] = []
    link: str = ""
    takes_key: bool = False
    key_name: str = ""
    key_steps: list[str] = []
    key_parts: list[Part] = []  # with a placeholder for the key: a state holds none
    view: str = ""  # the chosen client, as the address says it
    # the light
    is_lit: bool = False
    light: str = ""
    light_ago: str = ""
    light_at: str = ""
    refused: str = ""  # empty where nothing was refused since
    refused_ago: str = ""
    refused_at: str = ""
    _newest_key: str = ""

    @rx.event
    @handler
    @open_to(Permission.SEE_ACCOUNT)
    async def load(self) -> None:
        settings = wiring.current().settings
        self.address = mcp_address(settings.public_url)
        self.is_local = is_out_of_reach(settings.public_url)
        self.offers_oauth = wiring.current().offers_oauth
        scopes = self._require_actor().scopes
        self.presets = [
            PresetChoice(name=name, words=_words(given))
            for name, preset in SCOPE_PRESETS.items()
            if (given := preset & scopes)
        ]
        asked = find_client(str(self.router.url.query_parameters.get("client") or ""))
        self._show(asked or find_client(self.client) or CLIENTS[0])
        await self._read_lights()
        self.loaded = True

    @rx.event
    @handler
    @open_to(Permission.SEE_ACCOUNT)
    async def choose(self, client: str) -> None:
        """Show the steps of that client."""
        if (found := find_client(client)) is not None:
            self._show(found)
            self.view = f"?client={found.id}"
            await self._read_lights()

    @rx.event
    @handler
    @open_to(Permission.SEE_ACCOUNT)
    async def refresh(self) -> None:
        """Runs when something happens in the account, and when a wrong key was refused."""
        await self._read_lights()

    def _show(self, client: ClientSetup) -> None:
        url = wiring.current().settings.public_url
        self.client = client.id
        self.client_name = client.name
        self.client_about = client.about
        self.out_of_reach = (
            f"{client.hosted} {_NEEDS_THE_INTERNET} {client.otherwise}".strip()
            if self.is_local and client.hosted
            else ""
        )
        self.signs_in = self.offers_oauth and client.oauth is not None
        self.oauth_steps = list(client.oauth_steps)
        self.oauth_parts = _parts("oauth", client.oauth(url) if client.oauth else ())
        self.link = client.link(url) if client.link else ""
        self.takes_key = client.by_key is not None
        self.key_name = client.key_name
        self.key_steps = list(client.key_steps)
        self.key_parts = _parts("key", client.by_key(url, PLACEHOLDER) if client.by_key else ())

    async def _read_lights(self) -> None:
        services, actor = wiring.current(), self._require_actor()
        lights = await services.connections.lights(actor)
        moment = now()
        newest_id = lights.newcomers[0].credential_id if lights.newcomers else ""
        if newest_id != self._newest_key:
            self._newest_key = newest_id
            # the form of the new key is spent, and another may be made on this page
            self.form_token = services.form_tokens.issue(self._session)
        self.tiles = [_tile(client, lights.connections, moment) for client in CLIENTS]
        client = find_client(self.client)
        waiting = next(
            (each for each in lights.newcomers if key_client(each.name) in (None, client)), None
        )
        connected = _connection(client, waiting, lights)
        self._light(connected, waiting, moment)
        self._refusal(_unanswered(lights, connected), moment)

    def _light(
        self, connected: Connection | None, waiting: Newcomer | None, moment: datetime
    ) -> None:
        self.is_lit = connected is not None
        self.light_ago = ago(connected.at, moment) if connected else ""
        self.light_at = stamp(connected.at) if connected else ""
        if connected:
            self.light = f"Connected: {_name(connected)}"
        elif waiting:
            self.light = f"Waiting for the first call with “{waiting.name}”…"
        else:
            self.light = f"Waiting for the first call of {self.client_name}…"

    def _refusal(self, refusal: Refusal | None, moment: datetime) -> None:
        self.refused = _why(refusal) if refusal else ""
        self.refused_ago = ago(refusal.at, moment) if refusal else ""
        self.refused_at = stamp(refusal.at) if refusal else ""


def _words(scopes: frozenset[Scope]) -> str:
    return ", ".join(scope.words for scope in Scope if scope in scopes)


def _parts(prefix: str, snippets: Sequence[Snippet]) -> list[Part]:
    return [
        Part(id=f"{prefix}-{number}", title=part.title, where=part.where, text=part.text)
        for number, part in enumerate(snippets, 1)
    ]


def _tile(client: ClientSetup, connections: Sequence[Connection], moment: datetime) -> Tile:
    last = next((each for each in connections if is_call_of(client, each.client, each.key)), None)
    return Tile(
        id=client.id,
        name=client.name,
        about=client.about,
        ago=ago(last.at, moment) if last else "",
        at=stamp(last.at) if last else "",
    )


def _connection(
    client: ClientSetup | None, waiting: Newcomer | None, lights: Lights
) -> Connection | None:
    """The last call of that client, or with the key that is waited for. A call before that key was
    made is not what somebody waits for.
    """
    found = [
        each
        for each in lights.connections
        if (waiting is not None and each.credential_id == waiting.credential_id)
        or (
            client is not None
            and is_call_of(client, each.client, each.key)
            and (waiting is None or each.at > waiting.at)
        )
    ]
    return max(found, key=lambda each: each.at, default=None)


def _unanswered(lights: Lights, connected: Connection | None) -> Refusal | None:
    """The last refusal, unless the client that is shown, or the same key, has called since."""
    refusal = lights.refusal
    if refusal is None:
        return None
    later = [
        each
        for each in lights.connections
        # a call that was refused is a call: both have the same time
        if each.at > refusal.at
        and (each is connected or each.credential_id == (refusal.credential_id or ""))
    ]
    return None if later else refusal


def _name(connection: Connection) -> str:
    known = client_called(connection.client)
    return known.name if known else connection.key or connection.client or "an assistant"


def _why(refusal: Refusal) -> str:
    """What was refused, why, and what to do."""
    known = client_called(refusal.client)
    who = f"“{refusal.key}”" if refusal.key else known.name if known else "An assistant"
    tool = next((tool.title for tool in every_tool() if tool.name == refusal.tool), "that")
    ended, lacks, again = (
        ("this app is disconnected", "it lacks", "Connect it once more and allow it.")
        if refusal.is_app
        else ("this key is revoked", "its key lacks", "Make a key that has it.")
    )
    return {
        Why.UNKNOWN_KEY: (
            "A key that is not known here came from your network. Copy the whole key again, "
            "without spaces or quotes around it."
        ),
        Why.WRONG_ADDRESS: (
            "A program in your network sent a message to another address of this server. Copy the "
            "whole address: it ends with /mcp."
        ),
        Why.WRONG_HOST: (
            "A program in your network called this server by a host that it does not answer for. "
            "Copy the address again as it stands here."
        ),
        Why.FOREIGN_PAGE: (
            "A page of another site in a browser of your network called this server, which no "
            "page of another site may. Use a program that calls it without a browser."
        ),
        Why.REVOKED_KEY: (
            f"{who} was refused: {ended}. "
            f"{'Connect it once more.' if refusal.is_app else 'Make a new one.'}"
        ),
        Why.EXPIRED_KEY: f"{who} was refused: this key has expired. Make a new one.",
        Why.MISUSED_KEY: (
            f"{who} was refused. A key goes into the header Authorization, after Bearer, and not "
            "into the address. Whoever made it must belong to this account and not be disabled."
        ),
        Why.NOT_ALLOWED: f"{who} was refused: {lacks} the permission for “{tool}”. {again}",
        Why.UNKNOWN_TOOL: (
            f"{who} called a tool that this server does not have. Let it list the tools again: "
            "start it once more."
        ),
        Why.TOO_MANY: f"{who} was refused: too many calls in a minute. It goes on by itself.",
    }[refusal.why]
