"""Finds the route of a request."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from urllib.parse import unquote

from gateway.http.rest.errors import MethodNotAllowed
from gateway.http.rest.routes import ROUTES, Route
from protocol.errors import NotFound


class Routes:
    """Routes by the segments of their paths."""

    def __init__(self, routes: Iterable[Route] = ROUTES) -> None:
        self._by_length: dict[int, dict[tuple[str, ...], list[Route]]] = {}
        for route in routes:
            segments = tuple(route.path.split("/"))
            self._by_length.setdefault(len(segments), {}).setdefault(segments, []).append(route)

    def find(self, path: str) -> tuple[list[Route], dict[str, str]]:
        """The routes of a decoded path, and what stands in the places of names. NotFound."""
        given = path.split("/")
        for segments, routes in self._by_length.get(len(given), {}).items():
            arguments = _match(segments, given)
            if arguments is not None:
                return routes, arguments
        raise NotFound("Nothing is at this path; /v2/ tells what there is.")


def choose(routes: Iterable[Route], method: str, query: Mapping[str, object]) -> Route:
    """The route of a method; of several the one that needs a parameter which is there. MethodNotAllowed."""
    found = [
        route for route in routes if route.method == method and (not route.needs or route.needs in query)
    ]
    if not found:
        raise MethodNotAllowed(allowed(routes))
    return found[0]


def allowed(routes: Iterable[Route]) -> list[str]:
    """The methods of routes, each once."""
    return list(dict.fromkeys(route.method for route in routes))


def decode(path: bytes) -> str:
    """A path with what stands behind its percent signs: before it is split, as upstream's server does."""
    return unquote(path.decode("latin-1"), errors="replace")


def _match(segments: tuple[str, ...], given: list[str]) -> dict[str, str] | None:
    arguments = {}
    for segment, text in zip(segments, given, strict=True):
        if segment.startswith("{") and text:
            arguments[segment[1:-1]] = text
        elif segment != text:
            return None
    return arguments
