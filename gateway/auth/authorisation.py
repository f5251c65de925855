"""Whether who speaks on a socket may do what a request asks for. It comes before the action's own checks."""

from __future__ import annotations

from typing import Protocol

from gateway.auth.identity import Identity
from protocol.envelope import Incoming
from protocol.errors import AdminOnly, NotAuthenticated, OtherProject
from protocol.registry import ACTIONS, Action

ADMIN = "admin"
"""The role that administrators have."""


class Authorisation(Protocol):
    """What is asked about each request."""

    def check(self, identity: Identity | None, incoming: Incoming) -> None:
        """Raise NotAuthenticated, AdminOnly or NotPermitted unless the request may be done.

        :param identity: who has authenticated on the socket; None: nobody.
        :param incoming: a request that was read without failure; it is not `authenticate`.
        """

    def permits(self, identity: Identity | None, action: str, project: str, queue_name: str) -> bool:
        """Whether an action may be done with a queue, which need not exist."""


class WithoutAuthentication:
    """Nobody has to authenticate, and so there are no roles.

    :param trusts_everybody: all who can connect may administer.
    """

    def __init__(self, *, trusts_everybody: bool) -> None:
        self._trusts_everybody = trusts_everybody

    def check(self, identity: Identity | None, incoming: Incoming) -> None:
        """Raise AdminOnly if nobody here may do what only administrators may."""
        action = incoming.action
        assert action is not None
        if action.admin and not self._trusts_everybody:
            raise AdminOnly(
                f"{action.name} is for administrators. As long as nobody authenticates it is answered only "
                "by a gateway that listens on loopback, without --allow-anonymous."
            )

    def permits(self, identity: Identity | None, action: str, project: str, queue_name: str) -> bool:
        """Everything is permitted but what is for administrators."""
        return self._trusts_everybody or not ACTIONS[action].admin


class ByIdentity:
    """Who has authenticated works in their own project (docs/compatibility.md, 3), as their roles allow."""

    def check(self, identity: Identity | None, incoming: Incoming) -> None:
        """Raise NotAuthenticated, OtherProject or AdminOnly."""
        action, headers = incoming.action, incoming.headers
        assert action is not None
        assert headers is not None
        if identity is None:
            raise NotAuthenticated
        if headers.project_id != identity.project:
            raise OtherProject
        self._check_role(identity, action)

    def permits(self, identity: Identity | None, action: str, project: str, queue_name: str) -> bool:
        """Whether it is of their project, and their roles allow it."""
        if identity is None or identity.project != project:
            return False
        return ADMIN in identity.roles or not ACTIONS[action].admin

    def _check_role(self, identity: Identity, action: Action) -> None:
        if action.admin and ADMIN not in identity.roles:
            raise AdminOnly(f"{action.name} is for administrators: the token has not the role {ADMIN}.")
