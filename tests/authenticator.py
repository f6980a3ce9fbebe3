"""An authenticator in software: it makes passkeys and signs with them as a phone does, and as an
attacker would like it to.
"""

import json
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from webauthn.helpers import encode_cbor

UP, UV, ATTESTED = 0x01, 0x04, 0x40


def text_of(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def bytes_of(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


@dataclass
class Authenticator:
    """One passkey. What it says of itself can be changed before it answers."""

    origin: str = "http://localhost:8080"
    rp_id: str = "localhost"
    is_verified: bool = True  # the person's finger, face or PIN
    count: int = 0
    counts: bool = True  # synced passkeys do not
    user_handle: bytes | None = None
    credential_id: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )

    def create(self, options: str, **changed: Any) -> str:
        """The answer of `navigator.credentials.create`, as the page sends it."""
        asked = json.loads(options)
        self.user_handle = bytes_of(asked["user"]["id"])
        numbers = self.key.public_key().public_numbers()
        public_key = encode_cbor(
            {1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32), -3: numbers.y.to_bytes(32)}
        )
        credential = bytes(16) + len(self.credential_id).to_bytes(2) + self.credential_id
        data = self._data(ATTESTED) + credential + public_key
        attestation = encode_cbor({"fmt": "none", "attStmt": {}, "authData": data})
        response = {
            "clientDataJSON": text_of(self._client_data("webauthn.create", asked, changed)),
            "attestationObject": text_of(attestation),
            "transports": ["internal"],
        }
        return self._answer(response)

    def get(self, options: str, **changed: Any) -> str:
        """The answer of `navigator.credentials.get`, as the page sends it. `changed` replaces parts
        of what the browser says: challenge, origin, type.
        """
        asked = json.loads(options)
        self.count += self.counts
        data = self._data()
        client_data = self._client_data("webauthn.get", asked, changed)
        signed = self.key.sign(data + sha256(client_data).digest(), ec.ECDSA(hashes.SHA256()))
        response = {
            "clientDataJSON": text_of(client_data),
            "authenticatorData": text_of(data),
            "signature": text_of(signed),
            **({"userHandle": text_of(self.user_handle)} if self.user_handle else {}),
        }
        return self._answer(response)

    def _data(self, more: int = 0) -> bytes:
        flags = UP | (UV if self.is_verified else 0) | more
        return sha256(self.rp_id.encode()).digest() + bytes([flags]) + self.count.to_bytes(4)

    def _client_data(self, kind: str, asked: Any, changed: dict[str, Any]) -> bytes:
        said = {"type": kind, "challenge": asked["challenge"], "origin": self.origin, **changed}
        return json.dumps(said).encode()

    def _answer(self, response: dict[str, Any]) -> str:
        identity = text_of(self.credential_id)
        return json.dumps(
            {"id": identity, "rawId": identity, "type": "public-key", "response": response}
        )
