"""Files that browsers and tools load from the gateway's port: the SDK, the schemas and the pages.

They are read once, when the node starts: no request makes the gateway look into the file system, and no path
can lead out of a folder.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

from twisted.web.resource import Resource
from twisted.web.server import Request

from gateway.http.resource import Missing, ReadOnly, answer

KINDS: Final[Mapping[str, bytes]] = MappingProxyType(
    {
        ".css": b"text/css; charset=utf-8",
        ".html": b"text/html; charset=utf-8",
        ".js": b"text/javascript; charset=utf-8",
        ".json": b"application/json",
        ".svg": b"image/svg+xml",
    }
)
"""Content types of the files that are served, by suffix; others are not."""

INDEX: Final = "index.html"

POLICY: Final = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    b"connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""What our pages may load: only what comes from here, and sockets, as a gateway may be named (CSP)."""


class _File(NamedTuple):
    kind: bytes
    data: bytes
    tag: bytes


def _read(path: Path) -> _File:
    data = path.read_bytes()
    return _File(KINDS[path.suffix], data, b'"' + hashlib.sha256(data).hexdigest()[:32].encode() + b'"')


class Folder(ReadOnly):
    """The files of one folder, without those of folders in it. `/name` goes on to `/name/`."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        for file in sorted(path.iterdir()):
            if file.suffix in KINDS and file.is_file():
                page = FilePage(file)
                self.putChild(file.name.encode(), page)
                if file.name == INDEX:
                    self.putChild(b"", page)

    def render_GET(self, request: Request) -> bytes:
        """The folder without the slash at its end: what a page loads would be looked for beside it."""
        if b"" not in self.children:
            return Missing().render(request)
        request.setHeader(b"location", request.path.rpartition(b"/")[2] + b"/")
        return answer(request, 308, b"text/plain", b"It is a folder.\n")


class FilePage(ReadOnly):
    """One file. Browsers ask each time whether it has changed; scripts of every site may load it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._file = _read(path)

    def getChild(self, path: bytes, request: Request) -> Resource:
        """Nothing is under a file."""
        return Missing()

    def render_GET(self, request: Request) -> bytes:
        """The file, or 304 where the client has it."""
        kind, data, tag = self._file
        request.setHeader(b"cache-control", b"no-cache")
        request.setHeader(b"x-content-type-options", b"nosniff")
        request.setHeader(b"access-control-allow-origin", b"*")
        request.setHeader(b"referrer-policy", b"no-referrer")
        if kind.startswith(b"text/html"):
            request.setHeader(b"content-security-policy", POLICY)
        if request.setETag(tag):
            return b""
        return answer(request, 200, kind, data)
