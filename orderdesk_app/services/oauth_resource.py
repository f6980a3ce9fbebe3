"""The one audience of our tokens, `/mcp`, and what its permissions are called in OAuth."""

from collections.abc import Iterable
from urllib.parse import urlsplit

from orderdesk_app.context import READING_SCOPES, SCOPE_PRESETS, Scope
from orderdesk_app.services.oauth_errors import OAuthError, OAuthRefused

# What an app asks for where it does not say: an assistant that only reads is of little use, and
# the person takes away what it should not do. What deletes has to be asked for.
USUAL_SCOPES = SCOPE_PRESETS["Read and change"]
# of OpenID Connect, which some programs always ask for
_PASSED_OVER = frozenset({"openid", "profile", "email", "offline_access"})
_PORTS = {"https": 443, "http": 80}


class OAuthResource:
    """`/mcp` of PUBLIC_URL, and the issuer of its tokens, which is PUBLIC_URL itself."""

    def __init__(self, public_url: str) -> None:
        self.issuer = public_url
        self.audience = f"{public_url}/mcp"
        self.metadata = f"{public_url}/.well-known/oauth-protected-resource/mcp"

    def require(self, resources: Iterable[str]) -> None:
        """Every resource that a request names is ours (RFC 8707). Raises OAuthRefused."""
        if not all(self._is_ours(resource) for resource in resources):
            raise OAuthRefused(
                OAuthError.INVALID_TARGET,
                f"Tokens of this server are for {self.audience} alone. Send that as resource.",
            )

    def _is_ours(self, resource: str) -> bool:
        """The server itself is meant where somebody leaves out the path."""
        ours = (_normal(self.issuer), _normal(self.audience))
        return resource == "" or _normal(resource) in ours


def _normal(address: str) -> tuple[str, str, int | None, str] | None:
    """The parts of an address that tell resources apart; None for what is no address of one."""
    try:
        parts = urlsplit(address)
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return None
    if parts.query or parts.fragment or "@" in parts.netloc:
        return None  # which is none of ours
    return parts.scheme, (parts.hostname or ""), port, parts.path.rstrip("/")


def asked_scopes(text: str | None) -> tuple[Scope, ...]:
    """The permissions that a request to authorize names, those of ours; the usual ones
    where it names none.

    Raises OAuthRefused where none of them is known.
    """
    names = (text or "").split()
    known = [scope for scope in Scope if scope.value in names]
    if known or set(names) <= _PASSED_OVER:
        return tuple(known) or in_order(USUAL_SCOPES)
    raise OAuthRefused(
        OAuthError.INVALID_SCOPE,
        f"None of these scopes is known. There are {' '.join(scope.value for scope in Scope)}.",
    )


def narrowed_scopes(text: str) -> frozenset[Scope] | None:
    """Those that a refresh narrows its access token to; None where it names none of ours.

    Raises OAuthRefused where none of them is known.
    """
    return None if set(text.split()) <= _PASSED_OVER else frozenset(asked_scopes(text))


def in_order(scopes: Iterable[Scope]) -> tuple[Scope, ...]:
    wanted = set(scopes)
    return tuple(scope for scope in Scope if scope in wanted)


def as_text(scopes: Iterable[Scope]) -> str:
    """The scopes as OAuth writes them: in one line, with spaces between."""
    return " ".join(in_order(scopes))


def effective(scopes: Iterable[Scope], *, is_read_only: bool) -> frozenset[Scope]:
    """What an app may do: of a read-only one, what reads."""
    return frozenset(scopes) & READING_SCOPES if is_read_only else frozenset(scopes)
