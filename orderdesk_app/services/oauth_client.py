"""An OAuth client as services see it, and how it proves who it is at the token endpoint."""

import base64
import binascii
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote_plus

from orderdesk_app.security.digests import digest
from orderdesk_app.services.oauth_errors import OAuthError, OAuthRefused

AUTH_METHODS = ("none", "client_secret_post", "client_secret_basic")


@dataclass(frozen=True, slots=True)
class Client:
    """A program that may ask people for access. `is_document`: its id is the address of a document
    about it, which was fetched; else it registered itself.
    """

    client_id: str
    name: str
    redirect_uris: tuple[str, ...]
    auth_method: str = "none"
    secret_digest: bytes | None = None
    uri: str | None = None
    is_document: bool = False


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """How a client names and proves itself in one request."""

    client_id: str
    secret: str | None
    method: str


def client_credentials(authorization: str, form: Mapping[str, str]) -> ClientCredentials:
    """From the Authorization header (RFC 6749 section 2.3.1), else from the form.

    Raises OAuthRefused for a request that names no client, or two.
    """
    scheme, _, encoded = authorization.partition(" ")
    named, secret = form.get("client_id"), form.get("client_secret")
    if scheme.lower() == "basic":
        client_id, given = _basic(encoded.strip())
        if named not in (None, "", client_id) or secret:
            raise _unproved("Name the client in the Authorization header, or in the form.")
        return ClientCredentials(client_id, given, "client_secret_basic")
    if not named:
        raise _unproved("Send client_id.")
    return ClientCredentials(named, secret or None, "client_secret_post" if secret else "none")


def require_proved(client: Client | None, given: ClientCredentials, key: bytes) -> Client:
    """The client, if it is the one that it says it is; `key` is the one of digests.

    Either way of sending the secret is taken, whichever was registered: both prove the same. Raises
    OAuthRefused.
    """
    if client is None:
        raise _unproved("This client is not known here, or no longer. Register it again.")
    if client.auth_method == "none":
        # A public client may send a name without a password, as some libraries always do.
        return client
    if client.secret_digest is None or given.secret is None:
        raise _unproved(f"Send the client's secret, as {client.auth_method}.")
    if not hmac.compare_digest(client.secret_digest, secret_digest(key, given.secret)):
        raise _unproved("The client's secret is wrong. Register the client again.")
    return client


def secret_digest(key: bytes, secret: str) -> bytes:
    """As `oauth_clients` keeps the secret of a client."""
    return digest(key, f"oauth client {secret}")


def _basic(encoded: str) -> tuple[str, str]:
    try:
        text = base64.b64decode(encoded, validate=True).decode()
    except (binascii.Error, ValueError):
        raise _unproved("The Authorization header is no valid one of Basic.") from None
    client_id, colon, secret = text.partition(":")
    if not colon or not client_id:
        raise _unproved("The Authorization header is no valid one of Basic.")
    return unquote_plus(client_id), unquote_plus(secret)


def _unproved(description: str) -> OAuthRefused:
    return OAuthRefused(OAuthError.INVALID_CLIENT, description)
