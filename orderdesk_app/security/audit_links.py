"""What makes a change of the audit log visible: links, digests of personal fields, marks of an
erasure, and signatures, all under one key of the keyring (docs/decisions/0024-audit-chains.md).
"""

import hmac

PURPOSE = "audit"  # of Keyring.purpose
SALT_BYTES = 16
# of HMAC-SHA256: to forge one is to guess 128 bits, and each row has two
BYTES = 16


class AuditKey:
    """Each kind of value begins with its own word, so that none can stand for another."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def __repr__(self) -> str:
        return "AuditKey(***)"

    def first_link(self, chain_id: str) -> bytes:
        """What the first row of that chain follows."""
        return self._tag(b"first" + chain_id.encode())

    def link(self, before: bytes, sequence: int, personal_digest: bytes, fields: bytes) -> bytes:
        """The link of a row: 16 bytes that depend on every row before it. All parts but the last
        have a fixed length.
        """
        parts = (b"link", before, sequence.to_bytes(8), personal_digest, fields)
        return self._tag(b"".join(parts))

    def personal_digest(self, salt: bytes, fields: bytes) -> bytes:
        """16 bytes that stay when the fields and the salt are erased; without the salt nobody can
        try out what the fields were.
        """
        return self._tag(b"personal" + salt + fields)

    def erasure(self, link: bytes) -> bytes:
        """The mark that we erased the personal fields of the row with that link."""
        return self._tag(b"erased" + link)

    def signature(self, facts: bytes) -> bytes:
        """Of the head of a chain."""
        return self._tag(b"head" + facts)

    def is_signature(self, facts: bytes, signature: bytes | None) -> bool:
        return hmac.compare_digest(self.signature(facts), signature or b"")

    def checkpoint(self, facts: bytes) -> bytes:
        """Signs where a chain was, for somebody who keeps that outside of the database."""
        return self._tag(b"checkpoint" + facts)

    def _tag(self, text: bytes) -> bytes:
        return hmac.digest(self._key, text, "sha256")[:BYTES]
