"""One port for both: looks at a connection's first request and hands it to WebSocket or to plain HTTP."""

from __future__ import annotations

import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from twisted.internet.interfaces import IAddress, IDelayedCall, IProtocolFactory
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

from gateway.limits.sockets import Refused

MAX_HEAD = 16_384
"""Bytes that the head of a request may have."""

_UPGRADE = re.compile(rb"\r\nupgrade[ \t]*:[ \t]*websocket[ \t]*\r\n", re.IGNORECASE)
_HOST = re.compile(rb"\r\nhost[ \t]*:[ \t]*([^\r\n]*?)[ \t]*(?=\r\n)", re.IGNORECASE)
# Whatever somebody might take for the end of a line, or a line for the next part of the one before: Autobahn
# splits at all of them, proxies in front do not, so one could hide headers from a proxy that rewrites them.
_ODD = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x85]|\r(?!\n)|(?<!\r)\n|\r\n[ \t]")
_MALFORMED = b"Headers are lines that end with CRLF, without control characters, with one Host.\n"
_END = b"\r\n\r\n"


class SwitchFactory(Factory):
    """Hands connections on.

    :param host_allowed: whether the node answers to a Host header.
    :param http_refusal: why an address may not have one more connection of plain HTTP; None: it may.
    :param timeout: seconds for the head of the first request to arrive.
    :param refused: is told `handshake_timeout` when it did not.
    """

    noisy = False

    def __init__(
        self,
        reactor: Any,
        websocket: IProtocolFactory,
        http: IProtocolFactory,
        host_allowed: Callable[[str], bool],
        http_refusal: Callable[[str], Refused | None],
        timeout: float,
        refused: Callable[[str], None],
    ) -> None:
        self.reactor = reactor
        self.websocket = websocket
        self.http = http
        self.host_allowed = host_allowed
        self.http_refusal = http_refusal
        self.timeout = timeout
        self.refused = refused

    def buildProtocol(self, addr: IAddress | None) -> Protocol:
        return _Switch(self, addr)

    def startFactory(self) -> None:
        self.websocket.doStart()
        self.http.doStart()

    def stopFactory(self) -> None:
        self.http.doStop()
        self.websocket.doStop()


class _Switch(Protocol):
    """Collects the head of the first request, then steps aside."""

    def __init__(self, factory: SwitchFactory, address: IAddress | None) -> None:
        self._switch = factory
        self._address = address
        self._head = b""
        self._timer: IDelayedCall | None = None

    def connectionMade(self) -> None:
        self._timer = self._switch.reactor.callLater(self._switch.timeout, self._give_up)

    def dataReceived(self, data: bytes) -> None:
        self._head += data
        end = self._head.find(_END)
        if (len(self._head) if end < 0 else end) > MAX_HEAD:
            told = b"The head of a request has at most %d bytes.\n" % MAX_HEAD
            self._refuse(b"431 Request Header Fields Too Large", told)
        elif end >= 0:
            self._choose(self._head[: end + 2])

    def _choose(self, head: bytes) -> None:
        hosts = _HOST.findall(head)
        if _ODD.search(head) or len(hosts) > 1:
            self._refuse(b"400 Bad Request", _MALFORMED)
        elif not self._switch.host_allowed(hosts[0].decode("latin-1") if hosts else ""):
            told = b"This gateway does not answer to that host name (allowed_hosts).\n"
            self._refuse(b"421 Misdirected Request", told)
        elif _UPGRADE.search(head):
            self._hand_over(self._switch.websocket)
        else:
            self._hand_over_http()

    def _hand_over_http(self) -> None:
        transport: Any = self.transport
        refused = self._switch.http_refusal(getattr(transport.getPeer(), "host", ""))
        if refused is None:
            self._hand_over(self._switch.http)
        else:
            status = f"{refused.status} {HTTPStatus(refused.status).phrase}"
            self._refuse(status.encode(), f"{refused.reason}\n".encode())

    def _hand_over(self, factory: IProtocolFactory) -> None:
        self._stop_timer()
        successor = factory.buildProtocol(self._address)  # type: ignore[arg-type]  # the address is the transport's own
        transport: Any = self.transport
        assert successor is not None
        transport.protocol = successor
        successor.makeConnection(transport)
        successor.dataReceived(self._head)

    def _refuse(self, status: bytes, text: bytes) -> None:
        self._stop_timer()
        assert self.transport is not None
        self.transport.write(
            b"HTTP/1.1 %b\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b"
            % (status, len(text), text)
        )
        self.transport.loseConnection()

    def _give_up(self) -> None:
        self._timer = None
        self._switch.refused("handshake_timeout")
        told = b"The request did not arrive within %g seconds.\n" % self._switch.timeout
        self._refuse(b"408 Request Timeout", told)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._stop_timer()
