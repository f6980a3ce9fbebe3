"""How OAuth refuses a program: with a code of its RFCs, which a program acts on, and a sentence.

They are no part of the tree in errors.py: no user meets them, and their answers have another shape.
"""

from enum import StrEnum


class OAuthError(StrEnum):
    """The codes of RFC 6749 sections 4.1.2.1 and 5.2, RFC 7591, RFC 8707 and OpenID Connect."""

    INVALID_REQUEST = "invalid_request"
    INVALID_CLIENT = "invalid_client"
    INVALID_GRANT = "invalid_grant"
    INVALID_SCOPE = "invalid_scope"
    INVALID_TARGET = "invalid_target"
    UNSUPPORTED_GRANT_TYPE = "unsupported_grant_type"
    UNSUPPORTED_RESPONSE_TYPE = "unsupported_response_type"
    REQUEST_NOT_SUPPORTED = "request_not_supported"
    REQUEST_URI_NOT_SUPPORTED = "request_uri_not_supported"
    INTERACTION_REQUIRED = "interaction_required"
    ACCESS_DENIED = "access_denied"
    INVALID_REDIRECT_URI = "invalid_redirect_uri"
    INVALID_CLIENT_METADATA = "invalid_client_metadata"
    TEMPORARILY_UNAVAILABLE = "temporarily_unavailable"
    SERVER_ERROR = "server_error"


class OAuthRefused(Exception):
    """A program's request is refused. `description` says the next step, and holds no secret."""

    def __init__(self, error: OAuthError, description: str) -> None:
        super().__init__(description)
        self.error = error
        self.description = description

    @property
    def http_status(self) -> int:
        return 401 if self.error is OAuthError.INVALID_CLIENT else 400


class AuthorizationRedirect(OAuthRefused):
    """A request to authorize that is refused by leading back to the client: `address` is its own
    redirect URI, with the error in it.
    """

    def __init__(self, error: OAuthError, description: str, address: str) -> None:
        super().__init__(error, description)
        self.address = address
