"""What a client may register of itself (RFC 7591), and what it is answered."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from orderdesk_app.context import Json, JsonObject
from orderdesk_app.services.names import visible_only
from orderdesk_app.services.oauth_client import AUTH_METHODS
from orderdesk_app.services.oauth_errors import OAuthError, OAuthRefused
from orderdesk_app.services.redirect_uris import MOST, RedirectUri, read_redirect

LARGEST_BODY = 16 * 1024  # bytes
LONGEST_NAME = 80
_GRANT_TYPES = ("authorization_code", "refresh_token")
_HOME_PAGE = re.compile(r"https://[A-Za-z0-9.-]{1,253}(?::[0-9]{1,5})?(?:/[!-~]{0,400})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Registration:
    """What a client said, with ours where it said nothing."""

    name: str
    redirect_uris: tuple[str, ...]
    auth_method: str
    uri: str | None

    @property
    def is_public(self) -> bool:
        return self.auth_method == "none"


def read_registration(said: Mapping[str, Json]) -> Registration:
    """Raises OAuthRefused: invalid_redirect_uri or invalid_client_metadata, with the rule.

    What we have no use for is left out of the answer, as RFC 7591 section 2 has it: a client that
    asks for more than there is, such as another grant beside ours, still works.
    """
    redirects = _redirects(said.get("redirect_uris"))
    # without it RFC 7591 section 2 says client_secret_basic
    method = said.get("token_endpoint_auth_method") or "client_secret_basic"
    if method not in AUTH_METHODS:
        raise _refused(f"token_endpoint_auth_method is one of {', '.join(AUTH_METHODS)}.")
    _require_among(said, "grant_types", "authorization_code")
    _require_among(said, "response_types", "code")
    return Registration(
        name=shown_name(said.get("client_name")) or redirects[0].shown,
        redirect_uris=tuple(dict.fromkeys(uri.text for uri in redirects)),
        auth_method=str(method),
        uri=_home_page(said.get("client_uri")),
    )


def registered(
    client_id: str, registration: Registration, *, issued_at: int, secret: str | None
) -> JsonObject:
    """The answer of RFC 7591 section 3.2.1. A secret does not expire by itself."""
    answer: JsonObject = {
        "client_id": client_id,
        "client_id_issued_at": issued_at,
        "client_name": registration.name,
        "redirect_uris": list(registration.redirect_uris),
        "grant_types": list(_GRANT_TYPES),
        "response_types": ["code"],
        "token_endpoint_auth_method": registration.auth_method,
    }
    if registration.uri is not None:
        answer["client_uri"] = registration.uri
    if secret is not None:
        answer |= {"client_secret": secret, "client_secret_expires_at": 0}
    return answer


def shown_name(said: Json) -> str:
    """What a client calls itself, as a person can be shown it: visible characters alone, one line,
    and no longer than a name is. Empty for what is no name.
    """
    return visible_only(said[:1000])[:LONGEST_NAME].strip() if isinstance(said, str) else ""


def _redirects(said: Json) -> list[RedirectUri]:
    if not isinstance(said, list) or not 0 < len(said) <= MOST:
        raise OAuthRefused(
            OAuthError.INVALID_REDIRECT_URI, f"redirect_uris is a list of 1 to {MOST} addresses."
        )
    found = []
    for text in said:
        uri = read_redirect(text) if isinstance(text, str) else "A redirect URI is a text."
        if isinstance(uri, str):
            raise OAuthRefused(OAuthError.INVALID_REDIRECT_URI, uri)
        found.append(uri)
    return found


def _require_among(said: Mapping[str, Json], field: str, needed: str) -> None:
    given = said.get(field)
    if given is None or given == []:
        return
    if not isinstance(given, list) or needed not in given:
        raise _refused(f"{field} is a list with {needed} in it.")


def _home_page(said: Json) -> str | None:
    return said if isinstance(said, str) and _HOME_PAGE.fullmatch(said) else None


def _refused(description: str) -> OAuthRefused:
    return OAuthRefused(OAuthError.INVALID_CLIENT_METADATA, description)
