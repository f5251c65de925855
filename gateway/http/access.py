"""Who may connect to the node, and who may see the pages that are not for everybody."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from pathlib import Path

from gateway.http.hosts import ANY, LOOPBACK, host_allowed, origin_allowed
from gateway.http.peers import client_address, is_local, is_within, parse_networks
from gateway.settings import Settings

LONGEST_TOKEN = 4096
"""Bytes of the file with the token."""


class Access:
    """What the settings say of it. Raises ValueError or OSError where the token's file cannot be used."""

    def __init__(self, settings: Settings) -> None:
        self._hosts = allowed_hosts(settings)
        self._origins = frozenset(settings.allowed_origins)
        if settings.allow_anonymous and not settings.allowed_origins:
            self._origins = frozenset({ANY})
        self._proxies = parse_networks(settings.trusted_proxies)
        self._public = settings.public_metrics
        self._token = _read_token(settings.metrics_token_file) if settings.metrics_token_file else None

    def host_allowed(self, value: str) -> bool:
        """Whether the node answers to this Host header."""
        return host_allowed(value, self._hosts)

    def origin_allowed(self, headers: Mapping[str, str]) -> bool:
        """Whether the page that a handshake comes from may connect; header names in lower case."""
        return origin_allowed(headers, self._hosts, self._origins)

    def client_address(self, peer: str, headers: Mapping[str, str]) -> str:
        """The IP address of the client, which a trusted proxy may stand before (gateway.http.peers)."""
        return client_address(peer, headers, self._proxies)

    def is_proxy(self, peer: str) -> bool:
        """Whether an address is a trusted proxy's."""
        return bool(self._proxies) and is_within(peer, self._proxies)

    def may_see_private_pages(self, peer: str, headers: Mapping[str, str]) -> bool:
        """Whether `/metrics` is for whoever asks: from this machine, or with the token, or for everybody."""
        if self._public or is_local(peer, headers, self._proxies):
            return True
        scheme, _, given = headers.get("authorization", "").partition(" ")
        return (
            self._token is not None
            and scheme.lower() == "bearer"
            and hmac.compare_digest(given.strip().encode("latin-1", "replace"), self._token)
        )


def allowed_hosts(settings: Settings) -> frozenset[str]:
    """The names that the node answers to, in lower case, or ANY."""
    if settings.allowed_hosts:
        return frozenset(settings.allowed_hosts)
    return frozenset({ANY}) if settings.allow_anonymous else LOOPBACK | {settings.host.lower()}


def _read_token(path: Path) -> bytes:
    with path.open("rb") as file:
        token = file.read(LONGEST_TOKEN + 1).strip()
    if not 0 < len(token) <= LONGEST_TOKEN or b"\n" in token:
        raise ValueError(f"metrics_token_file: {path} has to hold one line of up to {LONGEST_TOKEN} bytes")
    return token
