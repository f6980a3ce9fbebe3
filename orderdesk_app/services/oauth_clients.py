"""OAuth clients: those that registered themselves (RFC 7591), and those whose id is the address of
a document about them. What nobody has ever used is forgotten.
"""

import contextlib
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from secrets import token_urlsafe

from sqlalchemy.exc import IntegrityError
from sqlmodel import col, or_, update

from orderdesk_app.context import Json, JsonObject, now
from orderdesk_app.db.engine import Database
from orderdesk_app.db.oauth import OAuthClient
from orderdesk_app.errors import ValidationFailed
from orderdesk_app.security.keyring import Keyring
from orderdesk_app.services.client_metadata import (
    ClientDocument,
    ClientMetadata,
    is_metadata_address,
)
from orderdesk_app.services.client_registration import read_registration, registered
from orderdesk_app.services.limits import Limit
from orderdesk_app.services.oauth_client import Client, secret_digest
from orderdesk_app.services.oauth_errors import OAuthError, OAuthRefused

CLIENT_PREFIX = "odc_"
LONGEST_ID = 500
# RFC 6749, appendix A.1. Postgres takes no zero character, not even to look for one.
_VISIBLE = re.compile(r"[\x20-\x7e]*")
UNUSED_LASTS = timedelta(days=1)  # until somebody approves it and it fetches tokens
_USE_NOTED_EVERY = timedelta(days=1)


class OAuthClients:
    """`registrations` and `documents_fetched` are limits of a network address."""

    def __init__(
        self,
        database: Database,
        keyring: Keyring,
        documents: ClientMetadata,
        *,
        registrations: Limit,
        documents_fetched: Limit,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._database = database
        self._keyring = keyring
        self._documents = documents
        self._registrations = registrations
        self._documents_fetched = documents_fetched
        self._clock = clock

    async def register(self, said: dict[str, Json], *, address: str) -> JsonObject:
        """What the client is answered, with its id and, unless it is public, its secret, which is
        shown this once.

        Raises RateLimited, OAuthRefused.
        """
        await self._registrations.check(address)
        registration = read_registration(said)
        moment = self._clock()
        client_id = CLIENT_PREFIX + token_urlsafe(16)
        secret = None if registration.is_public else token_urlsafe(32)
        row = OAuthClient(
            client_id=client_id,
            name=registration.name,
            uri=registration.uri,
            redirect_uris=list(registration.redirect_uris),
            auth_method=registration.auth_method,
            secret_digest=secret_digest(self._keyring.digest_key, secret) if secret else None,
            created_at=moment,
            expires_at=moment + UNUSED_LASTS,
        )
        async with self._database.write() as session:
            session.add(row)
        return registered(client_id, registration, issued_at=int(moment.timestamp()), secret=secret)

    async def find(self, client_id: str, *, address: str = "") -> Client | None:
        """The client as it is now, to ask a person about it; None for an unknown one.

        A document is fetched, unless one is at hand, and noted, so that its client is known later
        when its site is away. Raises OAuthRefused for a document that cannot be used, and
        RateLimited.
        """
        if not is_metadata_address(client_id):
            return await self.known(client_id)
        if not self._documents.is_kept(client_id):
            await self._documents_fetched.check(address)
        try:
            document = await self._documents.find(client_id)
        except ValidationFailed as error:
            raise OAuthRefused(OAuthError.INVALID_CLIENT, error.message) from error
        await self._note_document(document)
        return Client(
            client_id=client_id,
            name=document.name,
            redirect_uris=document.redirect_uris,
            is_document=True,
        )

    async def known(self, client_id: str) -> Client | None:
        """The client as we have noted it, for a program that has been approved before: nothing is
        fetched, so that a site that is away ends no connection.
        """
        if len(client_id) > LONGEST_ID or not _VISIBLE.fullmatch(client_id):
            return None
        async with self._database.read() as session:
            row = await session.get(OAuthClient, client_id)
        if row is None or (row.expires_at is not None and row.expires_at <= self._clock()):
            return None
        return Client(
            client_id=row.client_id,
            name=row.name,
            redirect_uris=tuple(row.redirect_uris),
            auth_method=row.auth_method,
            secret_digest=row.secret_digest,
            uri=row.uri,
            is_document=is_metadata_address(row.client_id),
        )

    async def note_use(self, client_id: str) -> None:
        """The client got tokens: from now on it is kept, as its program keeps the id, and learns
        nothing of a page that says to a person that it is forgotten. Written once a day.
        """
        moment = self._clock()
        lately = col(OAuthClient.last_used_at) > moment - _USE_NOTED_EVERY
        async with self._database.read() as session:
            row = await session.get(OAuthClient, client_id)
        if row is None or (
            row.last_used_at is not None and row.last_used_at > moment - _USE_NOTED_EVERY
        ):
            return
        async with self._database.write() as session:
            await session.exec(
                update(OAuthClient)
                .where(
                    col(OAuthClient.client_id) == client_id,
                    or_(col(OAuthClient.last_used_at).is_(None), ~lately),
                )
                .values(last_used_at=moment, expires_at=None)
            )

    async def _note_document(self, document: ClientDocument) -> None:
        moment = self._clock()
        async with self._database.read() as session:
            row = await session.get(OAuthClient, document.client_id)
        if row is not None and _is_as_noted(row, document, moment):
            return
        # Another process that notes it at the same time has read the same document.
        with contextlib.suppress(IntegrityError):
            async with self._database.write() as session:
                row = await session.get(OAuthClient, document.client_id)
                if row is None:
                    row = OAuthClient(
                        client_id=document.client_id, name=document.name, created_at=moment
                    )
                row.name = document.name
                row.redirect_uris = list(document.redirect_uris)
                if row.last_used_at is None:
                    row.expires_at = moment + UNUSED_LASTS
                session.add(row)


def _is_as_noted(row: OAuthClient, document: ClientDocument, moment: datetime) -> bool:
    is_young = row.expires_at is None or row.expires_at > moment + UNUSED_LASTS / 2
    return is_young and (row.name, tuple(row.redirect_uris)) == (
        document.name,
        document.redirect_uris,
    )
