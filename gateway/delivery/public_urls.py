"""Where subscribers reach the gateway: as the operator says, or as Keystone's catalog has it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import Struct

from gateway.auth.keystone_client import KeystoneClient, KeystoneUnavailable, refused
from gateway.settings import Settings
from protocol.confirmations import PublicUrls, urls_of

REST_SERVICE = "zaqar"
WEBSOCKET_SERVICE = "zaqar-websocket"
"""What the two are called in a catalog (protocol.md section 6)."""


class _Endpoint(Struct):
    interface: str = ""
    url: str = ""


class _Service(Struct):
    name: str = ""
    endpoints: Sequence[_Endpoint] = ()


class _Catalog(Struct):
    catalog: Sequence[_Service]


class Finding:
    """Finds them, each time anew: an operator may change a catalog at any time, and few are asked to confirm.

    :param keystone: None: there is no catalog.
    """

    def __init__(self, settings: Settings, keystone: KeystoneClient | None) -> None:
        self._said = None if settings.public_url is None else urls_of(settings.public_url)
        self._keystone = keystone

    async def find(self) -> PublicUrls:
        """Both, as far as they are known. KeystoneUnavailable."""
        if self._said is not None:
            return self._said
        if self._keystone is None:
            return PublicUrls()
        answer = await self._keystone.ask_as_itself("/auth/catalog")
        if answer.status != 200:
            raise refused("did not show its catalog", answer.status)
        try:
            services = msgspec.json.decode(answer.body, type=_Catalog).catalog
        except msgspec.DecodeError:
            raise KeystoneUnavailable("Keystone's catalog cannot be read.") from None
        return PublicUrls(_public(services, REST_SERVICE), _public(services, WEBSOCKET_SERVICE))


def _public(services: Sequence[_Service], name: str) -> str | None:
    for service in services:
        for endpoint in service.endpoints if service.name == name else ():
            if endpoint.interface == "public" and endpoint.url:
                return endpoint.url
    return None
