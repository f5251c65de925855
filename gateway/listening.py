"""The port of a node: what is behind it, and how it is closed without a request left unanswered."""

from __future__ import annotations

import socket
from typing import Any, cast

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IListeningPort, IProtocolFactory

from gateway.actions.call import Node
from gateway.http.connections import Connections
from gateway.http.rest.resource import Rest
from gateway.http.site import make_site
from gateway.http.switch import SwitchFactory
from gateway.settings import Settings
from gateway.stopping import PART, Stopping, within
from gateway.tls import Certificate, TLSFactory
from gateway.websocket.protocol import SocketFactory
from gateway.workers import port as shared_port


def listen(
    reactor: Any, node: Node, certificate: Certificate | None, stopping: Stopping, *, shared: bool
) -> int:
    """Serve WebSocket and HTTP on the node's port, and return its number.

    :param certificate: what it shows; None: it does not speak TLS.
    :param stopping: gets what closes the port, and then answers what has come for `shutdown_timeout` seconds.
    :param shared: whether other processes listen on the same port.

    Raises OSError, CannotListenError.
    """
    settings = node.settings
    sockets, rest = SocketFactory(reactor, node), Rest(node)
    share = settings.workers if shared else 1
    connections = Connections(reactor, settings, node.access.is_proxy, node.metrics, share)
    factory: IProtocolFactory = SwitchFactory(
        reactor,
        sockets,
        make_site(node, rest, connections),
        node.access.host_allowed,
        connections.refusal,
        settings.handshake_timeout,
        node.metrics.refused,
    )
    if certificate is not None:
        factory = TLSFactory(reactor, certificate, factory)
    address = numeric_address(settings.host)
    port: IListeningPort
    if shared:
        port = shared_port.listen(reactor, factory, address, settings.port)
    else:
        port = reactor.listenTCP(settings.port, factory, backlog=shared_port.BACKLOG, interface=address)

    async def drain() -> None:
        # All at the same time.
        parts = (rest.drain(), connections.drain(), node.deliveries.finish())
        others = [Deferred.fromCoroutine(part) for part in parts]
        await sockets.drain()
        for drained in others:
            await drained

    async def close() -> None:
        node.draining = True
        node.consumers.pause()
        await within(reactor, settings.shutdown_timeout, drain)
        sockets.drop()
        connections.drop()

    stopping.add(close, settings.shutdown_timeout + PART)
    stopping.add(port.stopListening)
    return cast(IPv4Address, port.getHost()).port


def load_certificate(settings: Settings) -> Certificate | None:
    """The certificate that the port shows; None if it does not speak TLS. CertificateError."""
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    return Certificate(settings.tls_cert, settings.tls_key)


def listening_url(settings: Settings, port: int) -> str:
    """Where clients find a node that listens on this port."""
    return f"{'ws' if settings.tls_cert is None else 'wss'}://{shown_host(settings.host)}:{port}/"


def notification_url(settings: Settings, port: int) -> str:
    """With what the subscribers begin that sockets' subscriptions show (protocol.md section 4)."""
    scheme = "http" if settings.tls_cert is None else "https"
    return f"{scheme}://{shown_host(settings.notification_host or settings.host)}:{port}/"


def shown_host(host: str) -> str:
    """A host as it stands in a URL."""
    return f"[{host}]" if ":" in host else host


def numeric_address(host: str) -> str:
    """The address that a host name stands for; names are looked up once, at the start."""
    return str(socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][4][0])
