"""Unpacks an answer of Order Desk piece by piece, never further than its limit.

httpx would unpack whatever encoding an answer names, as often as it names one, and each piece that
arrives in one go: some kilobytes become half a gigabyte.
"""

import asyncio
import zlib
from collections.abc import AsyncIterator

ENCODING = "gzip"  # the one that is asked for (Accept-Encoding)
_AS_IS = ("", "identity")
_GZIP = (ENCODING, "x-gzip")  # RFC 9110 8.4.1.3: the same
_PIECE = 64 * 1024
_PIECES_IN_A_ROW = 16  # then others have their turn


async def unpack(pieces: AsyncIterator[bytes], encoding: str, *, limit: int) -> bytes | None:
    """The whole body as it was before it was packed.

    None for a body of more than `limit` bytes, packed or not, for an encoding that was not asked
    for, and for what is not packed as `encoding` says.
    """
    encoding = encoding.strip().lower()
    if encoding not in (*_AS_IS, *_GZIP):
        return None
    unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS) if encoding in _GZIP else None
    body: list[bytes] = []
    arrived = 0
    size = 0
    count = 0
    async for piece in pieces:
        arrived += len(piece)
        if arrived > limit:
            return None
        rest = piece
        while rest:
            if unpacker is None:
                part, rest = rest, b""
            else:
                try:
                    part = unpacker.decompress(rest, _PIECE)
                except zlib.error:
                    return None
                # what follows the end of the packed body is no part of it
                rest = b"" if unpacker.eof else unpacker.unconsumed_tail
            size += len(part)
            if size > limit:
                return None
            body.append(part)
            count += 1
            if count % _PIECES_IN_A_ROW == 0:
                await asyncio.sleep(0)
    if unpacker is not None and arrived and not unpacker.eof:
        return None
    return b"".join(body)
