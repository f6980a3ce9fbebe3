"""The metadata of an OAuth client whose id is an https address: a document that its maker keeps
there (draft-ietf-oauth-client-id-metadata-document).
"""

import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from cachetools import TLRUCache

from orderdesk_app.cache.flight import SingleFlight
from orderdesk_app.context import Json
from orderdesk_app.errors import ValidationFailed
from orderdesk_app.outbound.public_fetch import (
    Document,
    FetchFailed,
    PublicFetch,
    read_public_url,
)
from orderdesk_app.services.client_registration import shown_name
from orderdesk_app.services.redirect_uris import MOST, read_redirect

LEAST_KEPT = 60.0  # seconds, also of a document that wants not to be kept at all
KEPT_BY_DEFAULT = 3600.0
MOST_KEPT = 24 * 3600.0
MOST_DOCUMENTS = 2000

_MAX_AGE = re.compile(r"(?:^|[,\s])max-age\s*=\s*\"?([0-9]{1,10})", re.ASCII | re.IGNORECASE)
_DO_NOT_KEEP = re.compile(r"\bno-(?:store|cache)\b", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ClientDocument:
    """What the document says of a client; `name` is visible characters alone."""

    client_id: str
    name: str
    redirect_uris: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Found:
    document: ClientDocument
    seconds: float  # how long it is kept


class ClientMetadata:
    """Documents by address. Callers that ask for one at the same time share one fetch. One that
    cannot be used is never kept, as the draft asks: its maker mends it, and goes on.
    """

    def __init__(self, fetch: PublicFetch, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._fetch = fetch
        self._clock = clock
        self._flight = SingleFlight()
        self._kept: TLRUCache[str, _Found] = TLRUCache(
            MOST_DOCUMENTS, ttu=lambda _, found, now: now + found.seconds, timer=clock
        )

    def is_kept(self, client_id: str) -> bool:
        """Whether the document is at hand, so that nothing would be fetched."""
        return client_id in self._kept

    async def find(self, client_id: str) -> ClientDocument:
        """Raises ValidationFailed with the reason when there is no document that says this id."""
        found = self._kept.get(client_id)
        if found is None:
            found = await self._flight.do(client_id, lambda: self._find(client_id))
            self._kept[client_id] = found
        return found.document

    async def _find(self, client_id: str) -> _Found:
        try:
            document = await self._fetch.fetch(client_id)
            return _Found(read_document(client_id, document.body), seconds_kept(document))
        except (FetchFailed, ValidationFailed) as error:
            raise ValidationFailed(
                f"The client's metadata document cannot be used. {error.message}",
                field="client_id",
            ) from error


def is_metadata_address(client_id: str) -> bool:
    """Whether a client id is the address of a document, and not one that we gave."""
    return client_id.startswith("https://")


def host_of(client_id: str) -> str:
    """The host that vouches for the client, for a person to see. Raises FetchFailed."""
    return read_public_url(client_id).authority


def read_document(client_id: str, body: bytes) -> ClientDocument:
    """What the document says. Raises ValidationFailed with the rule that it breaks."""
    said = _object(body)
    # byte for byte: two ids that a reader takes for one are two clients
    if said.get("client_id") != client_id:
        raise ValidationFailed("Its client_id is not its own address.")
    _require_public(said)
    if not isinstance(said.get("client_name"), str):  # MCP asks for it, beyond the draft
        raise ValidationFailed("It has no client_name.")
    uris = said.get("redirect_uris")
    if not isinstance(uris, list) or not 0 < len(uris) <= MOST:
        raise ValidationFailed(f"Its redirect_uris are not a list of 1 to {MOST} addresses.")
    for uri in uris:
        told = read_redirect(uri) if isinstance(uri, str) else "A redirect URI is a text."
        if isinstance(told, str):
            raise ValidationFailed(told)
    return ClientDocument(
        client_id,
        shown_name(said.get("client_name")) or host_of(client_id),
        tuple(dict.fromkeys(str(uri) for uri in uris)),
    )


def _require_public(said: Mapping[str, Json]) -> None:
    """Raises ValidationFailed for a client that has to prove itself, as the draft has it: it can
    share no secret with us, and one that says that it proves itself by a key has to do so always.

    Some may do without, and list all their ways beside the one that they prefer.
    """
    method = said.get("token_endpoint_auth_method", "none")
    if (
        "client_secret" in said
        or "client_secret_expires_at" in said
        or str(method).startswith("client_secret")
    ):
        raise ValidationFailed("It is public and has a client secret.")
    ways = said.get("token_endpoint_auth_methods_supported")
    if method != "none" and not (isinstance(ways, list) and "none" in ways):
        raise ValidationFailed(
            "Its token_endpoint_auth_method is not taken here. It has to say none, there or in "
            "token_endpoint_auth_methods_supported."
        )


def seconds_kept(document: Document) -> float:
    """How long it may be kept by its headers (RFC 9111 section 4.2.1), within our bounds."""
    wanted = _wanted_seconds(document.headers)
    return min(max(wanted, LEAST_KEPT), MOST_KEPT)


def _wanted_seconds(headers: Mapping[str, str]) -> float:
    control = headers.get("cache-control", "")
    if _DO_NOT_KEEP.search(control):
        return 0
    age = headers.get("age", "")
    spent = float(age) if re.fullmatch(r"[0-9]{1,10}", age) else 0.0
    if found := _MAX_AGE.search(control):
        return float(found[1]) - spent
    if "expires" not in headers:
        return KEPT_BY_DEFAULT
    try:
        expires = parsedate_to_datetime(headers["expires"])
        date = parsedate_to_datetime(headers["date"])
    except (KeyError, ValueError, TypeError):
        return 0
    return (_in_utc(expires) - _in_utc(date)).total_seconds() - spent


def _in_utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _object(body: bytes) -> dict[str, Json]:
    try:
        said = json.loads(body.decode("utf-8"), object_pairs_hook=_without_doubles)
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        raise ValidationFailed("It is not a JSON object, or has a name twice.")
    return said


def _without_doubles(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    """Two readers could take different ones of two values of one name."""
    read = dict(pairs)
    if len(read) != len(pairs):
        raise ValueError("a name stands twice")
    return read
