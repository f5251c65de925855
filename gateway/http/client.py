"""HTTP requests that the gateway itself makes, to services that its operator has named.

Everything is bounded: requests at once and waiting, the time of each, and the bytes of an answer. TLS servers
have to prove who they are. Redirects are not followed: an answer comes from the very address that was named.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from cryptography import x509
from OpenSSL import SSL, crypto
from twisted.internet.defer import Deferred, DeferredSemaphore, succeed
from twisted.internet.error import ConnectError, ConnectionClosed, DNSLookupError
from twisted.internet.interfaces import IConsumer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.ssl import Certificate, platformTrust, trustRootFromCertificates
from twisted.python.failure import Failure
from twisted.web.client import (
    Agent,
    BrowserLikePolicyForHTTPS,
    HTTPConnectionPool,
    RequestTransmissionFailed,
    ResponseDone,
    ResponseFailed,
)
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH, IBodyProducer, IResponse
from zope.interface import implementer

from gateway import __version__

MAX_AT_ONCE = 16
"""Requests that are made at the same time."""

MAX_WAITING = 1_000
"""Requests that wait for one of those to end; more fail at once."""

MAX_ANSWER = 1_048_576
"""Bytes that the body of an answer may have, unless the request says otherwise."""

_IDLE = 30
"""Seconds for which a connection is kept for the next request."""

_LONGEST_REASON = 200


class HttpError(Exception):
    """There was no answer, or not all of it. The message says why, without the address."""


class HttpAnswer(NamedTuple):
    """What a server answered, whatever the status."""

    status: int
    headers: Mapping[str, str]
    """The last of each name, names in lower case."""
    body: bytes


class HttpClient:
    """Makes requests. `stop` is called once, when nobody makes any more.

    :param ca_file: certificates in PEM form that are trusted in place of the system's.
    :raises OSError: it cannot be read.
    :raises ValueError: it holds no certificate.
    """

    def __init__(self, reactor: Any, *, ca_file: Path | None = None) -> None:
        self._reactor = reactor
        self._pool = HTTPConnectionPool(reactor)
        self._pool.maxPersistentPerHost = MAX_AT_ONCE
        self._pool.cachedConnectionTimeout = _IDLE
        self._agent = Agent(reactor, BrowserLikePolicyForHTTPS(trust_root(ca_file)), pool=self._pool)
        self._turns = DeferredSemaphore(MAX_AT_ONCE)

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout: float,
        max_bytes: int = MAX_ANSWER,
    ) -> HttpAnswer:
        """The answer to one request. A GET is made again if a kept connection turns out to be closed.

        :param url: `http` or `https`, without a user and a password.
        :param timeout: seconds that all of it may take, waiting for other requests included.
        :param max_bytes: of the answer's body; a larger one is an error.
        :raises HttpError: no connection, no proof of who the server is, no whole answer, or not in time.
        """
        if len(self._turns.waiting) >= MAX_WAITING:
            raise HttpError("Too many requests wait for an answer.")
        work = Deferred.fromCoroutine(self._in_turn(method, url, headers or {}, body, max_bytes))
        return await work.addTimeout(timeout, self._reactor, _too_late)

    async def stop(self) -> None:
        """Close the connections that are kept."""
        await self._pool.closeCachedConnections()

    async def _in_turn(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, max_bytes: int
    ) -> HttpAnswer:
        await self._turns.acquire()
        try:
            return await self._request(method, url, headers, body, max_bytes)
        except (ResponseFailed, RequestTransmissionFailed) as error:
            raise HttpError(reason_of(error.reasons[0].value)) from error
        except (ConnectError, DNSLookupError, ConnectionClosed, SSL.Error) as error:
            raise HttpError(reason_of(error)) from error
        finally:
            self._turns.release()

    async def _request(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, max_bytes: int
    ) -> HttpAnswer:
        sent = Headers({"User-Agent": [f"zaqar-gateway/{__version__}"]})
        for name, value in headers.items():
            sent.setRawHeaders(name, [value])
        producer = None if body is None else Given(body)
        response: IResponse = await self._agent.request(method.encode(), url.encode(), sent, producer)
        reader = _Body(max_bytes)
        response.deliverBody(reader)
        if response.length is not UNKNOWN_LENGTH and response.length > max_bytes:
            reader.refuse()  # no need to read it first
        received = await reader.done
        found = {
            name.decode("latin-1").lower(): values[-1].decode("latin-1")
            for name, values in response.headers.getAllRawHeaders()
        }
        return HttpAnswer(response.code, found, received)


def trust_root(ca_file: Path | None) -> Any:
    """Who may vouch for a server: the certificates in a PEM file, else those of the system.

    :raises OSError: the file cannot be read.
    :raises ValueError: it holds no certificate.
    """
    if ca_file is None:
        return platformTrust()
    try:
        found = x509.load_pem_x509_certificates(ca_file.read_bytes())
    except ValueError:
        raise ValueError(f"{ca_file}: holds no certificate in PEM form") from None
    return trustRootFromCertificates([Certificate(crypto.X509.from_cryptography(each)) for each in found])


@implementer(IBodyProducer)
class Given:
    """The body of a request, sent in one piece."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self.length = len(body)

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        consumer.write(self._body)
        return succeed(None)

    def pauseProducing(self) -> None:
        """All is sent."""

    resumeProducing = stopProducing = pauseProducing


class _Body(Protocol):
    """Gathers the body of an answer, up to a limit of bytes."""

    transport: Any

    def __init__(self, limit: int) -> None:
        self.done: Deferred[bytes] = Deferred(lambda _: self._abort())
        self._left = limit
        self._parts: list[bytes] = []

    def refuse(self) -> None:
        """It is larger than it may be."""
        self._left = -1
        self._abort()
        if not self.done.called:
            self.done.errback(HttpError("The answer is too large."))

    def dataReceived(self, data: bytes) -> None:
        if self._left < 0:
            return
        self._left -= len(data)
        if self._left < 0:
            self.refuse()
        else:
            self._parts.append(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.done.called:
            return
        if reason.check(ResponseDone, PotentialDataLoss):  # the second: it ends with the connection
            self.done.callback(b"".join(self._parts))
        else:
            self.done.errback(reason)

    def _abort(self) -> None:
        # Twisted's proxy only knows to lose a connection, which waits for a TLS peer to agree.
        connection = getattr(self.transport, "_producer", None)
        if connection is not None:
            connection.abortConnection()


def _too_late(result: object, timeout: float) -> HttpAnswer:
    if isinstance(result, HttpAnswer):
        return result
    raise HttpError(f"No whole answer came within {timeout:g} seconds.")


def reason_of(error: BaseException) -> str:
    """An error in a few words."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= _LONGEST_REASON else text[:_LONGEST_REASON] + "…"
