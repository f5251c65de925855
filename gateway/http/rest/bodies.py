"""The JSON schemas of what requests and answers hold, as the OpenAPI document refers to them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from gateway.http.rest.described import OPERATIONS
from gateway.http.rest.routes import EVERY, ROUTES, Route
from schemas import asyncapi, rest
from schemas.actions import SHAPES
from schemas.messages import NewMessage
from schemas.metadata import Metadata

REFS: Final = "#/components/schemas/"


class Bodies:
    """Schemas by name, of which the document has those that it refers to."""

    def __init__(self) -> None:
        self._requests = {route.action: SHAPES[route.action].request for route in ROUTES}
        shapes: list[Any] = [rest.Refusal, rest.TopicPage, rest.Versions, NewMessage, Metadata]
        shapes += self._requests.values()
        shapes += [
            reply.body
            for operation in OPERATIONS.values()
            for reply in operation.replies.values()
            if reply.body is not None
        ]
        schemas, found = msgspec.json.schema_components(shapes, ref_template=f"{REFS}{{name}}")
        self._by_shape = dict(zip(shapes, schemas, strict=True))
        self._schemas: dict[str, Any] = asyncapi.referring_here(found)
        # Only sockets that have agreed on the extension may have it.
        del self._schemas[NewMessage.__name__]["properties"]["dedup_id"]

    def of(self, shape: Any) -> dict[str, Any]:
        """The schema of a type."""
        schema: dict[str, Any] = self._by_shape[shape]
        return schema

    def field(self, action: str, name: str) -> dict[str, Any]:
        """The schema of a field of an action's request."""
        schema: dict[str, Any] = self._schemas[self._requests[action].__name__]["properties"][name]
        return schema

    def request(self, route: Route) -> dict[str, Any]:
        """The schema of a request's body: of the action's request, what does not stand in the URL."""
        document = route.document
        assert document is not None
        if document.whole == "metadata":
            return self.of(Metadata)
        if document.whole:
            return self.field(route.action, document.whole)
        shape = self._requests[route.action]
        whole = self._schemas[shape.__name__]
        elsewhere = [parameter.field for parameter in route.query] + names_in(route.path)
        told = [
            name
            for name in whole["properties"]
            if name not in elsewhere and (document.fields is EVERY or name in document.fields)
        ]
        needed = [
            name for name in told if name in whole["required"] or name in OPERATIONS[route.action].needed
        ]
        properties = {name: whole["properties"][name] for name in told}
        if document.skips_null:
            properties |= {name: _or_null(properties[name]) for name in told if name not in needed}
        name = f"{shape.__name__}Body"
        self._schemas[name] = {
            "title": name,
            "description": whole["description"],
            "type": "object",
            "properties": properties,
            "required": needed,
        }
        if document.fields is EVERY:
            self._schemas[name]["additionalProperties"] = False
        return {"$ref": REFS + name}

    def used(self, *parts: Any) -> dict[str, Any]:
        """The schemas that `parts` refer to, and those that these do, by name in alphabetical order."""
        found: set[str] = set()
        waiting = list(_references(parts))
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                waiting += _references(self._schemas[name])
        return {name: self._schemas[name] for name in sorted(found)}


def names_in(path: str) -> list[str]:
    """What stands in a path in the places of names: `queue_name`."""
    return [segment[1:-1] for segment in path.split("/") if segment.startswith("{")]


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema that allows null too."""
    return {"anyOf": [schema, {"type": "null"}]}


def _references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        reference = part.get("$ref", "")
        if isinstance(reference, str) and reference.startswith(REFS):
            yield reference.removeprefix(REFS)
        part = list(part.values())
    if isinstance(part, list | tuple):
        for each in part:
            yield from _references(each)
