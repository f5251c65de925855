"""REST on the gateway's port: from a request's bytes to those of its answer."""

from __future__ import annotations

from time import perf_counter, time
from typing import Any, cast
from urllib.parse import urljoin

import msgspec
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from gateway import __version__
from gateway.actions.call import Call, Node
from gateway.auth.authenticator import identify_and_count
from gateway.auth.authorisation import ADMIN
from gateway.auth.handshake import handshake_token
from gateway.auth.identity import Identity
from gateway.http.request import read_headers
from gateway.http.resource import request_id
from gateway.http.rest import errors, parameters, reading
from gateway.http.rest.asked import Asked, Shown
from gateway.http.rest.client import RestClient
from gateway.http.rest.cross_origin import answer_headers, is_preflight, preflight_headers
from gateway.http.rest.matching import Routes, allowed, choose, decode
from gateway.http.rest.reading import Headers
from gateway.http.rest.routes import Route
from gateway.logs import get_logger
from protocol import envelope
from protocol.errors import (
    AdminOnly,
    AuthenticationFailed,
    BadRequest,
    NotFound,
    NotPermitted,
    RequestError,
    Unavailable,
)
from protocol.incoming import Incoming
from protocol.signed_urls import permitted_over_rest

log = get_logger(__name__)


class Rest(Resource):
    """All of `/v2`. `working` is the number of requests that are not answered yet."""

    isLeaf = True

    def __init__(self, node: Node) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Twisted's is not typed
        self._node = node
        self._routes = Routes()
        self._working = 0
        self._idle: Deferred[None] | None = None

    async def drain(self) -> None:
        """Wait until all requests that have come are answered."""
        if self._working:
            self._idle = Deferred()
            await self._idle

    def render(self, request: Request) -> int:
        """Answer a request, whatever its method."""
        exchange = _Exchange(self._node, request)
        self._working += 1
        Deferred.fromCoroutine(self._serve(exchange)).addBoth(self._served, exchange)
        return NOT_DONE_YET

    def _served(self, outcome: object, exchange: _Exchange) -> None:
        self._working -= 1
        if isinstance(outcome, Failure):  # not even the fault could be told
            log.error("page_failed", path="/v2", failure=outcome.getTraceback())
            exchange.abort()
        if not self._working and self._idle is not None:
            idle, self._idle = self._idle, None
            idle.callback(None)

    async def _serve(self, exchange: _Exchange) -> None:
        try:
            shown = await self._answer(exchange)
        except RequestError as error:
            exchange.refuse(error)
        except Exception:  # a fault of ours costs this request, never another or the connection
            log.exception("request_broke", request=exchange.id)
            exchange.refuse(RequestError("The gateway failed on this request."))
        else:
            exchange.write(shown)

    async def _answer(self, exchange: _Exchange) -> Shown:
        headers = exchange.headers
        if not self._node.access.origin_allowed(headers):
            raise NotPermitted("Pages of this origin may not ask here (allowed_origins).")
        exchange.further |= answer_headers(headers)
        path = decode(exchange.request.path)
        routes, arguments = self._routes.find(path)
        method = exchange.method
        if method == "OPTIONS":
            exchange.further["Allow"] = ", ".join(allowed(routes))
            if is_preflight(headers):
                exchange.further |= preflight_headers(allowed(routes))
            return Shown(200)
        given = parameters.split(exchange.query)
        route = choose(routes, method, given)
        exchange.action = route.action
        reading.check_accept(headers)
        asked = Asked(path, arguments, parameters.read(route.query, given))
        return await self._do(exchange, route, asked)

    async def _do(self, exchange: _Exchange, route: Route, asked: Asked) -> Shown:
        node, headers = self._node, exchange.headers
        identity = None
        if node.authenticator is not None and not reading.is_signed(headers):
            identity = await self._identify(headers)
        project = headers.get("x-project-id")
        if project is None:
            if identity is None:
                raise BadRequest("Project-Id Missing: put it in the header X-Project-ID.")
            project = identity.project
        exchange.heed_rates(project if identity is None else identity.project)
        incoming = reading.read(route, asked, headers, project, exchange.content())
        if incoming.failure is not None:
            raise incoming.failure
        self._check_permission(headers, identity, incoming)
        envelope.check(incoming)
        call = Call(node, RestClient(identity, node.authorisation), incoming)
        status, reply = await route.answer(call, asked)
        return route.show(asked, status, reply)

    async def _identify(self, headers: Headers) -> Identity:
        """Whom the token of a request speaks for. AuthenticationFailed, Unavailable."""
        node, token = self._node, handshake_token(headers, ())
        assert node.authenticator is not None
        if token is None:
            raise AuthenticationFailed("no token")
        return await identify_and_count(node.authenticator, token, node.metrics.authenticated)

    def _check_permission(self, headers: Headers, identity: Identity | None, incoming: Incoming) -> None:
        """Raise unless the request may be done; NotFound where its signature does not permit it."""
        if reading.is_signed(headers):
            self._check_signature(incoming)
            return
        assert incoming.action is not None
        # As upstream, where nobody authenticates: who wants to administer says so.
        roles = [role.strip().lower() for role in headers.get("x-roles", "").split(",")]
        if self._node.authenticator is None and incoming.action.admin and ADMIN not in roles:
            raise AdminOnly(f"{incoming.action.name} is for administrators: say so with X-Roles: {ADMIN}.")
        self._node.authorisation.check(identity, incoming)

    def _check_signature(self, incoming: Incoming) -> None:
        """Raise NotFound unless its signature permits the request."""
        action, headers = incoming.action, incoming.headers
        assert action is not None
        assert headers is not None
        keys = self._node.signing_keys
        if not permitted_over_rest(keys, headers, action.name, incoming.body, time()):
            raise NotFound("No such resource, or the signature does not open it.")


class _Exchange:
    """A request and its answer as bytes."""

    def __init__(self, node: Node, request: Request) -> None:
        self.request = request
        self.id = request_id()
        self.action = "invalid"
        self.further: dict[str, str] = {}
        self.headers = read_headers(request)
        self.method = request.method.decode("latin-1")
        self.query = request.uri.partition(b"?")[2].decode("latin-1")
        self._node = node
        self._since = perf_counter()
        self._left: list[Failure] = []
        request.notifyFinish().addErrback(self._left.append)

    def content(self) -> bytes:
        """The body."""
        assert self.request.content is not None
        return cast(bytes, self.request.content.read())

    def heed_rates(self, project: str) -> None:
        """Raise TooManyRequests if requests of a connection or of a project come too fast."""
        rates, channel = self._node.rates, cast(Any, self.request.channel)
        if rates is None:
            return
        if not hasattr(channel, "bucket"):
            channel.bucket = rates.new_bucket()
        refusal = rates.refusal(channel.bucket, project, self._since)
        if refusal is not None:
            raise refusal

    def refuse(self, error: RequestError) -> None:
        """Answer that it was not done."""
        metrics = self._node.metrics
        if error.limit:
            metrics.refused(error.limit)
        if error.status >= 500:
            metrics.store_failed(error.code)
        if isinstance(error, Unavailable):
            log.warning("request_failed", request=self.id, code=error.code, reason=str(error))
        self.further |= errors.headers(error)
        self.write(Shown(error.status, errors.document(error)))

    def write(self, shown: Shown) -> None:
        """Answer, unless the client has left."""
        self._node.metrics.request_done(self.action, shown.status, perf_counter() - self._since)
        if self._left:
            return
        request = self.request
        request.setResponseCode(shown.status)
        request.setHeader(b"server", f"zaqar-gateway/{__version__}".encode())
        request.setHeader(b"x-openstack-request-id", self.id.encode())
        if shown.location:
            request.setHeader(b"location", _joined(shown.location).encode())
        for name, value in self.further.items():
            request.setHeader(name.encode(), value.encode("latin-1"))
        body = b"" if shown.body is None else msgspec.json.encode(shown.body)
        if body:
            request.setHeader(b"content-type", shown.kind.encode())
        if shown.status != 204:
            request.setHeader(b"content-length", b"%d" % len(body))
        if body:
            request.write(body)
        request.finish()

    def abort(self) -> None:
        """Nothing can be answered."""
        if not self._left:
            self.request.loseConnection()


def _joined(path: str) -> str:
    """A path as upstream's server tells it: `/v2/queues/..` is `/v2/` (RFC 3986 section 5.2.4)."""
    return urljoin("/", path) if "/." in path else path
