"""Trusts: by them the gateway may speak for who made a subscription, in one project (Keystone's OS-TRUST).

The trustee is the gateway's own user. A trust ends with its subscription's ttl, or is deleted before.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from time import time
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Struct
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from gateway.auth.keystone_client import (
    TOKEN,
    KeystoneClient,
    KeystoneUnavailable,
    given_token,
    open_client,
    read_token,
    refused,
    usable_for,
    user_and_password,
)
from gateway.logs import get_logger
from gateway.settings import Settings
from protocol.errors import NotPermitted, OtherProject
from storage.shared_work import SharedWork

MAX_TOKENS: Final = 1_000
"""Tokens of trusts that are kept; those that were not used for longest go first."""

MAX_DELETIONS: Final = 1_000
"""Trusts that wait to be deleted; more are left to end by themselves."""

_ENDED: Final = 60.0
"""Seconds for which a trust that has ended is not asked about again."""

log = get_logger(__name__)


class TrustEnded(Exception):
    """Keystone gives no token for a trust: it has ended, or who made it has lost what it is for."""


class _Trust(Struct):
    id: str


class _Document(Struct):
    trust: _Trust


class _Known(NamedTuple):
    """A token of a trust, and its project; both empty: the trust has ended.

    :ivar until: when it is time to ask again, in seconds since the epoch.
    """

    token: str
    project: str
    until: float


class Trusts:
    """Makes trusts, and gets tokens for them.

    :param keystone: asks with the gateway's own token; stopped with this.
    :param user: how the gateway's user authenticates: gateway.auth.keystone_client.user_and_password.
    """

    def __init__(self, reactor: Any, keystone: KeystoneClient, user: dict[str, Any]) -> None:
        self._reactor = reactor
        self._keystone = keystone
        self._user = user
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._getting: SharedWork[str, _Known] = SharedWork()
        self._deleting: set[Deferred[None]] = set()

    async def create(self, token: str, project: str, end: float) -> str:
        """Have who has the token trust the gateway with the token's roles in its project; the trust's id.

        :param project: what the token has to be for. OtherProject if it is not.
        :param end: when the trust ends, in seconds since the epoch.
        :raises NotPermitted: Keystone lets no trust be made with this token.
        :raises KeystoneUnavailable: it does not answer as it should.
        """
        if not TOKEN.fullmatch(token):
            raise NotPermitted("X-Auth-Token is no token of Keystone's, and nobody else can make a trust.")
        answer = await self._keystone.ask_as_itself("/auth/tokens?nocatalog", {"X-Subject-Token": token})
        if answer.status == 404:
            raise NotPermitted("Keystone does not know the token, with which a trust would be made.")
        if answer.status != 200:
            raise refused("did not look at a token", answer.status)
        trustor = read_token(answer)
        if trustor.project is None or trustor.project.id != project:
            raise OtherProject
        trust = {
            "trustor_user_id": trustor.user.id,
            "trustee_user_id": await self._keystone.own_user(),
            "project_id": project,
            "impersonation": True,
            "roles": [{"id": role.id} for role in trustor.roles],
            "expires_at": datetime.fromtimestamp(end, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        }
        body = json.dumps({"trust": trust}).encode()
        answer = await self._keystone.ask("POST", "/OS-TRUST/trusts", {"X-Auth-Token": token}, body)
        if answer.status in (400, 401, 403):
            raise NotPermitted("Keystone lets no trust be made with this token.")
        if answer.status != 201:
            raise refused("made no trust", answer.status)
        try:
            return msgspec.json.decode(answer.body, type=_Document).trust.id
        except msgspec.DecodeError:
            raise KeystoneUnavailable("Keystone's answer cannot be read.") from None

    def delete(self, trust: str, project: str, delay: float = 0.0) -> None:
        """Delete a trust in some seconds, if that can be done then: it ends by itself too.

        :param project: as for `token`.
        """
        if len(self._deleting) >= MAX_DELETIONS:
            log.warning("trust_left_behind", reason=f"{MAX_DELETIONS} others wait to be deleted.")
            return
        work = Deferred.fromCoroutine(self._delete(trust, project, delay))
        self._deleting.add(work)
        work.addBoth(self._deleted, work)

    async def token(self, trust: str, project: str) -> str:
        """A token that speaks for who made the trust. TrustEnded, KeystoneUnavailable.

        :param project: what the trust has to be for; TrustEnded if it is for another.
        """
        known = self._known.get(trust)
        if known is None or known.until <= time():
            known = await self._getting.join(trust, lambda: self._get(trust), self._keep(trust))
        else:
            self._known.move_to_end(trust)
        if known.project != project:
            raise TrustEnded
        return known.token

    def forget(self, trust: str, token: str) -> None:
        """A token turned out not to be good any more: get another next time."""
        known = self._known.get(trust)
        if known is not None and known.token == token:
            del self._known[trust]

    async def stop(self) -> None:
        """Give up deletions, and close the connections."""
        for work in list(self._deleting):
            work.cancel()
        await self._keystone.stop()

    def _keep(self, trust: str) -> Callable[[_Known], None]:
        def keep(known: _Known) -> None:
            self._known[trust] = known
            self._known.move_to_end(trust)
            if len(self._known) > MAX_TOKENS:
                self._known.popitem(last=False)

        return keep

    async def _get(self, trust: str) -> _Known:
        auth = {"identity": self._user, "scope": {"OS-TRUST:trust": {"id": trust}}}
        now = time()
        answer = await self._keystone.ask(
            "POST", "/auth/tokens?nocatalog", {}, json.dumps({"auth": auth}).encode()
        )
        if answer.status in (401, 403, 404):
            # A wrong password is answered alike. Then this fails, and nothing is said of the trust.
            await self._keystone.renew()
            return _Known("", "", now + _ENDED)
        if answer.status != 201:
            raise refused("gave no token for a trust", answer.status)
        text, token = given_token(answer)
        project = "" if token.project is None else token.project.id
        return _Known(text, project, now + usable_for(token, now))

    async def _delete(self, trust: str, project: str, delay: float) -> None:
        await deferLater(self._reactor, delay)
        try:
            # Only who made it may delete it, and that is whom its token speaks for.
            token = await self.token(trust, project)
            self._known.pop(trust, None)
            answer = await self._keystone.ask("DELETE", f"/OS-TRUST/trusts/{trust}", {"X-Auth-Token": token})
        except TrustEnded:
            return
        except KeystoneUnavailable as error:
            log.warning("trust_left_behind", reason=str(error))
            return
        if answer.status not in (204, 404):
            log.warning("trust_left_behind", reason=f"Keystone answered {answer.status}.")

    def _deleted(self, outcome: object, work: Deferred[None]) -> None:
        self._deleting.discard(work)
        if isinstance(outcome, Failure) and not outcome.check(CancelledError):
            log.error("trust_deletion_broke", failure=outcome.getTraceback())


def make_trusts(reactor: Any, settings: Settings) -> Trusts | None:
    """Trusts in the gateway's own user; None: nobody has a token of Keystone's. Raises SettingsError."""
    if "keystone" not in settings.auth_methods:
        return None
    return Trusts(reactor, open_client(reactor, settings), user_and_password(settings))
