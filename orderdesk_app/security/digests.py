"""How a secret is found by its value without being kept: a keyed digest."""

import hmac


def digest(key: bytes, token: str) -> bytes:
    """32 bytes (HMAC-SHA256), the same for the same token; without the key they say nothing about
    it.
    """
    return hmac.digest(key, token.encode("utf-8", "surrogatepass"), "sha256")
