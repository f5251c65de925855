"""Whether who speaks on a socket may do what a request asks for. It comes before the action's own checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import time
from typing import Any, Protocol

from gateway.auth.identity import Identity
from gateway.auth.rights import ELSEWHERE, ON_QUEUES, Rights
from gateway.operator_file import OperatorFile
from gateway.settings import Settings, is_loopback
from protocol.envelope import Incoming
from protocol.errors import AdminOnly, NotAuthenticated, NotPermitted, OtherProject
from protocol.registry import ACTIONS, Action
from protocol.signed_urls import ACTION_METHODS, is_signed, permitted_until
from schemas.envelope import AuthenticateHeaders, RequestHeaders

ADMIN = "admin"
"""The role that administrators have."""


class Authorisation(Protocol):
    """What is asked about each request."""

    def check(self, identity: Identity | None, incoming: Incoming) -> float | None:
        """Raise NotAuthenticated, AdminOnly or NotPermitted unless the request may be done.

        If only its own signature permits it, the time at which that expires is returned, in seconds since the
        epoch; else None.

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

    def check(self, identity: Identity | None, incoming: Incoming) -> float | None:
        """Raise AdminOnly if nobody here may do what only administrators may."""
        action = incoming.action
        assert action is not None
        if action.admin and not self._trusts_everybody:
            raise AdminOnly(
                f"{action.name} is for administrators. As long as nobody authenticates it is answered only "
                "by a gateway that listens on loopback, without --allow-anonymous."
            )
        return None

    def permits(self, identity: Identity | None, action: str, project: str, queue_name: str) -> bool:
        """Everything is permitted but what is for administrators."""
        return self._trusts_everybody or not ACTIONS[action].admin


class Policy(Protocol):
    """What the operator has decided: gateway.auth.policy."""

    def allows(self, identity: Identity, action: str) -> bool:
        """Whether somebody may do an action."""


class ByIdentity:
    """Who has authenticated works in their own project (docs/compatibility.md, 3), as their roles allow.

    Where nobody has, a request may bring a signature that permits this one (protocol.signed_urls).

    :param policy: decides what roles allow; None: what is for administrators needs the role admin.
    :param signing_keys: those that signatures are accepted of.
    """

    def __init__(self, policy: Policy | None = None, signing_keys: Sequence[bytes] = ()) -> None:
        self._policy = policy
        self._signing_keys = signing_keys

    def check(self, identity: Identity | None, incoming: Incoming) -> float | None:
        """Raise NotAuthenticated, OtherProject, AdminOnly or NotPermitted."""
        action, headers = incoming.action, incoming.headers
        assert action is not None
        assert headers is not None
        if identity is None:
            return self._check_signature(action, headers, incoming.body)
        if headers.project_id != identity.project:
            raise OtherProject
        if not self._allows(identity, action):
            raise self._refusal(action)
        if identity.rights is not None:
            _check_rights(identity.rights, action.name, incoming.body)
        return None

    def permits(self, identity: Identity | None, action: str, project: str, queue_name: str) -> bool:
        """Whether it is of their project, and their roles and rights allow it."""
        if identity is None or identity.project != project:
            return False
        if not self._allows(identity, ACTIONS[action]):
            return False
        return identity.rights is None or identity.rights.permits(action, queue_name)

    def _check_signature(
        self, action: Action, headers: RequestHeaders | AuthenticateHeaders, body: Any
    ) -> float:
        until = None
        if is_signed(headers) and action.name in ACTION_METHODS:
            until = permitted_until(self._signing_keys, headers, action.name, body.queue_name, time())
        if until is None:
            raise NotAuthenticated
        return until

    def _allows(self, identity: Identity, action: Action) -> bool:
        if self._policy is not None:
            return self._policy.allows(identity, action.name)
        return not action.admin or ADMIN in identity.roles

    def _refusal(self, action: Action) -> NotPermitted | AdminOnly:
        if self._policy is not None:
            return NotPermitted(f"The operator's policy does not let you do {action.name}.")
        return AdminOnly(f"{action.name} is for administrators: the token has not the role {ADMIN}.")


def make_authorisation(
    settings: Settings, signing_keys: Sequence[bytes], files: list[OperatorFile]
) -> Authorisation:
    """What the settings ask for. Raises SettingsError if the policy cannot be used.

    :param files: the policy's file is added here, if there is one.
    """
    if settings.auth_methods:
        if settings.policy_file is None:
            return ByIdentity(None, signing_keys)
        # Only here: few have one, and its library loads much.
        from gateway.auth.policy import Policy  # noqa: PLC0415

        policy = Policy(settings.policy_file)
        files.append(policy)
        return ByIdentity(policy, signing_keys)
    # Without roles, only who can be trusted by being on this machine may administer.
    trusts_everybody = is_loopback(settings.host) and not settings.allow_anonymous
    return WithoutAuthentication(trusts_everybody=trusts_everybody)


def check_metadata(
    identity: Identity | None, metadata: Mapping[str, Any], before: Mapping[str, Any] | None = None
) -> None:
    """Raise NotPermitted if a queue's metadata name another queue or a flavor that the token has no right to.

    :param before: what the queue had: names that stand there already are not new.
    """
    if identity is None or identity.rights is None:
        return
    known = before or {}
    dead_letters, flavor = (metadata.get(key) for key in ("_dead_letter_queue", "_flavor"))
    if dead_letters and dead_letters != known.get("_dead_letter_queue"):
        _check_queue(identity.rights, "message_post", dead_letters)  # that is what happens to it
    if flavor and flavor != known.get("_flavor"):
        _check_flavor(identity.rights, flavor)


def _check_rights(rights: Rights, action: str, body: Any) -> None:
    if action == "queue_list":
        if action not in rights.queues:
            raise NotPermitted("The token gives no right to queue_list for any queue.")
    elif action in ON_QUEUES:
        _check_queue(rights, action, body.queue_name)
    elif action in ELSEWHERE:
        if action not in rights.actions:
            raise NotPermitted(f"The token gives no right to {action}.")
        for field in ("flavor_name", "flavor"):
            name = getattr(body, field, None)
            if isinstance(name, str):
                _check_flavor(rights, name)


def _check_queue(rights: Rights, action: str, name: str) -> None:
    if not rights.permits(action, name):
        raise NotPermitted(f"The token gives no right to {action} for the queue {name[:64]!r}.")


def _check_flavor(rights: Rights, name: str) -> None:
    if not rights.permits_flavor(name):
        raise NotPermitted(f"The token gives no right to the flavor {name[:64]!r}.")
