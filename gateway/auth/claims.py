"""What the claims of a token say (RFC 7519 section 4). It is believed if it makes sense."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from gateway.auth.identity import Identity
from gateway.auth.rights import Rights, UnfitRights, read_rights
from gateway.settings import Settings
from protocol.errors import AuthenticationFailed, BadRequest
from protocol.names import check_project
from schemas import limits

MAX_ROLES: Final = 100
MAX_NAME: Final = 255
"""Characters of a role, and of a user's id."""


class Claims:
    """Reads claims under the names that the operator's issuer gives them."""

    def __init__(self, settings: Settings) -> None:
        self._project = settings.jwt_project_claim
        self._user = settings.jwt_user_claim
        self._roles = settings.jwt_roles_claim
        self._rights = settings.jwt_rights_claim
        self._leeway = settings.jwt_leeway

    def identity(self, claims: Mapping[str, Any]) -> Identity:
        """Whom the claims are about. AuthenticationFailed if one is missing or is not what it should be."""
        project, expires = claims.get(self._project), claims["exp"]
        if not isinstance(project, str):
            raise AuthenticationFailed("no project")
        try:
            check_project(project)
        except BadRequest:
            raise AuthenticationFailed("project") from None
        if not isinstance(expires, int | float) or not 0 < expires < limits.SAFE_INTEGER:
            raise AuthenticationFailed("exp")
        return Identity(
            project=project,
            user=self._read_user(claims.get(self._user, "")),
            roles=self._read_roles(claims.get(self._roles, [])),
            # As long as it would be taken if it came anew.
            expires=expires + self._leeway,
            rights=self._read_rights(claims),
        )

    def _read_user(self, user: object) -> str:
        if not isinstance(user, str) or len(user) > MAX_NAME:
            raise AuthenticationFailed("user")
        return user

    def _read_rights(self, claims: Mapping[str, Any]) -> Rights | None:
        if self._rights not in claims:
            return None
        try:
            return read_rights(claims[self._rights])
        except UnfitRights:
            raise AuthenticationFailed("rights") from None

    def _read_roles(self, roles: object) -> frozenset[str]:
        found = roles.split() if isinstance(roles, str) else roles
        if not isinstance(found, list) or len(found) > MAX_ROLES:
            raise AuthenticationFailed("roles")
        if not all(isinstance(role, str) and len(role) <= MAX_NAME for role in found):
            raise AuthenticationFailed("roles")
        return frozenset(role.lower() for role in found)
