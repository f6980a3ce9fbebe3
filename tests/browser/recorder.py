"""Stands between browser and server and keeps every byte that the server sends, in chapters, so
that it can be searched for secrets.
"""

import asyncio
import contextlib
import re
from collections.abc import Iterator

# Headers by which a client asks for compressed answers; renamed on their way, so that what arrives
# can be read.
# files that were there before there was any secret
_BUILT = re.compile(rb"GET (/assets/\S+|/[\w.-]+\.(css|js|svg|ico))[ ?]")
_COMPRESSION = re.compile(rb"(?i)\r\n(accept-encoding|sec-websocket-extensions):")


class Recorder:
    """A plain TCP relay on loopback: it changes nothing of what is sent to the browser, and
    remembers all of it but the built files.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._heard = bytearray()
        self._chapters: list[tuple[str, int, int]] = []

    async def start(self, target: int) -> None:
        async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                there, back = await asyncio.open_connection("127.0.0.1", target)
            except OSError:
                writer.close()
                return
            self._open |= {writer, back}
            built = [False]  # what was asked for last, on this connection
            try:
                await asyncio.gather(
                    self._pass_on(reader, back, built, asks=True),
                    self._pass_on(there, writer, built, asks=False),
                )
            finally:
                for end in (writer, back):
                    self._open.discard(end)
                    end.close()

        self._server = await asyncio.start_server(relay, "127.0.0.1", self.port)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for writer in list(self._open):
            writer.close()

    async def _pass_on(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        built: list[bool],
        *,
        asks: bool,
    ) -> None:
        with contextlib.suppress(OSError):
            while part := await reader.read(65536):
                if asks:
                    built[0] = _BUILT.match(part) is not None
                    part = _COMPRESSION.sub(rb"\r\nx-not-asked:", part)
                elif not built[0]:
                    self._heard += part
                writer.write(part)
                await writer.drain()
            if writer.can_write_eof():
                writer.write_eof()

    @contextlib.contextmanager
    def chapter(self, name: str) -> Iterator[None]:
        """What is sent meanwhile is kept under that name, apart from the rest."""
        start = len(self._heard)
        try:
            yield
        finally:
            self._chapters.append((name, start, len(self._heard)))

    def all(self) -> bytes:
        return bytes(self._heard)

    def told(self, name: str) -> bytes:
        """What was sent in the chapters of that name."""
        return b"".join(
            bytes(self._heard[start:end])
            for chapter, start, end in self._chapters
            if chapter == name
        )

    def outside(self, *names: str) -> bytes:
        """Everything but those chapters."""
        kept, last = bytearray(), 0
        for chapter, start, end in sorted(self._chapters, key=lambda entry: entry[1]):
            if chapter in names:
                kept += self._heard[last:start]
                last = end
        return bytes(kept + self._heard[last:])
