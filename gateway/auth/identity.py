"""Who is speaking."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom a token speaks for, as whoever issued the token says it."""

    project: str
    """The project that all they do is done in (docs/compatibility.md, 3)."""
    user: str = ""
    """Their id there, for the log."""
    roles: frozenset[str] = frozenset()
    """The roles that they have in the project, in lower case."""
    expires: float | None = None
    """Seconds since the epoch from when on they are nobody any more; None: never."""
