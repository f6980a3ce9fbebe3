"""A request to authorize, from the client's link to the code that a person's consent gives.

    request = await requests.look(query, actor)
    address = await requests.approve(actor, request, scopes=…, store_ids=…, is_read_only=…)
    address = await requests.refuse(actor, request)

Nothing is kept between them: the consent page sends the query along, and it is checked again. Until
client and redirect URI are known to belong together, nobody is led anywhere.
"""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol
from urllib.parse import parse_qsl, urlencode

from sqlmodel import col, or_
from sqlmodel.ext.asyncio.session import AsyncSession

from orderdesk_app.context import (
    Actor,
    Scope,
    StoreRowId,
    Via,
    new_id,
    now,
)
from orderdesk_app.db.engine import Database
from orderdesk_app.db.keys import Credential
from orderdesk_app.db.oauth import OAuthCode, OAuthToken
from orderdesk_app.db.owned import owned
from orderdesk_app.db.stores import Store
from orderdesk_app.errors import (
    Conflict,
    NotFound,
    PermissionDenied,
    ValidationFailed,
)
from orderdesk_app.security.keyring import Keyring
from orderdesk_app.security.tokens import new_authorization_code
from orderdesk_app.services.access import APP
from orderdesk_app.services.app_names import known_as
from orderdesk_app.services.audit import AuditTrail, Entry
from orderdesk_app.services.members import require_still
from orderdesk_app.services.oauth_client import Client
from orderdesk_app.services.oauth_errors import AuthorizationRedirect, OAuthError, OAuthRefused
from orderdesk_app.services.oauth_resource import OAuthResource, asked_scopes, in_order
from orderdesk_app.services.oauth_tokens import code_digest
from orderdesk_app.services.reauthentication import Reauthentication
from orderdesk_app.services.redirect_uris import RedirectUri, matching_redirect
from orderdesk_app.services.roles import Permission, require, require_scopes

CODE_SECONDS = 60
MOST_APPS = 200  # of an account
_LONGEST_QUERY = 8_192
_MOST_PARAMETERS = 50
_LONGEST_STATE = 4_096
# RFC 7636 section 4.2: of S256 it is the base64url form of 32 bytes
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)


@dataclass(frozen=True, slots=True)
class ConnectedBefore:
    """What this client already has in this account, by the same person."""

    credential_id: str
    scopes: tuple[Scope, ...]
    store_ids: tuple[StoreRowId, ...] | None
    is_read_only: bool


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """A request that a person may answer. `query` is how it came, for the form of the answer.

    `redirect.shown` is where the answer goes, as people read it, and `redirect.source` what the
    page's content policy has to let a form lead to. `is_new_redirect`: this person knows the
    client, and another address of it.
    """

    query: str
    client: Client
    redirect: RedirectUri
    has_redirect_uri: bool
    scopes: tuple[Scope, ...]
    state: str | None
    code_challenge: str
    is_new_redirect: bool = False
    before: ConnectedBefore | None = None


class FindsClients(Protocol):
    """The part of services/oauth_clients.py that is used here."""

    async def find(self, client_id: str, *, address: str = "") -> Client | None: ...


class AuthorizationRequests:
    """Only a person with a session answers; what they approve never exceeds what was asked for, nor
    what their role allows.
    """

    def __init__(
        self,
        database: Database,
        keyring: Keyring,
        clients: FindsClients,
        reauthentication: Reauthentication,
        audit: AuditTrail,
        resource: OAuthResource,
        *,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._database = database
        self._keyring = keyring
        self._clients = clients
        self._reauthentication = reauthentication
        self._audit = audit
        self._resource = resource
        self._clock = clock

    async def look(
        self, query: str, actor: Actor | None = None, *, address: str = ""
    ) -> AuthorizationRequest:
        """The request in the query of an address, checked; with an actor, also what they know of
        the client. `address` is the caller's, of whom a document about the client may be fetched.

        Raises RateLimited, and OAuthRefused, which is shown as a page, until the redirect URI is
        known to be the client's; then AuthorizationRedirect, which leads back to the client.
        """
        given = _parameters(query)
        client = await self._client(given, address)
        redirect = _redirect(client, given.get("redirect_uri", []))
        state = _one(given, "state")
        try:
            request = AuthorizationRequest(
                query=query,
                client=client,
                redirect=redirect,
                has_redirect_uri="redirect_uri" in given,
                scopes=self._checked(given, state),
                state=state,
                code_challenge=_challenge(given),
            )
        except AuthorizationRedirect:
            raise
        except OAuthRefused as error:
            raise self._back(redirect, state, error) from error
        return await self._known_to(actor, request) if actor is not None else request

    async def approve(
        self,
        actor: Actor,
        request: AuthorizationRequest,
        *,
        scopes: Collection[Scope],
        store_ids: Collection[StoreRowId] | None,
        is_read_only: bool,
    ) -> str:
        """The address that leads back to the client, with a code in it that works once, for a
        minute. `store_ids` None means every store of the account.

        Raises PermissionDenied, ValidationFailed (field "scopes" or "stores"), NotFound,
        ReauthenticationRequired.
        """
        self._only_people(actor)
        require(actor, Permission.MANAGE_OWN_KEYS)
        _require_asked(request, scopes)
        require_scopes(actor, scopes)
        await self._reauthentication.require_recent(actor)
        code = new_authorization_code()
        moment = self._clock()
        assert actor.user_id is not None
        async with self._database.write() as session:
            await require_still(session, actor, Permission.MANAGE_OWN_KEYS)
            await self._require_room(session, actor, request.client)
            session.add(
                OAuthCode(
                    id=new_id(),
                    digest=code_digest(self._keyring, code.reveal()),
                    tenant_id=actor.tenant_id,
                    user_id=actor.user_id,
                    client_id=request.client.client_id,
                    redirect_uri=request.redirect.text,
                    has_redirect_uri=request.has_redirect_uri,
                    code_challenge=request.code_challenge,
                    scopes=[scope.value for scope in in_order(scopes)],
                    store_ids=await chosen_stores(session, actor, store_ids),
                    is_read_only=is_read_only,
                    created_at=moment,
                    expires_at=moment + timedelta(seconds=CODE_SECONDS),
                )
            )
        return self._address(request.redirect, request.state, code=code.reveal())

    async def refuse(self, actor: Actor, request: AuthorizationRequest) -> str:
        """The address that leads back to the client, which learns that the person said no."""
        self._only_people(actor)
        await self._audit.write_or_queue(
            Entry(actor, "app.refuse", arguments={"app": known_as(request.client.name)})
        )
        return self._address(
            request.redirect,
            request.state,
            error=OAuthError.ACCESS_DENIED,
            error_description="The person did not connect the app.",
        )

    async def _client(self, given: Mapping[str, list[str]], address: str) -> Client:
        """Raises OAuthRefused for a request that names none, or one that nobody knows."""
        client_id = _one(given, "client_id")
        client = await self._clients.find(client_id, address=address) if client_id else None
        if client is None:
            raise OAuthRefused(
                OAuthError.INVALID_REQUEST,
                "The app that sent you here is not known to this server, or no longer. Remove the "
                "server in the app, add it again, and connect once more.",
            )
        return client

    def _checked(self, given: Mapping[str, list[str]], state: str | None) -> tuple[Scope, ...]:
        """The scopes that are asked for. Raises OAuthRefused for what a client did wrong."""
        for name, values in given.items():
            if len(values) > 1 and name != "resource":  # RFC 6749 section 3.1, RFC 8707 section 2
                raise _invalid(f"Send {name[:40]} once.")
        if state is not None and len(state) > _LONGEST_STATE:
            raise _invalid(f"A state has at most {_LONGEST_STATE} characters.")
        response_type = _one(given, "response_type")
        if response_type is None:
            raise _invalid("Send response_type=code.")
        if response_type != "code":
            raise OAuthRefused(OAuthError.UNSUPPORTED_RESPONSE_TYPE, "Send response_type=code.")
        if _one(given, "response_mode") not in (None, "query"):
            raise _invalid("Answers are sent in the query: leave out response_mode.")
        if "request" in given:
            raise OAuthRefused(OAuthError.REQUEST_NOT_SUPPORTED, "Send plain parameters.")
        if "request_uri" in given:
            raise OAuthRefused(OAuthError.REQUEST_URI_NOT_SUPPORTED, "Send plain parameters.")
        if "none" in (_one(given, "prompt") or "").split():
            raise OAuthRefused(
                OAuthError.INTERACTION_REQUIRED, "A person is always asked: leave out prompt."
            )
        self._resource.require(given.get("resource", ()))
        return asked_scopes(_one(given, "scope"))

    def _back(
        self, redirect: RedirectUri, state: str | None, error: OAuthRefused
    ) -> AuthorizationRedirect:
        address = self._address(
            redirect, state, error=error.error, error_description=error.description
        )
        return AuthorizationRedirect(error.error, error.description, address)

    def _address(self, redirect: RedirectUri, state: str | None, **answer: str) -> str:
        """The redirect URI with the answer, its state, and who answers (RFC 9207)."""
        if state is not None:
            answer["state"] = state
        answer["iss"] = self._resource.issuer
        joint = "&" if redirect.query else "?"
        return f"{redirect.text}{joint}{urlencode(answer)}"

    async def _known_to(self, actor: Actor, request: AuthorizationRequest) -> AuthorizationRequest:
        """The request with what this person has connected of the client before."""
        question = owned(actor, Credential).where(
            col(Credential.user_id) == actor.user_id,
            col(Credential.client_id) == request.client.client_id,
            col(Credential.kind) == APP,
            col(Credential.revoked_at).is_(None),
        )
        async with self._database.read() as session:
            row = (await session.exec(question.limit(1))).one_or_none()
            if row is None:
                return request
            tokens = owned(actor, OAuthToken).where(col(OAuthToken.credential_id) == row.id)
            known = {token.redirect_uri for token in (await session.exec(tokens)).all()}
        return _with_app(request, row, is_new=not matching_redirect(known, request.redirect.text))

    async def _require_room(self, session: AsyncSession, actor: Actor, client: Client) -> None:
        """Beside what this person has connected of that client, which becomes no second app."""
        apps = owned(actor, Credential).where(
            col(Credential.kind) == APP,
            col(Credential.revoked_at).is_(None),
            or_(
                col(Credential.user_id) != actor.user_id,
                col(Credential.client_id) != client.client_id,
            ),
        )
        if len((await session.exec(apps.limit(MOST_APPS))).all()) >= MOST_APPS:
            raise Conflict(
                f"An account has at most {MOST_APPS} connected apps. Disconnect one that is no "
                "longer used."
            )

    def _only_people(self, actor: Actor) -> None:
        if actor.via != Via.WEB or actor.user_id is None or actor.session_id is None:
            raise PermissionDenied(
                "An app is connected by a person who is signed in to the web app."
            )


def _with_app(
    request: AuthorizationRequest, row: Credential, *, is_new: bool
) -> AuthorizationRequest:
    before = ConnectedBefore(
        row.id,
        tuple(scope for scope in Scope if scope.value in row.scopes),
        None if row.store_ids is None else tuple(StoreRowId(store) for store in row.store_ids),
        row.is_read_only,
    )
    return replace(request, is_new_redirect=is_new, before=before)


def _parameters(query: str) -> Mapping[str, list[str]]:
    """The parameters with all their values. One without a value counts as left out (RFC 6749
    section 3.1).
    """
    try:
        if len(query) > _LONGEST_QUERY:
            raise ValueError("too long")
        pairs = parse_qsl(query, max_num_fields=_MOST_PARAMETERS, errors="strict")
    except (ValueError, UnicodeDecodeError):
        raise _invalid(
            "The address that the app opened cannot be read. Connect once more."
        ) from None
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found


def _one(given: Mapping[str, list[str]], name: str) -> str | None:
    """The value of a parameter that was sent once, else None."""
    values = given.get(name, [])
    return values[0] if len(values) == 1 else None


def _redirect(client: Client, named: Collection[str]) -> RedirectUri:
    """Where the answer goes. Raises OAuthRefused for an address that is not the client's, for two
    of them, and where none is named of several.
    """
    wanted = [*named] or [*client.redirect_uris]
    found = matching_redirect(client.redirect_uris, wanted[0]) if len(wanted) == 1 else None
    if found is None:
        raise _invalid(
            "The app wants the answer to be sent to an address that is not one of its own, so "
            "nothing was done. Remove the server in the app, add it again, and connect once more."
        )
    return found


def _challenge(given: Mapping[str, list[str]]) -> str:
    """Raises OAuthRefused for a request without PKCE by S256: without a method it is "plain"."""
    challenge = _one(given, "code_challenge")
    if challenge is None or _one(given, "code_challenge_method") != "S256":
        raise _invalid("Send code_challenge and code_challenge_method=S256 (PKCE).")
    if not _CHALLENGE.fullmatch(challenge):
        raise _invalid("A code_challenge of S256 has 43 characters of base64url.")
    return challenge


def _invalid(description: str) -> OAuthRefused:
    return OAuthRefused(OAuthError.INVALID_REQUEST, description)


def _require_asked(request: AuthorizationRequest, scopes: Collection[Scope]) -> None:
    if not scopes:
        raise ValidationFailed("Choose at least one permission.", field="scopes")
    if not set(scopes) <= set(request.scopes):
        raise ValidationFailed(
            "The app did not ask for one of these permissions. Reload the page.", field="scopes"
        )


async def chosen_stores(
    session: AsyncSession, actor: Actor, store_ids: Collection[StoreRowId] | None
) -> list[str] | None:
    """The stores as an app's row has them; None is all of them. Raises ValidationFailed for none,
    and NotFound for one that is not the account's (field "stores").
    """
    if store_ids is None:
        return None
    if not store_ids:
        raise ValidationFailed("Choose at least one store, or all of them.", field="stores")
    mine = owned(actor, Store).where(col(Store.id).in_(list(store_ids)))
    found = {row.id for row in (await session.exec(mine)).all()}
    if found != set(store_ids):
        raise NotFound("That store is no longer connected. Choose another.", field="stores")
    return sorted(found)
