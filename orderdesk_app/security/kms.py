"""The key that wraps all others: MCP_KMS_KEY, or in development a file that is made once."""

import base64
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from orderdesk_app.errors import ConfigurationError
from orderdesk_app.setting_rules import decode_key

KEY_FILE = "kms.key"
_VERSION = b"\x01"
_NONCE_BYTES = 12


@dataclass(frozen=True, slots=True)
class KmsKey:
    """Wraps and unwraps keys.

    Its id says which key wrapped a row, and nothing else about the key.
    """

    id: str
    _cipher: AESGCM = field(repr=False)

    @classmethod
    def of(cls, key: bytes) -> "KmsKey":
        return cls(
            derive(key, b"", "kms key id", 8).hex(), AESGCM(derive(key, b"", "kms wrapping"))
        )

    def wrap(self, key: bytes, *, row_id: str) -> bytes:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return _VERSION + nonce + self._cipher.encrypt(nonce, key, row_id.encode())

    def unwrap(self, wrapped: bytes, *, row_id: str) -> bytes:
        """The key. Raises ConfigurationError when it was wrapped under another MCP_KMS_KEY."""
        start = len(_VERSION)
        try:
            if wrapped[:start] != _VERSION:
                raise InvalidTag
            return self._cipher.decrypt(
                wrapped[start : start + _NONCE_BYTES],
                wrapped[start + _NONCE_BYTES :],
                row_id.encode(),
            )
        except (InvalidTag, ValueError):
            raise ConfigurationError(
                "MCP_KMS_KEY: this is not the key that this database was made with, so "
                "nothing in it can be opened. "
                "Set MCP_KMS_KEY to the key of before (in development: put data/kms.key "
                "back), or begin with a new DATABASE_URL. While keys are rotated, name the other "
                "key in MCP_KMS_KEY_PREVIOUS."
            ) from None


@dataclass(frozen=True, slots=True)
class KmsKeys:
    """The key that wraps, and those of MCP_KMS_KEY_PREVIOUS, which open what they have wrapped."""

    current: KmsKey
    previous: tuple[KmsKey, ...] = ()

    def wrap(self, key: bytes, *, row_id: str) -> bytes:
        return self.current.wrap(key, row_id=row_id)

    def unwrap(self, wrapped: bytes, *, row_id: str, key_id: str) -> bytes:
        """The key. Raises ConfigurationError when none of these keys has wrapped it."""
        others = (key for key in self.previous if key.id == key_id)
        return next(others, self.current).unwrap(wrapped, row_id=row_id)

    def opens(self, key_id: str) -> bool:
        return any(key.id == key_id for key in (self.current, *self.previous))


def derive(key: bytes, salt: bytes, purpose: str, length: int = 32) -> bytes:
    """A key for one purpose alone (HKDF-SHA256, RFC 5869)."""
    return HKDF(
        algorithm=SHA256(), length=length, salt=salt, info=f"orderdesk {purpose} v1".encode()
    ).derive(key)


def load_kms_key(configured: str, data_dir: Path, *, may_make: bool) -> KmsKey:
    """The configured key, else the one in the key file, else (`may_make`) a new one in that file.

    Blocks. Raises ConfigurationError.
    """
    path = data_dir / KEY_FILE
    with _in_words(configured, path):
        if not configured:
            _make_private(path)
        text = configured or _read(path) or _make(path, may_make=may_make)
        return KmsKey.of(decode_key(text))


def kms_keys_of(current: KmsKey, previous: str) -> KmsKeys:
    """With the keys of MCP_KMS_KEY_PREVIOUS, whose rule is that of the setting."""
    others = [KmsKey.of(decode_key(text)) for text in previous.split(",") if text.strip()]
    return KmsKeys(current, tuple(key for key in others if key.id != current.id))


def find_kms_key(configured: str, data_dir: Path) -> KmsKey | None:
    """`load_kms_key` that changes nothing: None where neither is there."""
    path = data_dir / KEY_FILE
    with _in_words(configured, path):
        text = configured or _read(path)
        return KmsKey.of(decode_key(text)) if text else None


@contextmanager
def _in_words(configured: str, path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigurationError(
            f"MCP_KMS_KEY: it is not set, and the key file {path} cannot be used "
            f"({error.strerror}). Example: {_EXAMPLE}"
        ) from error
    except ValueError as error:
        where = "it" if configured else f"what {path} holds"
        raise ConfigurationError(f"MCP_KMS_KEY: {where} {error}. Example: {_EXAMPLE}") from None


def _read(path: Path) -> str:
    with suppress(FileNotFoundError):
        text = path.read_text(encoding="ascii", errors="replace").strip()
        return text or "-"  # an empty file is a damaged key, not a missing one
    return ""


def _make_private(path: Path) -> None:
    with suppress(FileNotFoundError):
        if path.stat().st_mode & 0o077:
            path.chmod(0o600)


def _make(path: Path, *, may_make: bool) -> str:
    if not may_make:
        raise ConfigurationError(MISSING_KEY.format(path=path))
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(base64.b64encode(secrets.token_bytes(32)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        # A link appears whole or not at all, and never replaces: of two processes that start at
        # once, both read the first one's key.
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()
    return _read(path)


MISSING_KEY = (
    "MCP_KMS_KEY: it is not set, the key file {path} is missing, and this database was made with a "
    "key. Set MCP_KMS_KEY to the key of before, put the file back, or begin with a new "
    "DATABASE_URL. Example: MCP_KMS_KEY=<what data/kms.key held>"
)
_EXAMPLE = "MCP_KMS_KEY=<output of: openssl rand -base64 32>"
