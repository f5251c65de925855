"""REST on the gateway's port: from a request's bytes to those of its answer."""

from __future__ import annotations

from time import time

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from gateway.actions.call import Call, Node
from gateway.auth.authenticator import identify_and_count
from gateway.auth.authorisation import ADMIN
from gateway.auth.handshake import handshake_token
from gateway.auth.identity import Identity
from gateway.http.rest import parameters, reading
from gateway.http.rest.asked import Asked, Shown
from gateway.http.rest.client import RestClient
from gateway.http.rest.cross_origin import answer_headers, is_preflight, preflight_headers
from gateway.http.rest.errors import Titled
from gateway.http.rest.exchange import Exchange
from gateway.http.rest.matching import Routes, allowed, choose, decode
from gateway.http.rest.reading import Headers
from gateway.http.rest.routes import Route
from gateway.http.rest.streams import Streams
from gateway.logs import get_logger
from protocol import envelope, event_stream
from protocol.errors import (
    AdminOnly,
    AuthenticationFailed,
    NotFound,
    NotPermitted,
    RequestError,
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
        self._streams = Streams(node)
        self._working = 0
        self._idle: Deferred[None] | None = None

    async def drain(self) -> None:
        """End the streams, and wait until all requests that have come are answered."""
        self._streams.drain()
        self._node.arrivals.end()
        if self._working:
            self._idle = Deferred()
            await self._idle

    def render(self, request: Request) -> int:
        """Answer a request, whatever its method."""
        exchange = Exchange(self._node, request)
        self._working += 1
        Deferred.fromCoroutine(self._serve(exchange)).addBoth(self._served, exchange)
        return NOT_DONE_YET

    def _served(self, outcome: object, exchange: Exchange) -> None:
        self._working -= 1
        if isinstance(outcome, Failure):  # not even the fault could be told
            log.error("page_failed", path="/v2", failure=outcome.getTraceback())
            exchange.abort()
        if not self._working and self._idle is not None:
            idle, self._idle = self._idle, None
            idle.callback(None)

    async def _serve(self, exchange: Exchange) -> None:
        try:
            shown = await self._answer(exchange)
        except RequestError as error:
            if error.retry and exchange.streamed:
                exchange.put_off(error)
            else:
                exchange.refuse(error)
        except Exception:  # a fault of ours costs this request, never another or the connection
            log.exception("request_broke", request=exchange.id)
            exchange.refuse(RequestError("The gateway failed on this request."))
        else:
            if shown is not None:
                exchange.write(shown)

    async def _answer(self, exchange: Exchange) -> Shown | None:
        """What is to be written; None: a stream, which has begun."""
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
        if route.is_stream:
            exchange.streamed = reading.is_event_source(headers)
            exchange.headers, given = reading.of_stream(headers, given)
        reading.check_accept(headers, event_stream.CONTENT_TYPE if route.is_stream else reading.JSON)
        asked = Asked(path, arguments, parameters.read(route.query, given))
        return await self._do(exchange, route, asked)

    async def _do(self, exchange: Exchange, route: Route, asked: Asked) -> Shown | None:
        node, headers = self._node, exchange.headers
        # Before anybody is asked whose token it is.
        exchange.heed_rate()
        identity = None
        if node.authenticator is not None and not reading.is_signed(headers):
            identity = await self._identify(headers)
        project = headers.get("x-project-id")
        if project is None:
            if identity is None:
                raise Titled("Project-Id Missing", "Put the project into the header X-Project-ID.")
            project = identity.project
        elif not project:
            raise Titled("Empty project header not allowed", "Put the project into the header X-Project-ID.")
        if not reading.is_signed(headers):
            exchange.heed_rate_of(project if identity is None else identity.project)
        incoming = reading.read(route, asked, headers, project, exchange.content())
        if incoming.failure is not None:
            raise incoming.failure
        until = self._check_permission(headers, identity, route, incoming)
        if reading.is_signed(headers):  # it is the project's only now, which has signed it
            exchange.heed_rate_of(project)
        envelope.check(incoming)
        if route.is_stream:
            signed_as = route.signed_as
            await self._streams.answer(
                exchange, identity, until, incoming, lambda: self._signed_until(signed_as, incoming)
            )
            return None
        client = exchange.client = RestClient(identity, node.authorisation, until)
        exchange.when_left(client.close)
        if asked.query.get("wait"):
            exchange.further["Cache-Control"] = "no-store"
        status, reply = await route.answer(Call(node, client, incoming), asked)
        return route.show(asked, status, reply)

    async def _identify(self, headers: Headers) -> Identity:
        """Whom the token of a request speaks for. AuthenticationFailed, Unavailable."""
        node, token = self._node, handshake_token(headers, ())
        assert node.authenticator is not None
        if token is None:
            raise AuthenticationFailed("no token")
        return await identify_and_count(node.authenticator, token, node.metrics.authenticated)

    def _check_permission(
        self, headers: Headers, identity: Identity | None, route: Route, incoming: Incoming
    ) -> float | None:
        """Raise unless the request may be done; NotFound where its signature does not permit it.

        Returns when the signature expires (seconds since the epoch), if that permits it; else None.
        """
        if reading.is_signed(headers):
            return self._check_signature(route.signed_as or route.action, incoming)
        assert incoming.action is not None
        # As upstream, where nobody authenticates: who wants to administer says so.
        roles = [role.strip().lower() for role in headers.get("x-roles", "").split(",")]
        if self._node.authenticator is None and incoming.action.admin and ADMIN not in roles:
            raise AdminOnly(f"{incoming.action.name} is for administrators: say so with X-Roles: {ADMIN}.")
        self._node.authorisation.check(identity, incoming)
        return None

    def _check_signature(self, action: str, incoming: Incoming) -> float:
        """When the signature of a request expires; NotFound unless it permits the action."""
        until = self._signed_until(action, incoming)
        if until is None:
            raise NotFound("No such resource, or the signature does not open it.")
        return until

    def _signed_until(self, action: str, incoming: Incoming) -> float | None:
        """When the signature of a request expires, by the keys of now; None: it permits nothing."""
        assert incoming.headers is not None
        return permitted_over_rest(self._node.signing_keys, incoming.headers, action, incoming.body, time())
