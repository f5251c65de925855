"""Changes to a queue's metadata by JSON Patch (protocol.md section 8; RFC 6902)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from msgspec import UNSET

from protocol.codec import Form
from protocol.errors import BadRequest, Conflict
from protocol.metadata import DEFAULTS, Metadata, check_metadata, read_value
from schemas.queues import PatchOperation

_ROOT: Final = "/metadata/"


def apply_patch(metadata: Mapping[str, Any], operations: Sequence[PatchOperation], form: Form) -> Metadata:
    """The metadata after all `operations`, whose values are in `form`. The argument stays as it is.

    Reserved keys that the queue does not have stand at their defaults: replacing one sets it,
    removing one changes nothing. Raises BadRequest, or Conflict if another key to be replaced or removed
    is missing: then nothing is to be changed.
    """
    patched = dict(metadata)
    for index, operation in enumerate(operations):
        where = f"patch[{index}]"
        key = _key(operation.path, where)
        if operation.op != "add" and key not in patched and key not in DEFAULTS:
            raise Conflict(f"{where}: cannot {operation.op} {key[:64]!r}, which is not there")
        if operation.op == "remove":
            patched.pop(key, None)
        elif operation.value is UNSET:
            raise BadRequest(f"{where}: {operation.op} needs a value")
        else:
            patched[key] = read_value(bytes(operation.value), form, f"{where}.value")
    check_metadata(patched)
    return patched


def _key(path: str, where: str) -> str:
    """The key that a JSON Pointer (RFC 6901) names."""
    key = path.removeprefix(_ROOT)
    if key == path or "/" in key:
        raise BadRequest(f"{where}: path must be {_ROOT}<key>, not {path[:64]!r}")
    return key.replace("~1", "/").replace("~0", "~")
