"""Server-sent events: messages and notices in an answer that does not end (WHATWG HTML, section 9.2)."""

from __future__ import annotations

from typing import Final

CONTENT_TYPE: Final = "text/event-stream"

COMMENT: Final = b": ping\n\n"
"""Tells nothing, and keeps proxies from taking a quiet stream for a dead one."""

# Only white space between the parts of a JSON document: in its strings they are escaped.
_ONE_LINE: Final = bytes.maketrans(b"\r\n", b"  ")


def message(document: bytes, position: int) -> bytes:
    """A message: its JSON document, and the position that a client names when it comes back."""
    return b"id: %d\ndata: %b\n\n" % (position, document.translate(_ONE_LINE))


def notice(name: str, document: bytes, position: int | None = None, retry: int | None = None) -> bytes:
    """An event of another name.

    :param position: from where a client goes on that comes back now; None: from where it did before.
    :param retry: milliseconds after which a client comes back when the stream has ended; None: as before.
    """
    return b"event: %b\n%b%b\n\n" % (
        name.encode(),
        _place(position, retry),
        b"data: " + document.translate(_ONE_LINE),
    )


def place(position: int | None, retry: int) -> bytes:
    """No event: from where and when a client comes back. None: from where it came now."""
    return _place(position, retry) + b"\n"


def _place(position: int | None, retry: int | None) -> bytes:
    told = b"" if position is None else b"id: %d\n" % position
    return told if retry is None else told + b"retry: %d\n" % retry
