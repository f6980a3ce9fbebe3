"""New keys: random, and safe in a header, a file and an address."""

import secrets

from orderdesk_app.context import Secret

ACCESS_PREFIX = "odk_"
OAUTH_ACCESS = "oda_"  # of tokens of connected apps
OAUTH_REFRESH = "odr_"
SHORTEST, LONGEST = 32, 256


def new_master_key() -> Secret:
    """64 URL-safe characters, 384 bits."""
    return Secret(secrets.token_urlsafe(48))


def new_access_key() -> Secret:
    """`odk_` and 43 URL-safe characters, 256 bits; the prefix lets secret scanners find a key that
    leaked.
    """
    return Secret(ACCESS_PREFIX + secrets.token_urlsafe(32))


def new_link_secret() -> str:
    return secrets.token_urlsafe(32)


def new_authorization_code() -> Secret:
    """43 URL-safe characters, 256 bits."""
    return Secret(secrets.token_urlsafe(32))


def new_oauth_token(prefix: str) -> Secret:
    """OAUTH_ACCESS or OAUTH_REFRESH and 43 URL-safe characters, 256 bits."""
    return Secret(prefix + secrets.token_urlsafe(32))


def could_be_key(text: str) -> bool:
    """Whether the text has the form of one of our keys; other texts are not looked up."""
    return (
        SHORTEST <= len(text) <= LONGEST
        and text.isascii()
        and text.isprintable()
        and " " not in text
    )


def prefix(key: Secret) -> str:
    """The first characters: of an access key four beyond those that all have, else four."""
    text = key.reveal()
    return text[: len(ACCESS_PREFIX) + 4] if text.startswith(ACCESS_PREFIX) else text[:4]


def hint(key: Secret) -> str:
    """The last four characters, by which people recognise a key."""
    return key.reveal()[-4:]
