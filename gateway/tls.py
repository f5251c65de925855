"""TLS on the gateway's port: the certificate, which can be exchanged while it serves, and the transport."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL
from twisted.internet.interfaces import (
    IDelayedCall,
    IOpenSSLServerConnectionCreator,
    IProtocol,
    IProtocolFactory,
)
from twisted.internet.protocol import connectionDone
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from gateway.logs import get_logger

CIPHERS = b"ECDHE+AESGCM:ECDHE+CHACHA20"
"""Those of TLS 1.2: authenticated encryption with forward secrecy. All of TLS 1.3 are of that kind."""

CLOSE_PATIENCE = 2.0
"""Seconds for a peer to answer that the connection ends; it need not (RFC 8446 section 6.1)."""

_HTTP = b"http/1.1"
_SPOKEN_PLAIN = b"This port speaks TLS: use wss:// or https://.\n"

log = get_logger(__name__)


class CertificateError(ValueError):
    """The files cannot be used. The message says which and why."""


@implementer(IOpenSSLServerConnectionCreator)
class Certificate:
    """What a TLS port shows: a certificate with its chain, and its key, each in a PEM file.

    Raises CertificateError.
    """

    def __init__(self, certificate: Path, key: Path) -> None:
        self._certificate = certificate
        self._key = key
        self._context = self._load()

    def reload(self) -> None:
        """Read the files again, for new connections; open ones stay. If they are broken, nothing changes."""
        try:
            self._context = self._load()
        except CertificateError as error:
            log.error("certificate_not_reloaded", reason=str(error))

    def serverConnectionForTLS(self, protocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """For Twisted: the TLS state of a new connection."""
        return SSL.Connection(self._context, None)

    def _load(self) -> SSL.Context:
        context = SSL.Context(SSL.TLS_SERVER_METHOD)
        context.set_min_proto_version(SSL.TLS1_2_VERSION)
        context.set_cipher_list(CIPHERS)
        context.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION)
        # Clients keep what it takes to resume in tickets of their own, so the server need not.
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        context.set_mode(SSL.MODE_RELEASE_BUFFERS)  # quiet sockets hold none
        context.set_alpn_select_callback(_choose_protocol)
        try:
            expires = x509.load_pem_x509_certificate(self._certificate.read_bytes()).not_valid_after_utc
            context.use_certificate_chain_file(str(self._certificate))
        except (OSError, ValueError, SSL.Error) as error:
            raise CertificateError(f"tls_cert: {self._certificate}: {_why(error)}") from None
        try:
            mode = self._key.stat().st_mode
            key: Any = load_pem_private_key(self._key.read_bytes(), password=None)
            context.use_privatekey(key)
            context.check_privatekey()
        # TypeError: it has a passphrase; UnsupportedAlgorithm: it is of a kind or a curve that nobody uses.
        except (OSError, TypeError, ValueError, UnsupportedAlgorithm, SSL.Error) as error:
            raise CertificateError(f"tls_key: {self._key}: {_why(error)}") from None
        if mode & stat.S_IROTH:
            log.warning("key_readable_by_all", path=str(self._key), remedy=f"chmod o-r {self._key}")
        log.info("certificate_loaded", path=str(self._certificate), expires=expires.isoformat())
        return context


class TLSTransport(TLSMemoryBIOProtocol):
    """A connection with TLS, which is the transport of the protocol above it."""

    _spoken = False
    _closing: IDelayedCall | None = None
    factory: TLSFactory
    transport: Any

    @property
    def protocol(self) -> IProtocol | None:
        """Who speaks on it, as a TCP transport calls it: `gateway.http.switch` hands connections on by it."""
        return self.wrappedProtocol

    @protocol.setter
    def protocol(self, protocol: IProtocol) -> None:
        self.wrappedProtocol = protocol

    def dataReceived(self, bytes: bytes) -> None:
        if not self._spoken:
            self._spoken = True
            # A TLS record begins with 22, a method of HTTP with a letter.
            if bytes[:1].isalpha():
                self.transport.write(
                    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n"
                    b"Connection: close\r\n\r\n%b" % (len(_SPOKEN_PLAIN), _SPOKEN_PLAIN)
                )
                self.transport.loseConnection()
                return
        super().dataReceived(bytes)

    def loseConnection(self) -> None:
        # Twisted has no public word for a handshake that is done, and would wait for it to send what is left.
        if not self._handshakeDone:
            self.abortConnection()
            return
        super().loseConnection()
        if self._closing is None and self.connected:
            self._closing = self.factory.reactor.callLater(CLOSE_PATIENCE, self._close)

    def abortConnection(self) -> None:
        if self.connected:  # as on TCP, where nothing happens to what is lost
            super().abortConnection()

    def _close(self) -> None:
        """End it without the peer's word, once what was sent has left."""
        self._closing = None
        self.transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._closing is not None:
            self._closing.cancel()
            self._closing = None
        if not self._handshakeDone and self._reason is not None:
            # What clients do wrong, at their own pace.
            log.debug("tls_handshake_failed", peer=self.getPeer().host, reason=_why(self._reason.value))
        super().connectionLost(reason)


class TLSFactory(TLSMemoryBIOFactory):
    """Puts TLS under the connections of another factory."""

    protocol = TLSTransport

    def __init__(self, reactor: Any, certificate: Certificate, factory: IProtocolFactory) -> None:
        super().__init__(certificate, False, factory, clock=reactor)
        self.reactor = reactor


def _choose_protocol(connection: SSL.Connection, offered: list[bytes]) -> Any:
    """ALPN (RFC 7301): HTTP/1.1, by which WebSockets begin too; else none, and the client may try."""
    return _HTTP if _HTTP in offered else SSL.NO_OVERLAPPING_PROTOCOLS


def _why(error: BaseException) -> str:
    """A reason that people can read, also of OpenSSL's lists of library, function and reason."""
    if isinstance(error, SSL.Error) and error.args and isinstance(error.args[0], list):
        return "; ".join(str(entry[-1]) for entry in error.args[0]) or "no reason given"
    return getattr(error, "strerror", None) or str(error)
