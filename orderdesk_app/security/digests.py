"""A keyed digest: a secret is looked up by it, and not stored itself."""

import hmac


def digest(key: bytes, token: str) -> bytes:
    """32 bytes (HMAC-SHA256), the same for the same token; without the key the digest reveals
    nothing.
    """
    return hmac.digest(key, token.encode("utf-8", "surrogatepass"), "sha256")
