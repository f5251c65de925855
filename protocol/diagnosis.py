"""The long way to read a frame, taken when the short one fails: it finds out why.

It decodes generically, as upstream does, and answers with upstream's texts (protocol.md section 1).
A frame that merely repeats a key comes out as a request: the last value counts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgpack
from msgspec import UNSET, Raw

from protocol.codec import CODECS, Form
from protocol.errors import (
    BadRequest,
    MalformedFrame,
    RequestError,
    SchemaViolation,
    TooManyParts,
    UnknownAction,
)
from protocol.incoming import Incoming, check_request_id, is_secret
from protocol.registry import ACTIONS, PLAIN_ACTIONS, Action
from protocol.tellable import (
    TooMany,
    count_json_parts,
    json_nests_deeper,
    msgpack_nests_deeper,
    read_json,
    read_msgpack,
)
from schemas import limits


def diagnose(frame: bytes, form: Form, *, extended: bool) -> Incoming:
    """Read a frame that the short way refused. Never raises."""
    incoming = Incoming(form)
    try:
        document, flaw = _read(frame, form)
        if not isinstance(document, dict):
            raise MalformedFrame("Unexpected body type. Expected dict or dict like.")
        _remember(incoming, document)
        wrong = _remember_extended(incoming, document) if extended else None
        incoming.action = _action(document.get("action"), ACTIONS if extended else PLAIN_ACTIONS)
        if flaw is not None:
            raise BadRequest(f"The request cannot be processed: {flaw}.")
        if wrong is not None:
            raise wrong
        _fill(incoming, incoming.action, document)
    except RequestError as error:
        incoming.failure = error
    return incoming


def _read(frame: bytes, form: Form) -> tuple[Any, str | None]:
    """The frame's document, and what keeps it from being told in both forms.

    In MessagePack the latter is left to those who use a value: what is not used is not looked at.
    """
    try:
        if form is Form.JSON:
            count_json_parts(frame)
            document, flaw = read_json(frame.decode())
            deep = json_nests_deeper(frame, document, limits.FRAME_NESTING_MAX)
        else:
            document, flaw = read_msgpack(frame), None
            deep = msgpack_nests_deeper(frame, document, limits.FRAME_NESTING_MAX)
        if deep:
            raise RecursionError(f"arrays and objects are nested over {limits.FRAME_NESTING_MAX} deep")
    except TooMany as error:
        raise TooManyParts(f"Can't decode {form.value} request: {error}.") from None
    except (ValueError, RecursionError) as error:
        raise MalformedFrame(f"Can't decode {form.value} request. {type(error).__name__}: {error}") from None
    return document, flaw


def _remember(incoming: Incoming, document: dict[Any, Any]) -> None:
    """Keep what the reply repeats."""
    headers = document.get("headers")
    # What is no object could hold a secret anywhere.
    shown = headers.items() if isinstance(headers, dict) else ()
    headers = {key: value for key, value in shown if not is_secret(key)}
    incoming.echo_action = _encoded(document.get("action"), incoming.form)
    incoming.echo_headers = _encoded(headers, incoming.form)
    incoming.raw_body = _encoded(document["body"], incoming.form) if "body" in document else None


def _remember_extended(incoming: Incoming, document: dict[Any, Any]) -> SchemaViolation | None:
    """Keep the request's id and whether to repeat the request, or return what is wrong with them."""
    echo, name = document.get("echo", True), document.get("id", UNSET)
    if not isinstance(echo, bool):
        return SchemaViolation("echo: true or false")
    incoming.echo = echo
    if name is UNSET:
        return None
    if isinstance(name, bool) or not isinstance(name, str | int):
        return SchemaViolation("id: a string or an integer")
    try:
        check_request_id(name)
        if isinstance(name, str):
            name.encode()
    except UnicodeEncodeError:  # half a surrogate pair: it cannot be repeated
        return SchemaViolation("id: a string of whole characters")
    except SchemaViolation as error:
        return error
    incoming.id = name
    return None


def _encoded(value: object, form: Form) -> Raw:
    # Unlike msgspec these two write all that was read: half surrogate pairs, extension types.
    return Raw(json.dumps(value).encode() if form is Form.JSON else msgpack.packb(value))


def _action(name: object, actions: Mapping[str, Action]) -> Action:
    if isinstance(name, str) and name in actions:
        return actions[name]
    raise UnknownAction(f"{name} is not a valid action")


def _fill(incoming: Incoming, action: Action, document: dict[Any, Any]) -> None:
    """Read headers and body as the action's types."""
    if "headers" not in document:
        raise SchemaViolation("headers: missing")
    incoming.headers = _typed(document["headers"], action.headers, "headers", incoming.form)
    if "body" in document:
        incoming.body = _typed(document["body"], action.request, "body", incoming.form)
    elif action.body_required:
        raise SchemaViolation("body: missing")
    else:
        incoming.body = action.request()


def _typed(value: object, shape: type[Any], where: str, form: Form) -> Any:
    try:
        return CODECS[form].decode(_encoded(value, form), shape)
    except SchemaViolation as error:
        raise SchemaViolation(f"{where}: {error}") from None
