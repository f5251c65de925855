"""Names of queues, pools, flavors and projects (protocol.md section 2)."""

from __future__ import annotations

import re
from typing import Final

from protocol.errors import BadRequest
from schemas import limits

_QUEUE_NAME: Final = re.compile(limits.QUEUE_NAME_PATTERN)
_UNFIT_FOR_PROJECT: Final = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")


def is_queue_name(text: str) -> bool:
    """Whether a queue, a pool or a flavor may have this name.

    The pattern has to match as a whole (docs/compatibility.md, 28).
    """
    return len(text) <= limits.QUEUE_NAME_CHARACTERS and _QUEUE_NAME.fullmatch(text) is not None


def check_name(text: str, what: str) -> None:
    """Raise BadRequest if no `what` (queue, pool, flavor) may have this name."""
    if not is_queue_name(text):
        raise BadRequest(
            f"A {what} name has 1 to {limits.QUEUE_NAME_CHARACTERS} characters from "
            f"a-z, A-Z, 0-9, '_', '-' and '.'; {text[: limits.QUEUE_NAME_CHARACTERS]!r} is none."
        )


def check_project(text: str) -> None:
    """Raise BadRequest if no project has this id (docs/compatibility.md, 28)."""
    if not text:
        raise BadRequest("The project id is empty; put it in the header X-Project-ID.")
    if len(text) > limits.PROJECT_CHARACTERS:
        raise BadRequest(f"A project id has at most {limits.PROJECT_CHARACTERS} characters, not {len(text)}.")
    if _UNFIT_FOR_PROJECT.search(text):
        raise BadRequest("A project id has no control characters.")
