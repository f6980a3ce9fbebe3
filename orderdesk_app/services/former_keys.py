"""Whose a key or an app's token was that no longer works: its account sees that somebody still
sends it.
"""

from dataclasses import dataclass

from sqlmodel import col, select

from orderdesk_app.context import TenantId
from orderdesk_app.db.engine import Database
from orderdesk_app.db.keys import Credential
from orderdesk_app.db.oauth import OAuthToken
from orderdesk_app.security.digests import digest
from orderdesk_app.security.keyring import Keyring
from orderdesk_app.security.tokens import OAUTH_ACCESS, could_be_key
from orderdesk_app.services.oauth_tokens import token_digest


@dataclass(frozen=True, slots=True)
class FormerKey:
    """A key that was refused: its account and its row."""

    tenant_id: TenantId
    credential_id: str


class FormerKeys:
    """Finds keys and access tokens by their digest, those that ended too; it opens nothing."""

    def __init__(self, database: Database, keyring: Keyring) -> None:
        self._database = database
        self._keyring = keyring

    async def find(self, token: str) -> FormerKey | None:
        """None for a text that was never a key or a token here."""
        if not could_be_key(token):
            return None
        if token.startswith(OAUTH_ACCESS):
            question = select(OAuthToken.tenant_id, OAuthToken.credential_id).where(
                col(OAuthToken.access_digest) == token_digest(self._keyring, token)
            )
        else:
            question = select(Credential.tenant_id, Credential.id).where(
                col(Credential.digest) == digest(self._keyring.digest_key, token)
            )
        async with self._database.read() as session:
            found = (await session.exec(question)).one_or_none()
        return None if found is None else FormerKey(TenantId(found[0]), found[1])
