"""REST as an OpenAPI 3.1 document, made of its routes and of the same types as everything else.

Specification: https://spec.openapis.org/oas/v3.1.1. What routes and types do not know is in `described`.
`make docs` writes the document beside this file, from where the gateway serves it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import groupby
from typing import Any, Final

from gateway.http.rest import components
from gateway.http.rest.bodies import Bodies, names_in
from gateway.http.rest.described import OPERATIONS, PARAMETERS, Named, Reply
from gateway.http.rest.examples import REPLIES, REQUESTS
from gateway.http.rest.parameters import Parameter
from gateway.http.rest.routes import ROUTES, Route
from protocol.registry import ACTIONS
from schemas import asyncapi, rest

ABOUT: Final = (
    "OpenStack Zaqar's API, version 2: durable queues and leased work, for services that only post, for "
    "scripts, and for OpenStack's own clients. Live push is on the WebSocket of the same port, which "
    "`/asyncapi.json` describes."
)

TAGS: Final = {
    "queues": "Queues and their metadata.",
    "messages": "What stands in queues.",
    "claims": "Leases of messages: who works on them deletes them, or they come back.",
    "subscriptions": "Whom messages are delivered to.",
    "topics": "A topic is a queue under another path, without claims.",
    "pools": "Message stores that queues may live in; for administrators.",
    "flavors": "Names for pools that a queue may go to; for administrators.",
    "node": "The gateway itself.",
}
"""The groups of operations: a path belongs to the last whose name is a segment of it, or to the node."""

_JSON: Final = "application/json"


def text() -> str:
    """The document as it is served."""
    return json.dumps(document(), indent=2, ensure_ascii=False) + "\n"


def document() -> dict[str, Any]:
    """The whole document."""
    bodies = Bodies()
    paths: dict[str, Any] = {"/": {"get": _versions(bodies)}}
    for (path, method), routes in groupby(ROUTES, lambda route: (route.path, route.method)):
        operations = paths.setdefault(path, {"parameters": _of_path(path)})
        operations[method.lower()] = _operation(list(routes), bodies)
    refusals = components.refusals()
    return {
        "openapi": "3.1.1",
        "info": {
            "title": "zaqar-gateway",
            "version": asyncapi.VERSION,
            "description": ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "The gateway that has told this."}],
        "tags": [{"name": name, "description": about} for name, about in TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": bodies.used(paths, refusals),
            "parameters": {
                name: {"name": name, "in": "header", **told}
                for name, told in components.REQUEST_HEADERS.items()
            },
            "headers": dict(components.REPLY_HEADERS),
            "responses": refusals,
            "securitySchemes": dict(components.SECURITY),
        },
    }


def operation_id(route: Route) -> str:
    """What the operation of a route is called: as its action, unless that has another of the name."""
    name = f"{route.operation}_head" if route.method == "HEAD" else route.operation
    if "/topics" not in route.path:
        return name
    name = name.replace("queue_", "topic_")
    return name if name.startswith("topic_") else f"topic_{name}"


def _versions(bodies: Bodies) -> dict[str, Any]:
    answer = _answer(Reply("The versions of the API.", rest.Versions), "/", bodies)
    del answer["headers"]  # it is a page like others, and no request of the API
    return {
        "operationId": "get_versions",
        "tags": ["node"],
        "summary": "Read which versions of the API there are.",
        "responses": {"300": answer},
        "security": [{}],
    }


def _of_path(path: str) -> list[dict[str, Any]]:
    """The parameters that all methods of a path have."""
    return [
        *(
            {"name": name, "in": "path", "required": True, **_told(PARAMETERS[name])}
            for name in names_in(path)
        ),
        *({"$ref": f"#/components/parameters/{name}"} for name in ("Client-ID", "X-Project-ID")),
    ]


def _in_query(parameter: Parameter, action: str, bodies: Bodies) -> dict[str, Any]:
    """A parameter behind the question mark: with the schema of the field that it is."""
    named = PARAMETERS[parameter.name]
    if parameter.field:
        named = named._replace(schema=bodies.field(action, parameter.field))
    told = {"name": parameter.name, "in": "query", **_told(named)}
    if told["schema"].get("type") == "array":
        told |= {"style": "form", "explode": False}
    return told


def _told(named: Named) -> dict[str, Any]:
    return {"description": named.about, "schema": named.schema, "example": named.example}


def _operation(routes: Sequence[Route], bodies: Bodies) -> dict[str, Any]:
    """The operation of a method of a path; several routes are told apart by a parameter that one needs."""
    route = routes[-1]
    abouts = [
        f"With `{each.needs}`: {_about(each)}" if each.needs else _about(each) for each in reversed(routes)
    ]
    told: dict[str, Any] = {"operationId": operation_id(route), "tags": [_tag(route.path)]}
    told["summary"] = abouts[0]
    if len(abouts) > 1:
        told["description"] = " ".join(abouts)
    told["parameters"] = [
        _in_query(parameter, each.action, bodies) for each in reversed(routes) for parameter in each.query
    ]
    if any(ACTIONS[each.action].admin for each in routes):
        told["parameters"].append({"$ref": "#/components/parameters/X-Roles"})
    if route.is_stream:
        told["parameters"] += components.STREAM_HEADERS
    if route.document is not None:
        told["requestBody"] = _request_body(route, bodies)
    told["responses"] = _responses(routes, bodies)
    told["security"] = components.security_of({each.signed_as or each.action for each in routes})
    return told


def _about(route: Route) -> str:
    return OPERATIONS[route.operation].about or (ACTIONS[route.action].request.__doc__ or "").strip()


def _tag(path: str) -> str:
    segments = path.split("/")
    if "topics" in segments:
        return "topics"
    return next((name for name in reversed(TAGS) if name in segments), "node")


def _request_body(route: Route, bodies: Bodies) -> dict[str, Any]:
    document = route.document
    assert document is not None
    content = {"schema": bodies.request(route), "example": _here(REQUESTS[route.action], route.path)}
    return {"required": document.required, "content": {document.kind or _JSON: content}}


def _responses(routes: Sequence[Route], bodies: Bodies) -> dict[str, Any]:
    found: dict[str, Any] = {}
    refusals = set(components.ALWAYS)
    for route in reversed(routes):
        for status, reply in OPERATIONS[route.operation].replies.items():
            answer = _answer(reply, route.path, bodies)
            links = _links(route, status)
            if links:
                answer["links"] = links
            found[str(status)] = _either(found[str(status)], answer) if str(status) in found else answer
        refusals.update(OPERATIONS[route.operation].refusals)
        if route.document is not None:
            refusals.add(413)
            if route.document.kind:
                refusals.add(415)
    if routes[-1].method == "HEAD":  # it has the headers of an answer to GET, and no body
        for told in found.values():
            told.pop("content", None)
        return found | {str(status): {"description": "It is refused."} for status in sorted(refusals)}
    return found | {
        str(status): {"$ref": f"#/components/responses/{components.REFUSALS[status].name}"}
        for status in sorted(refusals)
    }


def _answer(reply: Reply, path: str, bodies: Bodies) -> dict[str, Any]:
    told: dict[str, Any] = {"description": reply.about, "headers": components.reply_headers()}
    if reply.location:
        told["headers"]["Location"] = {
            "description": f"The path of {reply.location}.",
            "schema": {"type": "string"},
        }
    if reply.body is not None:
        shape = rest.TopicPage if path == "/v2/topics" and reply.body is rest.QueuePage else reply.body
        content = {"schema": bodies.of(shape), "example": _here(REPLIES[shape], path)}
        told["content"] = {reply.kind: content}
    return told


def _either(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """An answer that is one or the other; the first has the example."""
    content = {
        kind: told | {"schema": {"anyOf": [told["schema"], other["content"][kind]["schema"]]}}
        for kind, told in one["content"].items()
    }
    return one | {"description": f"{one['description']} {other['description']}", "content": content}


def _links(route: Route, status: int) -> dict[str, Any]:
    """Where to go on from an answer, as far as the target is under the same path."""
    if status >= 300 or status == 204:
        return {}
    found = {}
    for name, leads in OPERATIONS[route.operation].leads_to.items():
        target = next(
            each for each in ROUTES if each.action == leads.action and each.path.startswith(route.path[:10])
        )
        parameters = {"queue_name": "$request.path.queue_name", **leads.parameters}
        found[name] = {"operationId": operation_id(target), "parameters": parameters}
    return found


def _here(example: Any, path: str) -> Any:
    """An example with the paths of topics, if it is for those."""
    if not path.startswith("/v2/topics"):
        return example
    return json.loads(json.dumps(example).replace("/v2/queues", "/v2/topics"))
