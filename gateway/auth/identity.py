"""Who is speaking."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

from gateway.auth.rights import Rights


class Revocable(Protocol):
    """What lets somebody speak, and may be taken from them before it expires."""

    token: str
    """Keystone's, which says so."""

    def hold(self, ended: Callable[[], None]) -> None:
        """Rely on it: `ended` is called once if it is revoked before it is released."""

    def release(self, ended: Callable[[], None]) -> None:
        """Rely on it no more."""


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
    rights: Rights | None = None
    """What they are restricted to; None: to nothing but what their roles allow."""
    grant: Revocable | None = field(default=None, compare=False, repr=False)
    """What may be revoked before that; None: nothing can."""

    def may_differ(self, other: Identity) -> bool:
        """Whether the other may be permitted something else."""
        return replace(self, expires=None) != replace(other, expires=None)
