"""Looks for secrets byte by byte: as they are, and in the forms in which they slip through (base64,
hex, percent and JSON escapes, backwards, UTF-16).
"""

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

SHORTEST = 12  # bytes; what is shorter is found by chance


def forms_of(secret: str) -> Iterator[tuple[str, bytes]]:
    """Every form that is searched, with its name."""
    raw = secret.encode()
    yield "as it is", raw
    yield "in hex", raw.hex().encode()
    yield "in percent escapes", quote(secret, safe="").encode()
    yield "as JSON", json.dumps(secret)[1:-1].encode()
    yield "as UTF-16", secret.encode("utf-16-le")
    yield "backwards", raw[::-1]
    for shift in range(3):  # base64 of a longer text that holds it: three ways in which it can lie
        whole = base64.b64encode(b"\0" * shift + raw)
        inner = whole[4 if shift else 0 : -4]
        yield "in base64", inner
        yield "in base64url", inner.replace(b"+", b"-").replace(b"/", b"_")


def search(secrets: Mapping[str, str], places: Mapping[str, bytes]) -> list[str]:
    """What was found where, in words, without the secret; empty is good.

    Raises ValueError for a secret too short to be searched.
    """
    found = []
    for name, secret in secrets.items():
        if len(secret) < SHORTEST:
            raise ValueError(f"{name} is too short to be searched for")
        for form, pattern in dict.fromkeys(
            (form, pattern) for form, pattern in forms_of(secret) if len(pattern) >= SHORTEST
        ):
            found += [
                f"{name} {form} in {place}, byte {content.index(pattern)}"
                for place, content in places.items()
                if pattern in content
            ]
    return sorted(set(found))


def files_below(*folders: Path) -> dict[str, bytes]:
    """Every file with what it holds: databases with their logs, caches, keys, logs."""
    return {
        str(path): path.read_bytes()
        for folder in folders
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def joined(parts: Iterable[bytes]) -> bytes:
    return b"\n".join(parts)
