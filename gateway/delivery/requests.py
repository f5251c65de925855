"""HTTP requests to servers that clients have named: nothing that such a server does costs much.

Connections go only where the guard lets them (gateway.http.guard), and are kept for the next request. Time
and bytes of an answer are bounded, whatever comes: endless headers, a body that never ends,
or nothing at all.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from OpenSSL import SSL
from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.endpoints import wrapClientTLS
from twisted.internet.error import ConnectError, ConnectionClosed, DNSLookupError
from twisted.internet.interfaces import IProtocol, IProtocolFactory
from twisted.internet.protocol import Protocol, connectionDone
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure
from twisted.web.client import (
    URI,
    Agent,
    BrowserLikePolicyForHTTPS,
    HTTPConnectionPool,
    RequestTransmissionFailed,
    ResponseFailed,
)
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgentEndpointFactory, IResponse
from zope.interface import implementer

from gateway.http.client import Given, HttpError, reason_of, trust_root
from gateway.http.guard import Guard, GuardedEndpoint, Refused, Target
from gateway.http.names import Names

MAX_ANSWER = 65_536
"""Bytes of an answer that are read, of its head and its body; none of them is kept."""

MAX_SERVERS = 128
"""Servers that connections are kept to."""

IDLE = 15
"""Seconds for which a connection is kept for the next request."""

_REST = 1.0
"""Seconds for the rest of an answer whose status is known. Later the connection is closed."""


class Requests:
    """Makes requests of clients' servers. `stop` is called once, when nobody makes any more.

    :param per_server: connections to one server that are kept.
    :param ca_file: certificates in PEM form that are trusted in place of the system's.
    :raises OSError: it cannot be read.
    :raises ValueError: it holds no certificate.
    """

    def __init__(self, reactor: Any, guard: Guard, *, per_server: int, ca_file: Path | None = None) -> None:
        self._reactor = reactor
        self._guard = guard
        self._names = Names(reactor)
        self._per_server = per_server
        self._tls = BrowserLikePolicyForHTTPS(trust_root(ca_file))
        self._pools: OrderedDict[Target, HTTPConnectionPool] = OrderedDict()

    async def post(self, target: Target, url: bytes, headers: Headers, body: bytes, timeout: float) -> int:
        """The status of the answer.

        :param target: where the URL points to.
        :param timeout: seconds until the status has to be known, connecting included.
        :raises HttpError: no connection, no proof of who the server is, no answer, or not in time.
        :raises Refused: it may not be connected to.
        """
        answer = Deferred.fromCoroutine(self._post(target, url, headers, body, timeout))
        response = await answer.addTimeout(timeout, self._reactor, _too_late)
        rest = _Rest()
        response.deliverBody(rest)
        try:
            await rest.done.addTimeout(_REST, self._reactor)
        except TimeoutError:
            rest.abort()
        return int(response.code)

    async def stop(self) -> None:
        """Close the connections that are kept."""
        while self._pools:
            await self._pools.popitem()[1].closeCachedConnections()

    async def _post(
        self, target: Target, url: bytes, headers: Headers, body: bytes, timeout: float
    ) -> IResponse:
        connecting = _Connecting(lambda: self._endpoint(target, timeout))
        pools = [self._pool_of(target), HTTPConnectionPool(self._reactor, persistent=False)]
        while True:
            agent = Agent.usingEndpointFactory(self._reactor, connecting, pools.pop(0))
            try:
                response: IResponse = await agent.request(b"POST", url, headers, Given(body))
                return response
            except (ResponseFailed, RequestTransmissionFailed) as error:
                # A kept connection that the server has closed meanwhile says nothing about the server. One
                # that was closed here does: the time is up, or nobody wants it sent any more.
                given_up = any(reason.check(CancelledError) for reason in error.reasons)
                if connecting.begun or given_up or not pools:
                    raise HttpError(reason_of(error.reasons[0].value)) from error
            except (ConnectError, DNSLookupError, ConnectionClosed, SSL.Error) as error:
                raise HttpError(reason_of(error)) from error

    def _pool_of(self, target: Target) -> HTTPConnectionPool:
        pool = self._pools.get(target)
        if pool is None:
            pool = self._pools[target] = HTTPConnectionPool(self._reactor)
            pool.maxPersistentPerHost = self._per_server
            pool.cachedConnectionTimeout = IDLE
            pool.retryAutomatically = False
        self._pools.move_to_end(target)
        if len(self._pools) > MAX_SERVERS:
            # Its connections that are in use are closed when they have been idle, which nobody waits for.
            self._pools.popitem(last=False)[1].closeCachedConnections()
        return pool

    def _endpoint(self, target: Target, timeout: float) -> _BoundedEndpoint:
        # An address that does not answer leaves time for the next one.
        seconds = timeout / 2
        endpoint: Any = GuardedEndpoint(
            self._reactor, self._guard, target.host, target.port, seconds, self._names.addresses
        )
        if target.scheme == "https":
            try:
                proof = self._tls.creatorForNetloc(target.host.encode(), target.port)
            except UnicodeError:  # idna.IDNAError, for a_b.example.org as well
                raise Refused("No certificate can be for the host of this URL (RFC 5890).") from None
            endpoint = wrapClientTLS(proof, endpoint)
        return _BoundedEndpoint(endpoint)


@implementer(IAgentEndpointFactory)
class _Connecting:
    """An agent's one endpoint, made when it is used, which it notes: else a kept connection was."""

    def __init__(self, make_endpoint: Callable[[], _BoundedEndpoint]) -> None:
        self._make_endpoint = make_endpoint
        self.begun = False

    def endpointForURI(self, uri: URI) -> Any:
        return self

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        self.begun = True
        return self._make_endpoint().connect(protocolFactory)


class _BoundedEndpoint:
    """Connections on which answers of more than MAX_ANSWER bytes are cut off. An IStreamClientEndpoint."""

    def __init__(self, endpoint: Any) -> None:
        self._endpoint = endpoint

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        return Deferred.fromCoroutine(self._connect(protocolFactory))

    async def _connect(self, factory: Any) -> IProtocol:
        wrapper: _Bounded = await self._endpoint.connect(_BoundedFactory(factory))  # type: ignore[no-untyped-call]  # Twisted's is not typed
        wrapped: IProtocol = wrapper.wrappedProtocol
        return wrapped


class _Bounded(ProtocolWrapper):
    """Counts what is received for a request."""

    _left = MAX_ANSWER

    def write(self, data: bytes) -> None:
        self._left = MAX_ANSWER
        super().write(data)  # type: ignore[no-untyped-call]  # Twisted's is not typed

    def writeSequence(self, data: Sequence[bytes]) -> None:
        self._left = MAX_ANSWER
        super().writeSequence(data)  # type: ignore[no-untyped-call]  # the same

    def dataReceived(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left < 0:
            self.abortConnection()
        else:
            super().dataReceived(data)  # type: ignore[no-untyped-call]  # the same


class _BoundedFactory(WrappingFactory):
    protocol = _Bounded
    noisy = False


class _Rest(Protocol):
    """Reads the body of an answer and throws it away."""

    transport: Any

    def __init__(self) -> None:
        self.done: Deferred[None] = Deferred()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if not self.done.called:
            self.done.callback(None)

    def abort(self) -> None:
        """Read no more: the connection cannot be used again."""
        # Twisted's proxy only knows to lose a connection, which waits for a TLS peer to agree.
        connection = getattr(self.transport, "_producer", None)
        if connection is not None:
            connection.abortConnection()


def _too_late(result: object, timeout: float) -> Any:
    if isinstance(result, Failure):
        raise HttpError(f"No answer came within {timeout:g} seconds.")
    return result
