"""A person's answer to an app belongs to the session in which it was asked, and to what the page
showed then.
"""

import hmac
import json
from collections.abc import Mapping
from hashlib import sha256

from orderdesk_app.context import Json
from orderdesk_app.errors import PermissionDenied
from orderdesk_app.security.web import SignedText


class ConsentTokens:
    """A token in the form of the consent page, beside its form token: an answer that was given to
    another request, or to an app that has changed meanwhile, is none.
    """

    def __init__(self, key: bytes) -> None:
        self._signed = SignedText(key, "consent")

    def issue(self, session_id: str, shown: Mapping[str, Json]) -> str:
        """`shown` is the request, and all that the page says of it."""
        return self._signed.sign(f"{session_id} {_digest(shown)}")

    def check(self, session_id: str, shown: Mapping[str, Json], token: str) -> None:
        """Raises PermissionDenied for a token of another session, or of something else."""
        expected = f"{session_id} {_digest(shown)}"
        if not hmac.compare_digest((self._signed.read(token) or "").encode(), expected.encode()):
            raise PermissionDenied(
                "This answer does not belong to what the app asks now. Go back to the app, and "
                "start again there."
            )


def _digest(shown: Mapping[str, Json]) -> str:
    return sha256(json.dumps(shown, sort_keys=True, default=str).encode()).hexdigest()
