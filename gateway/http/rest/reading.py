"""Makes a request of the WebSocket out of one over REST, so that both are checked by the same rules."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping
from typing import Any, Final

from msgspec import Raw

from gateway.http.rest.asked import Asked
from gateway.http.rest.errors import NotAcceptable, Titled, UnsupportedMediaType, titled
from gateway.http.rest.parameters import IN_URL, Given
from gateway.http.rest.routes import EVERY, Document, Route
from protocol import envelope, event_stream
from protocol.codec import CODECS, Form
from protocol.errors import BadRequest, SchemaViolation
from protocol.incoming import Incoming
from protocol.names import check_name

Headers = Mapping[str, str]
"""Of a request, names in lower case; several of a name joined by commas."""

_JSON: Final = CODECS[Form.JSON]
JSON: Final = "application/json"
_FORMS: Final = ("application/x-www-form-urlencoded", "multipart/form-data")
_SIGNED: Final = {"url-signature": "URL-Signature", "url-expires": "URL-Expires"}
_SIGNED_LISTS: Final = {"url-methods": "URL-Methods", "url-paths": "URL-Paths"}


def check_accept(headers: Headers, kind: str) -> None:
    """Raise NotAcceptable if the client does not take this content type (RFC 9110 section 12.5.1)."""
    accept = headers.get("accept", "")
    if accept.strip() and not _accepts(accept, {kind, f"{kind.partition('/')[0]}/*", "*/*"}):
        raise NotAcceptable(f"Answers are {kind}; let the header Accept admit it.")


def is_event_source(headers: Headers) -> bool:
    """Whether the client asks for an event stream by name, as every EventSource does."""
    return _accepts(headers.get("accept", ""), {event_stream.CONTENT_TYPE})


def _accepts(accept: str, kinds: Collection[str]) -> bool:
    for part in accept.split(","):
        kind, _, parameters = part.partition(";")
        if kind.strip().lower() in kinds and "q=0" not in parameters.replace(" ", "").split(";"):
            return True
    return False


def is_signed(headers: Headers) -> bool:
    """Whether a request has a signature, be it good or not (protocol.md section 7)."""
    return "url-signature" in headers


def of_stream(headers: Headers, given: Given) -> tuple[Headers, Given]:
    """Headers and parameters of a request for an event stream.

    An EventSource sends no headers of its page: what others say there it says in the URL. When it comes back
    it names the last event that it has got, which goes before the parameter `from` of that URL.
    """
    told = {name: given[parameter][-1] for parameter, name in IN_URL.items() if parameter in given}
    last = headers.get("last-event-id")
    return {"client-id": str(uuid.uuid4()), **told, **headers}, {**given, "from": [last]} if last else given


def read(route: Route, asked: Asked, headers: Headers, project: str, content: bytes) -> Incoming:
    """The request as the WebSocket would read it; what is wrong with its types is its `failure`.

    :param project: in which it is to be done. BadRequest for what only REST refuses.
    """
    if "client-id" not in headers:
        raise Titled("Missing header value", "The header Client-ID is missing; it has to be a UUID.")
    if "queue_name" in asked.arguments:
        with titled("Invalid queue identification"):
            check_name(asked.arguments["queue_name"], "queue")
    fields: dict[str, Any] = {}
    if route.document is not None:
        fields = _read_document(route.document, headers, content)
    for parameter in route.query:
        if parameter.field and parameter.name in asked.query:
            fields[parameter.field] = asked.query[parameter.name]
    frame = {
        "action": route.action,
        "headers": _headers(headers, project),
        "body": {**fields, **asked.arguments},
    }
    incoming = envelope.read(_JSON.encode(frame), Form.JSON)
    if incoming.failure is None:
        with titled("Wrong UUID value"):
            envelope.client_id(incoming)
    return incoming


def _headers(headers: Headers, project: str) -> dict[str, Any]:
    told: dict[str, Any] = {"Client-ID": headers["client-id"], "X-Project-ID": project}
    if is_signed(headers):
        told |= {name: headers[key] for key, name in _SIGNED.items() if key in headers}
        for key, name in _SIGNED_LISTS.items():
            told[name] = [item.strip() for item in headers.get(key, "").split(",")]
    return told


def _read_document(document: Document, headers: Headers, content: bytes) -> dict[str, Any]:
    """The fields that are in a request's body. BadRequest, UnsupportedMediaType."""
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if document.kind and kind != document.kind:
        raise UnsupportedMediaType(f"The content type has to be {document.kind}.")
    if kind in _FORMS:
        raise BadRequest("The body has to be JSON, and not a form: send Content-Type: application/json.")
    if not content:
        if document.required:
            raise SchemaViolation("The body is empty; it has to be a JSON document.")
        return {}
    # Reading it in parts also proves that it is one document: nothing of it can become more of the frame.
    if document.is_list:
        return {document.whole: _JSON.decode(content, list[Raw])}
    members = _JSON.decode(content, dict[str, Raw])
    if document.whole:
        return {document.whole: members}
    if document.fields is EVERY:
        return dict(members)
    told = {name: members[name] for name in document.fields if name in members}
    if document.skips_null:
        return {name: value for name, value in told.items() if bytes(value) != b"null"}
    return told
